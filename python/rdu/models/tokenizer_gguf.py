"""The tokenizer inside a GGUF file, rebuilt from its metadata.

Two kinds: ``gpt2`` (byte-level BPE; ``tokenizer.ggml.pre`` names how text is cut into words first) and ``llama``
(SentencePiece BPE with byte fallback).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rdu.errors import TokenizerError
from rdu.models.chat_template import ChatTemplate
from rdu.models.config import DecoderConfig
from rdu.models.extras import LLM, needs
from rdu.models.sentencepiece import merges_from_scores
from rdu.models.settings import Settings
from rdu.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    import tokenizers
    from tokenizers.pre_tokenizers import PreTokenizer

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # tokenizer.ggml.token_type
SPACE = "\u2581"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = {  # how llama.cpp's names cut text; an empty pattern is GPT-2's own, which the library has built in
    "default": "",
    "gpt-2": "",
    "gpt2": "",
    "smollm": "",
    "llama-bpe": _CONTRACTIONS + r"\p{N}{1,3}" + _REST,
    "llama3": _CONTRACTIONS + r"\p{N}{1,3}" + _REST,
    "llama-v3": _CONTRACTIONS + r"\p{N}{1,3}" + _REST,
    "qwen2": _CONTRACTIONS + r"\p{N}" + _REST,
}
ADD_BOS = {"llama-bpe", "llama3", "llama-v3"}  # as llama.cpp does where the file does not say
WHOLE_WORDS_FIRST = {"llama-bpe", "llama3", "llama-v3"}  # a word that is in the vocabulary is not merged up to


def gguf_tokenizer(metadata: Mapping[str, object], config: DecoderConfig, file: str) -> tuple[Tokenizer | None, str]:
    """The tokenizer, or None and why rdu cannot rebuild it.

    Raises
    ------
    TokenizerError
        Lists in the metadata that contradict each other.
    """
    settings = Settings(metadata, file)
    still = "token ids in and out still work"
    model = metadata.get("tokenizer.ggml.model")
    if model is None or "tokenizer.ggml.tokens" not in metadata:
        return None, f"no tokenizer in {file}; {still}"
    if model not in ("gpt2", "llama"):
        return None, f"{file}: tokenizer.ggml.model is {model!r}, rdu knows gpt2 and llama; {still}"
    pre = metadata.get("tokenizer.ggml.pre", "default")
    if model == "gpt2" and pre not in WORDS:
        return None, f"{file}: tokenizer.ggml.pre is {pre!r}, rdu knows {', '.join(WORDS)}; {still}"
    with needs(LLM):
        import tokenizers  # noqa: F401
    tokens = _strings(settings, "tokenizer.ggml.tokens")
    try:
        backend = _byte_level(settings, tokens, str(pre)) if model == "gpt2" else _sentencepiece(settings, tokens)
        _add_tokens(backend, tokens, _numbers(settings, "tokenizer.ggml.token_type", len(tokens)))
    except TokenizerError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise TokenizerError(f"{file}: the tokenizer cannot be rebuilt ({error})") from error
    names = _special_names(metadata, tokens)
    template = metadata.get("tokenizer.chat_template")
    add_bos = settings.flag("tokenizer.ggml.add_bos_token", model == "llama" or pre in ADD_BOS)
    tokenizer = Tokenizer(
        backend,
        eos_ids=config.eos_ids,
        bos_id=config.bos_ids[0] if config.bos_ids else None,
        add_bos=add_bos,
        template=ChatTemplate(template, file, names) if isinstance(template, str) else None,
    )
    return tokenizer, ""


def _byte_level(settings: Settings, tokens: list[str], pre: str) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers

    merges = []
    for line in _strings(settings, "tokenizer.ggml.merges"):
        left, space, right = line.partition(" ")
        if not space:
            raise TokenizerError(
                f"{settings.file}: tokenizer.ggml.merges has {line!r}; accepted: two parts and a space"
            )
        merges.append((left, right))
    vocab = {token: i for i, token in enumerate(tokens)}
    backend = Backend(models.BPE(vocab=vocab, merges=merges, ignore_merges=pre in WHOLE_WORDS_FIRST))
    backend.pre_tokenizer = _words(pre)
    backend.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    return backend


def _words(pre: str) -> PreTokenizer:
    from tokenizers import Regex, pre_tokenizers

    if pre == "smollm":  # each digit alone, then as GPT-2
        return pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    if not WORDS[pre]:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    split = pre_tokenizers.Split(Regex(WORDS[pre]), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _sentencepiece(settings: Settings, tokens: list[str]) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers

    scores = _numbers(settings, "tokenizer.ggml.scores", len(tokens))
    vocab = {token: i for i, token in enumerate(tokens)}
    unknown = settings.values.get("tokenizer.ggml.unknown_token_id", 0)
    unknown_token = tokens[unknown] if isinstance(unknown, int) and 0 <= unknown < len(tokens) else None
    backend = Backend(
        models.BPE(
            vocab=vocab,
            merges=merges_from_scores(vocab, scores),
            unk_token=unknown_token,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefix = settings.flag("tokenizer.ggml.add_space_prefix", True)
    replace = normalizers.Replace(" ", SPACE)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefix else replace
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    backend.decoder = decoders.Sequence(steps)
    return backend


def _add_tokens(backend: tokenizers.Tokenizer, tokens: list[str], types: list[float]) -> None:
    from tokenizers import AddedToken

    backend.add_tokens(
        [
            AddedToken(token, special=kind != USER_DEFINED, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind in (UNKNOWN, CONTROL, USER_DEFINED) and token
        ]
    )


def _strings(settings: Settings, key: str) -> list[str]:
    value = settings.values.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TokenizerError(str(settings.error(key, "a list of strings")))
    return value


def _numbers(settings: Settings, key: str, count: int) -> list[float]:
    value = settings.values.get(key)
    if not isinstance(value, list) or len(value) != count or not all(isinstance(x, (int, float)) for x in value):
        raise TokenizerError(str(settings.error(key, f"a list of {count} numbers, one per token")))
    return value


def _special_names(metadata: Mapping[str, object], tokens: list[str]) -> dict[str, str]:
    """What a chat template may call ``bos_token`` and so on."""
    keys = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    ids = {name: metadata.get(f"tokenizer.ggml.{key}_token_id") for name, key in keys.items()}
    return {name: tokens[i] for name, i in ids.items() if isinstance(i, int) and 0 <= i < len(tokens)}

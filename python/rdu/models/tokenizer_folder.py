"""The tokenizer of a Hugging Face folder: ``tokenizer.json``, ``tokenizer_config.json``, chat template."""

from __future__ import annotations

from pathlib import Path

from rdu.errors import TokenizerError
from rdu.models.chat_template import ChatTemplate
from rdu.models.config import DecoderConfig
from rdu.models.extras import LLM, needs
from rdu.models.settings import Settings, read_json
from rdu.models.tokenizer import Tokenizer

SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")


def folder_tokenizer(folder: Path, config: DecoderConfig) -> tuple[Tokenizer | None, str]:
    """The tokenizer, or None and why there is none.

    Raises
    ------
    TokenizerError
        ``tokenizer.json`` is damaged.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        found = " (tokenizer.model alone is not enough)" if (folder / "tokenizer.model").exists() else ""
        return None, f"no tokenizer.json in {folder}{found}; token ids in and out still work"
    with needs(LLM):
        import tokenizers
    try:
        backend = tokenizers.Tokenizer.from_buffer(path.read_bytes())
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # the library raises bare Exception
        raise TokenizerError(f"{path}: damaged tokenizer ({error}); download it again") from error
    backend.no_truncation()
    backend.no_padding()
    config_path = folder / "tokenizer_config.json"
    values = read_json(config_path) if config_path.is_file() else {}
    settings = Settings(values, str(config_path))
    tokens = _special_tokens(values)
    bos_id = backend.token_to_id(tokens["bos_token"]) if "bos_token" in tokens else None
    if bos_id is None and config.bos_ids:
        bos_id = config.bos_ids[0]
    eos_id = backend.token_to_id(tokens["eos_token"]) if "eos_token" in tokens else None
    tokenizer = Tokenizer(
        backend,
        eos_ids=tuple(dict.fromkeys(config.eos_ids + (() if eos_id is None else (eos_id,)))),
        bos_id=bos_id,
        add_bos=settings.flag("add_bos_token", False) if settings.has("add_bos_token") else None,
        template=_template(folder, values, tokens),
    )
    return tokenizer, ""


def _special_tokens(values: dict[str, object]) -> dict[str, str]:
    tokens = {}
    for key in SPECIAL:
        value = values.get(key)
        content = value.get("content") if isinstance(value, dict) else value  # an AddedToken written out, or its text
        if isinstance(content, str):
            tokens[key] = content
    return tokens


def _template(folder: Path, values: dict[str, object], tokens: dict[str, str]) -> ChatTemplate | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return ChatTemplate(path.read_text(encoding="utf-8"), str(path), tokens)
        except (OSError, UnicodeError) as error:
            raise TokenizerError(f"{path}: cannot be read ({error})") from error
    place = folder / "tokenizer_config.json"
    value = values.get("chat_template")
    if value is None and (folder / "chat_template.json").is_file():
        place = folder / "chat_template.json"
        value = read_json(place).get("chat_template")
    if isinstance(value, list):  # several, by name
        named = {str(entry.get("name")): entry.get("template") for entry in value if isinstance(entry, dict)}
        value = named.get("default")
    return ChatTemplate(value, str(place), tokens) if isinstance(value, str) else None

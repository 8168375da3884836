"""Tokenizers: the reference prompts, both ways of building one, streams, chat templates, damage."""

from __future__ import annotations

import builtins
import itertools
import json
import shutil
from pathlib import Path

import pytest

from rdu.errors import MissingExtraError, RequestError, TokenizerError
from rdu.models import load
from rdu.models.chat_template import ChatTemplate
from rdu.models.checkpoint import Checkpoint
from rdu.models.config import read_config
from rdu.models.sentencepiece import merges_from_scores
from rdu.models.tokenizer import Tokenizer
from rdu.models.tokenizer_folder import folder_tokenizer
from rdu.models.tokenizer_gguf import WORDS, gguf_tokenizer
from rdu.testing.checkpoints import write_folder, write_gguf

DATA = Path(__file__).parent / "data" / "smollm2"
PROMPTS = sorted(DATA.glob("p*_*.json"))
SPACE = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def from_folder(folder: Path = DATA / "hf") -> Tokenizer:
    tokenizer, note = folder_tokenizer(folder, read_config(folder))
    assert tokenizer is not None
    assert note == ""
    return tokenizer


@pytest.fixture(scope="module")
def hf() -> Tokenizer:
    return from_folder()


@pytest.fixture(scope="module", params=["folder", pytest.param("gguf", marks=pytest.mark.smollm2)])
def tokenizer(request: pytest.FixtureRequest, hf: Tokenizer) -> Tokenizer:
    """SmolLM2's tokenizer, from tokenizer.json and from GGUF metadata."""
    if request.param == "folder":
        return hf
    checkpoint: Checkpoint = request.getfixturevalue("smollm2")
    assert checkpoint.tokenizer is not None
    return checkpoint.tokenizer


@pytest.mark.parametrize("path", PROMPTS, ids=lambda path: path.stem)
def test_the_reference_prompts(tokenizer: Tokenizer, path: Path) -> None:
    golden = json.loads(path.read_text())
    assert len(PROMPTS) == 12
    assert tokenizer.encode(golden["text"]) == golden["input_ids"]
    assert tokenizer.decode(golden["input_ids"]) == golden["text"]
    for mode in golden["modes"].values():
        assert tokenizer.decode(mode["greedy_ids"]) == mode["greedy_text"]
        stream = tokenizer.stream()
        pieces = [stream.step(token) for token in mode["greedy_ids"]]
        assert "".join(pieces) + stream.flush() == mode["greedy_text"]
    if golden["messages"] is not None:
        assert tokenizer.chat(golden["messages"]) == golden["text"]
        assert tokenizer.chat_ids(golden["messages"]) == golden["input_ids"]


def test_the_two_prompts_with_messages_are_there() -> None:
    chats = [path.stem[:3] for path in PROMPTS if json.loads(path.read_text())["messages"] is not None]
    assert chats == ["p03", "p07"]


def test_the_text_of_the_perplexity_is_4096_tokens(tokenizer: Tokenizer) -> None:
    text = (DATA / "perplexity_text.txt").read_text(encoding="utf-8")
    ids = tokenizer.encode(text)
    assert len(ids) == 4096
    assert tokenizer.decode(ids) == text


def test_what_smollm2_has(tokenizer: Tokenizer) -> None:
    assert (tokenizer.vocab_size, tokenizer.eos_ids, tokenizer.bos_id) == (49152, (2,), 1)
    assert tokenizer.has_chat_template
    assert tokenizer.encode("") == []
    assert tokenizer.decode([1, 504, 2], skip_special_tokens=True) == "The"


def test_a_stream_holds_half_a_character_back(tokenizer: Tokenizer) -> None:
    text = "a 🤖 日本 é"
    ids = tokenizer.encode(text)
    stream = tokenizer.stream()
    pieces = [stream.step(token) for token in ids]
    assert "".join(pieces) == text
    assert "" in pieces, "the case must have a character in several tokens"
    assert not any("\ufffd" in piece for piece in pieces)
    assert stream.flush() == ""


def test_a_stream_gives_an_unfinished_character_at_the_end(hf: Tokenizer) -> None:
    ids = hf.encode("x🤖")[:-1]
    stream = hf.stream()
    assert "".join(stream.step(token) for token in ids) == "x"
    assert stream.flush() == hf.decode(ids)[1:] != ""
    assert stream.step(504) == "The", "a flushed stream starts anew"


@pytest.mark.parametrize("ids", [[-1], [2**40], ["x"]])
def test_ids_that_are_none(hf: Tokenizer, ids: list[int]) -> None:
    with pytest.raises(RequestError, match="token ids cannot be decoded"):
        hf.decode(ids)


def test_text_that_is_no_unicode(hf: Tokenizer) -> None:
    with pytest.raises(RequestError, match="text cannot be encoded"):
        hf.encode("\ud800")


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "hf", tmp_path / "model"))


def configure(folder: Path, **changes: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder_without_tokenizer(tmp_path: Path) -> None:
    checkpoint = load(write_folder(tmp_path / "model"))
    assert checkpoint.tokenizer is None
    assert "no tokenizer.json" in checkpoint.tokenizer_note
    assert "token ids in and out still work" in checkpoint.tokenizer_note


@pytest.mark.parametrize("text", ["", "{", "{}", '{"model": {"type": "BPE", "vocab": 3}}'])
def test_a_damaged_tokenizer_is_named(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: damaged tokenizer"):
        from_folder(folder)


def test_a_tokenizer_that_cannot_be_read(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").mkdir()
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: cannot be read"):
        from_folder(folder)


@pytest.mark.parametrize(("add_bos", "first"), [(True, [1]), (False, []), (None, [])])
def test_bos_as_the_configuration_says(folder: Path, add_bos: bool | None, first: list[int]) -> None:
    configure(folder, add_bos_token=add_bos)
    tokenizer = from_folder(folder)
    assert tokenizer.encode("The") == [*first, 504]
    assert tokenizer.encode("The", add_special_tokens=False) == [504]
    assert tokenizer.chat_ids([{"role": "user", "content": "x"}])[:2] == [1, 9690], "the template has written it"


@pytest.mark.parametrize(("add_bos", "first"), [(None, [1]), (True, [1]), (False, [])])
def test_bos_as_the_post_processor_says(folder: Path, add_bos: bool | None, first: list[int]) -> None:
    values = json.loads((folder / "tokenizer.json").read_text())
    bos = "<|im_start|>"
    values["post_processor"]["single"].insert(0, {"SpecialToken": {"id": bos, "type_id": 0}})
    values["post_processor"]["special_tokens"] = {bos: {"id": bos, "ids": [1], "tokens": [bos]}}
    (folder / "tokenizer.json").write_text(json.dumps(values))
    configure(folder, add_bos_token=add_bos)
    assert from_folder(folder).encode("The") == [*first, 504]


@pytest.mark.parametrize(
    "place",
    [
        lambda folder, text: (folder / "chat_template.jinja").write_text(text),
        lambda folder, text: configure(folder, chat_template=text),
        lambda folder, text: configure(
            folder, chat_template=[{"name": "tool", "template": "no"}, {"name": "default", "template": text}]
        ),
        lambda folder, text: (folder / "chat_template.json").write_text(json.dumps({"chat_template": text})),
    ],
)
def test_where_a_template_may_be(folder: Path, place) -> None:
    (folder / "chat_template.jinja").unlink()
    assert not from_folder(folder).has_chat_template
    place(folder, "{{ bos_token }}{{ messages[0].content }}")
    assert from_folder(folder).chat([{"role": "user", "content": "x"}]) == "<|im_start|>x"


def test_the_file_of_a_template_comes_first(folder: Path) -> None:
    configure(folder, chat_template="the older place", eos_token={"content": "<|endoftext|>"})
    (folder / "chat_template.jinja").write_text("the newer place {{ eos_token }}")
    tokenizer = from_folder(folder)
    assert tokenizer.chat([{"role": "user", "content": "x"}]) == "the newer place <|endoftext|>"
    assert tokenizer.eos_ids == (2, 0)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *args: object, **named: object) -> object:
        if name == "tokenizers":
            raise ModuleNotFoundError("No module named 'tokenizers'", name=name)
        return imported(name, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"tokenizers is not installed; run: pip install 'rdu-emulator\[llm\]'"):
        from_folder()


# --- chat templates --------------------------------------------------------------------------------------------------

USER = [{"role": "user", "content": "x<y"}]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% for m in messages %}\n  {% if true %}\n{{ m.role }}\n  {% endif %}\n{% endfor %}\n", "user\n"),
        ("{{ messages | tojson }}", '[{"role": "user", "content": "x<y"}]'),
        ("{{ 'é' | tojson }}", '"é"'),
        ("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "1"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ bos_token }}{% if tools %}no{% endif %}{% if add_generation_prompt %}go{% endif %}", "<s>go"),
    ],
)
def test_what_a_template_can_use(source: str, expected: str) -> None:
    assert ChatTemplate(source, "here", {"bos_token": "<s>"}).render(USER) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for %}", "here: the chat template fails"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[9].content }}", "has no element 9"),
        ("{{ 1 / 0 }}", "division"),
        ("{{ messages + 1 }}", "the chat template fails"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe|not safely"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself"),
    ],
)
def test_a_template_that_fails_is_named(source: str, message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        ChatTemplate(source, "here").render(USER)


@pytest.mark.parametrize("messages", [[], [{}], [{"role": "user"}], [{"role": "user", "content": 3}]])
def test_messages_that_are_none(hf: Tokenizer, messages: list[dict[str, str]]) -> None:
    with pytest.raises(RequestError, match="messages"):
        hf.chat(messages)


def test_a_checkpoint_without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(TokenizerError, match="no chat template"):
        from_folder(folder).chat(USER)


# --- GGUF metadata ---------------------------------------------------------------------------------------------------


def metadata(**changes: object) -> dict[str, object]:
    """A small byte-level vocabulary: the bytes, digits in groups, one word, two special tokens."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<s>", "</s>", *letters, "12", "123", "1234", "ab", "abc", "<tool>"]
    values: dict[str, object] = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [3, 3, *[1] * (len(tokens) - 3), 4],
        "merges": ["1 2", "12 3", "123 4", "a b"],
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in {**values, **changes}.items() if value is not None}


def built(values: dict[str, object]) -> Tokenizer:
    tokenizer, note = gguf_tokenizer(values, read_config(DATA / "hf"), "model.gguf")
    assert tokenizer is not None, note
    return tokenizer


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)]


@pytest.mark.parametrize(
    ("pre", "expected"),
    [
        ("gpt-2", ["1234", "ab", "c"]),
        ("default", ["1234", "ab", "c"]),
        (None, ["1234", "ab", "c"]),
        ("smollm", ["1", "2", "3", "4", "ab", "c"]),
        ("qwen2", ["1", "2", "3", "4", "ab", "c"]),
        ("llama-bpe", ["123", "4", "abc"]),  # up to three digits; a whole word of the vocabulary needs no merges
    ],
)
def test_how_words_are_cut(pre: str | None, expected: list[str]) -> None:
    assert pieces(built(metadata(pre=pre)), "1234abc") == expected


@pytest.mark.parametrize("pre", WORDS)
def test_every_byte_comes_back(pre: str) -> None:
    text = "a  b\r\n\n it's IT'S 12345 é🤖日本\t!?  "
    tokenizer = built(metadata(pre=pre))
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_special_and_user_tokens_are_found_in_text() -> None:
    tokenizer = built(metadata())
    ids = tokenizer.encode("a<s>b<tool></s>")
    assert (ids[1], ids[-1]) == (0, 1)
    assert len(ids) == 5
    assert tokenizer.decode(ids, skip_special_tokens=True) == "ab<tool>"


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, False),
        ({"add_bos_token": True}, True),
        ({"pre": "llama-bpe"}, True),
        ({"pre": "llama-bpe", "add_bos_token": False}, False),
    ],
)
def test_bos_as_the_metadata_says(changes: dict[str, object], first: bool) -> None:
    tokenizer = built(metadata(**changes))
    assert (tokenizer.encode("a")[0] == tokenizer.bos_id) == first


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"pre": "tekken"}, "tokenizer.ggml.pre is 'tekken', rdu knows default"),
        ({"model": "t5"}, "tokenizer.ggml.model is 't5', rdu knows gpt2 and llama"),
        ({"model": None}, "no tokenizer in model.gguf"),
        ({"tokens": None}, "no tokenizer in model.gguf"),
    ],
)
def test_a_tokenizer_that_rdu_does_not_know(changes: dict[str, object], note: str) -> None:
    tokenizer, said = gguf_tokenizer(metadata(**changes), read_config(DATA / "hf"), "model.gguf")
    assert tokenizer is None
    assert note in said
    assert "token ids in and out still work" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_type": [1]}, "token_type is .*; accepted: a list of 264 numbers"),
        ({"token_type": None}, "token_type is missing"),
        ({"merges": None}, "merges is missing"),
        ({"merges": ["ab"]}, "merges has 'ab'; accepted: two parts"),
        ({"merges": ["q zz"]}, "cannot be rebuilt"),
        ({"tokens": [1, 2]}, "tokens is .*accepted: a list of strings"),
        ({"model": "llama", "scores": [0.0]}, "scores is .*accepted: a list of 264 numbers"),
    ],
)
def test_metadata_that_contradicts_itself(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        built(metadata(**changes))


def test_a_gguf_file_brings_its_tokenizer(tmp_path: Path) -> None:
    template = {"chat_template": "{{ bos_token }}{{ messages[0].content }}"}
    values = {key.removeprefix("tokenizer."): value for key, value in metadata(eos_token_id=None).items()}
    values = {key: value for key, value in values.items() if key not in ("ggml.bos_token_id", "ggml.eos_token_id")}
    tokens = values["ggml.tokens"]
    assert isinstance(tokens, list)
    path = write_gguf(tmp_path / "model.gguf", tokenizer={**values, **template}, config={"vocab_size": len(tokens)})
    tokenizer = load(path).tokenizer
    assert tokenizer is not None
    assert tokenizer.chat([{"role": "user", "content": "ab"}]) == tokens[1] + "ab", "bos is id 1 in this checkpoint"
    assert tokenizer.eos_ids == (2,)


# --- SentencePiece ---------------------------------------------------------------------------------------------------

WORDS_SCORED = [SPACE, "h", "e", "l", "o", "w", "he", "ll", "hell", "hello", f"{SPACE}he", f"{SPACE}w", "lo", "el"]
SCORES = [0, -90, -91, -92, -93, -94, -2, -1, -7, -8, -6, -3, -4, -5]


def sentencepiece(**changes: object) -> Tokenizer:
    tokens = ["<unk>", "<s>", "</s>", *BYTES, *WORDS_SCORED]
    values: dict[str, object] = {
        "model": "llama",
        "tokens": tokens,
        "scores": [0.0] * 259 + [float(score) for score in SCORES],
        "token_type": [2, 3, 3, *[6] * 256, *[1] * len(WORDS_SCORED)],
        "unknown_token_id": 0,
        **changes,
    }
    return built({f"tokenizer.ggml.{key}": value for key, value in values.items()})


def joined_by_score(text: str) -> list[str]:
    """SentencePiece's own rule, written down: join the neighbours whose result scores best, leftmost first."""
    scores = dict(zip(WORDS_SCORED, SCORES, strict=True))
    parts = list(SPACE + text.replace(" ", SPACE))
    while True:
        pairs = [(-scores[a + b], i) for i, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in scores]
        if not pairs:
            return parts
        at = min(pairs)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


@pytest.mark.parametrize("text", ["hello", "hello hello", "low ell", "wheel  hole", "h", "helllo w", "lowhello ehlo"])
def test_sentencepiece_joins_by_score(text: str) -> None:
    tokenizer = sentencepiece()
    ids = tokenizer.encode(text)
    assert ids[0] == 1, "llama.cpp puts <s> first unless the file says otherwise"
    assert [WORDS_SCORED[i - 259] for i in ids[1:]] == joined_by_score(text)
    assert tokenizer.decode(ids[1:]) == text


def test_sentencepiece_falls_back_to_bytes() -> None:
    tokenizer = sentencepiece()
    text = "hello é🤖\nw"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert [i - 3 for i in ids if 3 <= i < 259] == list("é🤖\n".encode())
    assert tokenizer.decode(ids) == text
    stream = tokenizer.stream()
    shown = [stream.step(token) for token in ids]
    assert "".join(shown) == text
    assert not any("\ufffd" in piece for piece in shown)


def test_sentencepiece_without_space_prefix() -> None:
    tokenizer = sentencepiece(add_space_prefix=False, add_bos_token=False)
    assert pieces(tokenizer, "low") == ["lo", "w"]
    assert tokenizer.decode(tokenizer.encode(" hello")) == " hello"


def test_merges_come_best_first() -> None:
    vocab = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    merges = merges_from_scores(vocab, [0, 0, 0, -2, -1, -3])
    assert merges[:2] == [("b", "c"), ("a", "b")]
    assert set(merges[2:]) == {("a", "bc"), ("ab", "c")}

"""Decoders: what goes in, what comes out, when it stops, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rdu
from decoders import assert_same_bits
from rdu.errors import NumbersWarning, RequestError, TokenizerError
from rdu.models import Checkpoint, load
from rdu.models.generate import Decoder
from rdu.testing.checkpoints import write_folder

PROMPT = [5, 9, 1, 33]
CONTEXT = 40
ABC = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?"
TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] }}{{ m.content }}!{% endfor %}{% if add_generation_prompt %}a{% endif %}"
)


def with_tokenizer(folder: Path) -> Path:
    """A token for each letter; ids 0 to 2 are special."""
    vocabulary = {token: at for at, token in enumerate(["<unk>", "<s>", "</s>", *ABC])}
    special = [
        {"id": at, "content": token, "special": True, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False}
        for at, token in enumerate(["<unk>", "<s>", "</s>"])
    ]
    tokenizer = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    config = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture(scope="module")
def mute(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    """Without a tokenizer: ids in and out."""
    folder = write_folder(tmp_path_factory.mktemp("mute") / "model", config={"eos_token_id": None})
    return rdu.compile(folder, "tiny", dtype="fp32", context=CONTEXT)


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    folder = with_tokenizer(write_folder(tmp_path_factory.mktemp("speaking") / "model", seed=4))
    return rdu.compile(folder, "tiny", dtype="fp32", context=CONTEXT)


def test_greedy_is_the_argmax_of_forward(mute: Decoder) -> None:
    run = mute.generate(PROMPT, 12)
    assert len(run.tokens) == 12
    logits = mute.forward(PROMPT + run.tokens[:-1]).logits
    assert_same_bits(run.logits, logits[len(PROMPT) - 1 :])
    assert run.tokens == run.logits.argmax(axis=1).tolist()
    assert (run.prompt_tokens, run.stopped_by, run.text) == (PROMPT, "length", "")


def test_steps_are_blocks_of_the_prompt_then_tokens(mute: Decoder) -> None:
    run = mute.generate(list(range(20)), 3)
    assert mute.program.block == 16
    assert [(step.positions, step.past) for step in run.steps] == [(16, 0), (4, 16), (1, 20), (1, 21)]
    assert run.prompt_steps == 2
    assert run.cycles == sum(step.cycles for step in run.steps)
    assert all(step.cycles > 0 and step.host_s > 0 for step in run.steps)


def test_modes_make_the_same_text(mute: Decoder) -> None:
    runs = [mute.generate(PROMPT, 6, temperature=0.9, seed=2, mode=mode) for mode in ("step", "split", "values")]
    assert runs[0].tokens == runs[1].tokens == runs[2].tokens
    assert runs[0].cycles == runs[1].cycles > runs[2].cycles == 0


def test_a_seed_is_a_text(mute: Decoder) -> None:
    def drawn(seed: int, top_p: float = 1.0) -> list[int]:
        return mute.generate(PROMPT, 12, temperature=1.5, top_p=top_p, seed=seed, mode="values").tokens

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    greedy = mute.generate(PROMPT, 12, mode="values").tokens
    assert drawn(1, top_p=1e-6) == greedy, "a nucleus of one token is greedy"


def test_the_end_of_text_ends_it(tmp_path: Path, mute: Decoder) -> None:
    """The same weights with the third token that they make as the end of text: two tokens come."""
    alone = mute.generate(PROMPT, 12, mode="values")
    end = alone.tokens[2]
    assert end not in alone.tokens[:2]
    folder = write_folder(tmp_path / "model", config={"eos_token_id": [end, 63]})
    d = rdu.compile(folder, "tiny", dtype="fp32", context=CONTEXT)
    run = d.generate(PROMPT, 12, mode="values")
    assert (run.tokens, run.stopped_by) == (alone.tokens[:2], "end of text")
    # One pass for the prompt and one for each token; the one that would follow the end is not made.
    assert len(run.steps) == 3
    ignored = d.generate(PROMPT, 12, ignore_eos=True, mode="values")
    assert (ignored.tokens, ignored.stopped_by) == (alone.tokens, "length")


def test_the_context_can_be_filled_to_the_last_position(mute: Decoder) -> None:
    run = mute.generate(PROMPT, CONTEXT - len(PROMPT), mode="values")
    assert len(run.tokens) == CONTEXT - len(PROMPT)
    assert mute.forward(list(range(CONTEXT)), mode="values").logits.shape == (CONTEXT, 64)


def test_a_stop_string_ends_the_text_wherever_tokens_end(speaking: Decoder) -> None:
    """A token for each letter: a string of three is split over three tokens."""
    whole = speaking.generate("Hello", 12, ignore_eos=True, mode="values")
    start = next(at for at in range(1, 9) if whole.text.find(whole.text[at : at + 3]) == at)
    stop = whole.text[start : start + 3]
    pieces: list[str] = []
    run = speaking.generate("Hello", 12, stop=["no such", stop], ignore_eos=True, stream=pieces.append, mode="values")
    assert (run.text, run.stopped_by) == (whole.text[:start], "stop string")
    assert run.tokens == whole.tokens[: len(run.tokens)]
    tokenizer = speaking.checkpoint.tokenizer
    assert tokenizer is not None
    assert tokenizer.decode(run.tokens) == whole.text[: start + 3]
    assert "".join(pieces) == run.text
    # What only begins like a stop string comes out in the end.
    never = speaking.generate("Hello", 12, stop=whole.text[-2:] + "\0", ignore_eos=True, mode="values")
    assert (never.text, never.stopped_by) == (whole.text, "length")


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    """A token for each byte, chosen by weights that know no UTF-8: pieces are whole characters, or U+FFFD."""
    folder = write_folder(tmp_path / "model", seed=4)
    vocabulary = {f"<0x{at:02X}>": at - 192 for at in range(192, 256)}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": True},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    d = rdu.compile(folder, "tiny", dtype="fp32", context=CONTEXT)
    pieces: list[str] = []
    run = d.generate(PROMPT, 16, temperature=2.0, ignore_eos=True, stream=pieces.append, mode="values")
    # Bytes from 0xC0 on only ever begin a character.
    assert run.text == "".join(pieces) == "\ufffd" * 16
    stopped = d.generate(PROMPT, 16, temperature=2.0, stop="\ufffd\ufffd", ignore_eos=True, mode="values")
    assert (stopped.text, stopped.stopped_by) == ("", "stop string")


def test_text_is_streamed_as_it_is_made(speaking: Decoder) -> None:
    pieces: list[str] = []
    run = speaking.generate("Hello", 8, ignore_eos=True, stream=pieces.append, mode="values")
    assert "".join(pieces) == run.text
    assert run.text == speaking.checkpoint.tokenizer.decode(run.tokens, skip_special_tokens=True)
    assert len(pieces) > 1
    assert all(pieces)
    assert run.prompt_tokens == [3 + ABC.index(letter) for letter in "Hello"]


def test_three_forms_of_a_prompt(speaking: Decoder) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert speaking.encode(messages) == speaking.encode("uHi!a")
    assert speaking.encode(tuple(speaking.encode("Hi"))) == speaking.encode(np.array(speaking.encode("Hi")))
    ids = speaking.encode("uHi!a")
    assert speaking.generate(messages, 5, mode="values").tokens == speaking.generate(ids, 5, mode="values").tokens


def test_a_decoder_says_what_it_is(mute: Decoder) -> None:
    assert (mute.machine.name, mute.context, mute.program.dtype) == ("tiny", CONTEXT, "fp32")
    assert isinstance(mute.checkpoint, Checkpoint)


def test_the_default_context_is_the_models(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    assert rdu.compile(folder, "tiny").context == load(folder).config.max_positions == 128


def test_a_failing_listener_ends_the_run_and_nothing_else(speaking: Decoder) -> None:
    def fail(piece: str) -> None:
        raise ConnectionResetError(piece)

    before = speaking.generate("Hello", 4, ignore_eos=True, mode="values").tokens
    with pytest.raises(ConnectionResetError):
        speaking.generate("Hello", 4, ignore_eos=True, stream=fail, mode="values")
    assert speaking.generate("Hello", 4, ignore_eos=True, mode="values").tokens == before


NAN = float("nan")
REFUSED: dict[str, tuple[Callable[[Decoder], object], str]] = {
    "no tokens": (lambda d: d.forward([]), "the prompt is empty"),
    "a number for tokens": (lambda d: d.forward(7), "tokens are a sequence of whole numbers, not 7"),
    "no prompt": (lambda d: d.generate([]), "the prompt is empty"),
    "empty text": (lambda d: d.generate(""), "the prompt is empty; give at least one character"),
    "a token too large": (lambda d: d.forward([1, 64]), "token id 64 at position 1 is outside the vocabulary of 64"),
    "a negative token": (lambda d: d.generate([-1]), "token id -1 at position 0 is outside"),
    "a huge token": (lambda d: d.generate([2**70]), f"token id {2**70} at position 0 is outside"),
    **{
        f"token {token!r}": (lambda d, token=token: d.forward([3, token]), "at position 1 is not a whole number")
        for token in (1.5, NAN, "3", None, True, [3])
    },
    "a prompt that is none": (lambda d: d.generate(None), "a prompt is text, token ids or chat messages, not None"),
    "a number for a prompt": (lambda d: d.generate(7), "a prompt is text, token ids or chat messages, not 7"),
    "bytes": (lambda d: d.generate(b"Hello"), "a prompt is text, token ids or chat messages, not b'Hello'"),
    "tokens beyond the context": (lambda d: d.forward([1] * 41), "41 positions are more than the context of 40"),
    "prompt and new tokens beyond the context": (
        lambda d: d.generate([1] * 30, 11),
        "30 prompt tokens [+] 11 new ones are more than the context of 40",
    ),
    **{
        f"max_new_tokens {count!r}": (
            lambda d, count=count: d.generate([1], count),
            "max_new_tokens is .*whole number of at least 1",
        )
        for count in (0, -1, 2.5, NAN, "3", None, True)
    },
    "a negative temperature": (lambda d: d.generate([1], 2, temperature=-1), "temperature is -1"),
    "a temperature that is none": (lambda d: d.generate([1], 2, temperature=NAN), "temperature is nan"),
    "a top_p of 0": (lambda d: d.generate([1], 2, top_p=0), "top_p is 0"),
    "a negative seed": (lambda d: d.generate([1], 2, seed=-1), "seed is -1"),
    "an unknown mode": (lambda d: d.generate([1], 2, mode="quick"), "mode is 'quick'; choose one of split, step, val"),
    "half a message": (lambda d: d.generate([{"role": "user"}]), "content"),
    "messages among tokens": (lambda d: d.generate([{"role": "user", "content": "Hi"}, 3]), "mixes chat messages"),
    "a message without its list": (lambda d: d.generate({"role": "user", "content": "Hi"}), "a prompt is text, token"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked_is_named(speaking: Decoder, case: str) -> None:
    ask, message = REFUSED[case]
    with pytest.raises(RequestError, match=message):
        ask(speaking)


def test_without_tokenizer_nothing_can_stop_a_text(mute: Decoder) -> None:
    with pytest.raises(RequestError, match="stop is 'x', but there is no tokenizer"):
        mute.generate(PROMPT, 3, stop="x")


def test_without_tokenizer_ids_still_work(mute: Decoder) -> None:
    for prompt in ("Hello", [{"role": "user", "content": "Hello"}]):
        with pytest.raises(TokenizerError, match=r"no tokenizer .*pass token ids instead of text"):
            mute.generate(prompt)
    assert len(mute.generate(PROMPT, 3).tokens) == 3


def test_weights_that_are_no_numbers_are_said_so(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = write_folder(tmp_path / "model", config={"dtype": "float32"})
    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = np.full_like(weights["model.norm.weight"], NAN)
    save_file(weights, folder / "model.safetensors")
    with pytest.warns(NumbersWarning, match=r"weight 'model.norm.weight': 32 of 32 values are NaN or infinite"):
        d = rdu.compile(folder, "tiny", dtype="fp32", context=CONTEXT)
    with pytest.raises(RequestError, match="does the checkpoint hold NaN weights"):
        d.generate(PROMPT, 2)


@pytest.mark.parametrize("window", [None, 700])
def test_a_prompt_of_more_than_two_thousand_tokens(tmp_path: Path, window: int | None) -> None:
    """Whatever the block, and a token at a time behind it; what comes first is what a short prompt gives."""
    changes = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": window}
    folder = write_folder(tmp_path / "model", config={"max_position_embeddings": 4096, **(changes if window else {})})
    ids = (np.arange(2100) * 7 % 64).tolist()
    where = rdu.machine("tiny", hbm__capacity_bytes=2**26, pmu__capacity_bytes=2**22)
    wide, narrow = (rdu.compile(folder, where, dtype="fp32", context=2200, block=block) for block in (512, 100))
    logits = wide.forward(ids, mode="values").logits
    assert np.isfinite(logits).all()
    assert_same_bits(narrow.forward(ids, mode="values").logits, logits)
    assert_same_bits(wide.forward(ids[:600], mode="values").logits, logits[:600])
    session = wide.program.session("split").feed(ids[:-1], last_only=True).feed(ids[-1:])
    assert_same_bits(session.last("logits"), logits[-1])
    assert session.cycles > 0
    # Two layers with windows of 700 see 1 398 tokens back; without a window all of them are seen.
    other = wide.forward([(token + 1) % 64 for token in ids[:600]] + ids[600:], mode="values").logits[-1]
    assert np.array_equal(other, logits[-1]) == (window is not None)

"""Several sequences at a time: each has the values that it has alone, and the machine reads its weights once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rdu
from decoders import TINY, assert_same_bits
from rdu.batch import BatchSession
from rdu.compiler.compile import compile_graph
from rdu.errors import RequestError
from rdu.models import load
from rdu.models.decoder import decoder_graph
from rdu.models.generate import Decoder
from rdu.program import Program
from rdu.report.report import Report

BATCH = 4
CONTEXT = 64
STEPS = 5


def compiled(folder: Path, dtype: str, fusion: str, batch: int) -> Program:
    where = rdu.machine("tiny")
    graph = decoder_graph(load(folder), CONTEXT)
    options: dict[str, Any] = {"dtype": dtype, "fusion": fusion, "context": CONTEXT, "batch": batch}
    return compile_graph(graph, where, reporter=Report, **options)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8", "w8a8"])
@pytest.mark.parametrize("folder", TINY, ids=lambda folder: folder.name)
def test_each_sequence_is_what_it_is_alone(folder: Path, dtype: str) -> None:
    """Every architecture, other lengths for each, one that pauses: bit for bit what a program without a batch gives."""
    alone, together = (compiled(folder, dtype, "layer", batch) for batch in (1, BATCH))
    ids = np.load(folder / "golden.npz")["case2_ids"].tolist()
    prompts = [ids[:5], ids[3:20], ids[7:8], ids[1:31]]
    session = BatchSession(together, "values")
    singles = [alone.session("values").feed(prompt, last_only=True) for prompt in prompts]
    for at, prompt in enumerate(prompts):
        assert_same_bits(session.prompt(at, prompt).last("logits"), singles[at].last("logits"))
    for step in range(STEPS):
        rows = ids[step * BATCH : (step + 1) * BATCH]
        wanted = [True, step != 2, True, step < 4]
        made = session.step(rows, wanted)["logits"]
        for at in range(BATCH):
            if wanted[at]:
                assert_same_bits(made[at], singles[at].feed([rows[at]]).last("logits"))
    assert session.pasts == [len(prompt) + STEPS - (at % 2) for at, prompt in enumerate(prompts)]


@pytest.mark.parametrize("fusion", ["op", "layer", "loop"])
def test_time_is_that_of_the_batch_mapping(fusion: str) -> None:
    """A step has the cycles of a step of as many sequences, all as long as the longest, timed without values."""
    folder = TINY[1]
    program = compiled(folder, "bf16", fusion, BATCH)
    session = BatchSession(program)
    for at in range(BATCH):
        session.prompt(at, list(range(1, 4 + 3 * at)))
    assert max(session.pasts) == 12
    for _ in range(2):
        session.step([1, 2, 3, 4], [True] * BATCH)
    short = BatchSession(program).prompt(0, list(range(1, 13)))
    for _ in range(2):
        short.step([1, 2, 3, 4], [True, False, False, False])
    # Later steps differ by what refreshes of the memory happen to meet.
    assert session.steps[-1].cycles == pytest.approx(short.steps[-1].cycles, rel=0.05)
    assert [step.positions for step in short.steps[-2:]] == [1, 1]
    report = Report(session.result())
    assert report.checks > 0


def test_weights_are_read_once_for_all() -> None:
    """A step of four reads the weights that a step of one does, and four caches."""
    read = {}
    for batch in (1, BATCH):
        program = compiled(TINY[1], "bf16", "loop", batch)
        session = BatchSession(program)
        for at in range(batch):
            session.prompt(at, [1])
        before = session.result().totals["traffic"][0][0]
        session.step([1] * batch, [True] * batch)
        read[batch] = session.result().totals["traffic"][0][0] - before
    assert read[BATCH] < 1.5 * read[1]


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return rdu.compile(TINY[1], "tiny", dtype="bf16", context=CONTEXT, batch=BATCH)


def test_prompts_are_continued_as_alone(decoder: Decoder) -> None:
    prompts = [[5, 9, 1], [7], list(range(1, 20))]
    options: dict[str, Any] = {"temperature": 0.9, "seed": 3, "top_k": 20, "ignore_eos": True}
    batch = decoder.generate_batch(prompts, 9, **options)
    for at, prompt in enumerate(prompts):
        run = decoder.generate(prompt, 9, **options)
        assert batch.tokens[at] == run.tokens
        assert (batch.texts[at], batch.stopped_by[at]) == (run.text, "length")
        assert_same_bits(batch.logits[at], run.logits)
    assert batch.prompt_tokens == prompts
    clocks = batch.run.report.clocks
    assert (clocks.decode_steps, clocks.prompt_tokens) == (8, sum(map(len, prompts)))
    alone = decoder.generate(prompts[2], 9, **options).report.clocks
    assert clocks.machine_decode_tokens_per_second > 1.5 * alone.machine_decode_tokens_per_second


def test_a_sequence_that_ends_leaves_the_others_alone(decoder: Decoder) -> None:
    prompts = [[5, 9, 1], [7, 2]]
    free = decoder.generate_batch(prompts, 12, ignore_eos=True, mode="values")
    end = free.tokens[0][3]
    assert end not in free.tokens[0][:3]
    eos = decoder.checkpoint.config.eos_ids
    object.__setattr__(decoder.checkpoint.config, "eos_ids", (end,))
    try:
        batch = decoder.generate_batch(prompts, 12, mode="values")
        alone = [decoder.generate(prompt, 12, mode="values") for prompt in prompts]
    finally:
        object.__setattr__(decoder.checkpoint.config, "eos_ids", eos)
    assert batch.tokens == [run.tokens for run in alone]
    assert batch.tokens[0] == free.tokens[0][:3]
    assert batch.stopped_by == [run.stopped_by for run in alone]


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([], "at least one"),
        ("text", "give a list of prompts"),
        ([[1]] * 5, "5 prompts are more than the batch of 4; compile with a larger batch"),
        ([[1], [999999]], "token id 999999 at position 0 is outside"),
        ([[1], [1] * 60], "60 prompt tokens .* more than the context of 64"),
    ],
)
def test_prompts_that_cannot_be(decoder: Decoder, prompts: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        decoder.generate_batch(prompts, 9)


def test_steps_that_cannot_be(decoder: Decoder) -> None:
    session = BatchSession(decoder.program, "values")
    for rows, wanted, said in (
        ([1] * 3, [True] * 3, "3 rows, 3 wanted: a step takes one for each of 4 sequences"),
        ([1] * 4, [False] * 4, "4 rows, 0 wanted"),
        ([1, 2, 3, 10**6], [True] * 4, "token id 1000000 at position 3 is outside"),
    ):
        with pytest.raises(RequestError, match=said):
            session.step(rows, wanted)
    with pytest.raises(RequestError, match="sequence 4 is none of the 4"):
        session.prompt(4, [1])
    session.prompt(0, [1] * CONTEXT)
    with pytest.raises(RequestError, match="all 64 positions of the context"):
        session.step([1] * 4, [True] * 4)
    session.prompt(1, [1])
    session.step([1] * 4, [False, True, True, True])
    with pytest.raises(RequestError, match="mode 'step' runs one sequence at a time"):
        BatchSession(decoder.program, "step")

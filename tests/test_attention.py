"""Attention where a fast memory keeps several units busy with the rows of one head; parts of sums are joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rdu
from decoders import TINY, assert_decode_equals_prefill, assert_same_bits
from rdu.models.generate import Decoder
from test_golden_tiny import FP32_BOUND

# Sixteen vectors a cycle, for at most four heads, and room for the units that take them.
WIDE = rdu.machine(
    "tiny", hbm__peak_gbps=1000.0, grid__pcus_per_tile=256, grid__pmus_per_tile=256, grid__rows=16, grid__columns=32
)
WINDOWED = "s11_mistral_window"


@pytest.fixture(scope="module", params=TINY, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def wide(request: pytest.FixtureRequest, folder: Path) -> Decoder:
    return rdu.compile(folder, WIDE, dtype=request.param, context=64)


@pytest.fixture(scope="module")
def ids(folder: Path) -> list[int]:
    return [int(token) for token in np.load(folder / "golden.npz")["case1_ids"]]


def parts(decoder: Decoder, positions: int) -> set[int]:
    """Of all sums of cached values."""
    lowered = [decoder.program.kernel(s.kernel, positions, (positions,) * len(s.inputs)) for s in decoder.program.sites]
    operators: list[dict[str, Any]] = [unit.token_op for kernel in lowered for unit in kernel.lowered.units]
    return {op["parts"] for op in operators if op["op"] == "mix"}


def test_a_fast_memory_cuts_the_sums(folder: Path, wide: Decoder) -> None:
    (found,) = parts(wide, 1)
    # A window's first row moves, and with it would the rows of a part.
    assert found == 1 if folder.name == WINDOWED else found > 1
    assert parts(wide, 16) == {found}, "the order of addition does not depend on the positions of a call"


def test_parts_of_a_sum_have_the_same_bits_in_all_modes(wide: Decoder, ids: list[int]) -> None:
    runs = {}
    for mode in ("step", "split", "values"):
        session = wide.program.session(mode).feed(ids)
        for token in (5, 3):
            session.feed([token])
        runs[mode] = session.result()
    assert_same_bits(runs["step"].logits, runs["split"].logits)
    assert_same_bits(runs["values"].logits, runs["split"].logits)
    assert runs["step"].totals == runs["split"].totals


def test_decoding_through_the_cache_keeps_the_parts(wide: Decoder, ids: list[int]) -> None:
    assert_decode_equals_prefill(wide, ids, cuts=(1, 3))


def test_joined_parts_are_the_sum(folder: Path, ids: list[int]) -> None:
    logits = rdu.compile(folder, WIDE, dtype="fp32", context=64).forward(ids, mode="values").logits
    np.testing.assert_allclose(logits, np.load(folder / "golden.npz")["case1_logits"], rtol=0, atol=FP32_BOUND)

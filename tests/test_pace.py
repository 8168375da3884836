"""Paces between whole numbers of cycles: never sooner than asked, and exact in the long run."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdu.builder.nest import Loop
from rdu.memory.pace import PARTS, paced


def firings(nest: list[str | Loop]) -> list[str]:
    unrolled: list[str] = []
    for entry in nest:
        unrolled += [entry] if isinstance(entry, str) else entry.times * firings(list(entry.body))
    return unrolled


@given(st.integers(PARTS, 50 * PARTS), st.integers(1, 3000))
def test_each_firing_starts_at_its_time_rounded_up(parts: int, count: int) -> None:
    ii, nest = paced(parts / PARTS, count, "short", "long")
    found = firings(nest)
    assert len(found) == count
    start = 0
    for k, phase in enumerate(found):
        assert start == math.ceil(Fraction(parts, PARTS) * k)
        start += ii + (phase == "long")


@given(st.floats(1, 1000))
def test_a_pace_is_slower_by_less_than_a_part(cycles: float) -> None:
    ii, nest = paced(cycles, 10 * PARTS, "short", "long")
    found = (ii * 10 * PARTS + firings(nest).count("long")) / (10 * PARTS)
    # A millionth of a part stands for what floating point leaves of a whole number of them.
    assert cycles - 1e-8 <= found <= cycles + 1 / PARTS


@pytest.mark.parametrize(("cycles", "loops"), [(7.0, 1), (1.5, 1), (1 + 1 / PARTS, 3), (629.1456, 40)])
def test_few_loops_hold_any_number_of_firings(cycles: float, loops: int) -> None:
    assert str(paced(cycles, 1_000_000, "short", "long")).count("Loop") <= loops

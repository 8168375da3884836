"""The benchmark graphs of DAM (stanford-ppl/DAM-RS): exact cycles, step by step and at full size in ``fast``.

Units have ii 1 and latency 0; streams have latency 1, credit 0 and 32 slots. One token then passes one stage a cycle:
n tokens through k stages in a row take n + k cycles.
"""

from __future__ import annotations

import pytest

import rdu
from rdu.builder import StreamProgram

CAPACITY = 32


def adder_tree(levels: int, tokens: int, capacity: int = CAPACITY) -> StreamProgram:
    """2^levels generators of so many tokens, a binary tree of adders, and one consumer."""
    b = rdu.Builder()
    row = [f"generator{at}" for at in range(2**levels)]
    for name in row:
        b.unit(name, firings=tokens)
    for level in range(levels):
        pairs = list(zip(row[0::2], row[1::2], strict=True))
        row = [f"adder{level}.{at}" for at in range(len(pairs))]
        for name, pair in zip(row, pairs, strict=True):
            b.unit(name, firings=tokens)
            for source in pair:
                b.stream(source, name, capacity=capacity)
    b.unit("consumer", firings=tokens)
    b.stream(row[0], "consumer", capacity=capacity)
    return b.build()


def broadcast_chain(stages: int, tokens: int, capacity: int = CAPACITY) -> StreamProgram:
    """A generator and so many stages in a row that pass on what they take; each but the last sends it to a sink too."""
    b = rdu.Builder()
    b.unit("stage0", firings=tokens)
    for stage in range(1, stages + 1):
        b.unit(f"stage{stage}", firings=tokens)
        b.stream(f"stage{stage - 1}", f"stage{stage}", capacity=capacity)
        if stage < stages:
            b.unit(f"sink{stage}", firings=tokens)
            b.stream(f"stage{stage}", f"sink{stage}", capacity=capacity)
    return b.build()


@pytest.mark.parametrize("mode", ["step", "fast"])
@pytest.mark.parametrize(("levels", "tokens"), [(1, 1), (3, 100), (5, 1000)])
def test_an_adder_tree_takes_its_tokens_and_its_levels(levels: int, tokens: int, mode: str) -> None:
    assert adder_tree(levels, tokens).run(mode=mode).cycles == tokens + levels + 1


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(("levels", "tokens", "cycles"), [(10, 4096, 4107), (6, 65_536, 65_543)])
def test_adder_trees_of_the_published_sizes(levels: int, tokens: int, cycles: int, skip: bool) -> None:
    assert adder_tree(levels, tokens).run(mode="fast", skip=skip).cycles == cycles


@pytest.mark.parametrize("mode", ["step", "fast"])
@pytest.mark.parametrize(("stages", "tokens"), [(1, 1), (4, 100), (16, 1000)])
def test_a_broadcast_chain_takes_its_tokens_and_its_stages(stages: int, tokens: int, mode: str) -> None:
    assert broadcast_chain(stages, tokens).run(mode=mode).cycles == tokens + stages


@pytest.mark.parametrize("skip", [True, False])
def test_a_broadcast_chain_of_the_published_size(skip: bool) -> None:
    assert broadcast_chain(256, 65_536).run(mode="fast", skip=skip).cycles == 65_792


@pytest.mark.parametrize("mode", ["step", "fast"])
def test_one_slot_halves_the_rate(mode: str) -> None:
    """A token is visible after one cycle and its slot free after one more: two cycles for each."""
    wide, narrow = (adder_tree(2, 1000, capacity) for capacity in (2, 1))
    assert wide.run(mode=mode).cycles == 1000 + 2 + 1
    # Every second cycle: the last of a thousand starts 1998 after the first.
    assert narrow.run(mode=mode).cycles == 1998 + 1 + 2 + 1
    assert narrow.analyse().iteration_cycles == 2 * (wide.analyse().iteration_cycles or 0)

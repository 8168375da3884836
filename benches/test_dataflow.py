"""Firings per second from Python: what the binding adds to `benches/dataflow.rs` (run with `pytest benches`).

Each benchmark's ``extra_info`` has its rate in million firings per second of host time.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import rdu
from rdu import _core

if _core.build_profile() != "release":
    pytest.exit("benches/test_dataflow.py: a debug build says nothing about speed; use maturin develop --release", 1)

GENERATORS, TOKENS, STAGES = 1024, 4096, 64


def pipeline(values: bool) -> rdu.Builder:
    b = rdu.Builder()
    if values:
        b.source("u0", np.arange(4 * TOKENS), latency=1)
    else:
        b.unit("u0", firings=4 * TOKENS, latency=1)
    for at in range(1, STAGES):
        b.unit(f"u{at}", firings=4 * TOKENS, latency=1, op="copy" if values else None)
        b.stream(f"u{at - 1}", f"u{at}", capacity=32)
    return b


def adder_tree(values: bool) -> rdu.Builder:
    b = rdu.Builder()
    row = [f"g{at}" for at in range(GENERATORS)]
    for name in row:
        if values:
            b.source(name, np.arange(TOKENS), latency=1)
        else:
            b.unit(name, firings=TOKENS, latency=1)
    while len(row) > 1:
        level = [f"a{len(row)}.{at}" for at in range(len(row) // 2)]
        for at, name in enumerate(level):
            b.unit(name, firings=TOKENS, latency=1, op="add" if values else None)
            b.stream(row[2 * at], name, capacity=32)
            b.stream(row[2 * at + 1], name, capacity=32)
        row = level
    if values:
        b.sink("y")
    else:
        b.unit("y", firings=TOKENS)
    b.stream(row[0], "y", capacity=32)
    return b


@pytest.mark.parametrize("values", [False, True], ids=["timing", "values"])
@pytest.mark.parametrize("graph", [pipeline, adder_tree])
def test_firings_per_second(benchmark: BenchmarkFixture, graph, values: bool) -> None:
    program = graph(values).build()
    run = benchmark.pedantic(program.run, rounds=3, warmup_rounds=1)
    best = benchmark.stats.stats.min
    benchmark.extra_info["firings"] = run.firings
    benchmark.extra_info["mfirings_per_second"] = round(run.firings / best / 1e6, 2)
    print(f"\n{graph.__name__}, {'values' if values else 'timing'}: {run.firings / best / 1e6:.1f} M firings/s")


def test_building_a_large_graph(benchmark: BenchmarkFixture) -> None:
    """Two thousand units and as many streams, from names to a checked program."""
    program = benchmark.pedantic(lambda: adder_tree(False).build(), rounds=3)
    assert len(program.units) == 2 * GENERATORS

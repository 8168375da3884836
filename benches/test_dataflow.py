"""Firings per second from Python: what the binding adds to `benches/dataflow.rs` (run with `pytest benches`).

Each benchmark's ``extra_info`` has its rate in million firings per second of host time.
"""

from __future__ import annotations

import resource
import time
from itertools import pairwise
from pathlib import Path

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


UNITS = 100_000


def described() -> rdu.Builder:
    """A pipeline of 100 000 units and as many streams but one; firings are given once and follow from there."""
    b = rdu.Builder()
    b.unit("u0", firings=8)
    for at in range(1, UNITS):
        b.unit(f"u{at}", latency=2)
        b.stream(f"u{at - 1}", f"u{at}", capacity=4)
    return b


def used_bytes() -> int:
    """Memory that this process has in use (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def test_a_hundred_thousand_units(benchmark: BenchmarkFixture) -> None:
    """Described, built and started in less than a second; and what a unit with its stream takes of memory."""
    seconds: dict[str, float] = {}

    def timed() -> None:
        clocks = [time.perf_counter()]
        before = used_bytes()
        b = described()
        clocks.append(time.perf_counter())
        middle = used_bytes()
        program = b.build()
        clocks.append(time.perf_counter())
        after = used_bytes()
        started: list[float] = []
        program.run(progress=lambda _: started.append(time.perf_counter()))
        clocks.append(started[0] if started else time.perf_counter())
        parts = [end - start for start, end in pairwise(clocks)]
        seconds.update(zip(("describe", "build", "start"), parts, strict=True))
        # Later rounds reuse what the first has freed.
        benchmark.extra_info.setdefault("builder_bytes_per_unit", (middle - before) // UNITS)
        benchmark.extra_info.setdefault("program_bytes_per_unit", (after - middle) // UNITS)

    benchmark.pedantic(timed, rounds=3)
    info = benchmark.extra_info
    info.update({name: round(value, 3) for name, value in seconds.items()})
    print(
        f"\n{UNITS} units: described in {seconds['describe']:.2f} s, built in {seconds['build']:.2f} s, started in "
        f"{seconds['start']:.2f} s (goal: 1 s in all); a unit with its stream takes {info['builder_bytes_per_unit']} "
        f"bytes in the builder and {info['program_bytes_per_unit']} in the program"
    )


FIRINGS = 100_000


@pytest.mark.parametrize("op", ["copy", "function"])
def test_cost_of_a_firing_with_values(benchmark: BenchmarkFixture, op: str) -> None:
    """A unit of the operator table beside a Python function, with tokens of 16 values."""
    b = rdu.Builder()
    b.source("x", np.zeros((FIRINGS, 16), dtype=np.float32))
    b.unit("f", op=op if op == "copy" else lambda rows: rows)
    b.sink("y")
    b.stream("x", "f")
    b.stream("f", "y")
    program = b.build()
    benchmark.pedantic(program.run, rounds=3, warmup_rounds=1)
    nanoseconds = benchmark.stats.stats.min / FIRINGS * 1e9
    benchmark.extra_info["nanoseconds_per_firing"] = round(nanoseconds)
    print(f"\nsource, {op} and sink: {nanoseconds:.0f} ns for each token")


def test_retiming(benchmark: BenchmarkFixture) -> None:
    """The adder tree with values, timed again under another latency without computing one."""
    program = adder_tree(True).build()
    start = time.perf_counter()
    run = program.run(record=True)
    recorded = time.perf_counter() - start
    other = program.retimed(units={"g0": {"latency": 5}})
    benchmark.pedantic(lambda: other.run(values=run), rounds=3)
    benchmark.extra_info["gain"] = round(recorded / benchmark.stats.stats.min, 1)
    print(f"\nretiming the adder tree: {recorded / benchmark.stats.stats.min:.1f} times as fast as computing it")

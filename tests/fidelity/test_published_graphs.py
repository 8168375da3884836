"""Graphs whose figures others have published: the analysis, the engine and a self-timed execution agree with them.

The mapping of SDF3's actors is exact. There, an actor takes its tokens and claims room for its results at its start;
``time`` cycles later the results are there and the room of what it took is free. Here, a result is visible at start +
latency + stream latency and a slot is free at start + ii + credit: so ``latency = time - 1`` with streams of latency 1.
An actor that fires once at a time (auto-concurrency disabled, or a channel with one token to itself) has ``ii = time``
and ``credit = 0``. Any number of firings at once is ``ii = 1``, with the rest of the time as credit of the streams that
it reads; that is exact as long as the one cycle between two starts is not what holds the graph back. No actor here
takes 0 cycles, which no unit can.
"""

from __future__ import annotations

import heapq
from fractions import Fraction
from math import lcm

import pytest
from published_graphs import GRAPHS, Published, Rates

import rdu
from rdu.builder import StreamProgram

UNBOUNDED = 1 << 40


def phases(rates: Rates) -> list[int]:
    return rates if isinstance(rates, list) else [rates]


def firings(graph: Published) -> dict[str, int]:
    """Firings of an iteration, from the balance equations."""
    found: dict[str, Fraction] = {next(iter(graph.times)): Fraction(1)}
    while len(found) < len(graph.times):
        for c in graph.channels:
            produce, consume = (Fraction(sum(rates), len(rates)) for rates in (phases(c.produce), phases(c.consume)))
            if c.source in found:
                found.setdefault(c.target, found[c.source] * produce / consume)
            elif c.target in found:
                found[c.source] = found[c.target] * consume / produce
    cycles = {name: len(phases(time)) for name, time in graph.times.items()}
    for c in graph.channels:
        cycles[c.source] = lcm(cycles[c.source], len(phases(c.produce)))
        cycles[c.target] = lcm(cycles[c.target], len(phases(c.consume)))
    whole = lcm(*((count / cycles[name]).denominator for name, count in found.items()))
    return {name: int(count * whole) for name, count in found.items()}


def program(graph: Published, iterations: int = 1, sizes: dict[str, int] | None = None) -> StreamProgram:
    b = rdu.Builder()
    for name, count in firings(graph).items():
        time = phases(graph.times[name])
        b.unit(name, count * iterations, 1 if name in graph.parallel else time, [cycles - 1 for cycles in time])
    for number, c in enumerate(graph.channels):
        b.stream(
            c.source,
            c.target,
            capacity=(sizes or {}).get(str(number), UNBOUNDED),
            credit=max(phases(graph.times[c.target])) - 1 if c.target in graph.parallel else 0,
            produce=c.produce,
            consume=c.consume,
            initial=c.initial,
            name=str(number),
        )
    return b.build()


@pytest.mark.parametrize("name", GRAPHS)
def test_the_period_is_the_published_one(name: str) -> None:
    graph = GRAPHS[name]
    analysis = program(graph).analyse()
    assert analysis.iteration_cycles == graph.period
    assert analysis.throughput == Fraction(1, graph.period)
    assert analysis.firings == firings(graph)
    assert {actor: analysis.firings[actor] for actor in graph.repetitions} == graph.repetitions


@pytest.mark.parametrize("name", GRAPHS)
def test_sizes_are_the_published_ones_and_hold_in_a_self_timed_execution(name: str) -> None:
    graph = GRAPHS[name]
    sizes = program(graph).analyse().capacities()
    assert sizes.exact
    assert sizes.deadlock_free_exact
    if graph.full is not None:
        assert (sum(sizes.full.values()), sum(sizes.deadlock_free.values())) == (graph.full, graph.live)
    assert sizes.iteration_cycles == graph.period
    assert self_timed(graph, [sizes.full[str(number)] for number in range(len(graph.channels))]) == graph.period
    slower = program(graph, sizes=dict(sizes.deadlock_free)).analyse().iteration_cycles
    assert slower == self_timed(graph, [sizes.deadlock_free[str(number)] for number in range(len(graph.channels))])


@pytest.mark.parametrize("mode", ["step", "fast"])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_engine_gets_there(name: str, mode: str) -> None:
    graph = GRAPHS[name]
    sizes = dict(program(graph).analyse().capacities().full)
    few, more = (program(graph, iterations, sizes).run(mode=mode).cycles for iterations in (4, 7))
    assert more - few == 3 * graph.period


def self_timed(graph: Published, sizes: list[int]) -> Fraction:
    """Cycles of an iteration, by executing SDF3's rules until a state comes again: nothing of the engine is used.

    Channels have a size; room is claimed at the start of a firing and freed at the end of the one that takes it.
    """
    names = list(graph.times)
    tokens = [c.initial for c in graph.channels]
    room = [size - c.initial for c, size in zip(graph.channels, sizes, strict=True)]
    ends: list[tuple[int, int, str, int]] = []
    started = dict.fromkeys(names, 0)
    running = dict.fromkeys(names, 0)
    inputs: dict[str, list[tuple[int, list[int]]]] = {name: [] for name in names}
    outputs: dict[str, list[tuple[int, list[int]]]] = {name: [] for name in names}
    for number, c in enumerate(graph.channels):
        outputs[c.source].append((number, phases(c.produce)))
        inputs[c.target].append((number, phases(c.consume)))
    length = {name: len(phases(graph.times[name])) for name in names}
    for name in names:
        length[name] = lcm(length[name], *(len(rates) for _, rates in inputs[name] + outputs[name]))
    counts, first = firings(graph), names[0]
    seen: dict[object, tuple[int, int]] = {}
    now = serial = 0
    touched = set(names)
    while True:
        while touched:
            name = min(touched)
            touched.discard(name)
            while name in graph.parallel or not running[name]:
                k = started[name]
                if any(tokens[at] < rates[k % len(rates)] for at, rates in inputs[name]):
                    break
                if any(room[at] < rates[k % len(rates)] for at, rates in outputs[name]):
                    break
                for at, rates in inputs[name]:
                    tokens[at] -= rates[k % len(rates)]
                for at, rates in outputs[name]:
                    room[at] -= rates[k % len(rates)]
                time = phases(graph.times[name])
                serial += 1
                heapq.heappush(ends, (now + time[k % len(time)], serial, name, k))
                started[name], running[name] = k + 1, running[name] + 1
                if name == first and (k + 1) % counts[first] == 0:
                    pending = tuple(sorted((end - now, actor, n % length[actor]) for end, _, actor, n in ends))
                    places = tuple(started[actor] % length[actor] for actor in names)
                    state = (tuple(tokens), tuple(room), pending, places)
                    if state in seen:
                        before, rounds = seen[state]
                        return Fraction(now - before, (k + 1) // counts[first] - rounds)
                    seen[state] = (now, (k + 1) // counts[first])
        assert ends, "deadlock"
        now = ends[0][0]
        while ends and ends[0][0] == now:
            _, _, name, k = heapq.heappop(ends)
            running[name] -= 1
            touched.add(name)
            for at, rates in inputs[name]:
                room[at] += rates[k % len(rates)]
                touched.add(graph.channels[at].source)
            for at, rates in outputs[name]:
                tokens[at] += rates[k % len(rates)]
                touched.add(graph.channels[at].target)

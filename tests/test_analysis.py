"""The analysis of static programs: against the engine, the firing rule, and every smaller vector of capacities."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import rdu
from rdu.builder.analysis import Analysis, Step
from rdu.errors import DeadlockError, GraphError
from rdu.testing.graphs import Graph, Unit, graphs


def analysed(graph: Graph) -> Analysis:
    """The analysis of whole cycles: six times the firings are a multiple of every list's length."""
    units = tuple(replace(unit, firings=unit.firings * 6) for unit in graph.units)
    return replace(graph, units=units).builder().build().analyse()


def longer(graph: Graph, analysis: Analysis, iterations: int) -> Graph:
    """The same program over so many iterations of its steady state."""
    units = tuple(replace(unit, firings=analysis.firings[unit.name] * iterations) for unit in graph.units)
    return replace(graph, units=units)


def cycles(graph: Graph, analysis: Analysis, iterations: int) -> int:
    return longer(graph, analysis, iterations).builder().build().run().cycles


def sized(graph: Graph, capacities: list[int]) -> Graph:
    streams = tuple(replace(s, capacity=capacity) for s, capacity in zip(graph.streams, capacities, strict=True))
    return replace(graph, streams=streams)


# --- The bound -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=120)
@given(graphs(most_units=5))
def test_a_run_reaches_the_bound(graph: Graph) -> None:
    analysis = analysed(graph)
    period = analysis.iteration_cycles
    if period is None:
        with pytest.raises(DeadlockError):
            longer(graph, analysis, 1).builder().build().run()
        return
    # A run becomes periodic: from some iteration on, every `count` iterations take `count` times as long. How soon, and
    # over how many iterations, depends on the graph; a few hundred are enough for graphs of this size.
    start = cycles(graph, analysis, 400)
    multiples = [count for count in range(1, 61) if (count * period).denominator == 1]
    assert any(cycles(graph, analysis, 400 + count) - start == count * period for count in multiples)
    # And nothing is ever faster: the first iteration is over no earlier than the last firing of the others starts.
    assert start >= 399 * period


@settings(deadline=None, max_examples=200)
@given(graphs())
def test_every_step_of_the_critical_cycle_is_a_rule_of_the_graph(graph: Graph) -> None:
    analysis = analysed(graph)
    for part in analysis.parts:
        firings = part.firings
        for step, following in zip(part.critical, [*part.critical[1:], part.critical[0]], strict=True):
            assert (step.target, step.target_firing) == (following.source, following.source_firing)
            assert (step.cycles, step.iterations) == rule(graph, step, firings)
        all_cycles, iterations = (sum(getattr(step, key) for step in part.critical) for key in ("cycles", "iterations"))
        if part.iteration_cycles is None:
            assert iterations == 0
        else:
            assert Fraction(all_cycles, iterations) == part.iteration_cycles


def rule(graph: Graph, step: Step, firings: dict[str, int]) -> tuple[int, int]:
    """Cycles and iterations between two firings, from the firing rule and the token counts alone."""
    units = {unit.name: unit for unit in graph.units}
    source = units[step.source]
    k, j = step.source_firing, step.target_firing
    ii, latency = source.ii[k % len(source.ii)], source.latency[k % len(source.latency)]
    if step.kind == "busy":
        assert step.source == step.target
        # From k on to j, of the next iteration where that is not later.
        last = j if j > k else j + firings[step.source]
        return sum(source.ii[n % len(source.ii)] for n in range(k, last)), int(j <= k)

    (stream,) = (s for s in graph.streams if s.name == step.stream)
    per_iteration = moved(stream.produce, firings[graph.units[stream.source].name])
    if step.kind == "token":
        assert (graph.units[stream.source].name, graph.units[stream.target].name) == (step.source, step.target)
        taken = range(moved(stream.consume, j), moved(stream.consume, j + 1))
        made = range(moved(stream.produce, k), moved(stream.produce, k + 1))
        # Firing k made a token that firing j takes, so many iterations later.
        shifts = {divmod(token - stream.initial - made.start, per_iteration) for token in taken}
        fits = [-iteration for iteration, rest in shifts if rest < len(made)]
        assert step.iterations in fits
        return latency + stream.latency, step.iterations
    assert (graph.units[stream.target].name, graph.units[stream.source].name) == (step.source, step.target)
    # The last slot that firing j takes was the slot of this token, which firing k took.
    token = moved(stream.produce, j + 1) + stream.initial - stream.capacity - 1
    freed = range(moved(stream.consume, k), moved(stream.consume, k + 1))
    iteration, rest = divmod(token - freed.start, per_iteration)
    assert rest < len(freed)
    return ii + stream.credit, -iteration


def moved(rates: list[int], firings: int) -> int:
    return sum(rates[n % len(rates)] for n in range(firings))


def test_a_pipeline_is_as_fast_as_its_slowest_unit() -> None:
    b = rdu.Builder()
    for name, ii in (("a", 1), ("b", 7), ("c", 2)):
        b.unit(name, firings=100, ii=ii, latency=30)
    b.stream("a", "b")
    b.stream("b", "c")
    analysis = b.build().analyse()
    assert analysis.iteration_cycles == 7
    assert analysis.throughput == Fraction(1, 7)
    assert analysis.repetitions == analysis.firings == {"a": 1, "b": 1, "c": 1}
    assert [(step.kind, step.source, step.cycles) for step in analysis.critical] == [("busy", "b", 7)]
    assert str(analysis).startswith("an iteration takes 7 cycles; what it waits for:\n  b is busy: 7 cycles\n")


def test_a_round_trip_is_tokens_and_slots() -> None:
    # docs/dataflow.md: 2 + 4 cycles to mac and 3 until the slot is free, for every 2 tokens.
    b = rdu.Builder()
    b.unit("src", firings=100, latency=2)
    b.unit("mac", firings=100, ii=3, latency=6)
    b.stream("src", "mac", capacity=2, latency=4)
    analysis = b.build().analyse()
    assert analysis.iteration_cycles == Fraction(9, 2)
    assert {(step.kind, step.stream, step.cycles, step.iterations) for step in analysis.critical} == {
        ("token", "src->mac", 6, 0),
        ("slot", "src->mac", 3, 2),
    }
    assert "mac waits for a token of src->mac from src: 6 cycles" in str(analysis)


def test_a_cyclo_static_unit_counts_its_cycles_and_its_firings() -> None:
    b = rdu.Builder()
    # Eight firings of a cycle of three: the last round ends early.
    b.unit("a", firings=8, ii=[1, 2, 3])
    b.unit("b", firings=5)
    b.stream("a", "b", produce=[1, 0, 1])
    analysis = b.build().analyse()
    assert analysis.repetitions == {"a": 1, "b": 2}
    assert analysis.firings == {"a": 3, "b": 2}
    assert analysis.iteration_cycles == 6


def nested(rows: int, capacity: int) -> rdu.builder.StreamProgram:
    """Weights are loaded once for every eight firings; a nest of more firings than anyone could list."""
    b = rdu.Builder()
    b.unit("w", firings=4 * rows)
    b.unit(
        "mac",
        phases={"load": rdu.phase(ii=2, consume={"w": 4}), "fire": rdu.phase(latency=5, produce={"y": 1})},
        nest=rdu.loop(1, rdu.loop(rows, "load", rdu.loop(8, "fire"))),
    )
    b.unit("y", firings=8 * rows)
    b.stream("w", "mac", capacity=capacity)
    b.stream("mac", "y", capacity=4)
    return b.build()


def test_a_nest_is_one_round_of_its_innermost_loop_that_repeats() -> None:
    analysis = nested(rows=10**9, capacity=4).analyse()
    assert analysis.firings == {"w": 4, "mac": 9, "y": 8}
    # A result is at the reader 5 + 1 cycles later and its slot free 1 after that: 7 cycles for four of the eight.
    assert analysis.iteration_cycles == 14
    few, more = (nested(rows=rows, capacity=4).run(mode="step").cycles for rows in (10, 110))
    assert more - few == 100 * analysis.iteration_cycles


def test_parts_are_told_apart_and_the_slowest_speaks_for_all() -> None:
    b = rdu.Builder()
    b.unit("fast", firings=3)
    b.unit("slow", firings=3, ii=9)
    analysis = b.build().analyse()
    assert [part.iteration_cycles for part in analysis.parts] == [1, 9]
    assert analysis.iteration_cycles == 9
    assert analysis.critical[0].source == "slow"
    assert json.loads(json.dumps(analysis.to_dict()))["parts"][1]["iteration_cycles"] == "9"


def test_a_deadlock_is_seen_before_it_runs() -> None:
    b = rdu.Builder()
    b.unit("a", firings=2)
    b.unit("b", firings=2)
    b.stream("a", "b")
    b.stream("b", "a")
    program = b.build()
    analysis = program.analyse()
    assert analysis.iteration_cycles is None
    assert analysis.throughput == 0
    assert {step.stream for step in analysis.critical} == {"a->b", "b->a"}
    assert str(analysis).startswith("deadlock: these firings wait for each other")
    with pytest.raises(GraphError, match="needs initial tokens") as caught:
        analysis.capacities()
    assert "a->b" in str(caught.value)


def test_what_cannot_be_analysed_is_named() -> None:
    b = rdu.Builder()
    b.unit("a", firings=3)
    b.unit("b", firings=3)
    b.stream("a", "b")
    b.stream("a", "b", produce=2, consume=1, capacity=9)
    with pytest.raises(GraphError, match='"a->b#2" cannot stay balanced for ever') as caught:
        b.build().analyse()
    assert "sends 2 tokens" in str(caught.value)

    b = rdu.Builder()
    b.unit("a", firings=1)
    b.unit("b", firings=2**21)
    b.stream("a", "b", produce=2**21, capacity=2**21)
    with pytest.raises(GraphError, match="2097153 firings"):
        b.build().analyse()

    b = rdu.Builder()
    b.source("ctl", [0, 1])
    b.source("x", [1.0, 2.0])
    b.gate("gate", control="ctl")
    b.sink("y")
    for ends in (("ctl", "gate"), ("x", "gate"), ("gate", "y")):
        b.stream(*ends)
    with pytest.raises(GraphError, match='unit "gate" chooses its phase'):
        b.build().analyse()


# --- The capacities --------------------------------------------------------------------------------------------------


def test_capacities_of_a_pipeline() -> None:
    b = rdu.Builder()
    b.unit("src", firings=100, latency=2)
    b.unit("mac", firings=100, ii=3, latency=6)
    b.stream("src", "mac", latency=4)
    capacities = b.build().analyse().capacities()
    # Three slots cover the round trip of 9 cycles at one token every 3.
    assert capacities.full == {"src->mac": 3}
    assert capacities.deadlock_free == {"src->mac": 1}
    assert (capacities.exact, capacities.deadlock_free_exact, capacities.iteration_cycles) == (True, True, 3)
    assert "src->mac                3              1" in str(capacities)
    assert json.loads(json.dumps(capacities.to_dict()))["full"] == {"src->mac": 3}


def diamond(sizes: dict[str, int] | None = None) -> rdu.builder.StreamProgram:
    b = rdu.Builder()
    for name in "abcd":
        b.unit(name, firings=10, ii=2, latency=5)
    for source, target in ("ab", "bd", "ac", "cd", "ad"):
        b.stream(source, target, capacity=(sizes or {}).get(f"{source}->{target}", 99))
    return b.build()


@pytest.mark.parametrize("work", [0, 40, 400])
def test_a_search_without_work_still_finds_capacities_that_are_enough(work: int) -> None:
    rough, exact = diamond().analyse().capacities(work), diamond().analyse().capacities()
    assert exact.exact
    assert exact.full == {"a->b": 4, "b->d": 4, "a->c": 4, "c->d": 4, "a->d": 7}
    assert not rough.exact
    assert diamond(dict(rough.full)).analyse().iteration_cycles == exact.iteration_cycles == 2
    assert "≤" in str(rough)


def even(graph: Graph, rate: int) -> Graph:
    """The same streams between units all of whose firings are alike, behind one that sends in portions of that rate."""
    units = tuple(replace(unit, firings=rate, ii=unit.ii[:1], latency=unit.latency[:1]) for unit in graph.units)
    streams = tuple(
        replace(s, produce=[1], consume=[1], initial=min(s.initial, 3), capacity=max(s.initial, 1))
        for s in graph.streams
    )
    source = Unit("source", 1, [2], [1])
    first = replace(graph.streams[0], name="first", source=len(units), target=0, produce=[rate], consume=[1], initial=0)
    return Graph((*units, source), (*streams, replace(first, capacity=rate)))


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        graphs(most_units=4),
        st.builds(even, graphs(most_units=5).filter(lambda graph: graph.streams), st.integers(1, 4)),
    ),
    st.data(),
)
def test_no_smaller_capacities_do(graph: Graph, data: st.DataObject) -> None:
    assume(graph.streams)
    try:
        found = analysed(graph).capacities()
    except GraphError:
        # It deadlocks with any capacities.
        huge = sized(graph, [stream.capacity + 10_000 for stream in graph.streams])
        assert analysed(huge).iteration_cycles is None
        return
    assert found.exact
    assert found.deadlock_free_exact
    full, live = ([sizes[s.name] for s in graph.streams] for sizes in (found.full, found.deadlock_free))
    best = periods(sized(graph, [stream.capacity + 10_000 for stream in graph.streams]))
    assert max(filter(None, best)) == found.iteration_cycles
    assert periods(sized(graph, full)) == best
    assert None not in periods(sized(graph, live))
    for smaller in vectors_of_one_less(graph, full, data):
        assert periods(sized(graph, smaller)) != best
    for smaller in vectors_of_one_less(graph, live, data):
        assert None in periods(sized(graph, smaller))


def periods(graph: Graph) -> list[Fraction | None]:
    return [part.iteration_cycles for part in analysed(graph).parts]


def vectors_of_one_less(graph: Graph, sizes: list[int], data: st.DataObject) -> list[list[int]]:
    """Vectors that the streams admit with one slot less in all: each stream one smaller, and slots moved around."""
    least = [max(*s.produce, *s.consume, s.initial, 1) for s in graph.streams]
    extra = sum(sizes) - sum(least) - 1
    if extra < 0:
        return []
    ways = itertools.combinations_with_replacement(range(len(sizes)), extra)
    every = [[low + way.count(at) for at, low in enumerate(least)] for way in itertools.islice(ways, 3000)]
    chosen = data.draw(st.permutations(every)) if len(every) <= 30 else data.draw(st.lists(st.sampled_from(every)))
    singles = [[size - (at == one) for at, size in enumerate(sizes)] for one in range(len(sizes))]
    return [one for one in singles if all(map(int.__ge__, one, least))] + chosen[:30]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3))
def test_the_smallest_capacities_are_those_of_the_formula(ii: int, time: int, latency: int, credit: int) -> None:
    """A stream between two units of one rate: enough slots to cover the round trip at the slower unit's pace."""
    b = rdu.Builder()
    b.unit("a", firings=10, ii=ii, latency=time)
    b.unit("b", firings=10, ii=time)
    b.stream("a", "b", latency=latency, credit=credit, capacity=100)
    round_trip = time + latency + time + credit
    pace = max(ii, time)
    assert b.build().analyse().capacities().full == {"a->b": -(-round_trip // pace)}


def test_a_period_need_not_be_a_whole_number() -> None:
    # Three tokens go around two units, each 5 cycles on its way: 10 cycles for three.
    b = rdu.Builder()
    for name in "ab":
        b.unit(name, firings=12, ii=2, latency=4)
    b.stream("a", "b")
    b.stream("b", "a", initial=3)
    program = b.build()
    assert program.analyse().iteration_cycles == Fraction(10, 3)
    # Four rounds: the last firing of b starts 5 + 3 * 10 + 2 * 2 after the first of a, and its result leaves 4 later.
    assert program.run().cycles == 5 + 30 + 4 + 4

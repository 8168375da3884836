"""The reference engine against the oracle, and what must hold for every stream program."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import oracle
import rdu
from census import DETERMINED, FAMILIES, STATIC, each, examples, program
from rdu.errors import DeadlockError
from rdu.testing.graphs import SINK, Graph, Stream, Unit, timings

STATES = ("busy", "data", "space", "memory", "idle")


def attempt(graph: Graph, **asked: object) -> rdu.builder.StreamRun | DeadlockError:
    try:
        return graph.builder().build().run("step", **asked)  # type: ignore[arg-type]
    except DeadlockError as error:
        return error


@each(tuple(FAMILIES))
@examples(0.4)
@given(data=st.data())
def test_step_equals_the_oracle(family: str, data: st.DataObject) -> None:
    graph = data.draw(program(family))
    expected = oracle.run(graph)
    fired = {unit.name: found.starts for unit, found in zip(graph.units, expected.units, strict=True) if found.firings}
    run = attempt(graph, firing_times={name: range(len(starts)) for name, starts in fired.items()})
    assert isinstance(run, DeadlockError) == expected.deadlock
    if isinstance(run, DeadlockError):
        assert_is_a_cycle_of_waiting(graph, run, expected)
        return
    assert run.cycles == expected.cycles
    assert run.firings == sum(unit.firings for unit in expected.units)
    assert {name: times.tolist() for name, times in run.firing_times.items()} == fired
    for got, want, spec in zip(run.units.values(), expected.units, graph.units, strict=True):
        assert {state: getattr(got, state) for state in STATES} == {state: want.states[state] for state in STATES}
        assert (got.firings, got.first_cycle, got.end_cycle) == (want.firings, want.first, want.end)
        assert sum(getattr(got, state) for state in STATES) == run.cycles
        if spec.op == SINK:
            # Zeros of either sign are equal: max(0, -0) may be any of the two.
            np.testing.assert_array_equal(list(run.outputs[spec.name]), want.outputs)
    for got_stream, stream in zip(run.streams.values(), expected.streams, strict=True):
        assert (got_stream.tokens, got_stream.high_water) == (stream.tokens, stream.high_water)


def assert_is_a_cycle_of_waiting(graph: Graph, error: DeadlockError, expected: oracle.Outcome) -> None:
    """Each unit named waits on a stream that joins it to the next, and lacks tokens or slots there.

    The last waits for the first (or for another that is named), or for a unit that has finished.
    """
    names = [unit.name for unit in graph.units]
    streams = {stream.name: at for at, stream in enumerate(graph.streams)}
    assert error.units
    assert len(error.units) == len(set(error.units)) == len(error.streams)
    for at, (name, stream_name) in enumerate(zip(error.units, error.streams, strict=True)):
        here = names.index(name)
        spec, state = graph.streams[streams[stream_name]], expected.streams[streams[stream_name]]
        unit, done = graph.units[here], expected.units[here].firings
        assert name in str(error)
        assert stream_name in str(error)
        assert done != unit.firings
        assert here in (spec.source, spec.target)
        there = spec.source if here == spec.target else spec.target
        finished = expected.units[there].firings == graph.units[there].firings
        last = at == len(error.units) - 1
        # Behind a unit that must end, the circle may be one of units that end only with their inputs.
        closes = last and (finished or graph.units[there].name in error.units)
        assert graph.units[there].name == error.units[(at + 1) % len(error.units)] or closes
        # What a phase needs stands in the unit, and what a choice needs in the values; here only that of plain units.
        if spec.consume is None or spec.produce is None or unit.choice is not None:
            continue
        lacks_data = spec.target == here and len(state.visible) < spec.consume[done % len(spec.consume)]
        free = spec.capacity - state.taken + len(state.freed)
        lacks_space = spec.source == here and free < spec.produce[done % len(spec.produce)]
        assert lacks_data or lacks_space


@each(tuple(FAMILIES))
@examples(0.1)
@given(data=st.data())
def test_the_five_states_never_overlap_and_leave_no_gap(family: str, data: st.DataObject) -> None:
    run = attempt(data.draw(program(family)), trace=True)
    if isinstance(run, DeadlockError):
        return
    assert run.trace is not None
    trace = run.trace
    for at, (name, unit) in enumerate(run.units.items()):
        mine = trace.unit == at
        ready, start, end = trace.ready[mine], trace.start[mine], trace.end[mine]
        assert trace.number[mine].tolist() == list(range(unit.firings))
        assert (ready <= start).all()
        assert (start < end).all()
        # It waits from the end of one firing to the start of the next: nothing lies between, nothing twice.
        assert ready.tolist() == [0, *end.tolist()][: len(ready)]
        waited = trace.wait[mine]
        assert ((waited == 0) == (ready == start)).all()
        for state in ("data", "space", "memory"):
            assert (start - ready)[waited == STATES.index(state)].sum() == getattr(unit, state), name
        assert (end - start).sum() == unit.busy
        assert unit.idle == run.cycles - max([0, *end.tolist()])


@each(tuple(FAMILIES))
@examples(0.1)
@given(data=st.data())
def test_tokens_are_conserved(family: str, data: st.DataObject) -> None:
    """What was sent or there at first was taken or is still there, and never more than fits."""
    graph = data.draw(program(family))
    run = attempt(graph, trace=True)
    if isinstance(run, DeadlockError):
        return
    assert run.trace is not None
    described = {unit["name"]: unit for unit in graph.builder().build().describe()["units"]}
    for spec in graph.streams:
        totals = run.streams[spec.name]
        moved = {}
        for end, key in ((spec.source, "produce"), (spec.target, "consume")):
            rates = [phase[key].get(spec.name, 0) for phase in described[graph.units[end].name]["phases"]]  # type: ignore[attr-defined]
            fired = np.bincount(run.trace.phase[run.trace.unit == end], minlength=len(rates))
            moved[key] = sum(rate * int(times) for rate, times in zip(rates, fired, strict=True))
        assert totals.tokens == moved["produce"]
        assert 0 <= spec.initial + moved["produce"] - moved["consume"] <= spec.capacity
        assert spec.initial <= totals.high_water <= spec.capacity


@each(DETERMINED)
@examples(0.1)
@given(data=st.data())
def test_more_capacity_never_slows(family: str, data: st.DataObject) -> None:
    graph = data.draw(program(family))
    size = len(graph.streams)
    extra = data.draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    narrow, wide = attempt(graph, trace=True), attempt(graph.widened(extra), trace=True)
    if isinstance(narrow, DeadlockError):
        return
    assert not isinstance(wide, DeadlockError)
    assert narrow.trace is not None
    assert wide.trace is not None
    # Firing by firing: where data decide, more room may also bring more firings.
    for at in range(len(graph.units)):
        before, after = narrow.trace.start[narrow.trace.unit == at], wide.trace.start[wide.trace.unit == at]
        assert len(after) >= len(before)
        assert (after[: len(before)] <= before).all()
    if family in STATIC:
        assert wide.cycles <= narrow.cycles


@each(("operators", "routed"))
@examples(0.5)
@given(data=st.data())
def test_values_do_not_depend_on_capacities_and_latencies(family: str, data: st.DataObject) -> None:
    graph = data.draw(program(family))
    one, other = attempt(graph), attempt(graph.retimed(data.draw(timings(graph))))
    if isinstance(one, DeadlockError) or isinstance(other, DeadlockError):
        return
    for unit in graph.units:
        if unit.op == SINK:
            a, b = one.outputs[unit.name], other.outputs[unit.name]
            # Where data decide how much comes, more room may let more of it through at the end.
            known = len(a) if unit.firings is not None else min(len(a), len(b))
            assert a[:known].tobytes() == b[:known].tobytes()


@each(tuple(FAMILIES))
@examples(0.1)
@given(data=st.data())
def test_two_runs_are_equal(family: str, data: st.DataObject) -> None:
    built = data.draw(program(family)).builder().build()
    try:
        assert built.run("step").to_dict() == built.run("step").to_dict()
    except DeadlockError:
        return


def test_the_oracle_by_hand() -> None:
    """Counts that follow on paper, so that oracle and engine are not wrong in the same way."""
    units = (Unit("fast", 100, [1], [2]), Unit("slow", 100, [3], [6]))
    out = oracle.run(Graph(units, (Stream("s", 0, 1, 2, 1, 0, [1], [1], 0),)))
    # The first token is visible at 2 + 1; the last firing starts 99 * 3 later and ends max(3, 6) after that.
    assert out.cycles == 3 + 99 * 3 + 6
    assert out.units[1].states == Counter(busy=300, data=3, idle=3)
    # Token k needs the slot of token k - 2, free at 3 + 3 * (k - 2) + 3 = 3k: it starts at 0, 1, 6, 9, ..., 297.
    assert out.units[0].states == Counter(busy=100, space=298 - 100, idle=306 - 298)
    assert out.streams[0].high_water == 2

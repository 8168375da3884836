"""What a run is asked for besides totals: traces, counters by interval, firing times; equal in every mode."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdu
from rdu import loop, phase
from rdu.builder.result import STATES
from rdu.errors import DeadlockError, GraphError
from rdu.testing.graphs import Graph, graphs

MODES = [("step", True), ("fast", False), ("fast", True)]


def program(firings: int = 60) -> rdu.builder.StreamProgram:
    """A pipeline with a feedback and rates, whose state repeats."""
    b = rdu.Builder()
    b.unit("a", firings=firings, ii=[1, 4], latency=2)
    phases = {"take": phase(ii=2, consume=3), "send": phase(latency=5, produce=1)}
    b.unit("b", phases=phases, nest=loop(firings // 3, "take", "send"))
    b.unit("c", ii=7)
    b.stream("a", "b", capacity=4, latency=3, credit=2)
    b.stream("b", "c", capacity=2)
    return b.build()


def oracle() -> list[tuple[int, int, int, int]]:
    """(start, unit, number, ready) of every firing of the program above, by the firing rule."""
    a: list[int] = []
    b: list[int] = []
    c: list[int] = []
    ready = {"a": 0, "b": 0, "c": 0}
    rows: list[tuple[int, int, int, int]] = []

    def fire(unit: str, starts: list[int], start: int, ii: int) -> None:
        rows.append((start, "abc".index(unit), len(starts), ready[unit]))
        starts.append(start)
        ready[unit] = start + ii

    while len(c) < 20:
        if len(a) < 60 and (len(a) < 4 or 2 * ((len(a) - 4) // 3) < len(b)):
            # The slot of token n - 4 is freed when the take that has it ends, and known 2 cycles later.
            freed = b[2 * ((len(a) - 4) // 3)] + 2 + 2 if len(a) >= 4 else 0
            fire("a", a, max(ready["a"], freed), (1, 4)[len(a) % 2])
        elif len(b) % 2 == 0 and len(b) < 40 and len(a) >= 3 * (len(b) // 2) + 3:
            fire("b", b, max(ready["b"], a[3 * (len(b) // 2) + 2] + 2 + 3), 2)
        elif len(b) % 2 == 1 and (len(b) < 5 or len(c) > len(b) // 2 - 2):
            freed = c[len(b) // 2 - 2] + 7 if len(b) >= 5 else 0
            fire("b", b, max(ready["b"], freed), 1)
        else:
            fire("c", c, max(ready["c"], b[2 * len(c) + 1] + 5 + 1), 7)
    return sorted(rows)


@pytest.mark.parametrize(("mode", "skip"), MODES)
def test_a_trace_has_every_firing_with_its_times(mode: str, skip: bool) -> None:
    trace = program().run(mode, skip, trace=True).trace
    assert trace is not None
    assert trace.complete
    assert list(zip(trace.start, trace.unit, trace.number, trace.ready, strict=True)) == oracle()
    assert set(trace.wait[trace.start == trace.ready]) == {0}
    assert 0 not in trace.wait[trace.start > trace.ready]
    phased = trace.unit == 1
    np.testing.assert_array_equal(trace.phase[phased], np.arange(40) % 2)
    np.testing.assert_array_equal((trace.end - trace.start)[phased], [2, 1] * 20)
    np.testing.assert_array_equal((trace.leave - trace.start)[phased], [0, 5] * 20)


@pytest.mark.parametrize(("mode", "skip"), MODES)
def test_a_window_cuts_the_trace_and_skipping_goes_on_outside_it(mode: str, skip: bool) -> None:
    firings = 60 if mode == "step" else 6_000
    if skip and mode == "fast":
        firings = 6 * 10**9
    whole = program(6_000).run("step", trace=True).trace
    assert whole is not None
    # From here on the program repeats itself, in a window of the long run as in the short one.
    start, stop = (40, 90) if mode == "step" else (4_000, 4_300)
    trace = program(firings).run(mode, skip, trace={"units": ["c", "a"], "start": start, "stop": stop}).trace
    assert trace is not None
    chosen = (whole.unit != 1) & (whole.start >= start) & (whole.start < stop)
    for name in ("unit", "number", "phase", "ready", "start", "end", "leave", "wait"):
        np.testing.assert_array_equal(getattr(trace, name), getattr(whole, name)[chosen])


def test_a_full_trace_says_so() -> None:
    trace = program().run(trace=rdu.TraceWindow(units=["a"], most=10)).trace
    assert trace is not None
    assert len(trace) == 10
    assert not trace.complete
    trace = program().run(trace=rdu.TraceWindow(units=["a"], most=60)).trace
    assert trace is not None
    assert trace.complete


def test_a_trace_as_a_dictionary_and_as_a_file(tmp_path: Path) -> None:
    trace = program().run(trace=True).trace
    assert trace is not None
    found = trace.to_dict()
    assert found == json.loads(json.dumps(found))
    assert found["unit"][:2] == ["a", "a"]
    assert set(found["phase"]) == {0, 1, "take", "send"}
    assert set(found["wait"]) <= set(STATES)
    trace.save(tmp_path / "run.json")
    events = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert names == {0: "a", 1: "b", 2: "c"}
    spans = [event for event in events if event["ph"] == "X"]
    run = program().run()
    for unit, name in names.items():
        for state in ("busy", "data", "space"):
            of_state = [e["dur"] for e in spans if e["tid"] == unit and (e["name"] == state or e["cat"] == state)]
            assert sum(of_state) == getattr(run.units[name], state)
    with pytest.raises(GraphError, match=r"must end in \.json"):
        trace.save(tmp_path / "run.txt")


@pytest.mark.parametrize(("mode", "skip"), MODES)
@pytest.mark.parametrize("length", [1, 7, 100, 10**6])
def test_intervals_sum_to_the_counters(mode: str, skip: bool, length: int) -> None:
    run = program().run(mode, skip, intervals=length)
    assert run.intervals is not None
    assert run.intervals.shape == (3, -(-run.cycles // length), 5)
    totals = [[getattr(unit, state) for state in STATES] for unit in run.units.values()]
    np.testing.assert_array_equal(run.intervals.sum(axis=1), totals)
    # Every interval is full of one state or another, but for the last.
    assert (run.intervals[:, :-1].sum(axis=2) == length).all()
    assert (run.intervals[:, -1].sum(axis=1) == run.cycles - (run.intervals.shape[1] - 1) * length).all()


def test_an_interval_has_what_the_trace_has() -> None:
    run = program().run(trace=True, intervals=10)
    assert run.trace is not None
    assert run.intervals is not None
    expected = np.zeros((3, run.cycles, 5), dtype=np.int64)
    rows = zip(run.trace.unit, run.trace.ready, run.trace.start, run.trace.end, run.trace.wait, strict=True)
    for unit, ready, start, end, wait in rows:
        expected[unit, ready:start, wait] += 1
        expected[unit, start:end, 0] += 1
    expected[..., 4] = 1 - expected[..., :4].sum(axis=2)
    whole = expected[:, : run.cycles // 10 * 10].reshape(3, -1, 10, 5).sum(axis=2)
    np.testing.assert_array_equal(run.intervals[:, : whole.shape[1]], whole)


@pytest.mark.parametrize(("mode", "skip"), MODES)
def test_firing_times_are_those_of_the_trace(mode: str, skip: bool) -> None:
    run = program().run(mode, skip, trace=True, firing_times={"a": [59, 0, 7, 7], "c": [19]})
    assert run.trace is not None
    starts = run.trace.start[run.trace.unit == 0]
    assert run.firing_times["a"].tolist() == [starts[59], starts[0], starts[7], starts[7]]
    assert run.firing_times["c"].tolist() == [run.trace.start[-1]]


def test_the_billionth_firing_without_evaluating_all() -> None:
    b = rdu.Builder()
    b.unit("src", firings=10**12, latency=2)
    b.unit("mac", ii=[1, 3], latency=6)
    b.stream("src", "mac", capacity=16, latency=3)
    run = b.build().run(firing_times={"mac": [0, 1, 10**9, 10**12 - 1]})
    assert run.firing_times["mac"].tolist() == [5, 6, 5 + 2 * 10**9, 5 + 2 * (10**12 - 2) + 1]


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 40), st.integers(0, 60), st.integers(1, 60))
def test_every_mode_observes_the_same(graph: Graph, length: int, start: int, width: int) -> None:
    program = graph.builder().build()
    numbers = {unit.name: [0, unit.firings // 2, unit.firings - 1] for unit in graph.units}
    window = rdu.TraceWindow(start=start, stop=start + width)
    try:
        step, *others = (
            program.run(mode, skip, trace=window, intervals=length, firing_times=numbers) for mode, skip in MODES
        )
    except DeadlockError:
        return
    # Without intervals, which want every firing, periods outside the window are skipped.
    others.append(program.run(trace=window, firing_times=numbers))
    assert step.trace is not None
    assert step.intervals is not None
    for other in others:
        assert other.trace is not None
        assert other.trace.to_dict() == step.trace.to_dict()
        assert {name: times.tolist() for name, times in other.firing_times.items()} == {
            name: times.tolist() for name, times in step.firing_times.items()
        }
        if other.intervals is not None:
            np.testing.assert_array_equal(other.intervals, step.intervals)
    totals = [[getattr(unit, state) for state in STATES] for unit in step.units.values()]
    np.testing.assert_array_equal(step.intervals.sum(axis=1), totals)


BAD = [
    ({"trace": 3}, "trace is 3"),
    ({"trace": {"unit": ["a"]}}, "trace: key 'unit' does not exist; did you mean 'units'"),
    ({"trace": {"units": "a"}}, "trace: units is 'a'; it must be a list"),
    ({"trace": {"units": ["aa"]}}, "trace: unit 'aa' does not exist; did you mean 'a'"),
    ({"trace": {"start": -1}}, "trace: start is -1"),
    ({"trace": {"start": 5, "stop": 5}}, "trace: stop is 5; it must be at least 6"),
    ({"trace": {"most": 0}}, "trace: most is 0"),
    ({"intervals": 0}, "intervals is 0"),
    ({"intervals": 1.5}, "intervals is 1.5"),
    ({"firing_times": [1]}, r"firing_times is \[1\]"),
    ({"firing_times": {"d": [1]}}, "firing_times: unit 'd' does not exist"),
    ({"firing_times": {"a": [-1]}}, r"firing_times of unit 'a'\[0\] is -1"),
    ({"firing_times": {"a": [0, 60]}}, "firing_times of unit 'a': there is no firing 60; it fired 60 times"),
    ({"skip": 1}, "skip is 1"),
]


@pytest.mark.parametrize(("asked", "message"), BAD)
def test_a_bad_question_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        program().run(**asked)  # type: ignore[arg-type]


def test_too_many_intervals_are_refused_with_the_shortest_that_fits() -> None:
    b = rdu.Builder()
    b.unit("u", firings=2, ii=10**12)
    program = b.build()
    with pytest.raises(GraphError, match=r"intervals is 1: .* make it at least (\d+)") as caught:
        program.run(intervals=1)
    length = int(str(caught.value).split()[-1])
    intervals = program.run(intervals=length).intervals
    assert intervals is not None
    assert intervals.sum() == 2 * 10**12

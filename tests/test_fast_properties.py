"""`fast` equals `step` in all that a run says, for every program; so do skipped, retimed and parallel runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from census import DETERMINED, FAMILIES, STATIC, each, examples, program
from rdu.builder import StreamProgram
from rdu.errors import DeadlockError, RunError
from rdu.testing.graphs import timings

MODES = [("step", True), ("fast", False), ("fast", True)]
# Firings that a long program starts with and that a short one must start with too.
FIRST = 40
LONG = 10**11
# Host seconds after which such a program counts as run firing by firing; skipped, it takes milliseconds.
PATIENCE_S = 30


def outcome(program: StreamProgram, mode: str = "fast", skip: bool = True, **asked: object) -> dict[str, object]:
    """All that a run says, bit for bit, or how it failed."""
    try:
        run = program.run(mode, skip, **asked)  # type: ignore[arg-type]
    except RunError as error:
        return {"error": type(error).__name__, "what": str(error)}
    found = run.to_dict() | {"firing_times": {name: times.tolist() for name, times in run.firing_times.items()}}
    del found["mode"]
    found["outputs"] = {name: (values.shape, values.tobytes()) for name, values in run.outputs.items()}
    if run.trace is not None:
        found["trace"] = run.trace.to_dict()
    return found


@each(tuple(FAMILIES))
@examples(0.4)
@given(data=st.data())
def test_fast_equals_step(family: str, data: st.DataObject) -> None:
    graph = data.draw(program(family))
    built = graph.builder().build()
    runs = [outcome(built, mode, skip) for mode, skip in MODES]
    assert runs[1] == runs[0]
    assert runs[2] == runs[0]
    if "error" in runs[0]:
        return
    # What is observed is the same, and observing changes nothing.
    observed = [outcome(built, mode, skip, trace=True) for mode, skip in MODES]
    assert observed[1] == observed[0]
    assert observed[2] == observed[0]
    assert all(observed[0][key] == runs[0][key] for key in runs[0])


@each(STATIC)
@examples(0.1)
@given(data=st.data())
def test_skipping_equals_step_over_thousands_of_iterations(family: str, data: st.DataObject) -> None:
    graph = data.draw(program(family)).repeated(data.draw(st.integers(100, 700)))
    built = graph.builder().build()
    assert outcome(built) == outcome(built, "step")
    # Periods are jumped over around the firings that are asked for.
    asked = {
        unit.name: data.draw(st.lists(st.integers(0, (unit.firings or 1) - 1), min_size=1, max_size=4))
        for unit in graph.units
    }
    assert outcome(built, firing_times=asked) == outcome(built, "step", firing_times=asked)


@each(STATIC)
@examples(0.1)
@given(data=st.data())
def test_a_long_run_starts_as_a_short_one_and_is_skipped(family: str, data: st.DataObject) -> None:
    """10^11 times over: firing by firing it would take hours."""
    graph = data.draw(program(family))
    # A firing depends on earlier ones alone.
    asked = {unit.name: range(FIRST) for unit in graph.units}
    expected = outcome(graph.repeated(FIRST).builder().build(), "step", firing_times=asked)
    if "error" in expected:
        return
    began = time.monotonic()

    def in_time(firings: int) -> None:
        assert time.monotonic() < began + PATIENCE_S, f"no period was skipped in {firings} firings"

    run = graph.repeated(LONG).builder().build().run(firing_times=asked, progress=in_time)
    assert {name: times.tolist() for name, times in run.firing_times.items()} == expected["firing_times"]
    for unit in graph.units:
        totals = run.units[unit.name]
        assert totals.firings == (unit.firings or 0) * LONG
        assert totals.busy + totals.data + totals.space + totals.memory + totals.idle == run.cycles


@each(DETERMINED)
@examples(0.15)
@given(data=st.data())
def test_a_retimed_recording_equals_a_fresh_run(family: str, data: st.DataObject) -> None:
    graph = data.draw(program(family))
    timing = data.draw(timings(graph))
    built = graph.builder().build()
    try:
        recorded = built.run(data.draw(st.sampled_from(("step", "fast"))), record=True)
    except DeadlockError:
        return
    other = built.retimed(
        units={
            unit.name: {"ii": ii, "latency": latency}
            for unit, (ii, latency) in zip(graph.units, timing.units, strict=True)
        },
        streams={
            stream.name: {"capacity": capacity, "latency": latency, "credit": credit}
            for stream, (capacity, latency, credit) in zip(graph.streams, timing.streams, strict=True)
        },
    )
    fresh = graph.retimed(timing).builder().build()
    for mode, skip in MODES:
        assert outcome(other, mode, skip) == outcome(fresh, mode, skip)
        replayed, expected = outcome(other, mode, skip, values=recorded), outcome(fresh, mode, skip)
        # Where data decide how much comes, more or less of it may have come through when the run was recorded.
        counted = all(unit.firings is not None for unit in graph.units)
        if "error" in expected and "error" in replayed:
            # Of the same kind; with the decisions at hand a deadlock also says what would free it.
            assert replayed["error"] == expected["error"]
        elif counted or replayed.get("firings") == expected.get("firings"):
            assert replayed == expected


@each(DETERMINED)
@examples(0.05)
@given(data=st.data())
def test_threads_change_nothing(family: str, data: st.DataObject) -> None:
    built = [data.draw(program(family)).builder().build() for _ in range(3)]
    alone = [outcome(one, mode, skip) for one in built for mode, skip in MODES]
    with ThreadPoolExecutor(4) as pool:
        # Each program also runs twice at the same time.
        jobs = [pool.submit(outcome, one, mode, skip) for _ in range(2) for one in built for mode, skip in MODES]
        assert [job.result() for job in jobs] == alone * 2

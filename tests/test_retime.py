"""Record once, re-time many: other times and capacities under the values and decisions of one run."""

from __future__ import annotations

import numpy as np
import pytest

import rdu
from rdu import loop, phase
from rdu.errors import GraphError

X = np.arange(40, dtype=np.float32).reshape(20, 2)


def routed(ii: int = 1, capacity: int = 4, latency: int = 1) -> rdu.builder.StreamProgram:
    """A program whose control is computed from its values."""
    b = rdu.Builder()
    b.source("x", X)
    b.source("y", X[::-1])
    b.unit("which", op="lt", ii=ii)
    b.switch("route", control="which")
    for name in ("low", "high"):
        b.sink(name, ii=3)
    b.stream("x", ["which", "route"], capacity=capacity)
    b.stream("y", "which")
    b.stream("which", "route", latency=latency)
    b.stream("route", ["low", "high"], capacity=2)
    return b.build()


@pytest.mark.parametrize("mode", ["step", "fast"])
def test_a_retimed_run_is_the_run_of_the_program_described_so(mode: str) -> None:
    program = routed()
    recorded = program.run(mode, record=True)
    for ii, capacity, latency in ((1, 4, 1), (5, 4, 9), (2, 1, 1), (1, 20, 30)):
        other = program.retimed(
            units={"which": {"ii": ii}},
            streams={
                "x->which": {"capacity": capacity},
                "x->route": {"capacity": capacity},
                "which->route": {"latency": latency},
            },
        )
        found = other.run(mode, values=recorded).to_dict()
        assert found == routed(ii, capacity, latency).run(mode).to_dict()


def test_outputs_are_carried_over_and_nothing_is_computed_again() -> None:
    calls = []
    b = rdu.Builder()
    b.source("x", X)
    b.unit("f", op=lambda rows: calls.append(len(rows)) or rows)
    b.sink("y")
    b.stream("x", "f")
    b.stream("f", "y")
    program = b.build()
    run = program.run(record=True)
    assert len(calls) == 20
    again = program.retimed(units={"f": {"ii": 7}}).run(values=run)
    assert len(calls) == 20
    assert again.outputs["y"] is run.outputs["y"]
    assert again.cycles == 1 + 20 * 7
    # A run that took over its values can be recorded too, and given on.
    third = program.run(values=program.run(values=run, record=True))
    assert third.cycles == run.cycles


def test_phases_are_retimed_by_name_and_the_program_stays_as_it_was() -> None:
    b = rdu.Builder()
    b.unit("u", phases={"a": phase(ii=1), "b": phase(ii=2, latency=3)}, nest=loop(10, "a", loop(2, "b")))
    program = b.build()
    assert program.retimed(units={"u": {"ii": {"b": 5}}}).run().units["u"].busy == 10 * (1 + 2 * 5)
    assert program.retimed(units={"u": {"ii": 4, "latency": {"b": 9}}}).run().cycles == 29 * 4 + 9
    assert program.run().units["u"].busy == 10 * (1 + 2 * 2)
    assert [p["name"] for p in program.retimed().describe()["units"][0]["phases"]] == ["a", "b"]  # type: ignore[union-attr, attr-defined]


def test_a_static_program_without_values_can_be_recorded_too() -> None:
    b = rdu.Builder()
    b.unit("a", firings=9)
    b.unit("b")
    b.stream("a", "b")
    program = b.build()
    assert program.retimed(units={"b": {"ii": 2}}).run(values=program.run(record=True)).cycles == 1 + 2 * 9


BAD = [
    ({"units": {"f": {"ii": 2}}}, "retimed: unit 'f' does not exist"),
    ({"units": {"which": {"iii": 2}}}, "unit 'which': key 'iii' does not exist; did you mean 'ii'"),
    ({"units": {"which": {"ii": 0}}}, "unit 'which': ii is 0"),
    ({"units": {"which": {"ii": {"a": 3}}}}, "'which': ii is .* has no named phases"),
    ({"units": {"which": 3}}, "unit 'which' is 3"),
    ({"units": ["which"]}, r"units is \['which'\]"),
    ({"streams": {"x": {"latency": 2}}}, "retimed: stream 'x' does not exist"),
    ({"streams": {"x->which": {"latency": 0}}}, "'x->which': latency is 0"),
    ({"streams": {"x->which": {"initial": 1}}}, "key 'initial' does not exist"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_a_bad_change_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        routed().retimed(**changes)  # type: ignore[arg-type]


def test_a_capacity_below_a_rate_is_refused() -> None:
    b = rdu.Builder()
    b.unit("a", firings=4)
    b.unit("b")
    b.stream("a", "b", capacity=4, consume=4)
    with pytest.raises(GraphError, match="capacity 3 is below 4"):
        b.build().retimed(streams={"a->b": {"capacity": 3}})


def test_values_of_another_program_or_of_no_recording_are_refused() -> None:
    program = routed()
    with pytest.raises(GraphError, match="record=True"):
        program.run(values=program.run())
    with pytest.raises(GraphError, match="values is 3"):
        program.run(values=3)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="of another program"):
        program.run(values=routed().run(record=True))

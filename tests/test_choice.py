"""Data-dependent units: switch, select, gate and merge, with values and with given decisions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import rdu
from rdu.errors import DeadlockError, GraphError, RunError

MODES = ["step", "fast"]
X = np.arange(1, 13, dtype=np.float32).reshape(6, 2)
CONTROL = [0, 1, 1, 0, 2, 1]


def switch(control: list[float] | np.ndarray, rows: np.ndarray = X, ways: int = 3, **stream: object) -> rdu.Builder:
    b = rdu.Builder()
    b.source("x", rows)
    b.source("which", control)
    b.switch("route", control="which", ii=2, latency=1)
    b.stream("which", "route")
    b.stream("x", "route", **stream)  # type: ignore[arg-type]
    for way in range(ways):
        b.sink(f"y{way}")
        b.stream("route", f"y{way}")
    return b


@pytest.mark.parametrize("mode", MODES)
def test_a_switch_sends_each_token_to_the_output_that_control_names(mode: str) -> None:
    run = switch(CONTROL).build().run(mode)
    for way in range(3):
        np.testing.assert_array_equal(run.outputs[f"y{way}"], X[np.array(CONTROL) == way])
    assert run.units["route"].firings == 6
    assert [run.units[f"y{way}"].firings for way in range(3)] == [2, 3, 1]
    # Firing k of the switch starts at 1 + 2 k; its token is there 1 + 1 cycles later and taken in 1.
    assert run.cycles == 1 + 2 * 5 + 1 + 1 + 1


@pytest.mark.parametrize("mode", MODES)
def test_a_select_takes_from_the_input_that_control_names(mode: str) -> None:
    b = rdu.Builder()
    for name, rows in (("a", [1, 2, 3]), ("b", [10, 20]), ("which", [1, 0, 0, 1, 0])):
        b.source(name, rows)
    b.select("pick", control="which")
    b.sink("y")
    b.stream("a", "pick")
    b.stream("which", "pick")
    b.stream("b", "pick")
    b.stream("pick", "y")
    assert b.build().run(mode).outputs["y"][:, 0].tolist() == [10, 1, 2, 20, 3]


@pytest.mark.parametrize("mode", MODES)
def test_a_gate_drops_where_control_is_0_and_its_control_can_be_computed(mode: str) -> None:
    b = rdu.Builder()
    b.source("x", [3, -1, 4, -1, 5])
    b.unit("keep", op="positive")
    b.gate("gate", control="keep", latency=2)
    b.unit("twice", op="add")
    b.sink("y")
    b.sink("z")
    b.stream("x", ["keep", "gate"])
    b.stream("keep", "gate")
    b.stream("gate", ["twice", "z"])
    b.stream("gate", "twice")
    b.stream("twice", "y")
    run = b.build().run(mode)
    assert run.outputs["z"][:, 0].tolist() == [3, 4, 5]
    assert run.outputs["y"][:, 0].tolist() == [6, 8, 10]
    assert run.units["twice"].firings == 3


def test_a_merge_takes_what_comes_first_and_runs_in_step() -> None:
    b = rdu.Builder()
    b.source("slow", [1, 2], ii=10)
    b.source("fast", [10, 20, 30], ii=3)
    b.merge("any")
    b.sink("y")
    b.stream("slow", "any")
    b.stream("fast", "any")
    b.stream("any", "y")
    program = b.build()
    run = program.run()
    assert run.mode == "step"
    # Tokens are there at 1 and 11, and at 1, 4 and 7; the tie goes to the input described first.
    assert run.outputs["y"][:, 0].tolist() == [1, 10, 20, 30, 2]
    with pytest.raises(GraphError, match="the program has a merge"):
        program.run(record=True)


@pytest.mark.parametrize("mode", MODES)
def test_given_decisions_time_a_program_as_its_values_would(mode: str) -> None:
    b = rdu.Builder()
    b.unit("x", firings=6)
    b.unit("which", firings=6)
    b.switch("route", control="which", ii=2, latency=1, decisions=CONTROL)
    b.stream("which", "route")
    b.stream("x", "route")
    for way in range(3):
        b.unit(f"y{way}")
        b.stream("route", f"y{way}")
    program = b.build()
    # Counts follow from the decisions, so none is open.
    assert [unit["firings"] for unit in program.describe()["units"]] == [6, 6, 6, 2, 3, 1]
    timed, valued = program.run(mode).to_dict(), switch(CONTROL).build().run(mode).to_dict()
    assert timed["cycles"] == valued["cycles"]
    assert timed["units"] == valued["units"]
    assert timed["streams"] == valued["streams"]


def test_a_description_says_what_decides() -> None:
    units = {unit["name"]: unit for unit in switch(CONTROL).build().describe()["units"]}
    assert units["route"]["choice"] == {"kind": "switch", "control": "which->route"}
    assert units["route"]["op"] == "route"
    assert units["route"]["firings"] is units["y0"]["firings"] is None
    assert units["route"]["nest"] == [{"phase": 0, "times": None}]
    assert len(units["route"]["phases"]) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [3, -1, 0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("mode", MODES)
def test_a_control_value_that_is_no_way_is_named(mode: str, value: float) -> None:
    with pytest.raises(RunError, match=f'"route": its control value of firing 2 is ({value}|NaN)'):
        switch([0, 1, value, 0, 0, 0]).build().run(mode)


def test_a_starved_select_is_a_deadlock() -> None:
    b = rdu.Builder()
    b.unit("a", firings=3)
    b.unit("b", firings=3)
    b.unit("which", firings=6)
    b.select("pick", control="which", decisions=[0, 0, 0, 0, 1, 1])
    for name in ("which", "a", "b"):
        b.stream(name, "pick")
    b.unit("y")
    b.stream("pick", "y")
    with pytest.raises(DeadlockError, match="pick"):
        b.build().run()


def timing(kind: str, **given: object) -> Callable[[rdu.Builder], object]:
    def describe(b: rdu.Builder) -> None:
        b.unit("x", firings=3)
        b.unit("c", firings=3)
        b.unit("y")
        getattr(b, kind)("route", **{"control": "c", "decisions": [0, 1, 0], **given})
        b.stream("c", "route")
        b.stream("x", "route")
        b.stream("route", "y")
        b.build()

    return describe


BAD: dict[str, tuple[Callable[[rdu.Builder], object], str]] = {
    "no control": (lambda b: b.switch("route", control=None), "switch 'route': control"),  # type: ignore[arg-type]
    "unknown control": (timing("gate", control="cc"), "gate 'route': control: among its inputs 'cc' does not exist"),
    "a list of ii": (timing("gate", ii=[1, 2]), r"gate 'route': ii is \[1, 2\]"),
    "no decisions": (timing("gate", decisions=None), "gate 'route' has nothing to decide by"),
    "decisions out of range": (timing("switch"), r"switch 'route': decisions\[1\] is 1; it must be from 0 to 0"),
    "negative decisions": (timing("gate", decisions=[0, -1]), "gate 'route': decisions has -1"),
    "fractions": (timing("gate", decisions=[0.5]), "gate 'route': decisions is .*list of whole numbers"),
    "no list": (timing("gate", decisions=3), "gate 'route': decisions is 3"),
    "an empty list": (timing("gate", decisions=np.array([], dtype=int)), "gate 'route': decisions is an empty list"),
    "decisions and firings": (timing("gate", firings=2), "has 3 decisions, but firings is 2"),
    "decisions beside values": (
        lambda b: [
            b.source("x", [1, 2]),
            b.gate("g", control="x->g", decisions=[0, 1]),
            b.stream("x", "g"),
            b.stream("x", "g", name="data"),
            b.sink("y"),
            b.stream("g", "y"),
            b.build(),
        ],
        "gate 'g' has decisions, but the program has values",
    ),
    "control takes two": (
        lambda b: [
            b.unit("c", firings=4),
            b.unit("x", firings=2),
            b.gate("g", control="c", decisions=[0, 1]),
            b.stream("c", "g", consume=2),
            b.stream("x", "g"),
            b.unit("y"),
            b.stream("g", "y"),
            b.build(),
        ],
        "'c->g': consume is 2, but it is the control of gate 'g'",
    ),
    "a list of rates": (
        lambda b: [
            b.unit("x", firings=2),
            b.merge("m"),
            b.stream("x", "m", consume=[1, 2]),
            b.unit("y"),
            b.stream("m", "y"),
            b.build(),
        ],
        "'x->m': consume is a list, but merge 'm' fires as data decide",
    ),
    "no output": (
        lambda b: [b.unit("x", firings=2), b.merge("m"), b.stream("x", "m"), b.build()],
        "merge 'm' has 1 inputs and 0 outputs",
    ),
    "no data": (
        lambda b: [
            b.unit("x", firings=1),
            b.switch("s", control="x", decisions=[0]),
            b.stream("x", "s"),
            b.unit("y"),
            b.stream("s", "y"),
            b.build(),
        ],
        "switch 's' has 0 inputs beside its control",
    ),
    "lists behind data": (
        lambda b: [
            b.unit("x", firings=2),
            b.merge("m"),
            b.stream("x", "m"),
            b.unit("y", ii=[1, 2]),
            b.stream("m", "y"),
            b.build(),
        ],
        "unit 'y' fires as long as 'm' sends",
    ),
    "unequal rates": (
        lambda b: [
            b.source("x", [1, 2]),
            b.merge("m"),
            b.stream("x", "m"),
            b.sink("y"),
            b.stream("m", "y", produce=2),
            b.build(),
        ],
        "'m', decision 0: it hands on 1 tokens, but produce is 2",
    ),
    "different lanes": (
        lambda b: [
            b.source("a", [[1, 2]]),
            b.source("b", [1]),
            b.merge("m"),
            b.stream("a", "m"),
            b.stream("b", "m"),
            b.sink("y"),
            b.stream("m", "y"),
            b.build(),
        ],
        "'m': tokens of 'b->m' have 1 values, but they must have 2",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_choice_is_refused_by_name(case: str) -> None:
    describe, message = BAD[case]
    with pytest.raises(GraphError, match=message):
        describe(rdu.Builder())


def test_a_multicast_is_a_stream_for_each_target() -> None:
    b = rdu.Builder()
    b.unit("src", firings=8)
    for name in "abc":
        b.unit(name, ii=2 if name == "c" else 1)
    b.stream("src", ["a", "b", "c"], capacity=2, latency=3)
    program = b.build()
    assert program.streams == ("src->a", "src->b", "src->c")
    run = program.run()
    # All of them must have room, so that the slowest, c, holds up the source.
    assert run.units["src"].space > 0
    assert {run.streams[name].tokens for name in program.streams} == {8}


@pytest.mark.parametrize(
    ("targets", "name", "message"),
    [
        ([], None, r"targets are \[\]; name at least one"),
        (["a", "a"], None, "name at least one, and none twice"),
        (["a", "z"], None, "unit 'z' does not exist"),
        (["a", "b"], "s", "stream 's' has several targets"),
        (["a", 3], None, "name"),
    ],
)
def test_a_bad_multicast_is_refused_and_adds_nothing(targets: list[str], name: str | None, message: str) -> None:
    b = rdu.Builder()
    for unit in ("src", "a", "b"):
        b.unit(unit, firings=1)
    with pytest.raises(GraphError, match=message):
        b.stream("src", targets, name=name)
    assert b.build().streams == ()

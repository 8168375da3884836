"""rdu.Builder: what it accepts, what it refuses and how it says so, and what a run tells."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

import rdu
from rdu import _core
from rdu.builder import StreamRun
from rdu.errors import DeadlockError, GraphError, RunError

NAN = float("nan")


def shown(value: object) -> str:
    """A test's id for a bad value (Python refuses to write out an integer of 5000 digits)."""
    return "huge" if isinstance(value, int) and abs(value) > 10**40 else type(value).__name__


def pair(**stream: object) -> rdu.Builder:
    """Two units of ten firings and a stream between them."""
    b = rdu.Builder()
    b.unit("a", firings=10)
    b.unit("b", firings=10)
    b.stream("a", "b", **stream)  # type: ignore[arg-type]
    return b


def binary(op: str, *operands: object, **stream: object) -> np.ndarray:
    """What an operator makes of sources."""
    b = rdu.Builder()
    b.unit("op", op=op)
    b.sink("y")
    for at, values in enumerate(operands):
        b.source(f"x{at}", values)  # type: ignore[arg-type]
        b.stream(f"x{at}", "op")
    b.stream("op", "y", **stream)  # type: ignore[arg-type]
    program = b.build()
    fast, step = program.run("fast"), program.run("step")
    assert fast.outputs["y"].tobytes() == step.outputs["y"].tobytes()
    return step.outputs["y"]


# --- what a run tells ------------------------------------------------------------------------------------------------


def test_the_example_of_the_design() -> None:
    b = rdu.Builder()
    b.unit("src", firings=1000, ii=1, latency=2)
    b.unit("mac", firings=1000, ii=[1, 3], latency=6)
    b.stream("src", "mac", capacity=16, latency=3, credit=1, produce=1, consume=1, initial=0)
    run = b.build().run(mode="step")
    # The first token is there at 5; 999 firings later (500 of 1 and 499 of 3 cycles) the last starts and takes 6.
    assert run.cycles == 5 + 500 * 1 + 499 * 3 + 6
    assert run.firings == 2000
    mac = run.units["mac"]
    assert (mac.busy, mac.data, mac.space, mac.memory, mac.firings) == (2000, 5, 0, 0, 1000)
    assert mac.idle == run.cycles - 2005
    assert run.streams["src->mac"].tokens == 1000
    assert run.streams["src->mac"].high_water == 16
    assert list(run.units) == ["src", "mac"]
    assert run.outputs == {}


def test_a_run_is_a_table_and_a_dictionary() -> None:
    run = pair(latency=10).build().run()
    assert run.to_dict() == json.loads(json.dumps(run.to_dict()))
    assert run.to_dict()["cycles"] == 20
    assert repr(run) == "StreamRun(20 cycles, 20 firings, 2 units, 1 streams)"
    head, columns, a, b = str(run).splitlines()
    assert head == "20 cycles, 20 firings"
    assert columns.split() == ["unit", "firings", "busy", "data", "space", "memory", "idle"]
    assert a.split() == ["a", "10", *("█████·····", "50%"), *("··········", "0%") * 3, *("█████·····", "50%")]
    assert b.split()[:6] == ["b", "10", "█████·····", "50%", "█████·····", "50%"]


def test_a_program_is_immutable_and_runs_again() -> None:
    b = rdu.Builder()
    b.source("x", [1, 2, 3])
    b.sink("y")
    b.stream("x", "y")
    program = b.build()
    b.unit("late", firings=1, op="copy")
    first, second = program.run(), program.run()
    assert first.to_dict() == second.to_dict()
    assert second.outputs["y"].tolist() == [[1], [2], [3]]
    assert program.units == ("x", "y")
    assert program.streams == ("x->y",)
    with pytest.raises(AttributeError):
        program.units = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        first.cycles = 0  # type: ignore[misc]


def test_streams_between_the_same_units_have_names_of_their_own() -> None:
    b = pair()
    b.stream("a", "b")
    b.stream("a", "b", name="third")
    assert b.build().streams == ("a->b", "a->b#2", "third")


@pytest.mark.parametrize("integer", [np.int8(3), np.uint64(3), np.array(3)])
def test_numpy_integers_are_integers(integer: int) -> None:
    assert pair(capacity=integer).build().run().cycles == pair(capacity=3).build().run().cycles


@pytest.mark.parametrize("numbers", [[1, 3], (1, 3), np.array([1, 3]), range(1, 5, 2)])
def test_lists_come_in_many_types(numbers: list[int]) -> None:
    b = rdu.Builder()
    b.unit("u", firings=10, ii=numbers)
    assert b.build().run().cycles == 20


@pytest.mark.parametrize("firings", [1, 2, 5, 6, 7, 12, 13])
def test_lists_of_different_lengths_are_indexed_by_the_firing(firings: int) -> None:
    b = rdu.Builder()
    ii, latency = [1, 2, 1], [7, 0]
    b.unit("u", firings=firings, ii=ii, latency=latency)
    starts = [sum(ii[j % 3] for j in range(k)) for k in range(firings)]
    ends = [start + max(ii[k % 3], latency[k % 2]) for k, start in enumerate(starts)]
    assert b.build().run().cycles == max(ends)


def test_equal_neighbours_of_a_long_list_are_cheap() -> None:
    b = rdu.Builder()
    b.unit("u", firings=1 << 21, ii=[1] * (1 << 19) + [2] * (1 << 19))
    assert b.build().run().cycles == 3 << 20


# --- values ----------------------------------------------------------------------------------------------------------

X, Y = np.array([[1, -2], [3, 4], [-5, 0]], dtype=np.float32), np.array([[2, 2], [-1, 0.5], [8, 8]], dtype=np.float32)
EXPECTED: dict[str, Callable[..., np.ndarray]] = {
    "copy": lambda x: x,
    "neg": lambda x: -x,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0),
    "square": np.square,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "sum": lambda x: x,
    "prod": lambda x: x,
    "max_of": lambda x: x,
    "min_of": lambda x: x,
    "last": lambda x: x,
    "mac": np.multiply,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "positive": lambda x: x > 0,
    "div": np.divide,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "dot": lambda x, y: np.float32(x[:, :1] * y[:, :1]) + np.float32(x[:, 1:] * y[:, 1:]),
    "lane_sum": lambda x: x[:, :1] + x[:, 1:],
    "lane_max": lambda x: x.max(axis=1, keepdims=True),
    "lane_min": lambda x: x.min(axis=1, keepdims=True),
    "argmax": lambda x: x.argmax(axis=1)[:, np.newaxis],
    "scale": lambda x, y: x * y[:, :1],
    "shift": lambda x, y: x + y[:, :1],
    "concat": lambda x, y: np.concatenate([x, y], axis=1),
}


@pytest.mark.parametrize(("name", "doc", "arity"), _core.operators())
def test_operator(name: str, doc: str, arity: int | None) -> None:
    operands = [X] if arity == 1 else [X, Y[:, :1] if name in ("scale", "shift") else Y]
    assert doc
    output = binary(name, *operands)
    assert output.dtype == np.float32
    # Results are equal bit for bit, except for the sign of a zero.
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(output, EXPECTED[name](*operands))


FOLDS = [
    ("sum", 0, np.add),
    ("prod", 1, np.multiply),
    ("max_of", -np.inf, np.maximum),
    ("min_of", np.inf, np.minimum),
    ("last", 0, lambda _, token: token),
]


@pytest.mark.parametrize(("op", "start", "function"), FOLDS)
def test_a_fold_takes_tokens_in_order_of_arrival(op: str, start: int, function: np.ufunc) -> None:
    rows = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
    output = binary(op, rows, produce=[0, 0, 0, 1])
    for at in range(3):
        total = np.full(3, start, dtype=np.float32)
        for row in rows[at * 4 : at * 4 + 4]:
            total = function(total, row)
        np.testing.assert_array_equal(output[at], total)


def test_operands_are_in_the_order_of_their_streams() -> None:
    assert binary("sub", [5.0], [3.0]).tolist() == [[2.0]]


def test_a_source_feeds_every_stream_and_may_deal_its_rows_out() -> None:
    b = rdu.Builder()
    b.source("x", range(6))
    for name, rates in (("all", 1), ("even", [1, 0]), ("odd", [0, 1])):
        b.sink(name)
        b.stream("x", name, produce=rates)
    outputs = b.build().run().outputs
    assert {name: rows[:, 0].tolist() for name, rows in outputs.items()} == {
        "all": [0, 1, 2, 3, 4, 5],
        "even": [0, 2, 4],
        "odd": [1, 3, 5],
    }


def test_initial_tokens_are_zeros_and_delay_the_rest() -> None:
    b = rdu.Builder()
    b.source("x", [1, 2, 3])
    b.sink("y")
    b.stream("x", "y", initial=1)
    assert b.build().run().outputs["y"].tolist() == [[0], [1], [2]]


def test_a_running_sum_by_feedback() -> None:
    b = rdu.Builder()
    b.source("x", [1, 2, 3, 4])
    b.unit("add", op="add")
    b.sink("y")
    b.stream("x", "add")
    b.stream("add", "add", initial=1)
    b.stream("add", "y")
    assert b.build().run().outputs["y"][:, 0].tolist() == [1, 3, 6, 10]


def test_firings_follow_from_the_rows() -> None:
    b = rdu.Builder()
    b.source("x", np.zeros((12, 4)))
    b.unit("sum", op="sum")
    b.sink("y", ii=2)
    b.stream("x", "sum", produce=2, consume=3)
    b.stream("sum", "y")
    run = b.build().run()
    assert [unit.firings for unit in run.units.values()] == [6, 4, 4]
    assert run.outputs["y"].shape == (4, 4)


# --- bad input -------------------------------------------------------------------------------------------------------

NUMBERS = [-1, 1.5, 1.0, NAN, True, None, "1", 10**30, -(10**5000), 10**5000, np.bool_(True), 1j, object()]


@pytest.mark.parametrize("key", ["capacity", "latency", "credit", "produce", "consume", "initial"])
@pytest.mark.parametrize("value", [*NUMBERS, [], [1, NAN], [[1]], np.zeros((2, 2))], ids=shown)
def test_a_bad_number_of_a_stream_is_named(key: str, value: object) -> None:
    if value is None and key in ("produce", "consume"):
        return  # left to the unit
    with pytest.raises(GraphError, match=rf"'a->b': {key}(\[1\]|\[0\])? (is|has)"):
        pair(**{key: value})


@pytest.mark.parametrize("key", ["firings", "ii", "latency"])
@pytest.mark.parametrize("value", [value for value in NUMBERS if value is not None], ids=shown)
def test_a_bad_number_of_a_unit_is_named(key: str, value: object) -> None:
    with pytest.raises(GraphError, match=f"unit 'u': {key} is"):
        rdu.Builder().unit("u", **{"firings": 1, key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", None, 3, b"u", "\ud800", ["u"]])
def test_a_bad_name_is_refused(name: str) -> None:
    b = pair()
    calls = (b.unit, b.sink, lambda name: b.source(name, [1]), b.merge, lambda name: b.stream("a", name))
    for call in calls if name != ["u"] else calls[:-1]:
        with pytest.raises(GraphError, match="name"):
            call(name)


def two_sources(b: rdu.Builder) -> None:
    b.source("x", np.zeros((3, 2)))
    b.source("z", np.zeros((3, 4)))
    b.unit("add", op="add")
    b.sink("y")
    b.stream("x", "add")
    b.stream("z", "add")
    b.stream("add", "y")


def copied(b: rdu.Builder, rows: int = 3, op: str | None = "copy", **stream: object) -> None:
    b.source("x", np.zeros(rows))
    b.unit("f", op=op)
    b.sink("y")
    b.stream("x", "f")
    b.stream("f", "y", **stream)  # type: ignore[arg-type]


BAD: dict[str, tuple[Callable[[rdu.Builder], object], str]] = {
    "no units": (lambda b: None, "no units"),
    "duplicate unit": (lambda b: [b.unit("u", 1), b.sink("u")], "two units are called 'u'"),
    "duplicate stream": (
        lambda b: [b.unit("u", 1), b.stream("u", "u", name="s"), b.stream("u", "u", name="s")],
        "two streams are called 's'",
    ),
    "unknown source": (lambda b: b.stream("src", "u"), "unit 'src' does not exist"),
    "unknown target": (lambda b: [b.unit("adder", 1), b.stream("adder", "addr")], "did you mean 'adder'"),
    "capacity below produce": (
        lambda b: [b.unit("u", 1), b.unit("v", 1), b.stream("u", "v", capacity=3, produce=4, consume=4)],
        "'u->v': capacity is 3, below produce of 4",
    ),
    "capacity below consume": (
        lambda b: [b.unit("u", 4), b.unit("v", 1), b.stream("u", "v", capacity=3, consume=[4, 1])],
        "'u->v': capacity is 3, below consume of 4",
    ),
    "capacity below initial": (
        lambda b: [b.unit("u", 1), b.stream("u", "u", capacity=3, initial=4)],
        "'u->u': capacity is 3, below initial of 4",
    ),
    "only zeros": (
        lambda b: [b.unit("u", 1), b.stream("u", "u", produce=[0, 0])],
        "'u->u': produce is .*at least one entry",
    ),
    "starved": (
        lambda b: [b.unit("u", 5), b.unit("v", 6), b.stream("u", "v")],
        '"u->v" does not balance: 0 initial . 5 tokens from "u" cannot serve the 6 that "v"',
    ),
    "unread": (
        lambda b: [b.unit("u", 50), b.unit("v", 6), b.stream("u", "v", capacity=9)],
        '"u->v" does not balance: of 0 initial . 50 tokens from "u", "v" takes only 6',
    ),
    "cycles overflow": (lambda b: b.unit("u", 2**40, ii=2**40), "2.63 cycles"),
    "tokens overflow": (
        lambda b: [b.unit("u", 2**60), b.unit("v", 2**60), b.stream("u", "v", 2**40, produce=2**30, consume=2**30)],
        "2.63|overflow",
    ),
    "slots": (
        lambda b: [b.unit("u", 2**40), b.unit("v", 2**40), b.stream("u", "v", capacity=2**32)],
        '"u->v" would hold up to 4294967296 tokens',
    ),
    "phases": (lambda b: b.unit("u", 9, ii=[1] * 1031, latency=[1] * 1033), "lists of 1031, 1033 entries"),
    "no firings": (lambda b: b.unit("u"), "'u': its firings follow from no input"),
    "odd firings": (lambda b: copied(b, 4, consume=3), "'y': no number of its firings takes the 4 tokens"),
    "odd rows": (
        lambda b: [b.source("x", [1, 2, 3]), b.sink("y"), b.stream("x", "y", produce=2)],
        "source 'x' has 3 tokens, which no number of its firings sends",
    ),
    "unknown op": (lambda b: b.unit("u", 1, op="ad"), "op 'ad' does not exist; did you mean 'add'"),
    "op of a wrong type": (lambda b: b.unit("u", 1, op=3), "op"),  # type: ignore[arg-type]
    "no op": (lambda b: copied(b, op=None), "unit 'f' has no op"),
    "arity": (lambda b: copied(b, op="sub"), "'f': op 'sub' takes 2 inputs, the unit has 1"),
    "elementwise rates": (lambda b: copied(b, 4, produce=2), "'f', firing 0 .* takes .1,. and makes .2,."),
    "fold rates": (lambda b: copied(b, 4, op="sum", produce=2), "op 'sum' makes one token, but produce is 2"),
    "lanes": (two_sources, "unit 'add': tokens of 'z->add' have 4 values, but they must have 2, as those of 'x->add'"),
    "sink without input": (lambda b: b.sink("y", firings=1), "sink 'y' has 0 inputs and 0 outputs"),
    "sink with output": (
        lambda b: [b.source("x", [1]), b.sink("y"), b.sink("z"), b.stream("x", "y"), b.stream("y", "z")],
        "sink 'y' has 1 inputs and 1 outputs",
    ),
    "source with input": (
        lambda b: [b.source("x", [1]), b.source("z", [1]), b.sink("y"), b.stream("x", "z"), b.stream("z", "y")],
        "source 'z' has an input",
    ),
    "source alone": (lambda b: b.source("x", [1]), "source 'x' has no stream"),
    "multicast": (
        lambda b: [
            b.source("x", [1, 2]),
            *(b.sink(name) for name in "yz"),
            *(b.stream("x", name, produce=rate) for name, rate in (("y", 1), ("z", 2))),
        ],
        "'x', firing 0 .* equal rates",
    ),
    "empty rows": (lambda b: b.source("x", []), r"'x': values has shape \(0, 1\)"),
    "three dimensions": (lambda b: b.source("x", np.zeros((1, 2, 3))), r"'x': values has shape \(1, 2, 3\)"),
    "a number": (lambda b: b.source("x", 3), r"'x': values has shape \(\)"),
    "ragged rows": (lambda b: b.source("x", [[1], [1, 2]]), "'x': values: .* cannot be converted"),
    "words": (lambda b: b.source("x", ["a"]), "'x': values: .* cannot be converted"),
    "nothing": (lambda b: b.source("x", None), "'x': values: .* cannot be converted"),
    "too large": (lambda b: b.source("x", [1e300]), "'x': values has a finite value beyond"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_graph_is_refused_by_name(case: str) -> None:
    describe, message = BAD[case]
    b = rdu.Builder()

    def build() -> None:
        describe(b)
        b.build()

    with pytest.raises(GraphError, match=message):
        build()


def test_a_refused_call_leaves_the_builder_as_it_was() -> None:
    b = pair()
    for bad in (lambda: b.unit("c", firings=0), lambda: b.stream("b", "a", latency=0), lambda: b.source("x", [])):
        with pytest.raises(GraphError):
            bad()
    assert b.build().run().to_dict() == pair().build().run().to_dict()
    b.source("x", [1])


@pytest.mark.parametrize("mode", ["slow", "Fast", None])
def test_another_mode_is_refused(mode: str) -> None:
    with pytest.raises(GraphError, match=mode or "None"):
        pair().build().run(mode=mode)


# --- deadlock, interrupt, progress -----------------------------------------------------------------------------------


def test_a_deadlock_names_units_and_streams() -> None:
    b = rdu.Builder()
    for name in ("left", "right", "bystander"):
        b.unit(name, firings=7)
    b.stream("left", "right", initial=1)
    b.stream("right", "left", produce=[0, 2, 2], consume=1)
    with pytest.raises(DeadlockError) as caught:
        b.build().run()
    assert isinstance(caught.value, RunError)
    assert set(caught.value.units) == {"left", "right"}
    assert set(caught.value.streams) == {"left->right", "right->left"}
    assert "right (after 1 firings) waits for a token on left->right from left" in str(caught.value)


def long_program(firings: int = 10**12) -> rdu.builder.StreamProgram:
    b = rdu.Builder()
    b.unit("a", firings=firings)
    b.unit("b", firings=firings)
    b.stream("a", "b")
    return b.build()


def test_progress_counts_up_and_what_it_raises_stops_the_run() -> None:
    seen: list[int] = []

    def progress(firings: int) -> None:
        seen.append(firings)
        if len(seen) == 3:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        long_program().run(skip=False, progress=progress)
    assert 0 < seen[0] < seen[1] < seen[2]
    with pytest.raises(GraphError, match="progress is 3"):
        long_program().run(progress=3)  # type: ignore[arg-type]


INTERRUPTED = """
import sys, time
import numpy as np
import rdu
b = rdu.Builder()
if sys.argv[1] == "timing":
    b.unit("a", firings=10**12)
    b.unit("b", firings=10**12)
    b.stream("a", "b")
else:
    # A firing that moves a long token takes a thousand times as long as one without values.
    n = 10**5
    b.source("x", np.zeros((1, 65536)))
    b.unit("repeat", op="sum", firings=n)
    b.unit("sum", op="sum", firings=n)
    b.sink("y")
    b.stream("x", "repeat", consume=[1] + [0] * (n - 1))
    b.stream("repeat", "sum")
    b.stream("sum", "y", produce=[0] * (n - 1) + [1])
program = b.build()
print("go", flush=True)
try:
    program.run(skip=False)
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
"""


@pytest.mark.parametrize("kind", ["timing", "values"])
def test_ctrl_c_stops_a_long_run_at_once(kind: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, kind], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        stopped, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    # 20 ms between two looks, a few to the next poll, and as much again for a busy host.
    assert float(stopped) - sent < 0.1


def test_a_run_is_what_build_and_run_return() -> None:
    assert isinstance(pair().build().run(), StreamRun)

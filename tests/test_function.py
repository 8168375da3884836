"""Python functions as operators, widths that differ between streams, and arrays that are not copied."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

import rdu
from rdu.errors import GraphError

X = np.arange(24, dtype=np.float32).reshape(6, 4)


def applied(function: Callable[..., object], sinks: int = 1, lanes: int | None = None, **stream: object) -> rdu.Builder:
    b = rdu.Builder()
    b.source("x", X)
    b.unit("f", op=function, lanes=lanes)  # type: ignore[arg-type]
    b.stream("x", "f", **stream)  # type: ignore[arg-type]
    for at in range(sinks):
        b.sink(f"y{at}")
        b.stream("f", f"y{at}")
    return b


@pytest.mark.parametrize("mode", ["step", "fast"])
def test_a_function_is_called_for_each_firing_with_tokens_and_lanes(mode: str) -> None:
    shapes = []

    def total(rows: np.ndarray) -> np.ndarray:
        shapes.append((rows.shape, rows.dtype))
        return rows.sum(axis=(0, 1), keepdims=True)

    run = applied(total, lanes=1, consume=2).build().run(mode)
    assert shapes == [((2, 4), np.dtype(np.float32))] * 3
    np.testing.assert_array_equal(run.outputs["y0"], X.reshape(3, 8).sum(axis=1, keepdims=True))


def test_one_result_goes_to_all_outputs_and_several_one_by_one() -> None:
    run = applied(lambda x: x * 2, sinks=2).build().run()
    np.testing.assert_array_equal(run.outputs["y0"], 2 * X)
    np.testing.assert_array_equal(run.outputs["y1"], 2 * X)
    run = applied(lambda x: (x + 1, -x), sinks=2).build().run()
    np.testing.assert_array_equal(run.outputs["y0"], X + 1)
    np.testing.assert_array_equal(run.outputs["y1"], -X)


def test_several_inputs_and_a_result_that_is_not_contiguous() -> None:
    b = rdu.Builder()
    b.source("x", X)
    b.source("z", X[:, :1])
    b.unit("f", op=lambda x, z: (np.hstack([x, x]) + z)[:, ::2], firings=6)
    b.sink("y")
    b.stream("x", "f")
    b.stream("z", "f")
    b.stream("f", "y")
    np.testing.assert_array_equal(b.build().run().outputs["y"], (np.hstack([X, X]) + X[:, :1])[:, ::2])


def test_what_a_function_raises_comes_out_as_itself() -> None:
    calls = []

    def fail(rows: np.ndarray) -> np.ndarray:
        calls.append(rows)
        if len(calls) == 3:
            raise LookupError("third")
        return rows

    program = applied(fail).build()
    with pytest.raises(LookupError, match="third"):
        program.run("step")
    calls.clear()
    with pytest.raises(LookupError, match="third"):
        program.run("fast")


BAD: dict[str, tuple[Callable[..., object], str]] = {
    "nothing": (lambda x: None, "a NoneType"),
    "a number": (lambda x: 3.0, "a float"),
    "float64": (lambda x: x.astype(np.float64), r"an array of float64 and shape \(1, 4\)"),
    "one dimension": (lambda x: x[0], r"an array of float32 and shape \(4,\)"),
    "other lanes": (lambda x: x[:, :3], r"an array of shape \(1, 3\)"),
    "other tokens": (lambda x: x[:0], r"an array of shape \(0, 4\)"),
    "too many": (lambda x: (x, x), "2 arrays for 1 outputs"),
    "a list of numbers": (lambda x: [1.0], "a float"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_result_is_named_with_unit_and_firing(case: str) -> None:
    function, message = BAD[case]
    seen = []

    def late(x: np.ndarray) -> object:
        seen.append(x)
        return function(x) if len(seen) == 3 else x

    with pytest.raises(GraphError, match=f'unit "f": the function of its firing 2 returned {message}'):
        applied(late).build().run()


def test_lanes_are_for_functions() -> None:
    b = rdu.Builder()
    with pytest.raises(GraphError, match="'u': lanes says what a function makes, but op is 'add'"):
        b.unit("u", op="add", lanes=3)
    with pytest.raises(GraphError, match="'u': lanes is 0"):
        b.unit("u", op=lambda x: x, lanes=0)


def test_widths_follow_from_the_operators() -> None:
    b = rdu.Builder()
    b.source("x", X)
    b.source("w", X[::-1])
    b.unit("dot", op="dot")
    b.unit("scale", op="scale")
    b.unit("wide", op="concat")
    b.unit("f", op=lambda x: x[:, :5], lanes=5)
    b.sink("y")
    for source, target in (("x", "dot"), ("w", "dot"), ("x", "scale"), ("dot", "scale")):
        b.stream(source, target)
    for source, target in (("scale", "wide"), ("dot", "wide"), ("x", "wide"), ("wide", "f"), ("f", "y")):
        b.stream(source, target)
    program = b.build()
    lanes = {stream["name"]: stream["lanes"] for stream in program.describe()["streams"]}
    assert lanes == {
        "x->dot": 4,
        "w->dot": 4,
        "x->scale": 4,
        "dot->scale": 1,
        "scale->wide": 4,
        "dot->wide": 1,
        "x->wide": 4,
        "wide->f": 9,
        "f->y": 5,
    }
    dot = np.array([[np.float32(np.dot(a, b))] for a, b in zip(X, X[::-1], strict=True)])
    np.testing.assert_array_equal(program.run().outputs["y"], np.hstack([X * dot, dot, X])[:, :5])


@pytest.mark.parametrize(
    ("op", "widths", "message"),
    [
        ("dot", (4, 2), "tokens of 'x1->u' have 2 values, but they must have 4, as those of 'x0->u'"),
        ("scale", (4, 2), "tokens of 'x1->u' have 2 values, but they must have 1, as its operator wants"),
        ("lt", (1, 2), "tokens of 'x1->u' have 2 values"),
    ],
)
def test_widths_that_do_not_fit_are_named(op: str, widths: tuple[int, int], message: str) -> None:
    b = rdu.Builder()
    b.unit("u", op=op)
    for at, width in enumerate(widths):
        b.source(f"x{at}", X[:, :width])
        b.stream(f"x{at}", "u")
    b.sink("y")
    b.stream("u", "y")
    with pytest.raises(GraphError, match=f"unit 'u': {message}"):
        b.build()


def copied(values: np.ndarray) -> rdu.builder.StreamProgram:
    b = rdu.Builder()
    b.source("x", values)
    b.sink("y")
    b.stream("x", "y")
    return b.build()


def test_an_array_is_borrowed_and_what_is_changed_in_it_is_what_runs() -> None:
    values = X.copy()
    program = copied(values)
    values[0, 0] = 77
    assert program.run().outputs["y"][0, 0] == 77
    del values
    assert program.run().outputs["y"].shape == (6, 4)


@pytest.mark.parametrize("other", [X.astype(np.float64), X.T.copy().T, X[::2], X.tolist(), X.astype(">f4")])
def test_anything_else_is_converted(other: np.ndarray) -> None:
    program = copied(other)
    expected = np.array(other, dtype=np.float32)
    if isinstance(other, np.ndarray):
        other = other.copy()
    np.testing.assert_array_equal(program.run().outputs["y"], expected)


def test_neither_sources_nor_sinks_are_copied() -> None:
    # A source of 256 MiB that is read only, and mostly not read: were it copied, the memory in use would show it.
    code = """
import numpy as np, resource, rdu
def used():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
x = np.zeros((1 << 20, 64), dtype=np.float32)  # not one page of it is there yet
x.flags.writeable = False
before = used()
b = rdu.Builder()
b.source("x", x)
b.sink("y")
b.stream("x", "y")
program = b.build()
print(used() - before)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    # Building a program of two units takes no 16 MiB of its own.
    assert int(found.stdout) < 16


def test_ctrl_c_stops_a_run_of_functions_at_once() -> None:
    code = """
import time
import numpy as np
import rdu
n = 1 << 20
b = rdu.Builder()
b.source("x", np.zeros(1))
b.unit("repeat", op="last", firings=n)
b.unit("f", op=lambda x: x, firings=n)
b.unit("last", op="last")
b.sink("y")
b.stream("x", "repeat", consume=[1] + [0] * (n - 1))
b.stream("repeat", "f")
b.stream("f", "last")
b.stream("last", "y", produce=[0] * (n - 1) + [1])
program = b.build()
print("go", flush=True)
try:
    while True:
        program.run()
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
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
    assert float(stopped) - sent < 0.1  # as for runs without functions

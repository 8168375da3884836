"""The engine against the oracle, and what must hold for every stream program."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import rdu
from rdu.errors import DeadlockError
from rdu.testing.graphs import Graph, Stream, Unit, graphs

STATES = ("busy", "data", "space", "memory", "idle")


def attempt(graph: Graph) -> rdu.builder.StreamRun | DeadlockError:
    try:
        return graph.builder().build().run()
    except DeadlockError as error:
        return error


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_step_equals_the_oracle(graph: Graph) -> None:
    expected, run = oracle.run(graph), attempt(graph)
    assert isinstance(run, DeadlockError) == expected.deadlock
    if isinstance(run, DeadlockError):
        assert_is_a_cycle_of_waiting(graph, run, expected)
        return
    assert run.cycles == expected.cycles
    assert run.firings == sum(unit.firings for unit in expected.units)
    for got, want in zip(run.units.values(), expected.units, strict=True):
        assert {state: getattr(got, state) for state in STATES} == {state: want.states[state] for state in STATES}
        assert (got.firings, got.first_cycle, got.end_cycle) == (want.firings, want.first, want.end)
        assert sum(getattr(got, state) for state in STATES) == run.cycles
    for got_stream, stream in zip(run.streams.values(), expected.streams, strict=True):
        assert (got_stream.tokens, got_stream.high_water) == (stream.tokens, stream.high_water)


def assert_is_a_cycle_of_waiting(graph: Graph, error: DeadlockError, expected: oracle.Outcome) -> None:
    """Each unit named waits on a stream that joins it to the next, and lacks tokens or slots there."""
    names = [unit.name for unit in graph.units]
    streams = {stream.name: at for at, stream in enumerate(graph.streams)}
    assert error.units
    assert len(error.units) == len(set(error.units)) == len(error.streams)
    for at, (name, stream_name) in enumerate(zip(error.units, error.streams, strict=True)):
        here, there = names.index(name), names.index(error.units[(at + 1) % len(error.units)])
        spec, state = graph.streams[streams[stream_name]], expected.streams[streams[stream_name]]
        k = expected.units[here].firings
        assert k < graph.units[here].firings
        lacks_data = spec.target == here and spec.source == there
        lacks_data = lacks_data and len(state.visible) < spec.consume[k % len(spec.consume)]
        lacks_space = spec.source == here and spec.target == there
        free = spec.capacity - state.taken + len(state.freed)
        lacks_space = lacks_space and free < spec.produce[k % len(spec.produce)]
        assert lacks_data or lacks_space
        assert name in str(error)
        assert stream_name in str(error)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_more_capacity_never_slows(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    size = len(graph.streams)
    extra = data.draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    narrow, wide = attempt(graph), attempt(graph.widened(extra))
    if isinstance(narrow, DeadlockError):
        return
    assert not isinstance(wide, DeadlockError)
    assert wide.cycles <= narrow.cycles
    for name, unit in wide.units.items():
        assert unit.end_cycle <= narrow.units[name].end_cycle


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_two_runs_are_equal(graph: Graph) -> None:
    program = graph.builder().build()
    try:
        assert program.run().to_dict() == program.run().to_dict()
    except DeadlockError:
        return


# --- values ----------------------------------------------------------------------------------------------------------

UNARY = {
    "copy": lambda x: x,
    "neg": np.negative,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0),
    "square": np.square,
}
BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


@dataclasses.dataclass(frozen=True)
class Expression:
    """Sources, then operators on earlier results (by index)."""

    sources: list[np.ndarray]
    operators: list[tuple[str, list[int]]]

    def values(self) -> list[np.ndarray]:
        found = list(self.sources)
        for op, inputs in self.operators:
            found.append({**UNARY, **BINARY}[op](*(found[at] for at in inputs)))
        return found

    def run(self, draw: st.DrawFn) -> dict[str, np.ndarray]:
        """Run it under drawn capacities and latencies; a sink takes every result."""
        b, small = rdu.Builder(), st.integers(1, 4)
        for at, rows in enumerate(self.sources):
            b.source(f"n{at}", rows, ii=draw(small), latency=draw(small))
        for at, (op, _) in enumerate(self.operators, len(self.sources)):
            b.unit(f"n{at}", op=op, ii=[draw(small), draw(small)], latency=draw(small))
        count = len(self.sources) + len(self.operators)
        for at in range(count):
            b.sink(f"y{at}", ii=draw(small))
        ends = [(source, f"n{at}") for at, (_, ins) in enumerate(self.operators, len(self.sources)) for source in ins]
        for source, target in [*ends, *((at, f"y{at}") for at in range(count))]:
            b.stream(f"n{source}", target, capacity=draw(small), latency=draw(small), credit=draw(small))
        return dict(b.build().run().outputs)


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    tokens, lanes = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    number = st.floats(-100, 100, width=32)
    rows = st.lists(st.lists(number, min_size=lanes, max_size=lanes), min_size=tokens, max_size=tokens)
    sources = [np.array(draw(rows), dtype=np.float32) for _ in range(draw(st.integers(1, 2)))]
    operators: list[tuple[str, list[int]]] = []
    for at in range(len(sources), len(sources) + draw(st.integers(1, 5))):
        op = draw(st.sampled_from([*UNARY, *BINARY]))
        operators.append((op, [draw(st.integers(0, at - 1)) for _ in range(2 if op in BINARY else 1)]))
    return Expression(sources, operators)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_values_do_not_depend_on_capacities_and_latencies(data: st.DataObject) -> None:
    expression = data.draw(expressions())
    expected = expression.values()
    for _ in range(2):
        outputs = expression.run(data.draw(st.composite(lambda draw: draw)()))
        for at, rows in enumerate(expected):
            # Zeros of either sign are equal: max(0, -0) may be any of the two.
            np.testing.assert_array_equal(outputs[f"y{at}"], rows)


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

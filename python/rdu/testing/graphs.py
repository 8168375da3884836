"""Hypothesis strategies for stream programs: consistent by construction, so that they build; some of them deadlock.

Needs ``hypothesis``, which is not among the run-time dependencies. See :mod:`rdu.testing.nests` for programs with loop
nests and :mod:`rdu.testing.flows` for programs with values and data-dependent units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from ..builder import Builder
from ..builder.nest import Loop, Phase, loop
from ..builder.transfer import Transfer

SHAPES = ("chain", "tree", "diamond", "feedback", "any")
# What a unit with values is, where it is not an operator of the table.
SOURCE, SINK = "source", "sink"

Nest = tuple[str | Loop, ...]


@dataclass(frozen=True)
class Choice:
    """What decides the firings of a unit: ``kind`` is the builder's word; ``control`` the name of a stream.

    ``decisions`` are None in a program with values, which decide.
    """

    kind: str
    control: str | None = None
    decisions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Unit:
    """A unit of a made-up program; lists are cyclo-static, ``firings`` None is as long as tokens come.

    A unit with values has an ``op`` or a ``choice``, a source its ``rows`` too. ``phases`` and ``nest`` stand for
    ``ii`` and ``latency`` and name their ends by stream; then ``transfer`` is theirs too.
    """

    name: str
    firings: int | None
    ii: list[int]
    latency: list[int]
    op: str | None = None
    rows: tuple[tuple[float, ...], ...] = ()
    phases: Mapping[str, Phase] | None = None
    nest: Nest = ()
    choice: Choice | None = None
    transfer: Transfer | None = None


@dataclass(frozen=True)
class Stream:
    """A stream of a made-up program, between units given by index; at a unit with phases these say the rates."""

    name: str
    source: int
    target: int
    capacity: int
    latency: int
    credit: int
    produce: list[int] | None
    consume: list[int] | None
    initial: int


@dataclass(frozen=True)
class Timing:
    """Other cycles and capacities for a graph: (ii, latency) by unit and (capacity, latency, credit) by stream."""

    units: tuple[tuple[int, int], ...]
    streams: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Graph:
    """A made-up program as plain data, for the builder and for anything that should agree with it."""

    units: tuple[Unit, ...]
    streams: tuple[Stream, ...]

    def builder(self) -> Builder:
        """The program as a builder would describe it."""
        b = Builder()
        for unit in self.units:
            _describe(b, unit)
        for stream in self.streams:
            b.stream(
                self.units[stream.source].name,
                self.units[stream.target].name,
                capacity=stream.capacity,
                latency=stream.latency,
                credit=stream.credit,
                produce=stream.produce,
                consume=stream.consume,
                initial=stream.initial,
                name=stream.name,
            )
        return b

    def widened(self, extra: Sequence[int]) -> Graph:
        """The same program with ``extra[i]`` more slots on stream ``i``."""
        streams = (replace(s, capacity=s.capacity + more) for s, more in zip(self.streams, extra, strict=True))
        return replace(self, streams=tuple(streams))

    def retimed(self, timing: Timing) -> Graph:
        """The same program with other cycles and capacities."""
        units = []
        for unit, (ii, latency) in zip(self.units, timing.units, strict=True):
            phases = unit.phases and {
                name: replace(phase, ii=ii, latency=latency) for name, phase in unit.phases.items()
            }
            units.append(replace(unit, ii=[ii], latency=[latency], phases=phases))
        streams = (
            replace(stream, capacity=capacity, latency=latency, credit=credit)
            for stream, (capacity, latency, credit) in zip(self.streams, timing.streams, strict=True)
        )
        return Graph(tuple(units), tuple(streams))

    def repeated(self, times: int) -> Graph:
        """The same program ``times`` times over in one run, for one whose units all have counts and no values."""
        units = (
            replace(unit, firings=(unit.firings or 0) * times, nest=unit.nest and (loop(times, *unit.nest),))
            for unit in self.units
        )
        return replace(self, units=tuple(units))

    @property
    def merges(self) -> bool:
        """Whether values depend on times: some unit takes what comes first."""
        return any(unit.choice is not None and unit.choice.kind == "merge" for unit in self.units)

    @property
    def valued(self) -> bool:
        """Whether tokens have values."""
        return any(unit.op is not None for unit in self.units)

    def reordered(self, order: Sequence[int]) -> Graph:
        """The same program, its units described in another order: ``order[0]`` first."""
        places = {unit: place for place, unit in enumerate(order)}
        streams = (replace(s, source=places[s.source], target=places[s.target]) for s in self.streams)
        return Graph(tuple(self.units[unit] for unit in order), tuple(streams))

    def least(self, stream: Stream) -> int:
        """The smallest capacity with which the stream can be built."""
        sent = [_rate(phase.produce, stream.name) for phase in (self.units[stream.source].phases or {}).values()]
        taken = [_rate(phase.consume, stream.name) for phase in (self.units[stream.target].phases or {}).values()]
        return max(1, stream.initial, *(stream.produce or sent), *(stream.consume or taken))


@st.composite
def graphs(
    draw: st.DrawFn,
    most_units: int = 7,
    most_iterations: int = 10,
    shapes: Sequence[str] = SHAPES,
    lists: bool = True,
) -> Graph:
    """Programs of 2 units and more: chains, trees, diamonds, feedback loops with initial tokens, and any other.

    In one iteration, unit ``u`` fires ``repeats[u]`` times, and as many tokens enter a stream at one end as leave it at
    the other: in random portions (zeros among them), or with ``lists=False`` equally many in each firing.
    """
    count = draw(st.integers(2, most_units))
    joined = draw(edges(count, shapes))
    iterations = draw(st.integers(1, most_iterations))
    repeats = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    size = 3 if lists else 1
    units = tuple(
        Unit(f"u{at}", repeat * iterations, draw(_cycles(1, 4, size)), draw(_cycles(0, 6, size)))
        for at, repeat in enumerate(repeats)
    )
    streams = []
    for at, (source, target) in enumerate(joined):
        if lists:
            tokens = draw(st.integers(1, 6))
            produce, consume = draw(_portions(tokens, repeats[source])), draw(_portions(tokens, repeats[target]))
        else:
            tokens = math.lcm(repeats[source], repeats[target]) * draw(st.integers(1, 2))
            produce, consume = [tokens // repeats[source]], [tokens // repeats[target]]
        # A stream that leads back needs initial tokens, and without enough of them the program deadlocks.
        initial = draw(st.integers(0, 2 * tokens) if source >= target else st.sampled_from((0, 0, 1, 3)))
        capacity = max(*produce, *consume, initial) + draw(st.integers(0, 8))
        latency, credit = draw(st.integers(1, 4)), draw(st.integers(0, 3))
        streams.append(Stream(f"s{at}", source, target, capacity, latency, credit, produce, consume, initial))
    return Graph(units, tuple(streams))


@st.composite
def timings(draw: st.DrawFn, graph: Graph) -> Timing:
    """Other cycles and capacities with which ``graph`` can still be built."""
    units = [(draw(st.integers(1, 5)), draw(st.integers(0, 8))) for _ in graph.units]
    streams = [
        (graph.least(stream) + draw(st.integers(0, 12)), draw(st.integers(1, 6)), draw(st.integers(0, 4)))
        for stream in graph.streams
    ]
    return Timing(tuple(units), tuple(streams))


def _describe(b: Builder, unit: Unit) -> None:
    if unit.choice is not None:
        described: dict[str, object] = {"ii": unit.ii[0], "latency": unit.latency[0]}
        if unit.choice.control is not None:
            described |= {"control": unit.choice.control, "decisions": unit.choice.decisions}
        if unit.choice.decisions is None:
            described["firings"] = unit.firings
        getattr(b, unit.choice.kind)(unit.name, **described)
    elif unit.op == SOURCE:
        b.source(unit.name, unit.rows, ii=unit.ii, latency=unit.latency, transfer=unit.transfer)
    elif unit.op == SINK:
        b.sink(unit.name, firings=unit.firings, ii=unit.ii, latency=unit.latency, transfer=unit.transfer)
    elif unit.phases is not None:
        b.unit(unit.name, op=unit.op, phases=unit.phases, nest=unit.nest)
    else:
        b.unit(unit.name, firings=unit.firings, ii=unit.ii, latency=unit.latency, op=unit.op, transfer=unit.transfer)


def _rate(ends: int | dict[str, int], stream: str) -> int:
    return ends if isinstance(ends, int) else ends.get(stream, 0)


def _cycles(least: int, most: int, size: int = 3) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(least, most), min_size=1, max_size=size)


@st.composite
def _portions(draw: st.DrawFn, tokens: int, firings: int) -> list[int]:
    cuts = sorted(draw(st.lists(st.integers(0, tokens), min_size=firings - 1, max_size=firings - 1)))
    return [end - start for start, end in zip([0, *cuts], [*cuts, tokens], strict=True)]


@st.composite
def edges(draw: st.DrawFn, count: int, shapes: Sequence[str] = SHAPES) -> list[tuple[int, int]]:
    """(source, target) of each stream between ``count`` units."""
    shape = draw(st.sampled_from(shapes))
    chain = [(at, at + 1) for at in range(count - 1)]
    if shape == "tree":
        parents = [(draw(st.integers(0, at - 1)), at) for at in range(1, count)]
        # All from the root out, or all from the leaves in.
        return parents if draw(st.booleans()) else [(count - 1 - at, count - 1 - parent) for parent, at in parents]
    if shape == "diamond" and count > 2:
        middle = range(1, count - 1)
        return [(0, at) for at in middle] + [(at, count - 1) for at in middle]
    if shape == "feedback":
        return [*chain, (count - 1, draw(st.integers(0, count - 1)))]
    if shape == "any":
        unit = st.integers(0, count - 1)
        return draw(st.lists(st.tuples(unit, unit), max_size=count + 2))
    return chain

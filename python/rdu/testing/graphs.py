"""Hypothesis strategies for stream programs: consistent by construction, so that they build; some of them deadlock.

Needs ``hypothesis``, which is not among the run-time dependencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from ..builder import Builder

SHAPES = ("chain", "tree", "diamond", "feedback", "any")


@dataclass(frozen=True)
class Unit:
    """A unit of a made-up program; lists are cyclo-static."""

    name: str
    firings: int
    ii: list[int]
    latency: list[int]


@dataclass(frozen=True)
class Stream:
    """A stream of a made-up program, between units given by index."""

    name: str
    source: int
    target: int
    capacity: int
    latency: int
    credit: int
    produce: list[int]
    consume: list[int]
    initial: int


@dataclass(frozen=True)
class Graph:
    """A made-up program as plain data, for the builder and for anything that should agree with it."""

    units: tuple[Unit, ...]
    streams: tuple[Stream, ...]

    def builder(self) -> Builder:
        """The program as a builder would describe it."""
        b = Builder()
        for unit in self.units:
            b.unit(unit.name, firings=unit.firings, ii=unit.ii, latency=unit.latency)
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


@st.composite
def graphs(draw: st.DrawFn, most_units: int = 7, most_iterations: int = 10) -> Graph:
    """Programs of 2 units and more: chains, trees, diamonds, feedback loops with initial tokens, and any other.

    In one iteration, unit ``u`` fires ``repeats[u]`` times, and as many tokens enter a stream at one end as leave it at
    the other, in random portions (zeros among them).
    """
    count = draw(st.integers(2, most_units))
    edges = draw(_edges(count))
    iterations = draw(st.integers(1, most_iterations))
    repeats = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    units = tuple(
        Unit(f"u{at}", repeat * iterations, draw(_cycles(1, 4)), draw(_cycles(0, 6)))
        for at, repeat in enumerate(repeats)
    )
    streams = []
    for at, (source, target) in enumerate(edges):
        tokens = draw(st.integers(1, 6))
        produce, consume = draw(_portions(tokens, repeats[source])), draw(_portions(tokens, repeats[target]))
        # A stream that leads back needs initial tokens, and without enough of them the program deadlocks.
        initial = draw(st.integers(0, 2 * tokens) if source >= target else st.sampled_from((0, 0, 1, 3)))
        streams.append(
            Stream(
                name=f"s{at}",
                source=source,
                target=target,
                capacity=max(*produce, *consume, initial) + draw(st.integers(0, 8)),
                latency=draw(st.integers(1, 4)),
                credit=draw(st.integers(0, 3)),
                produce=produce,
                consume=consume,
                initial=initial,
            )
        )
    return Graph(units, tuple(streams))


def _cycles(least: int, most: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(least, most), min_size=1, max_size=3)


@st.composite
def _portions(draw: st.DrawFn, tokens: int, firings: int) -> list[int]:
    cuts = sorted(draw(st.lists(st.integers(0, tokens), min_size=firings - 1, max_size=firings - 1)))
    return [end - start for start, end in zip([0, *cuts], [*cuts, tokens], strict=True)]


@st.composite
def _edges(draw: st.DrawFn, count: int) -> list[tuple[int, int]]:
    shape = draw(st.sampled_from(SHAPES))
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

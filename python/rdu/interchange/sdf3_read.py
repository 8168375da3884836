"""SDF3 XML to a builder: the graphs of the synchronous-dataflow community, timed as they are there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

from ..builder import Builder
from ..errors import GraphError
from .balance import Edge, repetitions
from .sdf3_graph import Actor, Channel, Graph, entries, graph
from .sequences import Budget, number
from .xml_tree import MOST_BYTES, Element, parse

P = ParamSpec("P")

# rdu's own attributes, by element.
EXTRAS = {"actor": ("rdu:firings", "rdu:latency"), "channel": ("rdu:latency", "rdu:credit")}


def read_sdf3(
    source: str | os.PathLike[str],
    *,
    iterations: int | None = None,
    processor: str | None = None,
    default_time: int | None = None,
    zero_time: int | None = None,
    cycles_per_time: int = 1,
    capacity: int | None = None,
) -> Builder:
    """Read an SDF or CSDF graph in the XML of SDF3.

    An actor of execution time ``e`` becomes a unit of ``ii = e`` and ``latency = e - 1``, a channel a stream of
    ``latency = 1`` and ``credit = 0``: a firing takes its tokens and reserves its slots at its start, and after ``e``
    cycles its results can be taken and the slots of what it took are free. That is the self-timed execution of SDF3
    with one firing of an actor at a time, which SDF3 files say by a channel of one token from the actor to itself.
    A unit never overlaps itself, with or without such a channel, or with more tokens on it.

    Parameters
    ----------
    source
        The path of a file, or the XML itself (a text that begins with ``<``).
    iterations
        How often the graph goes through its repetition vector. Left out, units fire as often as the file says (files
        that rdu wrote do), else for one iteration.
    processor
        The processor type whose execution times count, for actors that have it; others, and all if it is left out,
        take their default (the last of several, as SDF3 does).
    default_time
        Execution time of actors for which the file has none; left out, such a file is refused.
    zero_time
        Cycles that a firing of execution time 0 takes instead: a unit needs at least one. Left out, such a file is
        refused, because it cannot be timed exactly.
    cycles_per_time
        Cycles in one unit of the file's time; a large number makes ``zero_time=1`` a small error.
    capacity
        Slots of channels for which the file sets no buffer size; left out, as many as the channel ever needs, so that
        it never makes its source wait.

    Returns
    -------
    Builder
        Units and streams carry the names of actors and channels; ``build()`` it, or add to it first.

    Raises
    ------
    rdu.errors.GraphError
        The file cannot be read, is no SDF3 file of these kinds, or its graph cannot be built. Document types, entities
        and sizes beyond all reason are refused. The message has the file, the line, the value and what it should be.

    Notes
    -----
    The format: https://www.es.ele.tue.nl/sdf3/manuals/xml/. Buffer sizes (``bufferSize sz``) are tokens. What a
    stream has no use for is left alone: token sizes (also the ``size`` of a channel), memory, bandwidth, constraints,
    architectures and mappings.
    """
    scale = _Scale(
        _whole(cycles_per_time, "cycles_per_time", 1),
        None if default_time is None else _whole(default_time, "default_time", 0),
        None if zero_time is None else _whole(zero_time, "zero_time", 1),
    )
    wanted = None if iterations is None else _whole(iterations, "iterations", 1)
    found = graph(_load(source), processor)
    for element in [a.element for a in found.actors.values()] + [c.element for c in found.channels.values()]:
        _check_extras(element)
    firings = _firings(found, wanted)
    builder, budget = Builder(), Budget()
    for name, actor in found.actors.items():
        ii, latency = scale.times(name, actor, budget)
        _placed(actor.element, builder.unit, name, firings=firings[name], ii=ii, latency=latency)
    for name, channel in found.channels.items():
        slots = channel.capacity if channel.capacity is not None else capacity
        _placed(
            channel.element,
            builder.stream,
            channel.source,
            channel.target,
            capacity=_needed(channel, firings[channel.source]) if slots is None else slots,
            latency=scale.cycles(channel.element, "rdu:latency", 1),
            credit=scale.cycles(channel.element, "rdu:credit", 0),
            produce=channel.produce,
            consume=channel.consume,
            initial=channel.initial,
            name=name,
        )
    return builder


@dataclass(frozen=True, slots=True)
class _Scale:
    """From times of the file to cycles."""

    cycles_per_time: int
    default_time: int | None
    zero_time: int | None

    def times(self, name: str, actor: Actor, budget: Budget) -> tuple[list[int], list[int]]:
        """``ii`` and ``latency`` of each firing of a round."""
        times = actor.times
        if times is None and self.default_time is not None:
            times = [self.default_time]
        if times is None:
            raise GraphError(
                f"{actor.element.place} has no execution time; add <actorProperties actor={name!r}> with a <processor> "
                "that has <executionTime>, or pass default_time="
            )
        if 0 in times and self.zero_time is None:
            place = (actor.times_element or actor.element).place
            raise GraphError(
                f"{place}: actor {name!r} has firings that take no time; a unit needs at least one cycle: pass "
                "zero_time=1, and cycles_per_time=1000 or so to make that one a small error"
            )
        ii = [time * self.cycles_per_time or self.zero_time or 1 for time in times]
        if "rdu:latency" in actor.element.attributes:
            given = entries(actor.element, "rdu:latency", actor.length, budget)
            return ii, [latency * self.cycles_per_time for latency in given]
        return ii, [interval - 1 for interval in ii]

    def cycles(self, element: Element, attribute: str, default: int) -> int:
        """A time of rdu's own."""
        text = element.attributes.get(attribute)
        return default if text is None else number(text, f"{element.place}: {attribute}") * self.cycles_per_time


def _load(source: str | os.PathLike[str]) -> Element:
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("<"):
        # A text is decoded already, whatever its first line says.
        return parse(source.lstrip("\ufeff \t\r\n").encode(errors="surrogatepass"), "the XML", "utf-8")
    if not isinstance(source, str | os.PathLike):
        raise GraphError(f"read_sdf3 takes a path or a text of XML, not {type(source).__name__}")
    path = Path(source)
    try:
        with path.open("rb") as file:
            # One byte more than is read, so that a file that is too long shows.
            text = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise GraphError(f"SDF3 file {os.fspath(source)!r} cannot be read: {error}") from error
    return parse(text, str(path))


def _check_extras(element: Element) -> None:
    for key in element.attributes:
        if key.startswith("rdu:") and key not in EXTRAS[element.name]:
            raise GraphError(f"{element.place}: {key} is none of {', '.join(EXTRAS[element.name])}")


def _firings(found: Graph, iterations: int | None) -> dict[str, int]:
    """Firings of each actor: as the file has them, or by the repetition vector."""
    if iterations is None:
        given = {
            name: number(text, f"{actor.element.place}: rdu:firings")
            for name, actor in found.actors.items()
            if (text := actor.element.attributes.get("rdu:firings")) is not None
        }
        for name, actor in found.actors.items():
            if given and name not in given:
                raise GraphError(f"{actor.element.place} has no rdu:firings, but other actors do; give it to all")
        if given:
            return given
    edges = []
    for channel in found.channels.values():
        produced = _round(channel.produce, found.actors[channel.source].length)
        consumed = _round(channel.consume, found.actors[channel.target].length)
        if not produced or not consumed:
            end = "source" if not produced else "target"
            raise GraphError(f"{channel.element.place}: its {end} moves no tokens; give one rate above 0")
        edges.append(Edge(channel.source, channel.target, produced, consumed, channel.element.place))
    rounds = repetitions(list(found.actors), edges)
    return {name: rounds[name] * actor.length * (iterations or 1) for name, actor in found.actors.items()}


def _round(rates: list[int], length: int) -> int:
    """Tokens of one round of an actor."""
    return sum(rates) * (length // len(rates))


def _needed(channel: Channel, firings: int) -> int:
    """All tokens that a channel ever carries: with so many slots it never makes its source wait."""
    full, rest = divmod(firings, len(channel.produce))
    return max(1, channel.initial + full * sum(channel.produce) + sum(channel.produce[:rest]), *channel.consume)


def _placed(element: Element, add: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Add to the builder; what it refuses is told with the place in the file."""
    try:
        add(*args, **kwargs)
    except GraphError as error:
        raise GraphError(f"{element.place}: {error}") from None


def _whole(value: object, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise GraphError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    return value

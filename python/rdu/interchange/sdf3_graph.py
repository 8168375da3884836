"""What an SDF3 file says: actors, ports and channels, checked and with their places in the file."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import islice

from ..errors import GraphError
from .sequences import Budget, number, numbers, shown
from .xml_tree import Element

# The dataflow kinds of SDF3 whose rates and times do not depend on data.
KINDS = ("sdf", "csdf")


@dataclass(eq=False, slots=True)
class Port:
    """An end of a channel; its rates are one entry, or one for each firing of the actor's round."""

    element: Element
    direction: str
    rates: list[int]
    channel: str | None = None


@dataclass(eq=False, slots=True)
class Actor:
    """An actor with its ports by name, and its execution times once the properties are read."""

    element: Element
    ports: dict[str, Port]
    # Firings of one round.
    length: int
    times: list[int] | None = None
    times_element: Element | None = None


@dataclass(eq=False, slots=True)
class Channel:
    """A channel; ``capacity`` is None where the file sets no bound."""

    element: Element
    source: str
    target: str
    produce: list[int]
    consume: list[int]
    initial: int
    capacity: int | None = None


@dataclass(eq=False, slots=True)
class Graph:
    """All of a file that has a meaning here, in the order of the file."""

    actors: dict[str, Actor] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)


def graph(root: Element, processor: str | None) -> Graph:
    """Read the application graph of a file; ``processor`` is the type whose execution times count."""
    if root.name != "sdf3":
        raise GraphError(f"{root.place}: the root element of an SDF3 file is <sdf3>")
    application = root.one("applicationGraph")
    kind = root.attributes.get("type") or next((k for k in KINDS if application.all(k)), "")
    if kind not in KINDS:
        kinds = " and ".join(repr(kind) for kind in KINDS)
        raise GraphError(f"{root.place}: type is {kind!r}; rdu reads {kinds}, whose rates do not depend on data")
    structure = application.one(kind)
    found, budget = Graph(), Budget()
    for element in structure.all("actor"):
        _add_actor(found, element, kind, budget)
    if not found.actors:
        raise GraphError(f"{structure.place} has no <actor>; add at least one")
    for element in structure.all("channel"):
        _add_channel(found, element)
    for actor in found.actors.values():
        for port in actor.ports.values():
            if port.channel is None:
                raise GraphError(f"{port.element.place} of actor {_name(actor.element)} is joined to no channel")
    properties = application.optional(f"{kind}Properties")
    if properties is not None:
        _read_properties(found, properties, kind, processor, budget)
    return found


def known(value: str, names: Collection[str], place: str, what: str) -> str:
    """A name among others; the message has the nearest one."""
    if value not in names:
        # Comparing takes a while, so not with all of a very large graph and no long texts.
        some = [name for name in islice(names, 1000) if len(name) <= 100]
        near = difflib.get_close_matches(value[:100], some, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(map(repr, some[:20])) or 'none'}"
        raise GraphError(f"{place}: {what} {shown(value)} does not exist; {hint}")
    return value


def entries(element: Element, attribute: str, length: int | None, budget: Budget) -> list[int]:
    """A list of an attribute: ``length`` entries, or one that stands for all (None: any number)."""
    place = f"{element.place}: {attribute}"
    found = numbers(element.text(attribute), place, budget)
    if length is not None and len(found) not in (1, length):
        raise GraphError(
            f"{place} has {len(found)} entries, but the actor's other lists have {length}; "
            f"give {length}, one for each firing of a round, or 1 for all"
        )
    return found


def _add_actor(found: Graph, element: Element, kind: str, budget: Budget) -> None:
    name = element.text("name")
    if name in found.actors:
        raise GraphError(f"{element.place}: a second actor of this name; names must be unique")
    actor = found.actors[name] = Actor(element, {}, 1)
    for port in element.all("port"):
        label, direction = port.text("name"), port.text("type")
        if label in actor.ports:
            raise GraphError(f"{port.place}: actor {name!r} has a second port of this name; names must be unique")
        if direction not in ("in", "out"):
            raise GraphError(f"{port.place}: type is {direction!r}; it must be 'in' or 'out'")
        rates = entries(port, "rate", actor.length if actor.length > 1 else None, budget)
        if kind == "sdf" and len(rates) > 1:
            raise GraphError(f'{port.place}: a list of rates needs <sdf3 type="csdf">, with <csdf> for <sdf>')
        actor.length = max(actor.length, len(rates))
        actor.ports[label] = Port(port, direction, rates)


def _add_channel(found: Graph, element: Element) -> None:
    name = element.text("name")
    if name in found.channels:
        raise GraphError(f"{element.place}: a second channel of this name; names must be unique")
    ends = []
    for side, direction in (("src", "out"), ("dst", "in")):
        actor = known(element.text(f"{side}Actor"), found.actors, element.place, "actor")
        ports = found.actors[actor].ports
        label = known(element.text(f"{side}Port"), ports, element.place, f"port of actor {actor!r}")
        port = ports[label]
        if port.direction != direction:
            raise GraphError(
                f"{element.place}: {side}Port {label!r} of actor {actor!r} is an {port.direction!r} port; "
                f"it must be an {direction!r} port"
            )
        if port.channel is not None:
            raise GraphError(
                f"{element.place}: port {label!r} of actor {actor!r} is joined to channel {port.channel!r} already; "
                "give each channel its own port"
            )
        port.channel = name
        ends.append((actor, port.rates))
    (source, produce), (target, consume) = ends
    initial = _optional_number(element, "initialTokens") or 0
    found.channels[name] = Channel(element, source, target, produce, consume, initial)


def _read_properties(found: Graph, properties: Element, kind: str, processor: str | None, budget: Budget) -> None:
    types: set[str] = set()
    seen: dict[str, Element] = {}
    for element in properties.all("actorProperties"):
        name = known(element.text("actor"), found.actors, element.place, "actor")
        if seen.setdefault(name, element) is not element:
            raise GraphError(f"{element.place}: a second one for actor {name!r}; make it one")
        actor = found.actors[name]
        chosen = _processor(element, name, processor, types)
        timed = None if chosen is None else chosen.optional("executionTime")
        if timed is not None:
            actor.times_element = timed
            actor.times = entries(timed, "time", actor.length if actor.length > 1 else None, budget)
            if kind == "sdf" and len(actor.times) > 1:
                raise GraphError(f'{timed.place}: a list of times needs <sdf3 type="csdf">, with <csdf> for <sdf>')
            actor.length = max(actor.length, len(actor.times))
    if processor is not None and processor not in types:
        known(processor, sorted(types), properties.place, "processor type")
    for element in properties.all("channelProperties"):
        name = known(element.text("channel"), found.channels, element.place, "channel")
        buffer = element.optional("bufferSize")
        size = None if buffer is None else _optional_number(buffer, "sz")
        if size is not None:
            found.channels[name].capacity = size


def _processor(element: Element, actor: str, wanted: str | None, types: set[str]) -> Element | None:
    """The processor whose time counts: the wanted type, else the last default (as SDF3 itself has it), else the one."""
    by_type = {processor.text("type"): processor for processor in element.all("processor")}
    types.update(by_type)
    if wanted in by_type:
        return by_type[wanted]
    defaults = [found for found in by_type.values() if found.attributes.get("default", "false") != "false"]
    if defaults:
        return defaults[-1]
    if len(by_type) > 1:
        raise GraphError(
            f"{element.place}: actor {actor!r} has {len(by_type)} processors and no default; mark one with "
            f'default="true" or pass processor=, one of {", ".join(map(repr, by_type))}'
        )
    return next(iter(by_type.values()), None)


def _optional_number(element: Element, attribute: str) -> int | None:
    text = element.attributes.get(attribute)
    return None if text is None else number(text, f"{element.place}: {attribute}")


def _name(element: Element) -> str:
    return repr(element.attributes["name"])

"""The firing rule once more, cycle by cycle in plain Python: written from the definition, not from the engine.

A token is visible at least one cycle after it was made and a slot is free at least one cycle after its token was taken,
so what happens within one cycle does not depend on the order in which units are looked at. Cycles in which nothing
becomes visible, free or ready are passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rdu.testing.graphs import SINK, SOURCE, Graph
from rdu.testing.graphs import Stream as StreamSpec
from rdu.testing.graphs import Unit as UnitSpec

Token = npt.NDArray[np.float32]

UNARY: dict[str, Callable[[Token], Token]] = {
    "copy": lambda x: x,
    "neg": np.negative,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "positive": lambda x: (x > 0).astype(np.float32),
}
BINARY: dict[str, Callable[[Token, Token], Token]] = {
    "add": np.add,
    "sub": np.subtract,
    "max": np.maximum,
    "min": np.minimum,
    "lt": lambda a, b: (a < b).astype(np.float32),
}
FOLDS: dict[str, Callable[[Token, Token], Token]] = {
    "sum": np.add,
    "max_of": np.maximum,
    "last": lambda _, b: b,
}


@dataclass
class Stream:
    visible: list[int]  # when each token still to be taken is there, oldest first
    taken: int  # slots that were ever taken, initial tokens included
    values: list[Token]  # of the tokens still to be taken
    freed: list[int] = field(default_factory=list)  # when each slot is free again
    tokens: int = 0
    high_water: int = 0


@dataclass
class Unit:
    ready: int = 0  # the last start + its ii
    firings: int = 0
    first: int = 0
    end: int = 0
    starts: list[int] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    outputs: list[Token] = field(default_factory=list)  # what a sink took


@dataclass
class Firing:
    """What one firing costs and moves: tokens by number of the stream."""

    ii: int
    latency: int
    consume: dict[int, int]
    produce: dict[int, int]
    data: list[int] = field(default_factory=list)  # in a data-dependent unit: what it takes beside control


@dataclass
class Outcome:
    deadlock: bool
    cycles: int
    units: list[Unit]
    streams: list[Stream]


def run(graph: Graph) -> Outcome:
    """Step through the cycles until nothing can ever happen again."""
    lanes = next((len(unit.rows[0]) for unit in graph.units if unit.rows), 1)
    zero = np.zeros(lanes, np.float32)
    units = [Unit() for _ in graph.units]
    streams = [Stream([0] * s.initial, s.initial, [zero] * s.initial) for s in graph.streams]
    orders = [list(phases(spec)) for spec in graph.units]
    cycle = 0
    while True:
        for at, spec in enumerate(graph.units):
            firing = upcoming(graph, spec, at, units[at], streams, orders[at], cycle)
            if firing is not None and fire(units[at], streams, graph.streams, firing, cycle):
                move_values(spec, units[at], streams, firing)
        for stream in streams:
            stream.high_water = max(stream.high_water, stream.taken - sum(time <= cycle for time in stream.freed))
        times = [time for stream in streams for time in stream.visible + stream.freed] + [unit.ready for unit in units]
        later = [time for time in times if time > cycle]
        if not later:
            break
        cycle = min(later)
    deadlock = any(spec.firings not in (None, unit.firings) for unit, spec in zip(units, graph.units, strict=True))
    cycles = max(unit.end for unit in units)
    for unit in units:
        unit.states["idle"] = cycles - unit.ready
    return Outcome(deadlock, cycles, units, streams)


def phases(spec: UnitSpec) -> Iterator[str]:
    """The phase of each firing in turn: the nest spelled out."""

    def walk(body: tuple[object, ...]) -> Iterator[str]:
        for entry in body:
            if isinstance(entry, str):
                yield entry
            else:
                for _ in range(entry.times):  # type: ignore[attr-defined]
                    yield from walk(entry.body)  # type: ignore[attr-defined]

    yield from walk(spec.nest)


def upcoming(
    graph: Graph, spec: UnitSpec, at: int, unit: Unit, streams: list[Stream], order: list[str], cycle: int
) -> Firing | None:
    """What the unit's next firing is; None where it has none, or where it cannot be told yet."""
    k = unit.firings
    if k == spec.firings or cycle < unit.ready:
        return None
    if spec.phases is not None:
        phase = spec.phases[order[k]]
        numbers = {s.name: number for number, s in enumerate(graph.streams)}
        consume = {numbers[name]: rate for name, rate in phase.consume.items()}  # type: ignore[union-attr]
        produce = {numbers[name]: rate for name, rate in phase.produce.items()}  # type: ignore[union-attr]
        return Firing(phase.ii, phase.latency, consume, produce)
    # Ends in the order in which they were described.
    consume = {n: s.consume[k % len(s.consume)] for n, s in enumerate(graph.streams) if s.target == at and s.consume}
    produce = {n: s.produce[k % len(s.produce)] for n, s in enumerate(graph.streams) if s.source == at and s.produce}
    firing = Firing(spec.ii[k % len(spec.ii)], spec.latency[k % len(spec.latency)], consume, produce)
    return firing if spec.choice is None else decide(graph.streams, spec, k, streams, firing, cycle)


def decide(
    specs: tuple[StreamSpec, ...], spec: UnitSpec, k: int, streams: list[Stream], whole: Firing, cycle: int
) -> Firing | None:
    """The firing of a data-dependent unit: some of its ends, as the next control token says or as tokens come."""
    choice = spec.choice
    assert choice is not None
    control = [n for n in whole.consume if specs[n].name == choice.control]
    data = [n for n in whole.consume if n not in control]
    outputs = list(whole.produce)
    if choice.kind == "merge":
        # When the last token needed of each input was there; the first described of those alike.
        there = {n: streams[n].visible[: whole.consume[n]] for n in data}
        came = {n: max(times) for n, times in there.items() if len(times) == whole.consume[n] and max(times) <= cycle}
        if not came:
            return None
        data = [min(came, key=lambda n: came[n])]
    else:
        stream = streams[control[0]]
        if not stream.visible or stream.visible[0] > cycle:
            return None
        way = int(stream.values[0][0]) if choice.decisions is None else choice.decisions[k]
        if choice.kind == "switch":
            outputs = [outputs[way]]
        elif choice.kind == "select":
            data = [data[way]]
        elif way == 0:
            outputs = []
    consume = {n: whole.consume[n] for n in whole.consume if n in control or n in data}
    return Firing(whole.ii, whole.latency, consume, {n: whole.produce[n] for n in outputs}, data)


def fire(unit: Unit, streams: list[Stream], specs: tuple[StreamSpec, ...], firing: Firing, cycle: int) -> bool:
    """Fire a unit in this cycle if the rule allows it; what it takes stays in ``values`` until they are moved."""
    data = space = 0
    for n, need in firing.consume.items():
        if len(streams[n].visible) < need:
            return False
        data = max([data, *streams[n].visible[:need]])
    for n, need in firing.produce.items():
        # Of the slots ever taken, so many must be free again.
        stream = streams[n]
        back = stream.taken + need - specs[n].capacity
        if need == 0 or back <= 0:
            continue
        if len(stream.freed) < back:
            return False
        space = max(space, sorted(stream.freed)[back - 1])
    if max(data, space) > cycle:
        return False

    unit.states["data" if data == cycle else "space"] += cycle - unit.ready
    unit.states["busy"] += firing.ii
    unit.first = cycle if unit.firings == 0 else unit.first
    unit.firings += 1
    unit.starts.append(cycle)
    unit.ready = cycle + firing.ii
    unit.end = max(unit.end, cycle + max(firing.ii, firing.latency))
    for n, need in firing.consume.items():
        del streams[n].visible[:need]
        streams[n].freed += [cycle + firing.ii + specs[n].credit] * need
    for n, need in firing.produce.items():
        streams[n].visible += [cycle + firing.latency + specs[n].latency] * need
        streams[n].taken += need
        streams[n].tokens += need
    return True


def move_values(spec: UnitSpec, unit: Unit, streams: list[Stream], firing: Firing) -> None:
    """What a firing computes; a program without values moves nothing that anybody looks at."""
    tokens = {n: streams[n].values[:need] for n, need in firing.consume.items()}
    for n, need in firing.consume.items():
        del streams[n].values[:need]
    taken = list(tokens.values())
    made: list[Token] = []
    if spec.op == SOURCE:
        rate = max(firing.produce.values())
        made = [np.array(row, np.float32) for row in spec.rows[(unit.firings - 1) * rate :][:rate]]
    elif spec.op == SINK:
        unit.outputs += taken[0]
    elif spec.op in UNARY:
        made = [UNARY[spec.op](x) for x in taken[0]]
    elif spec.op in BINARY:
        made = [BINARY[spec.op](a, b) for a, b in zip(*taken, strict=True)]
    elif spec.op in FOLDS:
        made = taken[0][:1]
        for x in taken[0][1:]:
            made = [FOLDS[spec.op](made[0], x)]
    elif spec.choice is not None:
        made = tokens[firing.data[0]]
    for n, need in firing.produce.items():
        streams[n].values += made or [np.zeros(1, np.float32)] * need

"""The firing rule once more, cycle by cycle in plain Python: written from the definition, not from the engine.

A token is visible at least one cycle after it was made and a slot is free at least one cycle after its token was taken,
so what happens within one cycle does not depend on the order in which units are looked at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rdu.testing.graphs import Graph


@dataclass
class Stream:
    visible: list[int]  # when each token still to be taken is there, oldest first
    taken: int  # slots that were ever taken, initial tokens included
    freed: list[int] = field(default_factory=list)  # when each slot is free again
    tokens: int = 0
    high_water: int = 0


@dataclass
class Unit:
    ready: int = 0  # the last start + its ii
    firings: int = 0
    first: int = 0
    end: int = 0
    states: Counter[str] = field(default_factory=Counter)


@dataclass
class Outcome:
    deadlock: bool
    cycles: int
    units: list[Unit]
    streams: list[Stream]


def run(graph: Graph) -> Outcome:
    """Step through the cycles until every unit has finished or nothing can ever happen again."""
    units = [Unit() for _ in graph.units]
    streams = [Stream([0] * stream.initial, stream.initial) for stream in graph.streams]
    deadlock = False
    cycle = 0
    while any(unit.firings < spec.firings for unit, spec in zip(units, graph.units, strict=True)):
        fired = [at for at in range(len(units)) if fire(graph, units, streams, at, cycle)]
        for stream in streams:
            stream.high_water = max(stream.high_water, stream.taken - sum(time <= cycle for time in stream.freed))
        times = [time for stream in streams for time in stream.visible + stream.freed]
        if not fired and all(time <= cycle for time in times + [unit.ready for unit in units]):
            deadlock = True
            break
        cycle += 1
    cycles = max(unit.end for unit in units)
    for unit in units:
        unit.states["idle"] = cycles - unit.ready
    return Outcome(deadlock, cycles, units, streams)


def fire(graph: Graph, units: list[Unit], streams: list[Stream], at: int, cycle: int) -> bool:
    """Fire a unit in this cycle if the rule allows it."""
    unit, spec = units[at], graph.units[at]
    if unit.firings == spec.firings or cycle < unit.ready:
        return False
    k = unit.firings
    ends = list(zip(streams, graph.streams, strict=True))
    inputs = [(stream, s.consume[k % len(s.consume)], s) for stream, s in ends if s.target == at]
    outputs = [(stream, s.produce[k % len(s.produce)], s) for stream, s in ends if s.source == at]

    data = space = 0
    for stream, need, _ in inputs:
        if len(stream.visible) < need:
            return False
        data = max([data, *stream.visible[:need]])
    for stream, need, s in outputs:
        # Of the slots ever taken, so many must be free again.
        back = stream.taken + need - s.capacity
        if need == 0 or back <= 0:
            continue
        if len(stream.freed) < back:
            return False
        space = max(space, sorted(stream.freed)[back - 1])
    if max(data, space) > cycle:
        return False

    unit.states["data" if data == cycle else "space"] += cycle - unit.ready
    ii, latency = spec.ii[k % len(spec.ii)], spec.latency[k % len(spec.latency)]
    unit.states["busy"] += ii
    unit.first = cycle if k == 0 else unit.first
    unit.firings += 1
    unit.ready = cycle + ii
    unit.end = max(unit.end, cycle + max(ii, latency))
    for stream, need, s in inputs:
        del stream.visible[:need]
        stream.freed += [cycle + ii + s.credit] * need
    for stream, need, s in outputs:
        arrival = cycle + latency + s.latency
        stream.visible += [arrival] * need
        stream.taken += need
        stream.tokens += need
    return True

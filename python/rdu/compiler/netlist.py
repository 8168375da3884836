"""The units and streams of one kernel, while it is being mapped: what place and route work on, and lower writes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rdu.compiler.formats import Element, lanes

Json = dict[str, Any]


@dataclass(frozen=True)
class Count:
    """A loop count: a number, or an argument of the call times ``scale``."""

    argument: str
    scale: int = 1

    def __mul__(self, factor: int) -> Count:
        return Count(self.argument, self.scale * factor)


Times = int | Count


@dataclass(eq=False)
class Unit:
    """A unit, the tiles it takes, its loop nest and what it computes.

    ``kind`` says what it is made of: PCUs compute, PMUs hold, AGCUs reach memory. ``macs`` counts multiply-adds per
    firing of a multiplying phase (0 for units that do not multiply).
    """

    name: str
    operator: str
    role: str
    token_op: Json
    pcus: int = 0
    pmus: int = 0
    agcus: int = 0
    macs: int = 0
    port: Json | None = None
    link_cycles: int = 1
    inputs: int = 0
    outputs: int = 0
    phases: list[Json] = field(default_factory=list)
    nest: list[Json] = field(default_factory=list)
    _open: list[list[Json]] = field(default_factory=list)
    _never: int = 0
    _phase_index: dict[tuple[object, ...], int] = field(default_factory=dict)
    tile: tuple[int, int] = (0, 0)

    def new_input(self) -> int:
        """Index of a fresh input."""
        self.inputs += 1
        return self.inputs - 1

    def new_output(self) -> int:
        """Index of a fresh output."""
        self.outputs += 1
        return self.outputs - 1

    def fire(
        self,
        times: Times,
        *,
        consume: list[tuple[int, int]] | None = None,
        produce: list[tuple[int, int]] | None = None,
        ii: int = 1,
        latency: int = 0,
        transfer: int | None = None,
    ) -> None:
        """Append firings. A link carries a token every ``link_cycles``: ``ii`` grows to what the busiest end takes, and
        with several tokens on an output the latency is that of the last one.
        """
        consume, produce = consume or [], produce or []
        most_out = max((rate for _, rate in produce), default=0)
        most_in = max((rate for _, rate in consume), default=0)
        ii = max(ii, most_out * self.link_cycles, most_in * self.link_cycles, 1)
        latency += max(most_out - 1, 0) * self.link_cycles
        if times == 0 or self._never:
            return
        key = (ii, latency, tuple(consume), tuple(produce), transfer)
        if key not in self._phase_index:
            self._phase_index[key] = len(self.phases)
            phase: Json = {"ii": ii, "latency": latency, "consume": consume, "produce": produce}
            if transfer is not None:
                phase["transfer"] = transfer
            self.phases.append(phase)
        (self._open[-1] if self._open else self.nest).append({"phase": self._phase_index[key], "times": times})

    @contextmanager
    def loop(self, times: Times) -> Iterator[None]:
        """Firings appended inside repeat ``times`` times; a loop of none leaves no phase, whose rates would count."""
        self._open.append([])
        self._never += times == 0
        yield
        self._never -= times == 0
        body = self._open.pop()
        if body:
            (self._open[-1] if self._open else self.nest).append({"body": body, "times": times})


@dataclass(eq=False)
class Stream:
    """One token stream. ``depth`` is the capacity asked for; the route may add what its switches hold."""

    source: Unit
    output: int
    target: Unit
    input: int
    element: Element
    depth: int
    buffer: bool = False
    latency: int = 1
    credit: int = 1
    capacity: int = 0

    @property
    def name(self) -> str:
        """``unit.output->unit.input``"""
        return f"{self.source.name}.{self.output}->{self.target.name}.{self.input}"


@dataclass(eq=False)
class Load:
    """One sequence of vectors from memory; an AGCU will issue it, after the loads made before it."""

    operator: str
    pattern: Json
    element: Element
    times: Times
    buffer: bool = False
    taps: list[tuple[Unit, int, int]] = field(default_factory=list)


@dataclass(eq=False)
class Flow:
    """A tensor on streams in flat order: chunk by chunk, within a chunk position by position."""

    unit: Unit
    element: Element
    chunks: int
    taps: list[tuple[int, int, int]] = field(default_factory=list)

    def segments(self) -> Iterator[tuple[int, int, list[int]]]:
        """(first chunk, end chunk, outputs that take them), cut wherever the set of outputs changes."""
        edges = sorted({0, self.chunks, *(edge for _, first, end in self.taps for edge in (first, end))})
        for first, end in pairwise(edges):
            yield first, end, [out for out, lo, hi in self.taps if lo <= first and end <= hi]


@dataclass(eq=False)
class Netlist:
    """Everything of one kernel at a number of positions."""

    name: str
    positions: int
    fifo: int
    link_cycles: int
    units: list[Unit] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    tensors: list[Json] = field(default_factory=list)
    plan: list[Json] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def unit(self, name: str, operator: str, role: str, token_op: Json, **sizes: Any) -> Unit:
        """Add a unit."""
        made = Unit(name, operator, role, token_op, link_cycles=self.link_cycles, **sizes)
        self.units.append(made)
        return made

    def connect(
        self,
        source: Unit,
        target: Unit,
        element: Element,
        depth: int,
        *,
        input: int | None = None,
        buffer: bool = False,
    ) -> Stream:
        """Join a fresh output of ``source`` to an input of ``target`` (a fresh one if none is given)."""
        into = target.new_input() if input is None else input
        stream = Stream(source, source.new_output(), target, into, element, max(depth, 1), buffer)
        self.streams.append(stream)
        return stream

    def tap(self, flow: Flow, target: Unit, first: int = 0, end: int | None = None, *, whole: bool = False) -> None:
        """Let ``target`` take chunks ``first`` to ``end`` of ``flow`` at a fresh input.

        The stream holds two chunks, or with ``whole`` all of them: for a target that may have to wait for something
        else. What cannot be put down blocks its producer, and behind a gather its macs and the AGCUs that feed them, in
        the end what is waited for. With the order of loads (`issue_loads`) this is why no program stops.
        """
        last = flow.chunks if end is None else end
        depth = max(self.fifo, (last - first if whole else 2) * self.positions)
        stream = self.connect(flow.unit, target, flow.element, depth, buffer=whole)
        flow.taps.append((stream.output, first, last))

    def load(self, operator: str, pattern: Json, element: Element, times: Times) -> Load:
        """Ask for vectors from memory."""
        made = Load(operator, pattern, element, times)
        self.loads.append(made)
        return made

    def argument(self, name: str) -> int:
        """Index of a call argument, made when first named."""
        if name not in self.arguments:
            self.arguments.append(name)
        return self.arguments.index(name)

    def tensor(self, width: int, element: Element) -> int:
        """Index of a fresh tensor of the blocked plan."""
        self.tensors.append({"width": width, "element": element})
        return len(self.tensors) - 1

    def describe(self) -> Json:
        """The kernel in the form that the engine takes."""
        number = {id(unit): at for at, unit in enumerate(self.units)}
        return {
            "name": self.name,
            "positions": self.positions,
            "units": [
                {"name": u.name, "phases": u.phases, "nest": self._resolved(u.nest)}
                | ({"port": u.port} if u.port else {})
                for u in self.units
            ],
            "operators": [u.token_op for u in self.units],
            "streams": [
                {
                    "name": s.name,
                    "from": (number[id(s.source)], s.output),
                    "to": (number[id(s.target)], s.input),
                    "capacity": s.capacity,
                    "latency": s.latency,
                    "credit": s.credit,
                    "lanes": lanes(s.element),
                }
                for s in self.streams
            ],
            "tensors": self.tensors,
            "plan": self.plan,
        }

    def _resolved(self, nest: list[Json]) -> list[Json]:
        """``nest`` with argument names replaced by their indices."""
        out = []
        for node in nest:
            times = node["times"]
            if isinstance(times, Count):
                times = {"argument": self.argument(times.argument), "scale": times.scale}
            body = {"body": self._resolved(node["body"])} if "body" in node else {"phase": node["phase"]}
            out.append(body | {"times": times})
        return out

"""The units and streams of one kernel, while it is being mapped: what place and route work on, and lower writes out.

A unit may stand for a *bundle*: ``copies`` identical units that move in lockstep, because nest, latencies, capacities
and traffic are the same for all. A stream between bundles stands for as many streams: side by side between bundles of
one size; from one unit (or each of a few) to all members of a larger bundle; from all members of a bundle into one
unit, which takes from all of them in the same firing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rdu.compiler.formats import Element

Json = dict[str, Any]
Tiles = npt.NDArray[np.int_]
Peers = Literal["all", "next"]


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
    """A unit or a bundle of them, the tiles it takes, its loop nest and what it computes.

    ``pcus``, ``pmus`` and ``agcus`` say what one copy is made of: PCUs compute, PMUs hold, AGCUs reach memory. ``macs``
    counts multiply-adds of one copy per token of what it multiplies by (0 for units that do not multiply). ``links`` is
    how many links each of its ends has side by side (a unit of several PMUs takes several tokens at once).
    """

    name: str
    operator: str
    role: str
    token_op: Json
    copies: int = 1
    pcus: int = 0
    pmus: int = 0
    agcus: int = 0
    macs: int | Fraction = 0
    links: int = 1
    port: Json | None = None
    link_cycles: int = 1
    # Its nest covers all waves of a layer.
    steady: bool = False
    # What differs between the copies' computations, and between those of sockets; their time is the same.
    variants: tuple[Json, ...] = ()
    by_socket: tuple[Json, ...] = ()
    # Of each operand that it loads, or of what it stores: the parts that sockets keep of it.
    shares: list[int] = field(default_factory=list)
    inputs: int = 0
    outputs: int = 0
    phases: list[Json] = field(default_factory=list)
    nest: list[Json] = field(default_factory=list)
    _open: list[list[Json]] = field(default_factory=list)
    _never: int = 0
    _phase_index: dict[tuple[object, ...], int] = field(default_factory=dict)
    # (row, column) of each tile that it takes, copy after copy.
    tiles: Tiles = field(default_factory=lambda: np.zeros((1, 2), int))

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
        with several tokens on a link the latency is that of the last one.
        """
        consume, produce = consume or [], produce or []
        most_out = -(-max((rate for _, rate in produce), default=0) // self.links)
        most_in = -(-max((rate for _, rate in consume), default=0) // self.links)
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
        if body and times == 1:
            (self._open[-1] if self._open else self.nest).extend(body)
        elif body:
            (self._open[-1] if self._open else self.nest).append({"body": body, "times": times})

    def repeat(self, times: int) -> None:
        """Run the whole nest so far ``times`` times."""
        if times > 1 and self.nest:
            self.nest = [{"body": self.nest, "times": times}]

    @property
    def names(self) -> Iterator[str]:
        """The name of each copy."""
        return iter([self.name] if self.copies == 1 else [f"{self.name}.{copy}" for copy in range(self.copies)])

    @property
    def transfer_bytes(self) -> int:
        """Bytes of each transfer of a load or store unit; of another one 0."""
        return 0 if self.port is None else int(self.port["patterns"][0]["bytes"])

    def operators(self, socket: int, bank_of: Callable[[int], int]) -> Iterator[Json]:
        """What each copy computes on a socket; ``bank_of`` so many parts is where the socket's lies."""
        op = self.token_op
        if self.by_socket:
            op = op | self.by_socket[socket]
        if self.shares and "operands" in op:
            operands = zip(op["operands"], self.shares, strict=True)
            op = op | {"operands": [one | {"source": _moved(one["source"], bank_of(n))} for one, n in operands]}
        elif self.shares:
            op = _moved(op, bank_of(self.shares[0]))
        for copy in range(self.copies):
            yield op | self.variants[copy] if self.variants else op


def _moved(described: Json, byte_count: int) -> Json:
    """The same so many bytes further on."""
    return described | {"at": described["at"] | {"base": described["at"]["base"] + byte_count}}


@dataclass(eq=False)
class Stream:
    """One token stream, or as many as the bundles at its ends need.

    ``depth`` is the capacity asked for; the route may add what its switches hold. ``peers``: to all other sockets, or
    to the next. ``moved``: tokens of a load, and the transfers that bring so many (none where another stream of the
    same load counts them).
    """

    source: Unit
    output: int
    target: Unit
    input: int
    element: Element
    depth: int
    buffer: bool = False
    peers: Peers | None = None
    moved: tuple[int, int] | None = None
    latency: int = 1
    credit: int = 1
    capacity: int = 0

    @property
    def name(self) -> str:
        """``unit.output->unit.input``"""
        return f"{self.source.name}.{self.output}->{self.target.name}.{self.input}"

    @property
    def copies(self) -> int:
        """How many streams it stands for."""
        return max(self.source.copies, self.target.copies)

    def read_bytes(self, tokens: int) -> int:
        """Bytes of the transfers that bring so many tokens; 0 where none are counted here."""
        if self.source.role != "load" or self.moved is None:
            return 0
        each, transfers = self.moved
        return -(-tokens // each) * transfers * self.source.transfer_bytes


@dataclass(eq=False)
class Load:
    """One operand from memory; the AGCUs will issue it after the loads made before it.

    ``tokens`` vectors a layer, which arrive in ``granules`` whole transfers (a number, or an argument of the call: then
    the vectors are as many as whole granules hold). Layer after layer, their addresses are ``layer_bytes`` apart.
    """

    operator: str
    address: Json
    source: Json
    element: Element
    granules: Times
    tokens: int
    layer_bytes: int = 0
    indexed_bytes: int = 0
    buffer: bool = False
    # After all other loads of a layer.
    late: bool = False
    # Parts that sockets keep of it, one each.
    parts: int = 1
    taps: list[tuple[Unit, int, int]] = field(default_factory=list)


@dataclass(eq=False)
class Flow:
    """A tensor on streams in flat order: chunk by chunk, within a chunk position by position."""

    unit: Unit
    element: Element
    chunks: int
    outputs: list[int] = field(default_factory=list)
    # Chunks that one firing sends at most.
    burst: int = 1
    # Of whole numbers: what they count in each position.
    scales: Flow | None = None


@dataclass(eq=False)
class Netlist:
    """Everything of one kernel at a number of positions."""

    name: str
    positions: int
    fifo: int
    link_cycles: int
    sockets: int = 1
    # From an address of one socket to the same one of the next, where values of all are kept.
    bank_bytes: int = 0
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
        peers: Peers | None = None,
    ) -> Stream:
        """Join a fresh output of ``source`` to an input of ``target`` (a fresh one if none is given)."""
        into = target.new_input() if input is None else input
        stream = Stream(source, source.new_output(), target, into, element, max(depth, 1), buffer, peers)
        self.streams.append(stream)
        return stream

    def tap(self, flow: Flow, target: Unit, *, whole: bool = False, positions: int | None = None) -> int:
        """Let ``target`` take ``flow`` at a fresh input; returns the input.

        The stream holds two chunks, or what comes at once, or with ``whole`` all of them: for a target that may have
        to wait for something else. What cannot be put down blocks its producer, and behind a gather its macs and the
        AGCUs that feed them, in the end what is waited for. With the order of loads (`issue_loads`) this is why no
        program stops.
        """
        rows = self.positions if positions is None else positions
        depth = max(self.fifo, (flow.chunks if whole else max(2, flow.burst)) * rows)
        stream = self.connect(flow.unit, target, flow.element, depth, buffer=whole)
        flow.outputs.append(stream.output)
        return stream.input

    def argument(self, name: str) -> int:
        """Index of a call argument, made when first named."""
        if name not in self.arguments:
            self.arguments.append(name)
        return self.arguments.index(name)

    def tensor(self, width: int, element: Element) -> int:
        """Index of a fresh tensor of the blocked plan."""
        self.tensors.append({"width": width, "element": element})
        return len(self.tensors) - 1

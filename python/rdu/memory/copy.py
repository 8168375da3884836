"""Copy engines: data from one tier to another, or from or to the host, beside whatever else the machine does."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rdu.errors import TransferError
from rdu.machine import Machine, read
from rdu.memory.pace import paced

if TYPE_CHECKING:
    from rdu.builder import Builder, Phase, StreamRun
    from rdu.builder.nest import Loop

HOST = "host"
PLACES = ("ddr", "hbm", HOST)
# What paces an engine where nothing else does.
AGCU = "agcu.bytes_per_cycle"
MOST_BYTES = 1 << 50
# An engine whose loads are busy so much of the time is paced by its rate; the rest is the first and the last trip.
PACED = 0.98


@dataclass(frozen=True)
class CopyEngine:
    """The units of a copy in a program.

    Attributes
    ----------
    loads, stores
        Names of the units that take data from the source and give them to the target, lane by lane: one AGCU each, or
        the host's link. Each firing of a store is a request whose bytes are there; a stream from it tells others.
    request_bytes
        Of each request but the last.
    requests
        By lane.
    limit
        The machine's number that paces the engine.
    gbps
        What it lets through.
    """

    loads: tuple[str, ...]
    stores: tuple[str, ...]
    request_bytes: int
    requests: tuple[int, ...]
    limit: str
    gbps: float


@dataclass(frozen=True)
class Copy:
    """A finished copy.

    Attributes
    ----------
    source, target, nbytes
        As asked.
    seconds
        From the first request to the last byte written, in machine time.
    bound
        The number of the machine that paces the engine (``"ddr.to_hbm_gbps"``, ``"host.gbps"``,
        ``"agcu.bytes_per_cycle"``); or where it loses more than 2 % of the time, what it waits for most: a tier
        (``"ddr"``, ``"hbm"``), or ``"latency"`` of the first and the last request.
    run
        Of the program that it was.
    """

    source: str
    target: str
    nbytes: int
    seconds: float
    bound: str
    run: StreamRun = field(repr=False)

    @property
    def gbps(self) -> float:
        """Bytes copied, over the time."""
        return self.nbytes / self.seconds / 1e9

    def to_dict(self) -> dict[str, object]:
        """Plain types, the same keys for each copy."""
        return {
            "source": self.source,
            "target": self.target,
            "nbytes": self.nbytes,
            "seconds": self.seconds,
            "gbps": self.gbps,
            "bound": self.bound,
            "memory": {name: tier.to_dict() for name, tier in self.run.memory.items()},
        }


def copy(machine: str | Machine, nbytes: int, source: str = "ddr", target: str = "hbm") -> Copy:
    """Copy ``nbytes`` with nothing else going on, on one socket.

    Parameters
    ----------
    machine
        Whose memory and rates; a machine or the name of one.
    nbytes
        At least 1. Within one tier, the copy lands behind what is copied, at the next round of its channels.
    source, target
        ``"ddr"``, ``"hbm"`` or ``"host"``.

    Raises
    ------
    rdu.errors.TransferError
        A place that does not exist, the host at both ends, or more than a tier holds.

    Examples
    --------
    >>> done = copy("sn40l", 100_000_000)
    >>> f"{done.gbps:.0f} GB/s, {done.bound}"
    '125 GB/s, ddr.to_hbm_gbps'
    """
    # The builder stands on this package's tiers.
    from rdu.builder import Builder

    found = read(machine) if isinstance(machine, str) else machine
    b = Builder()
    engine = add_copy(b, found, nbytes, source, target, target_address=_behind(found, nbytes, source, target))
    run = b.build().run(machine=found)
    return Copy(source, target, nbytes, run.cycles / (found.clock_ghz * 1e9), _bound(engine, run, source, target), run)


def add_copy(
    builder: Builder,
    machine: Machine,
    nbytes: int,
    source: str = "ddr",
    target: str = "hbm",
    *,
    name: str = "copy",
    source_address: int = 0,
    target_address: int = 0,
) -> CopyEngine:
    """Add a copy engine to a program: load units and store units joined by streams.

    A request is a granule in every channel of both tiers; an AGCU has as many bytes in flight as it has requests of a
    vector. There are as many lanes as AGCUs need to reach the engine's rate, or half of a socket's where none is given
    (within one tier), and no request leaves sooner than the rate allows.

    Parameters
    ----------
    builder
        What gets the units, called ``{name}.load.{lane}`` and ``{name}.store.{lane}``.
    machine
        The machine that the program will run with.
    nbytes, source, target
        As for :func:`copy`.
    name
        Unique among the copies of a program.
    source_address, target_address
        Bytes from the start of the tier; nothing for the host.

    Raises
    ------
    rdu.errors.TransferError
        As :func:`copy`.
    rdu.errors.GraphError
        A unit of that name is there already.
    """
    _check(machine, nbytes, {source: source_address + nbytes, target: target_address + nbytes}, (source, target))
    limit, gbps = _rate(machine, source, target)
    agcu = machine.agcu.bytes_per_cycle
    most = machine.total_agcus if HOST in (source, target) else max(1, machine.total_agcus // 2)
    bytes_per_cycle = None if gbps is None else gbps / machine.clock_ghz
    lanes = most if bytes_per_cycle is None else min(most, math.ceil(bytes_per_cycle / agcu))
    size = min(_request_bytes(machine, source, target), -(-nbytes // lanes))
    full, tail = divmod(nbytes, size)
    lanes = min(lanes, full + bool(tail))
    outstanding = max(1, machine.agcu.outstanding * machine.pcu.vector_bytes // size)
    if bytes_per_cycle is None or bytes_per_cycle >= lanes * agcu:
        limit, bytes_per_cycle = AGCU, float(lanes * agcu)
    side = _Side(machine, size, lanes, full, tail, outstanding)
    engine = CopyEngine(
        loads=tuple(f"{name}.load.{lane}" for lane in range(lanes)),
        stores=tuple(f"{name}.store.{lane}" for lane in range(lanes)),
        request_bytes=size,
        requests=tuple(side.count(lane) + side.has_tail(lane) for lane in range(lanes)),
        limit=limit,
        gbps=bytes_per_cycle * machine.clock_ghz,
    )
    own = _rate(machine, HOST, target)[1] if target == HOST else None
    drain = lanes * agcu if own is None else own / machine.clock_ghz
    for lane, (load, store) in enumerate(zip(engine.loads, engine.stores, strict=True)):
        side.add(builder, load, lane, source, source_address, False, bytes_per_cycle / lanes)
        side.add(builder, store, lane, target, target_address, True, drain / lanes)
        # While some requests are written, as many are read.
        builder.stream(load, store, capacity=2 * outstanding)
    return engine


@dataclass(frozen=True)
class _Side:
    """What the units at both ends of a copy have in common."""

    machine: Machine
    size: int
    lanes: int
    full: int
    tail: int
    outstanding: int

    def count(self, lane: int) -> int:
        """Full requests of a lane; lanes take turns."""
        return (self.full - lane + self.lanes - 1) // self.lanes

    def has_tail(self, lane: int) -> bool:
        """Whether the last, shorter request is this lane's."""
        return self.tail > 0 and lane == self.full % self.lanes

    def add(
        self, b: Builder, name: str, lane: int, place: str, address: int, write: bool, bytes_per_cycle: float
    ) -> None:
        """A unit of one lane that moves so many bytes a cycle."""
        from rdu.builder.nest import names

        phases: dict[str, Phase] = {}
        nest: list[str | Loop] = []
        if self.count(lane):
            cycles = max(self.machine.agcu.issue_cycles, self.size / bytes_per_cycle)
            ii, nest = paced(cycles, self.count(lane), "request", "late")
            start = address + lane * self.size
            # The late ones keep the rate where a request takes no whole number of cycles.
            phases["request"] = self._phase(place, start, self.size, write, ii)
            phases["late"] = self._phase(place, start, self.size, write, ii + 1)
            phases = {phase: phases[phase] for phase in phases if phase in names(tuple(nest))}
        if self.has_tail(lane):
            start = address + self.full * self.size
            phases["tail"] = self._phase(place, start, self.tail, write, self._cycles(self.tail, bytes_per_cycle))
            nest.append("tail")
        b.unit(name, phases=phases, nest=nest)

    def _cycles(self, nbytes: int, bytes_per_cycle: float) -> int:
        """Rounded up, so that no copy is faster than its rate."""
        return max(self.machine.agcu.issue_cycles, math.ceil(nbytes / bytes_per_cycle - 1e-9))

    def _phase(self, place: str, address: int, nbytes: int, write: bool, ii: int) -> Phase:
        from rdu.builder import Transfer, phase

        if place == HOST:
            return phase(ii, self.machine.cycles(self.machine.host.latency_ns), consume=1, produce=1)
        stride = self.lanes * self.size
        transfer = Transfer(place, address, nbytes=nbytes, write=write, stride=stride, outstanding=self.outstanding)
        return phase(ii, consume=1, produce=1, transfer=transfer)


def _rate(machine: Machine, source: str, target: str) -> tuple[str, float | None]:
    """The number that paces a copy, and its GB/s; None where AGCUs and tiers alone do."""
    if HOST in (source, target):
        return "host.gbps", machine.host.gbps
    if source != target:
        return "ddr.to_hbm_gbps", machine.ddr.to_hbm_gbps
    return AGCU, None


def _request_bytes(machine: Machine, source: str, target: str) -> int:
    """A granule in every channel of both tiers, where a quarter of a PMU holds that."""
    tiers = {"ddr": machine.ddr, "hbm": machine.hbm}
    rounds = [tiers[at].channels * tiers[at].interleave_bytes for at in (source, target) if at != HOST]
    most = machine.pmu.capacity_bytes // 4
    both = math.lcm(*rounds)
    return both if both <= most else min(most, max(rounds))


def _behind(machine: Machine, nbytes: object, source: str, target: str) -> int:
    """Where a copy within one tier lands."""
    if source != target or source not in ("ddr", "hbm") or not isinstance(nbytes, int):
        return 0
    size = _request_bytes(machine, source, target)
    return -(-nbytes // size) * size


def _check(machine: Machine, nbytes: int, ends: dict[str, int], places: tuple[str, str]) -> None:
    if isinstance(nbytes, bool) or not isinstance(nbytes, int) or not 1 <= nbytes <= MOST_BYTES:
        raise TransferError(f"copy: nbytes is {nbytes!r}; it must be a whole number from 1 to {MOST_BYTES}")
    for key, place in zip(("source", "target"), places, strict=True):
        if place not in PLACES:
            raise TransferError(f"copy: {key} is {place!r}; choose from {', '.join(PLACES)}")
    if places == (HOST, HOST):
        raise TransferError("copy: source and target are both the host; one must be a tier of the machine")
    capacities = {"ddr": machine.ddr.capacity_bytes, "hbm": machine.hbm.capacity_bytes}
    for place, end in ends.items():
        if place != HOST and end > capacities[place]:
            raise TransferError(
                f"copy: it ends at byte {end} of {place}, but {place}.capacity_bytes of machine {machine.name!r} is "
                f"{capacities[place]}"
            )


def _bound(engine: CopyEngine, run: StreamRun, source: str, target: str) -> str:
    """What keeps the loads of the engine from its rate, or that rate."""

    def cycles(units: tuple[str, ...], word: str) -> int:
        return sum(getattr(run.units[unit], word) for unit in units)

    if cycles(engine.loads, "busy") >= PACED * len(engine.loads) * run.cycles:
        return engine.limit
    waits = {"memory": source, "space": target, "idle": "latency"}
    return waits[max(waits, key=lambda word: cycles(engine.loads, word))]

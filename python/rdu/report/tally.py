"""The engine's counters of one kernel, beside the units and streams that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from rdu.compiler.formats import VECTOR_BYTES

if TYPE_CHECKING:
    from rdu.compiler.netlist import Stream, Unit
    from rdu.run import Run

STATES = ("busy", "data", "space", "memory", "idle")
# Inputs that bring one operand vector for each multiplying firing, by role; other firings of these units only take
# activations or queries, or send sums.
OPERAND_INPUTS = {"mac": (0,), "dot": (1, 2), "mix": (1, 2)}


@dataclass(frozen=True, eq=False)
class Tally:
    """One kernel over all its calls.

    Attributes
    ----------
    traffic : (bytes read, bytes written) of each tier: 0 is HBM, 1 is DDR
    memory : for each tier, ticks of its data buses by what they did, summed over the buses: ``busy`` and the causes of
        `rdu.memory.IDLE_CAUSES`; and the bursts' bytes, ``row_hits`` and ``row_misses``
    unit_rows : for each unit, cycles by state in the order of `STATES`, and firings; of a bundle, those of each copy
    stream_rows : for each stream, tokens and the most slots taken at any time; of a bundle, those of each member
    """

    number: int
    name: str
    positions: int
    calls: int
    firings: int
    run_cycles: int
    call_cycles: int
    drain_cycles: int
    traffic: tuple[tuple[int, int], ...]
    memory: tuple[dict[str, int], ...]
    arguments: tuple[str, ...]
    units: tuple[Unit, ...]
    unit_rows: tuple[tuple[int, ...], ...]
    streams: tuple[Stream, ...]
    stream_rows: tuple[tuple[int, ...], ...]

    @property
    def cycles(self) -> int:
        """Machine time: executing and being called."""
        return self.run_cycles + self.call_cycles

    @property
    def pcus(self) -> int:
        """PCUs that the kernel takes."""
        return sum(unit.copies * unit.pcus for unit in self.units)

    @property
    def pmus(self) -> int:
        """PMUs that the kernel takes."""
        return sum(unit.copies * unit.pmus for unit in self.units)

    @property
    def agcus(self) -> int:
        """AGCUs that load."""
        return sum(unit.agcus for unit in self.units)

    @property
    def macs(self) -> int:
        """Multiply-adds, those on padded lanes included."""
        found = Fraction(0)
        for stream, (tokens, _) in zip(self.streams, self.stream_rows, strict=True):
            if stream.input in OPERAND_INPUTS.get(stream.target.role, ()):
                found += tokens * stream.target.macs * stream.target.copies
        return int(found)

    @property
    def high_water_bytes(self) -> int:
        """Bytes of the most slots ever taken, summed over the streams (they need not have peaked together)."""
        rows = zip(self.streams, self.stream_rows, strict=True)
        return VECTOR_BYTES * sum(stream.copies * most for stream, (_, most) in rows)

    def ports(self, *, write: bool, tier: int = 0) -> Iterator[tuple[Unit, tuple[int, ...]]]:
        """The units that load from (or store to) a tier, with their rows."""
        for unit, row in zip(self.units, self.unit_rows, strict=True):
            if unit.port is not None and unit.port["write"] == write and unit.port["tier"] == tier:
                yield unit, row


def tallies(run: Run) -> list[Tally]:
    """The kernels that the run called, by number."""
    found = []
    kernels = {loaded.number: loaded for loaded in run.program.kernels}
    for number, totals in enumerate(run.totals["kernels"]):
        if totals["calls"] == 0:
            continue
        lowered = kernels[number].lowered
        found.append(
            Tally(
                number=number,
                name=lowered.name,
                positions=kernels[number].positions,
                calls=totals["calls"],
                firings=totals["firings"],
                run_cycles=totals["run_cycles"],
                call_cycles=totals["call_cycles"],
                drain_cycles=totals["drain_cycles"],
                traffic=tuple((read, written) for read, written in totals["traffic"]),
                memory=tuple(totals["memory"]),
                arguments=lowered.arguments,
                units=tuple(lowered.units),
                unit_rows=tuple(tuple(row) for row in totals["units"]),
                streams=tuple(lowered.streams),
                stream_rows=tuple(tuple(row) for row in totals["streams"]),
            )
        )
    return found

"""Peaks of the machine, and the least time that bytes and multiply-adds could take."""

from __future__ import annotations

from dataclasses import dataclass

from rdu.compiler.formats import FORMATS
from rdu.machine import Machine

HBM, DDR = 0, 1


@dataclass(frozen=True)
class Peaks:
    """What one socket can do at most, as whole numbers that the engine uses too.

    Attributes
    ----------
    bytes_per_second : of each tier
    flops_per_cycle : of all PCUs, for the run's dtype
    """

    clock_hz: int
    bytes_per_second: tuple[int, ...]
    flops_per_cycle: int

    def bytes_per_cycle(self, tier: int) -> float:
        """Peak of a tier."""
        return self.bytes_per_second[tier] / self.clock_hz

    def seconds(self, cycles: float) -> float:
        """Machine time."""
        return cycles / self.clock_hz


@dataclass(frozen=True)
class Bound:
    """The roofline: a run that moves these bytes and makes these sums takes at least ``cycles``."""

    memory_cycles: float
    compute_cycles: float

    @property
    def cycles(self) -> float:
        """The larger of the two."""
        return max(self.memory_cycles, self.compute_cycles)

    @property
    def limit(self) -> str:
        """Which of the two it is: ``memory`` or ``compute``."""
        return "memory" if self.memory_cycles >= self.compute_cycles else "compute"


def peaks(machine: Machine, dtype: str) -> Peaks:
    """The peaks of one socket for the multiplications of linear operators in ``dtype``."""
    return Peaks(
        clock_hz=round(machine.clock_ghz * 1e9),
        bytes_per_second=tuple(round(tier.peak_gbps * 1e9) for tier in (machine.hbm, machine.ddr)),
        flops_per_cycle=machine.total_pcus * machine.pcu.flops_per_cycle[FORMATS[dtype].rate],
    )


def bound(peak: Peaks, traffic: tuple[tuple[int, int], ...], macs: int) -> Bound:
    """The least cycles for the traffic of the slowest tier, and for the multiply-adds (two operations each)."""
    memory = max((sum(both) / peak.bytes_per_cycle(tier) for tier, both in enumerate(traffic)), default=0.0)
    return Bound(memory, 2 * macs / peak.flops_per_cycle)

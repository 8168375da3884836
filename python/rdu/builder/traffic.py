"""What the tiers of the machine did in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import _core
from ..machine import Machine
from .transfer import TIERS

# Why a data bus was idle; with the busy ticks they add up to all.
CAUSES = ("no_request", "refresh", "row_miss", "turnaround", "bank_conflict", "imbalance")


@dataclass(frozen=True)
class TierTotals:
    """One tier in one run. Ticks are those of its controllers, summed over all data buses of all channels.

    Attributes
    ----------
    read_bytes, written_bytes
        As units asked for them.
    busy_ticks
        Ticks in which a data bus moved data. Buses move whole bursts, and none for a read that finds its data in a
        write that still waits.
    idle_ticks
        The other ticks by cause: ``no_request`` (nothing was asked of the tier), ``imbalance`` (nothing of this
        channel, though of others), ``refresh``, ``row_miss``, ``turnaround``, ``bank_conflict``.
    row_hits, row_misses
        Bursts whose row was open already, and others.
    peak_gbps
        Of the machine; ``elapsed_ns`` is the run's.
    """

    read_bytes: int
    written_bytes: int
    busy_ticks: int
    idle_ticks: dict[str, int]
    row_hits: int
    row_misses: int
    peak_gbps: float
    elapsed_ns: float

    @property
    def ticks(self) -> int:
        """All ticks of all data buses."""
        return self.busy_ticks + sum(self.idle_ticks.values())

    @property
    def shares(self) -> dict[str, float]:
        """Parts of all ticks: ``busy``, and the idle ones by cause. They add up to 1."""
        whole = self.ticks or 1
        return {"busy": self.busy_ticks / whole} | {cause: self.idle_ticks[cause] / whole for cause in CAUSES}

    @property
    def gbps(self) -> float:
        """Bytes read and written, over the run's time."""
        return (self.read_bytes + self.written_bytes) / self.elapsed_ns if self.elapsed_ns else 0.0

    @property
    def peak_fraction(self) -> float:
        """What the data buses moved, over what they could have moved: ``shares["busy"]``."""
        return self.shares["busy"]

    @property
    def row_hit_rate(self) -> float:
        """Bursts whose row was open already, of all bursts; 0 without any."""
        return self.row_hits / (self.row_hits + self.row_misses or 1)

    def to_dict(self) -> dict[str, object]:
        """All of it as plain types, the same keys for each tier."""
        return {
            "read_bytes": self.read_bytes,
            "written_bytes": self.written_bytes,
            "gbps": self.gbps,
            "peak_gbps": self.peak_gbps,
            "peak_fraction": self.peak_fraction,
            "row_hits": self.row_hits,
            "row_misses": self.row_misses,
            "row_hit_rate": self.row_hit_rate,
            "busy_ticks": self.busy_ticks,
            "idle_ticks": dict(self.idle_ticks),
            "shares": self.shares,
        }


def totals(found: _core._RunResult, machine: Machine) -> dict[str, TierTotals]:
    """The tiers by name, from what the engine returned; none where no unit transfers."""
    elapsed_ns = found["cycles"] / machine.clock_ghz
    peaks = {"hbm": machine.hbm.peak_gbps, "ddr": machine.ddr.peak_gbps}
    return {
        name: TierTotals(
            read_bytes=asked[0],
            written_bytes=asked[1],
            busy_ticks=counts["busy"],
            idle_ticks={cause: counts[cause] for cause in CAUSES},
            row_hits=counts["row_hits"],
            row_misses=counts["row_misses"],
            peak_gbps=peaks[name],
            elapsed_ns=elapsed_ns,
        )
        for name, asked, counts in zip(TIERS, found.get("traffic") or (), found.get("memory") or (), strict=False)
    }


def lines(memory: Mapping[str, TierTotals]) -> list[str]:
    """A page's rows: what was asked of each tier, and where its data buses' time went; tiers at rest are left out."""
    used = {name: tier for name, tier in memory.items() if tier.read_bytes + tier.written_bytes}
    if not used:
        return []
    heads = ["tier", "read", "written", "GB/s", "busy", *(cause.replace("_", " ") for cause in CAUSES)]
    rows = [
        [name, str(tier.read_bytes), str(tier.written_bytes), f"{tier.gbps:.1f}"]
        + [f"{share:.1%}" for share in tier.shares.values()]
        for name, tier in used.items()
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    table = []
    for first, *rest in [heads, *rows]:
        cells = (f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        table.append(f"{first:<{widths[0]}}{''.join(cells)}")
    return table

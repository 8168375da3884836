"""A report: every figure of one run, from its counters alone. Utilisation is computed here and nowhere else."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rdu.report.clocks import clocks, host_figures
from rdu.report.idle import hbm_cycles
from rdu.report.ledger import TIERS, check
from rdu.report.roofline import Bound, bound, peaks
from rdu.report.split import Split, splits, top_waits
from rdu.report.tally import Tally, tallies
from rdu.report.traffic import moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType

    from rdu.run import Run

PAGE_COLUMNS = 80


class Report:
    """What the machine did: ``print(report)``, or ``report.to_dict()``. Definitions: ``docs/metrics.md``.

    Attributes
    ----------
    run : Run
    peaks : Peaks
        What the machine could do.
    clocks : Clocks
        Machine time and host time.
    kernels : list of Tally
        The kernels that were called.
    moved : list of list of Moved
        For each kernel, bytes by operator and kind.
    splits : list of list of Split
        For each kernel, where the units' cycles went, by operator and role.
    hbm_cycles : dict
        HBM's time by cause, in cycles; sums to the run's.
    checks : int
        Entries of the ledger that were compared.

    Raises
    ------
    LedgerError
        The counters contradict each other or exceed what the machine can do.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.machine = run.program.machine
        self.peaks = peaks(self.machine, run.program.dtype)
        self.kernels = tallies(run)
        self.moved = [moved(tally) for tally in self.kernels]
        self.checks = check(run, self.kernels, self.moved, self.peaks)
        self.clocks = clocks(run, self.peaks.clock_hz)
        self.splits = [splits(tally) for tally in self.kernels]
        self.hbm_cycles = hbm_cycles(self.kernels)

    @property
    def cycles(self) -> int:
        """Machine time of the run."""
        return self.run.cycles

    @property
    def macs(self) -> int:
        """Multiply-adds of the run."""
        return sum(tally.macs for tally in self.kernels)

    @property
    def traffic(self) -> tuple[tuple[int, int], ...]:
        """(bytes read, bytes written) of each tier."""
        return tuple((read, written) for read, written in self.run.totals["traffic"])

    def utilization(self, tier: int) -> float:
        """Bytes moved / (peak x elapsed) of a tier over the whole run, kernel calls included."""
        return self.tier_share(sum(self.traffic[tier]), tier, self.cycles)

    def tier_share(self, bytes_moved: int, tier: int, cycles: int) -> float:
        """Bytes moved / (peak x cycles)."""
        return bytes_moved / (self.peaks.bytes_per_cycle(tier) * cycles) if cycles else 0.0

    @property
    def pcu_utilization(self) -> float:
        """Multiply-adds / (peak of all PCUs x elapsed) over the whole run."""
        return self.pcu_share(self.macs, self.cycles)

    def pcu_share(self, macs: int, cycles: int) -> float:
        """Multiply-adds / (peak of all PCUs x cycles)."""
        return 2 * macs / (self.peaks.flops_per_cycle * cycles) if cycles else 0.0

    @property
    def bound(self) -> Bound:
        """The roofline of the whole run."""
        return bound(self.peaks, self.traffic, self.macs)

    def bound_of(self, tally: Tally) -> Bound:
        """The roofline of a kernel, over all its calls."""
        return bound(self.peaks, tally.traffic, tally.macs)

    @property
    def busiest(self) -> int:
        """Index of the kernel that took most machine time."""
        return max(range(len(self.kernels)), key=lambda at: self.kernels[at].cycles)

    @property
    def fullest(self) -> Tally:
        """The kernel with the highest mark of SRAM."""
        return max(self.kernels, key=lambda tally: tally.high_water_bytes)

    @property
    def waits(self) -> list[Split]:
        """The rows of all kernels that waited longest."""
        return top_waits(row for rows in self.splits for row in rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types; the shape is the same for every run."""
        return {
            "machine": self._machine(),
            "host": host_figures(self.run),
            "roofline": self._bound(self.bound, self.cycles),
            "tiers": [self._tier(tier) for tier in range(len(self.traffic))],
            "hbm_time": {cause: cycles / self.cycles for cause, cycles in self.hbm_cycles.items()},
            "sram": {
                "high_water_bytes": self.fullest.high_water_bytes,
                "kernel": self.fullest.number,
                "capacity_bytes": self.machine.sram_bytes,
            },
            "kernels": [self._kernel(at) for at in range(len(self.kernels))],
            "waits": [self._split(row) for row in self.waits],
            "ledger": {"checks": self.checks},
        }

    def _machine(self) -> dict[str, Any]:
        clock = self.clocks
        return {
            "name": self.machine.name,
            "sockets": self.machine.sockets,
            "dtype": self.run.program.dtype,
            "fusion": self.run.program.fusion,
            "clock_hz": self.peaks.clock_hz,
            "cycles": self.cycles,
            "elapsed_s": clock.machine_elapsed_s,
            "prompt_tokens": clock.prompt_tokens,
            "decode_steps": clock.decode_steps,
            "time_to_first_token_s": clock.machine_time_to_first_token_s,
            "decode_tokens_per_second": clock.machine_decode_tokens_per_second,
            "hbm_utilization": self.utilization(0),
            "ddr_utilization": self.utilization(1),
            "pcu_utilization": self.pcu_utilization,
            "macs": self.macs,
            "weight_bytes": self.run.program.weight_bytes,
            "state_bytes": self.run.program.state_bytes,
        }

    def _bound(self, roof: Bound, cycles: int) -> dict[str, Any]:
        return {
            "bound_s": self.peaks.seconds(roof.cycles),
            "measured_s": self.peaks.seconds(cycles),
            "memory_s": self.peaks.seconds(roof.memory_cycles),
            "compute_s": self.peaks.seconds(roof.compute_cycles),
            "limit": roof.limit,
        }

    def _tier(self, tier: int) -> dict[str, Any]:
        read, written = self.traffic[tier]
        return {
            "name": TIERS[tier].lower(),
            "read_bytes": read,
            "written_bytes": written,
            "peak_bytes_per_second": self.peaks.bytes_per_second[tier],
            "utilization": self.utilization(tier),
        }

    def _kernel(self, at: int) -> dict[str, Any]:
        tally = self.kernels[at]
        return {
            "number": tally.number,
            "name": tally.name,
            "positions": tally.positions,
            "calls": tally.calls,
            "firings": tally.firings,
            "run_cycles": tally.run_cycles,
            "call_cycles": tally.call_cycles,
            "drain_cycles": tally.drain_cycles,
            "macs": tally.macs,
            "roofline": self._bound(self.bound_of(tally), tally.run_cycles),
            "hbm_utilization": self.tier_share(sum(tally.traffic[0]), 0, tally.run_cycles),
            "pcu_utilization": self.pcu_share(tally.macs, tally.run_cycles),
            "pcus": tally.pcus,
            "pmus": tally.pmus,
            "agcus": tally.agcus,
            "sram_high_water_bytes": tally.high_water_bytes,
            "tiers": [
                {"name": TIERS[i].lower(), "read_bytes": r, "written_bytes": w}
                for i, (r, w) in enumerate(tally.traffic)
            ],
            "moved": [asdict(entry) for entry in self.moved[at]],
            "splits": [self._split(row) for row in self.splits[at]],
        }

    def _split(self, row: Split) -> dict[str, Any]:
        return {
            "kernel": row.kernel,
            "operator": row.operator,
            "role": row.role,
            "units": row.units,
            "firings": row.firings,
            "shares": row.shares,
            "wait": row.wait[0],
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rdu.report.page import page

        yield page(self)

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        text = StringIO()
        Console(file=text, width=PAGE_COLUMNS, color_system=None, legacy_windows=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def __repr__(self) -> str:
        return f"Report({self.machine.name!r}, {self.cycles} cycles, {len(self.kernels)} kernels, {self.checks} checks)"

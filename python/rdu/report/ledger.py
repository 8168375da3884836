"""The books must close: what a report checks before it says anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rdu.errors import LedgerError
from rdu.report.roofline import Peaks
from rdu.report.tally import STATES, Tally
from rdu.report.traffic import Moved

if TYPE_CHECKING:
    from rdu.run import Run

TIERS = ("HBM", "DDR")


class Ledger:
    """Counts the checks that held; the first that does not raises `LedgerError`."""

    def __init__(self) -> None:
        self.checks = 0

    def equal(self, what: str, left: int, right: int) -> None:
        """Two sums that must be the same number."""
        self.checks += 1
        if left != right:
            raise LedgerError(f"the ledger does not close: {what}: {left} against {right}, {left - right:+d}")

    def at_most(self, what: str, value: int, limit: int) -> None:
        """A value that must not exceed its limit."""
        self.checks += 1
        if value > limit:
            raise LedgerError(f"the ledger does not close: {what}: {value} is more than {limit}")


def check(run: Run, tallies: list[Tally], operator_bytes: Iterable[list[Moved]], peak: Peaks) -> int:
    """Hold a run's counters against each other; returns the number of checks.

    Raises
    ------
    LedgerError
        Names the kernel, the unit or the tier, and both numbers.
    """
    ledger = Ledger()
    for tally, rows in zip(tallies, operator_bytes, strict=True):
        _kernel(ledger, tally, rows, peak)
    cycles = sum(tally.cycles for tally in tallies)
    ledger.equal("cycles of all kernels and of the run", cycles, run.cycles)
    ledger.equal("cycles of all steps and of the run", sum(step.cycles for step in run.steps), run.cycles)
    ledger.equal("firings of all kernels and of the run", sum(t.firings for t in tallies), run.totals["firings"])
    for tier, (read, written) in enumerate(run.totals["traffic"]):
        name = TIERS[tier]
        ledger.equal(f"bytes read from {name}, kernels and run", sum(t.traffic[tier][0] for t in tallies), read)
        ledger.equal(f"bytes written to {name}, kernels and run", sum(t.traffic[tier][1] for t in tallies), written)
        _within_peak(ledger, f"{name} over the run", read + written, cycles, tier, peak)
    return ledger.checks


def _kernel(ledger: Ledger, tally: Tally, rows: list[Moved], peak: Peaks) -> None:
    name = f"kernel {tally.name!r} at {tally.positions} positions"
    for unit, row in zip(tally.units, tally.unit_rows, strict=True):
        ledger.equal(
            f"{name}: states of unit {unit.name!r} and elapsed cycles", sum(row[: len(STATES)]), tally.run_cycles
        )
    firings = sum(unit.copies * row[-1] for unit, row in zip(tally.units, tally.unit_rows, strict=True))
    ledger.equal(f"{name}: firings of units and of the kernel", firings, tally.firings)
    for tier, (read, written) in enumerate(tally.traffic):
        loaded, stored = (
            sum(unit.transfer_bytes * row[-1] for unit, row in tally.ports(write=write, tier=tier))
            for write in (False, True)
        )
        ledger.equal(f"{name}: bytes of load units and read from {TIERS[tier]}", loaded, read)
        ledger.equal(f"{name}: bytes of store units and written to {TIERS[tier]}", stored, written)
        # The roofline, memory side: no less time than the bytes take at peak; reads are all done when draining begins.
        _within_peak(ledger, f"{name}: {TIERS[tier]}", read + written, tally.run_cycles, tier, peak)
        reading = tally.run_cycles - tally.drain_cycles
        _within_peak(ledger, f"{name}: reads from {TIERS[tier]}", read, reading, tier, peak)
    read, written = (sum(both[at] for both in tally.traffic) for at in (0, 1))
    ledger.equal(f"{name}: bytes read by operators and from memory", sum(row.read_bytes for row in rows), read)
    ledger.equal(f"{name}: bytes written by operators and to memory", sum(row.written_bytes for row in rows), written)
    # The roofline, compute side: no more multiply-adds than all PCUs could make.
    most = tally.run_cycles * peak.flops_per_cycle
    ledger.at_most(f"{name}: operations of its multiply-adds against the PCUs' peak", 2 * tally.macs, most)


def _within_peak(ledger: Ledger, what: str, bytes_moved: int, cycles: int, tier: int, peak: Peaks) -> None:
    """Whole numbers on both sides, so that nothing hides in rounding."""
    moved, most = bytes_moved * peak.clock_hz, cycles * peak.bytes_per_second[tier]
    ledger.at_most(f"{what}: bytes x clock against the peak", moved, most)

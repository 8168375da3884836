"""Why HBM is not at 100 %: its time by cause, adding up to the whole."""

from __future__ import annotations

from collections.abc import Iterable

from rdu.report.roofline import HBM, Peaks
from rdu.report.tally import STATES, Tally

# In the order of the page; docs/metrics.md has the definitions.
CAUSES = {
    "moving": "moving data",
    "refresh": "refresh",
    "calls": "kernel calls: program load, arguments, execute",
    "drain": "drain: all is read, the dependency chain runs on",
    "space": "loads wait for space: buffers are full",
    "memory": "loads wait for memory: latency, queues",
    "finished": "some loads are done, others still read",
    "other": "other",
}


def hbm_cycles(tallies: Iterable[Tally], peak: Peaks) -> dict[str, float]:
    """Cycles of HBM by cause, over all kernels; they sum to the run's cycles."""
    total = dict.fromkeys(CAUSES, 0.0)
    for tally in tallies:
        for cause, cycles in _of_kernel(tally, peak).items():
            total[cause] += cycles
    return total


def _of_kernel(tally: Tally, peak: Peaks) -> dict[str, float]:
    moved = sum(tally.traffic[HBM]) / peak.bytes_per_cycle(HBM) if tally.traffic else 0.0
    # What is left for each next cause; the ledger has checked that nothing before it took more than there was.
    rest = max(0.0, tally.run_cycles - moved - tally.drain_cycles)
    refresh = min(rest, peak.refresh_share[HBM] * (tally.run_cycles - tally.drain_cycles))
    rest -= refresh
    found = {"moving": moved, "refresh": refresh, "calls": float(tally.call_cycles), "drain": float(tally.drain_cycles)}
    waits = _load_waits(tally)
    whole = sum(waits.values())
    for cause, cycles in waits.items():
        found[cause] = rest * cycles / whole if whole else 0.0
    found["other"] = found.get("other", 0.0) if whole else rest
    return found


def _load_waits(tally: Tally) -> dict[str, int]:
    """Cycles in which load units did not issue, by state, summed over the units; draining is counted elsewhere."""
    sums, count = dict.fromkeys(STATES, 0), 0
    for _, row in tally.ports(write=False, tier=HBM):
        count += 1
        for state, cycles in zip(STATES, row, strict=False):
            sums[state] += cycles
    finished = max(0, sums["idle"] - count * tally.drain_cycles)
    return {"space": sums["space"], "memory": sums["memory"], "finished": finished, "other": sums["data"]}

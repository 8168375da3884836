"""Why HBM is not at 100 %: its time by cause, adding up to the whole."""

from __future__ import annotations

from collections.abc import Iterable

from rdu.memory import IDLE_CAUSES
from rdu.report.roofline import HBM
from rdu.report.tally import STATES, Tally

# In the order of the page; docs/metrics.md has the definitions.
CAUSES = {
    "moving": "moving data",
    "refresh": "refresh",
    "row_miss": "rows are closed and opened",
    "bank_conflict": "banks, bank groups or the command bus are busy",
    "turnaround": "between reads and writes",
    "imbalance": "no request for this channel, some for others",
    "calls": "kernel calls: program load, arguments, execute",
    "drain": "drain: all is read, the dependency chain runs on",
    "space": "no request: loads wait for space, buffers are full",
    "memory": "no request: loads wait for answers under way",
    "finished": "no request: some loads are done, others still read",
    "other": "no request: other",
}


def hbm_cycles(tallies: Iterable[Tally]) -> dict[str, float]:
    """Cycles of HBM by cause, over all kernels; they sum to the run's cycles."""
    total = dict.fromkeys(CAUSES, 0.0)
    for tally in tallies:
        for cause, cycles in _of_kernel(tally).items():
            total[cause] += cycles
    return total


def _of_kernel(tally: Tally) -> dict[str, float]:
    """The data buses counted every tick of the call; without requests, the load units say why there were none."""
    ticks = tally.memory[HBM] if tally.memory else {}
    every = ticks.get("busy", 0) + sum(ticks.get(cause, 0) for cause in IDLE_CAUSES)

    def cycles(what: str) -> float:
        return tally.run_cycles * ticks[what] / every if every else 0.0

    found = {"moving": cycles("busy"), "calls": float(tally.call_cycles)}
    found |= {cause: cycles(cause) for cause in IDLE_CAUSES if cause != "no_request"}
    unasked = cycles("no_request") if every else float(tally.run_cycles)
    found["drain"] = min(unasked, float(tally.drain_cycles))
    waits = _load_waits(tally)
    whole = sum(waits.values())
    for cause, waited in waits.items():
        found[cause] = (unasked - found["drain"]) * (waited / whole if whole else float(cause == "other"))
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

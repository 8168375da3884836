"""Errors of the DRAM model on every reference row, worst first: ``python tests/fidelity/dram_table.py [CONFIG]``."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from dram_rows import Row, bounds, hit_bounds, latency_bounds, measured, rows


def misses(row: Row) -> tuple[float, str]:
    """How far a row is off as a part of what it may be (1: just within), and a line that says so."""
    replay = measured(row)
    low, high = bounds(row)
    hit_low, hit_high = hit_bounds(row)
    ratios = [
        _ratio(replay.peak_fraction, row.bw, low, high),
        _ratio(replay.row_hit_rate, row.row_hits, hit_low, hit_high),
    ]
    latency = latency_bounds(row)
    if latency is not None and row.latency_ns is not None and replay.mean_latency_ns is not None:
        ratios.append(_ratio(replay.mean_latency_ns, row.latency_ns, *latency))
    ours = f"{replay.peak_fraction:.4f} {row.bw:.4f} {replay.peak_fraction / row.bw - 1:+7.1%}"
    hits = f"{replay.row_hit_rate:.4f} {row.row_hits:.4f}"
    times = f"{replay.mean_latency_ns or 0:8.1f} {row.latency_ns or 0:8.1f}"
    return max(ratios), f"{max(ratios):5.2f} {ours}  {hits}  {times}  {row.id}"


def _ratio(value: float, reference: float, low: float, high: float) -> float:
    """0 at the reference, 1 at a bound; where the reference itself is a bound, only the other side counts."""
    if low <= value <= high:
        width = high - reference if value >= reference else reference - low
        return abs(value - reference) / width if width > 0 else 0.0
    return 1 + max(low - value, value - high) / max(reference, 1e-9)


def main() -> int:
    wanted = sys.argv[1:]
    chosen = [row for row in rows() if not wanted or row.config in wanted]
    began = time.perf_counter()
    found = sorted((misses(row) for row in chosen), reverse=True)
    print(" miss   ours    ref    diff    hits    ref    ns: ours      ref  row")
    for _, line in found:
        print(line)
    ratios = [ratio for ratio, _ in found]
    outside = sum(ratio > 1 for ratio in ratios)
    print(f"{len(found)} rows, {outside} outside, median {statistics.median(ratios):.2f} of the tolerance", end="")
    print(f", {time.perf_counter() - began:.1f} s")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())

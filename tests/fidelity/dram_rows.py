"""The reference rows of `data/dram`, what our model says of each, and how near it must be."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rdu.memory import Dram, Replay
from rdu.testing import reference_dram
from rdu.testing.address_streams import traffic

DATA = Path(__file__).parent / "data" / "dram"
FILES = sorted(path.name for path in DATA.glob("*.csv") if path.name != "configs.csv")
WARMUP = 20_000
# Requests of a channel that keep the queues full until the last one counted.
TAIL = 4_000

# The same part and a like map in both simulators: what they say of a mix is a band, as neither batches writes alike.
PAIRS = {
    "HBM2_2000": ("HBM2_8Gb_x128-1ch", "HBM2_8Gb_x128-1ch-bglow"),
    "DDR4_3200AA": ("DDR4_8Gb_x8_3200-1r", "DDR4_8Gb_x8_3200-1r-bglow"),
}


@dataclass(frozen=True)
class Row:
    """One line of a CSV."""

    config: str
    pattern: str
    params: str
    requests: int
    bw: float
    latency_ns: float | None
    row_hits: float

    @property
    def id(self) -> str:
        return f"{self.config}:{self.pattern}" + (f":{self.params}" if self.params else "")

    @property
    def aligned(self) -> bool:
        """Streams in lock-step, the deliberate worst case."""
        return "aligned" in self.params


@cache
def rows() -> tuple[Row, ...]:
    found = []
    for name in FILES:
        with open(DATA / name, encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                latency = float(line["avg_latency_ns"]) if line["avg_latency_ns"] else None
                bw, hits = float(line["bw_frac_of_peak"]), float(line["row_hit_rate"])
                requests = int(line["requests"])
                found.append(Row(line["config"], line["pattern"], line["params"], requests, bw, latency, hits))
    return tuple(found)


@cache
def memory(config: str) -> Dram:
    return reference_dram(config)


def measured(row: Row) -> Replay:
    """Our model on the stream of a row, warmed up and kept busy to the end as it was."""
    dram = memory(row.config)
    count = WARMUP + row.requests + TAIL * dram.channels
    sizes = (count, dram.burst_bytes, dram.capacity_bytes, int(dram.organisation["rows"]))
    asked = traffic(row.pattern, row.params, *sizes)
    return dram.replay(
        asked.addresses,
        dram.burst_bytes,
        asked.is_write,
        outstanding=asked.outstanding,
        warmup=WARMUP,
        measure=row.requests,
    )


@cache
def mixes() -> dict[tuple[str, str, str], float]:
    return {(row.config, row.pattern, row.params): row.bw for row in rows() if "mix" in row.pattern}


def band(row: Row) -> tuple[float, float] | None:
    """What the two simulators say of a mix on the same part, where both have it."""
    for one, others in PAIRS.items():
        family = (one, *others)
        if row.config in family:
            said = [mixes()[key] for name in family if (key := (name, row.pattern, row.params)) in mixes()]
            return (min(said), max(said)) if len(said) > 1 else None
    return None


def bounds(row: Row) -> tuple[float, float]:
    """From where to where the bandwidth may lie, in parts of the peak, as the rows' README expects."""
    if row.aligned:
        return row.bw / 1.3, row.bw * 1.3
    if "mix" in row.pattern:
        between = band(row)
        low, high = row.bw - 0.08, row.bw + 0.08
        # The ends of the band are rows themselves, so they have the tolerance of a row.
        return (max(low, between[0] * 0.97), min(high, between[1] * 1.03)) if between else (low, high)
    if row.pattern.startswith(("block_", "streams_")):
        return row.bw - 0.05, row.bw + 0.05
    return row.bw * 0.97, row.bw * 1.03


def latency_bounds(row: Row) -> tuple[float, float] | None:
    """For a single outstanding read: there the latency is the device's and not a scheduler's."""
    if row.latency_ns is None or row.params != "qd=1":
        return None
    return row.latency_ns * 0.97, row.latency_ns * 1.03


def hit_bounds(row: Row) -> tuple[float, float]:
    return row.row_hits - 0.03, row.row_hits + 0.03

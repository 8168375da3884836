"""A tier of a machine as a DRAM device: a preset, brought to the tier's channels, bandwidth and size."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from rdu.machine import Machine
from rdu.machine.sections import Tier
from rdu.memory import presets
from rdu.memory.description import Description

# Paid in nanoseconds whatever the clock: what charges, senses and restores cells. The others count beats on a bus.
ANALOG = (
    *("tcl", "tcwl", "trcd_rd", "trcd_wr", "trp", "tras", "trc", "trrd_s", "trrd_l", "tfaw", "twtr_s", "twtr_l"),
    *("twtr_r", "twr", "trtp", "tppd", "trefi_pb", "trfc_pb", "trrefd"),
)
# The engine's limit for a timing.
MAX_CYCLES = 2**20 - 1
# Refreshes put off, at most, to be done together.
MOST_AT_ONCE = 64


def describe_tiers(machine: Machine) -> list[dict[str, Any]]:
    """The tiers of a machine in the engine's terms: 0 is HBM, 1 is DDR."""
    clock_hz = round(machine.clock_ghz * 1e9)
    found = []
    for name, tier in (("hbm", machine.hbm), ("ddr", machine.ddr)):
        # Half of the network's time is spent on the way there; at least a cycle each way.
        way = max(2, machine.cycles(tier.network_ns))
        found.append(
            {
                "device": device(tier).config() | {"name": name},
                "clock_hz": clock_hz,
                "request_cycles": way // 2,
                "response_cycles": way - way // 2,
            }
        )
    return found


@cache
def device(tier: Tier) -> Description:
    """The preset ``tier.device`` with the tier's channels, interleaving, refresh and capacity, at a clock that gives
    its peak bandwidth.

    Times of cells keep their nanoseconds, rounded up to whole cycles of the new clock; a burst keeps its cycles.
    """
    base = presets.read(tier.device)
    value = base.values

    def number(key: str) -> int:
        found = value[key]
        assert isinstance(found, int)
        return found

    per_channel = {key: number(f"organisation.{key}") for key in ("pseudo_channels", "ranks", "bank_groups", "banks")}
    buses = tier.channels * per_channel["pseudo_channels"]
    bits_per_clock = buses * number("organisation.bus_bits") * number("organisation.beats_per_clock")
    # Rounded up, so that no tier is faster than its peak.
    ticks = number("organisation.commands.ticks_per_clock")
    tck_fs = max(1, math.ceil(bits_per_clock / 8 / tier.peak_gbps * 1e6 / ticks)) * ticks
    row_bytes = number("organisation.columns") * number("organisation.bus_bits") // 8
    rows = math.ceil(tier.capacity_bytes / (tier.channels * math.prod(per_channel.values()) * row_bytes))
    settings: dict[str, object] = {
        "organisation.stacks": 1,
        "organisation.channels": tier.channels,
        # Address maps want a power of two; what lies above the capacity is never asked for.
        "organisation.rows": 2 ** max(0, rows - 1).bit_length(),
        "timings.tck_fs": tck_fs,
        "map.interleave_bytes": tier.interleave_bytes,
        "map.hashed": tier.interleave == "hashed",
    }

    def cycles(ns: float) -> int:
        return min(MAX_CYCLES, math.ceil(ns * 1e6 / tck_fs - 1e-9))

    for key in ANALOG:
        ck = value[f"timings.{key}"]
        if isinstance(ck, int):
            settings[f"timings.{key}"] = cycles(ck * number("timings.tck_fs") / 1e6) if ck else 0
    timing = {key: number_of(settings[f"timings.{key}"]) for key in ("tcl", "tcwl", "tras", "trp", "trc")}
    settings["timings.trc"] = max(timing["trc"], timing["tras"] + timing["trp"])
    # Read data must have left the bus before write data come; two cycles turn it round.
    burst = number("organisation.burst_length") // number("organisation.beats_per_clock")
    settings["timings.trtw"] = max(1, timing["tcl"] + burst + 2 - timing["tcwl"])
    if tier.refresh_ns > 0:
        # A clock so slow that nothing fits between two refreshes: several at once, as many times less often.
        ranks = 1 if value["organisation.ranks_stacked"] else per_channel["ranks"]
        work = 2 * number_of(settings["timings.trc"]) * per_channel["pseudo_channels"] * ranks
        for at_once in range(1, MOST_AT_ONCE + 1):
            settings["timings.trefi"] = max(1, cycles(at_once * tier.refresh_interval_ns))
            settings["timings.trfc"] = max(1, cycles(at_once * tier.refresh_ns))
            if number_of(settings["timings.trefi"]) > number_of(settings["timings.trfc"]) + work:
                break
        settings["controller.refresh"] = "all_bank"
    else:
        settings["controller.refresh"] = "none"
    return base.override(settings)


def number_of(value: object) -> int:
    """``value``, known to be a whole number."""
    assert isinstance(value, int)
    return value

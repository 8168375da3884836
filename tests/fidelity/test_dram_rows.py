"""The DRAM model against Ramulator 2 and DRAMsim3: every row of `data/dram`, within what its README expects."""

from __future__ import annotations

import csv

import pytest
from dram_rows import DATA, Row, bounds, hit_bounds, latency_bounds, measured, rows

from rdu.testing import reference_dram, reference_names

# Columns of configs.csv and the keys that hold them.
COLUMNS = {
    "channels": "organisation.channels",
    "pseudo_channels": "organisation.pseudo_channels",
    "bus_bits_per_pc": "organisation.bus_bits",
    "burst_len": "organisation.burst_length",
    "ranks_or_sids": "organisation.ranks",
    "bank_groups": "organisation.bank_groups",
    "banks_per_group": "organisation.banks",
    "rows": "organisation.rows",
    "CL": "timings.tcl",
    "CWL": "timings.tcwl",
    "RCD_rd": "timings.trcd_rd",
    "RCD_wr": "timings.trcd_wr",
    "RP": "timings.trp",
    "RAS": "timings.tras",
    "RC": "timings.trc",
    "RRD_S": "timings.trrd_s",
    "RRD_L": "timings.trrd_l",
    "FAW": "timings.tfaw",
    "CCD_S": "timings.tccd_s",
    "CCD_L": "timings.tccd_l",
    "WTR_S": "timings.twtr_s",
    "WTR_L": "timings.twtr_l",
    "RTW_cmd_to_cmd": "timings.trtw",
    "RTP": "timings.trtp",
    "WR": "timings.twr",
    "REFI": "timings.trefi",
    "RFC": "timings.trfc",
}


def configurations() -> list[dict[str, str]]:
    with open(DATA / "configs.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_row(row: Row) -> None:
    replay = measured(row)
    low, high = bounds(row)
    said = f"{row.id}: {replay.peak_fraction:.4f} of peak, reference {row.bw:.4f}"
    assert low <= replay.peak_fraction <= high, said
    if (latency := latency_bounds(row)) is not None:
        assert replay.mean_latency_ns is not None
        assert latency[0] <= replay.mean_latency_ns <= latency[1], f"{row.id}: {replay.mean_latency_ns} ns"
    low, high = hit_bounds(row)
    assert low <= replay.row_hit_rate <= high, f"{row.id}: {replay.row_hit_rate:.4f} hits, reference {row.row_hits}"


def test_all_rows_are_there() -> None:
    assert len(rows()) == 428
    assert {row.config for row in rows()} <= set(reference_names())


@pytest.mark.parametrize("line", configurations(), ids=lambda line: line["config"])
def test_the_reference_memories_are_those_of_the_table(line: dict[str, str]) -> None:
    dram = reference_dram(line["config"])
    values = {entry.key: entry.value for entry in dram.entries()}
    differing = {key: values[key] for column, key in COLUMNS.items() if values[key] != int(line[column])}
    # tRAS + tRP is one more than the tRC of this derived part; no row cycle can be shorter than both.
    assert differing == ({"timings.trc": 78} if line["config"] == "HBM2E_3200d" else {})
    assert dram.burst_bytes == int(line["req_bytes"])
    assert dram.tick_ns == pytest.approx(float(line["sim_tick_ns"]))
    assert dram.peak_gbps == pytest.approx(float(line["peak_GBps_per_channel"]) * int(line["channels"]), rel=1e-4)
    page = values["organisation.columns"] * values["organisation.bus_bits"] // 8
    assert page == int(line["page_bytes"])


def test_the_shape_of_the_rows_can_fail() -> None:
    row = next(row for row in rows() if row.id == "HBM3_6400:seq_read")
    low, high = bounds(row)
    # Half of the bank groups would still stream at peak, but not with tCCD_L between all reads.
    assert not low <= row.bw / 2 <= high

"""Streams that share a tier: every tick of every data bus has a cause, and more channels are never slower."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdu
from census import examples
from rdu.builder import TierTotals
from rdu.testing.transfers import transfers

PAGE = Path(__file__).resolve().parent.parent / "docs" / "memory.md"
SECTION = re.compile(r"^## A whole socket\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL)
TINY = rdu.machine("tiny")


@examples(1)
@given(
    streams=st.lists(st.tuples(transfers(), st.integers(1, 60), st.integers(1, 100)), min_size=1, max_size=6),
    refresh_ns=st.sampled_from([0.0, 50.0]),
)
def test_every_tick_of_every_data_bus_has_one_cause(
    streams: list[tuple[rdu.Transfer, int, int]], refresh_ns: float
) -> None:
    machine = TINY.override({"hbm.refresh_ns": refresh_ns})
    b = rdu.Builder()
    for at, (transfer, firings, ii) in enumerate(streams):
        b.unit(f"u{at}", firings=firings, ii=ii, transfer=transfer)
    run = b.build().run(machine=machine)
    for name, tier in run.memory.items():
        assert min(tier.busy_ticks, *tier.idle_ticks.values()) >= 0
        assert sum(tier.shares.values()) == pytest.approx(1)
        asked = [(t.write, t.nbytes * n) for t, n, _ in streams if t.tier == name]
        assert tier.read_bytes == sum(nbytes for write, nbytes in asked if not write)
        assert tier.written_bytes == sum(nbytes for write, nbytes in asked if write)
        if not asked:
            assert tier.shares["no_request"] == 1
    if not refresh_ns:
        assert run.memory["hbm"].idle_ticks["refresh"] == 0
    # As many ticks whatever happened in them: those of the run's time, and its last may have begun before its end.
    device = rdu.memory.tier.device(machine.hbm).values
    buses = device["organisation.channels"] * device["organisation.pseudo_channels"]
    tick_ns = device["timings.tck_fs"] * 1e-6 / device["organisation.commands.ticks_per_clock"]
    assert run.memory["hbm"].ticks / buses == pytest.approx(run.cycles / machine.clock_ghz / tick_ns, abs=1)


def spread(channels: int, nbytes: int, write: bool) -> TierTotals:
    """HBM after one sequential stream over all channels, each as fast as a channel of `tiny`."""
    machine = TINY.override({"hbm.channels": channels, "hbm.peak_gbps": 16.0 * channels})
    b = rdu.Builder()
    transfer = rdu.Transfer("hbm", nbytes=nbytes, write=write, outstanding=64)
    b.unit("stream", firings=max(200, (1 << 19) // nbytes), transfer=transfer)
    return b.build().run(machine=machine).memory["hbm"]


@examples(0.3)
@given(
    channels=st.integers(1, 12),
    more=st.integers(1, 4),
    nbytes=st.sampled_from([256, 1000, 1024, 4096]),
    write=st.booleans(),
)
def test_more_channels_never_reduce_the_bandwidth_of_a_spread_stream(
    channels: int, more: int, nbytes: int, write: bool
) -> None:
    few, many = (spread(count, nbytes, write) for count in (channels, channels + more))
    # 64 requests in flight keep all of them busy.
    assert many.gbps > few.gbps


def test_the_table_of_the_page_is_what_its_program_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """Within a point: numbers of the machine are recalibrated, and the table is made anew when it is off."""
    section = SECTION.search(PAGE.read_text(encoding="utf-8"))
    assert section is not None
    code = re.findall(r"^```python\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    exec(compile("\n".join(code), str(PAGE), "exec"), {"__name__": "page", "rdu": rdu})
    printed = cells(capsys.readouterr().out)
    table = cells(section[1])
    assert [row[0] for row in table] == [row[0] for row in printed]
    assert len(table) > 3
    for row, found in zip(table[1:], printed[1:], strict=True):
        for cell, value in zip(row[2:], found[2:], strict=True):
            assert float(cell) == pytest.approx(float(value), abs=1), row[0]
        assert float(row[1]) == pytest.approx(float(found[1]), rel=0.01), row[0]


def cells(text: str) -> list[list[str]]:
    """The rows of a Markdown table, its line of dashes left out."""
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set("".join(row)) <= set("-: ")]

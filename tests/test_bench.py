"""`rdu bench memory`: standard traffic on any memory, as a table or as one JSON object."""

from __future__ import annotations

import json

import pytest

from rdu.cli import main
from rdu.errors import RunError
from rdu.memory import Dram, bench

PATTERNS = ["seq_read", "seq_each", "seq_write", "rand_read", "rand_mix", "one_read", "whole_read"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["bench", "memory", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_one_json_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "ddr4-3200", "HBM3_6400", "-n", "2000", "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)["measured"]
    assert [(row["memory"], row["pattern"]) for row in rows] == [
        (memory, pattern) for memory in ("ddr4-3200", "HBM3_6400") for pattern in PATTERNS
    ]
    assert len({tuple(row) for row in rows}) == 1
    assert all(row["host_s"] > 0 and 0 < row["peak_fraction"] <= 1 for row in rows)
    # Only the reference memories have a peer, and only on its streams.
    peers = [False] * 7 + [True, False, False, True, False, False, False]
    assert [row["times_peer"] is not None for row in rows] == peers


def test_a_table_that_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "DDR4_3200AA", "-n", "2000")
    assert (code, err) == (0, "")
    assert "whole read" in out
    assert max(map(len, out.splitlines())) <= 80


def test_settings_change_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ddr4-3200", "-n", "100", "--json", "--set", "channels=2", "--set", "page=closed")
    # The map of one channel does not place two.
    assert out == ""
    settings = ("--set", "channels=2", "--set", "map.interleave_bytes=256", "--set", "page=closed")
    _, out, _ = said(capsys, "ddr4-3200", "-n", "100", "--json", *settings)
    assert json.loads(out)["measured"][0]["peak_gbps"] == pytest.approx(51.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown memory 'nope'"),
        (["ddr4-3200", "-n", "0"], "--bursts is 0"),
        (["ddr4-3200", "--set", "trc=1"], "timings.trc is 1"),
        (["ddr4-3200", "--set", "trc"], "--set 'trc' is no KEY=VALUE"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_debug_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "build_profile", lambda: "debug")
    with pytest.raises(RunError, match="debug build"):
        list(bench.measure(Dram("ddr4-3200"), 10))

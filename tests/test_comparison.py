"""Estimates side by side: every combination, its gain, its share of what the memory streams, and the command."""

from __future__ import annotations

import json

import pytest

from rdu.cli.main import main
from rdu.machine import machine
from rdu.report.idle import CAUSES
from rdu.studies.comparison import GROUPS, compare, grouped
from rdu.studies.streaming import streaming_gbps


def test_a_memory_streams_below_its_peak() -> None:
    for name in ("tiny", "sn40l", "h100"):
        described = machine(name)
        # Refreshes cost most of the rest; with the change of rows less than a seventh on each of these.
        assert 0.85 < streaming_gbps(described) / described.hbm.peak_gbps < 1


def test_every_cause_is_in_one_group() -> None:
    assert sorted(cause for causes in GROUPS.values() for cause in causes) == sorted(CAUSES)


def test_every_combination_in_order() -> None:
    rows = compare(["smollm2"], batch=[1, 2], fusion=["layer", "loop"], context=64)
    assert [(row.choice.batch, row.choice.fusion) for row in rows] == [
        (1, "layer"),
        (1, "loop"),
        (2, "layer"),
        (2, "loop"),
    ]
    first = rows[0].found
    assert first is not None
    for row in rows:
        assert row.found is not None
        assert row.gain == row.found.total_tokens_per_second / first.total_tokens_per_second
        assert row.found.hbm_utilization < row.streaming_share < 1
        assert sum(grouped(row.found.hbm_time).values()) == pytest.approx(1)
    assert rows[3].gain > rows[1].gain > 1


def test_looped_8b_keeps_the_memory_streaming() -> None:
    (row,) = compare(["llama-3.1-8b"])
    # The bar; the same memory, asked for nothing but one stream, reaches 91 to 92 % of its nominal peak.
    assert row.streaming_share > 0.96


def test_what_does_not_fit_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    rows = compare(["smollm2"], sockets=[1, 2])
    assert rows[0].found is not None
    # Nine heads cannot be divided by two.
    assert rows[1].found is None
    assert "2 sockets" in rows[1].reason
    assert main(["compare", "smollm2", "--sockets", "1,2"]) == 0
    assert rows[1].reason.split()[0] in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "smollm2", "--fusion", "layer,loop", "--context", "64", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["fusion"] for row in rows] == ["layer", "loop"]
    assert set(rows[0]["hbm_time"]) == set(CAUSES)


def test_bad_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "smollm2", "--batch", "1,x"]) == 2
    assert "1,x" in capsys.readouterr().err

"""The table of published results: its rows, its errors, its page, and the command that prints it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rdu.cli.main import main
from rdu.errors import CompileError, RequestError
from rdu.studies import validation
from rdu.studies.emulations import NOT_YET, Emulated, emulations
from rdu.studies.published import Published, published
from rdu.studies.validation import FAILED, NOT_EMULATED, Row, Validation, calibrated, validate
from rdu.studies.validation_page import page

ROOT = Path(__file__).resolve().parent.parent
ROWS = {
    *("fft-none", "fft-part", "fft-full", "l8b-8", "l70b-8", "l8b-16", "l8b-8-layer", "loop-gain", "peak-share"),
    *("fused-bw", "fuse-decode", "hw-launch", "calls", "gpu-share", "h100-8b", "switch", "switch-8b", "experts"),
    *("coe", "l405b-spec", "l70b-spec", "rdu-batch", "step-16-16", "step-64-256"),
}


def row(low: float, high: float) -> Published:
    return Published("x", "work", "config", "metric", "source", low, high)


# Rows that take little host time: a test emulates these again; `rdu validate` does all.
QUICK = ("fft", "step", "l8b-8", "l8b-8-layer", "l8b-16", "hw-launch", *NOT_YET)


@pytest.fixture(scope="module")
def quick() -> Validation:
    return validate(QUICK)


def test_all_rows_are_there_once_each() -> None:
    assert set(published()) >= ROWS
    # A row is emulated or says why not, and not both.
    assert set(emulations()) | set(NOT_YET) == set(published())
    assert not set(emulations()) & set(NOT_YET)


def test_every_row_has_a_value_or_a_reason(quick: Validation) -> None:
    for found in quick.rows:
        assert (found.emulated is None) == (found.status == NOT_EMULATED), found
        assert found.emulated is not None or found.note
        assert len(found.published.source) > 1


def test_the_page_is_current(quick: Validation) -> None:
    written = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8").splitlines()
    how = "run: rdu validate --markdown > docs/validation.md"
    for line in page(quick).splitlines():
        # Sums over all rows are not those of some.
        assert line in written or "median error" in line, how
    listed = [line.split("`")[1] for line in written if line.startswith("| `")]
    assert listed == list(published()), how


def test_the_second_witness(quick: Validation) -> None:
    errors = [abs(found.error or 0.0) for found in quick.rows if found.published.id.startswith("step-")]
    assert len(errors) == 8
    assert sum(errors) / 8 < 0.05
    assert max(errors) < 0.10


def test_plain_decode_is_within_a_tenth(quick: Validation) -> None:
    errors = {found.published.id: abs(found.error or 1.0) for found in quick.rows}
    # Clients and batches beside the machine's own time are not modelled; a tenth is the promise for each row.
    assert max(errors[name] for name in ("l8b-8", "l8b-16", "l8b-8-layer")) < 0.10


def test_traffic_of_the_fft_to_the_digit(quick: Validation) -> None:
    found = {row.published.id: row for row in quick.rows}
    for name in ("fft-none", "fft-part"):
        assert found[name].emulated == pytest.approx(found[name].published.low, abs=0.05)
    assert found["fft-full"].note.startswith("410.4 ")


def test_at_most_three_constants_are_calibrated() -> None:
    assert len(calibrated()) <= 3
    for name, entry in calibrated():
        # A fitted number names the rows that it was fitted to.
        assert any(known in entry.source for known in published()), f"{name}: {entry.key}: {entry.source}"


@pytest.mark.parametrize(
    ("low", "high", "emulated", "error"),
    [
        (100.0, 100.0, 105.0, 0.05),
        (100.0, 100.0, 95.0, -0.05),
        (2.0, 4.0, 3.0, 0.0),
        (2.0, 4.0, 5.0, 0.25),
        (2.0, 4.0, 1.0, -0.5),
    ],
)
def test_errors(low: float, high: float, emulated: float, error: float) -> None:
    assert row(low, high).error(emulated) == pytest.approx(error)


def test_rows_by_name_and_by_family() -> None:
    assert [found.published.id for found in validate(["fft-part", "fft-none"]).rows] == ["fft-part", "fft-none"]
    assert [found.published.id for found in validate(["step-16"]).rows] == ["step-16-16", "step-16-64", "step-16-256"]
    # A name that is a row of its own is only that.
    assert [found.published.id for found in validate(["switch"]).rows] == ["switch"]
    with pytest.raises(RequestError, match="no row 'l9b-8'; the nearest is 'l8b-8' of fft-none"):
        validate(["l9b-8"])


def test_a_row_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> Emulated:
        raise CompileError("kernel 'x' needs 2000 PCUs")

    table: dict[str, Callable[[], Emulated]] = {"fft-none": refuse}
    monkeypatch.setattr(validation, "emulations", lambda: table)
    found = validate(["fft-none"])
    assert found.rows == (Row(published()["fft-none"], None, FAILED, "kernel 'x' needs 2000 PCUs"),)
    assert found.median_error is None
    # The table is whole, and says it.
    assert main(["validate", "fft-none"]) == 0
    assert "failed" in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "step", "hw-launch", "coe", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"id", "published", "emulated", "error"} <= set(found["rows"][0])
    by_id = {row["id"]: row for row in found["rows"]}
    assert by_id["step-64-64"]["published"] == 9700.0
    assert by_id["hw-launch"]["published"] == [1.4, 8.0]
    assert by_id["coe"]["emulated"] is by_id["coe"]["error"] is None
    assert by_id["coe"]["status"] == "not yet"
    assert found["worst_error"] < 0.1
    assert found["not_modelled"]


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "fft", "l70b-spec"]) == 0
    shown = capsys.readouterr().out
    assert "fft-none" in shown
    assert "39.46" in shown
    assert "not yet" in shown
    assert "calibrated: " in shown
    assert "not modelled: " in shown


def test_markdown_and_a_wrong_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "fft", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Validation\n")
    assert main(["validate", "nothing"]) == 2
    assert "no row 'nothing'" in capsys.readouterr().err

"""``rdu describe`` of a model shape that comes without weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rdu.cli.main import main


def described(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["describe", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_named_shape(capsys: pytest.CaptureFixture[str]) -> None:
    found = described(capsys, "llama-3.1-405b", "--ctx", "8192")
    assert found["layers"] == 126
    weights, fit = found["weight_bytes"], found["fit"]
    assert isinstance(weights, dict)
    assert isinstance(fit, dict)
    assert weights["bf16"] == 2 * weights["int8"] == 811706777600
    # 811.7 GB and 8192 x 516096 bytes of caches in HBMs of 68.7 GB.
    assert fit["least_sockets"] == 12


def test_a_file(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    found = described(capsys, str(data_dir / "smollm2" / "hf" / "config.json"))
    assert found["model"] == "hf"
    others = ("bf16", "int8", "w8a8", "q8_0", "q4_0", "q4_1")
    assert found["kv_bytes_per_token"] == {"fp32": 46080, **dict.fromkeys(others, 23040)}


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["describe", "llama-3-8b"]) == 0
    shown = capsys.readouterr().out
    assert "8.03 G, 7.50 G read in a decode step" in shown
    assert "1 sockets at least" in shown


def test_what_is_no_shape_names_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "llama-9"]) == 2
    assert "Shapes: llama-2-70b, " in capsys.readouterr().err
    assert main(["describe", "missing.json"]) == 2
    assert "no shape 'missing.json'" in capsys.readouterr().err

"""`rdu bench decode`: the host's speed on a tiny model, as a table or as one JSON object."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rdu.api import compile
from rdu.cli import main
from rdu.errors import RequestError, RunError
from rdu.studies import host_speed as study
from rdu.studies.host_speed import host_speed, token_bytes
from rdu.testing.checkpoints import write_folder

SMALL = ("-n", "2", "--prompt-tokens", "12", "--rounds", "2", "--context", "32", "--batch", "3")


@pytest.fixture(autouse=True)
def _little_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "READ_BYTES", 1 << 16)
    monkeypatch.setattr(study, "build_profile", lambda: "release")


def test_one_json_object_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "model")
    code = main(["bench", "decode", str(folder), *SMALL, "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    said = json.loads(out)
    for name in ("decode_tokens_per_second", "decode_untimed_tokens_per_second", "prompt_tokens_per_second"):
        assert said[name] > 0
    assert said["read_gbps"]["count"] == said["seconds_per_token"]["timed"]["count"] == 2
    assert said["of_read_bound"] == pytest.approx(
        said["decode_tokens_per_second"] / said["read_bound_tokens_per_second"]
    )
    assert said["batch"] == 3
    assert said["batch_gain"] == pytest.approx(said["batch_tokens_per_second"] / said["decode_tokens_per_second"])
    assert said["first_token_s"] > 0
    assert said["memory_ratio"] == pytest.approx(said["peak_bytes"] / said["held_bytes"])
    assert said["llama_cpp"] is None
    assert "--llama" in said["llama_cpp_note"]


def test_a_table_that_fits_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["bench", "decode", str(write_folder(tmp_path / "model")), *SMALL])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert all(row in out for row in ("plain read", "decode, clock on", "batch of 3", "first token", "peak memory"))
    assert max(map(len, out.splitlines())) <= 80


def test_a_batch_of_one_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["bench", "decode", str(write_folder(tmp_path / "model")), *SMALL, "--batch", "1", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (code, said["batch"]) == (0, 1)
    assert said["batch_tokens_per_second"] is said["batch_gain"] is None


def test_bytes_of_a_token_are_those_of_the_linear_weights(tmp_path: Path) -> None:
    program = compile(write_folder(tmp_path / "model"), "tiny", context=16).program
    # q, k and v, o, gate, up, down, and then the head: hidden 32, heads 4 x 8, cached 2 x 8, ffn 64, 64 ids.
    layer = 32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 32 * 64
    assert token_bytes(program) == 2 * (2 * layer + 64 * 32)


def test_what_cannot_be_measured_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = compile(write_folder(tmp_path / "model"), "tiny", context=16)
    with pytest.raises(RequestError, match="more than the context of 16"):
        host_speed(decoder, tokens=4)
    with pytest.raises(RequestError, match="rounds is 0"):
        host_speed(decoder, rounds=0)
    with pytest.raises(RunError, match="failed"):
        host_speed(decoder, tokens=1, prompt_tokens=2, rounds=1, model=str(tmp_path / "nothing"))
    monkeypatch.setattr(study, "build_profile", lambda: "debug")
    with pytest.raises(RunError, match="debug build"):
        host_speed(decoder)

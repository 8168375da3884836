"""Images of weights that are kept: found again, equal in every bit, and never taken for what they are not."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import rdu
from rdu.errors import NumbersWarning
from rdu.models import image_cache
from rdu.program import Program
from rdu.testing.checkpoints import write_folder

PROMPT = [1, 5, 9, 20]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny checkpoint whose images are kept in a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image_cache, "LEAST_BYTES", 1)
    return write_folder(tmp_path / "model")


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "rdu" / "images").glob("*"))


def logits(folder: Path, **options: object) -> np.ndarray:
    return rdu.compile(folder, "tiny", context=16, **options).forward(PROMPT).logits


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of tensors as they are read from now on."""
    names: list[str] = []
    plain = rdu.models.checkpoint.Checkpoint.tensor

    def noted(self: rdu.models.checkpoint.Checkpoint, name: str) -> object:
        names.append(name)
        return plain(self, name)

    monkeypatch.setattr(rdu.models.checkpoint.Checkpoint, "tensor", noted)
    return names


@pytest.mark.parametrize("dtype", ["bf16", "fp32", "int8", "w8a8"])
def test_an_image_is_read_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    first = rdu.compile(folder, "tiny", context=16, dtype=dtype)
    names = reads(monkeypatch)
    again = rdu.compile(folder, "tiny", context=16, dtype=dtype)
    assert names == [], "no weight is read again"
    assert len(kept(tmp_path)) == 1
    assert np.array_equal(again.forward(PROMPT).logits, first.forward(PROMPT).logits)
    mine, theirs = first.program.quantization, again.program.quantization
    assert (mine is None) == (theirs is None) == (dtype in ("bf16", "fp32"))
    if mine is not None and theirs is not None:
        assert mine.to_dict() == theirs.to_dict()


def test_what_differs_is_kept_apart(folder: Path, tmp_path: Path) -> None:
    for options in ({}, {"dtype": "int8"}, {"dtype": "int8"}, {"sockets": 2}, {}):
        assert np.isfinite(logits(folder, **options)).all()
    assert len(kept(tmp_path)) == 3


def test_a_changed_checkpoint_is_read_again(folder: Path, tmp_path: Path) -> None:
    before = logits(folder)
    write_folder(folder, seed=7)
    assert not np.array_equal(logits(folder), before)


def test_a_damaged_image_is_made_anew(folder: Path, tmp_path: Path) -> None:
    before = logits(folder)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    at = len(whole) - 100
    path.unlink()  # the one that is mapped stays as it is
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert np.array_equal(logits(folder), before)
    assert path.read_bytes() == whole


def test_weights_that_are_no_numbers_are_named_each_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    plain = rdu.models.checkpoint.Checkpoint.tensor

    def spoilt(self: rdu.models.checkpoint.Checkpoint, asked: str) -> np.ndarray:
        values = np.array(plain(self, asked), np.float32)
        if asked == name:
            values.flat[3] = np.nan
        return values

    monkeypatch.setattr(rdu.models.checkpoint.Checkpoint, "tensor", spoilt)
    for _ in range(2):
        with pytest.warns(NumbersWarning, match=rf"{name}.*1 of"):
            rdu.compile(folder, "tiny", context=16)
    assert len(kept(tmp_path)) == 1


def test_those_unused_for_longest_make_room(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logits(folder)
    logits(folder, dtype="int8")
    sizes = {path: path.stat().st_size for path in kept(tmp_path)}
    for age, path in enumerate(sizes):
        os.utime(path, ns=(age * 10**9, age * 10**9))
    oldest = min(sizes, key=lambda path: path.stat().st_mtime_ns)
    monkeypatch.setattr(image_cache, "MOST_BYTES", sum(sizes.values()))
    logits(folder, dtype="w8a8", sockets=2)
    assert oldest not in kept(tmp_path)
    assert sum(path.stat().st_size for path in kept(tmp_path)) <= sum(sizes.values())


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert np.isfinite(logits(folder)).all()


def test_small_images_are_not_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(rdu.compile(folder, "tiny", context=16).program, Program)
    assert kept(tmp_path) == []

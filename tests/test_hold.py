"""GGUF files in blocks: what is taken as it is stored, and what is rounded anew."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

import rdu
from rdu.errors import CheckpointError
from rdu.models import load
from rdu.models.checkpoint import Checkpoint
from rdu.models.tensors import expected_tensors
from rdu.testing.checkpoints import write_gguf

# Rows of whole blocks throughout; hidden and feed-forward sizes that differ.
CONFIG = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
FINE = "model.layers.1.mlp.down_proj.weight"
MOST = "model.layers.0.mlp.down_proj.weight"


def written(tmp_path: Path, kind: str, fine: str | None = None) -> Checkpoint:
    """A file of one kind of blocks, but for one matrix."""
    raw = None
    if fine is not None:
        weights = np.random.default_rng(2).standard_normal((64, 96)).astype(np.float32)
        code = gguf.GGMLQuantizationType[fine]
        raw = {"blk.1.ffn_down.weight": (fine, gguf.quants.quantize(weights, code))}
    return load(write_gguf(tmp_path / f"{kind}-{fine}.gguf", quantization=kind, config=CONFIG, raw=raw))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1"])
def test_blocks_of_a_file_are_its_tensors(tmp_path: Path, kind: str) -> None:
    """Rows of Q and K in Hugging Face's order too."""
    found = written(tmp_path, kind)
    for name, shape in expected_tensors(found.config).items():
        blocks = found.blocks(name)
        if len(shape) == 1:
            assert blocks is None
            continue
        assert blocks is not None
        assert blocks.kind == kind.lower()
        values = gguf.quants.dequantize(blocks.read(), gguf.GGMLQuantizationType[kind])
        np.testing.assert_array_equal(values, found.tensor(name), err_msg=name)
    with pytest.raises(CheckpointError, match="no tensor lost"):
        found.blocks("lost")


def test_other_storage_has_no_blocks(tmp_path: Path) -> None:
    assert written(tmp_path, "F16").blocks(MOST) is None
    assert written(tmp_path, "Q5_0").blocks(MOST) is None


def test_a_file_that_is_cut_after_it_was_opened_is_damaged(tmp_path: Path) -> None:
    found = written(tmp_path, "Q8_0")
    with found.path.open("r+b") as stream:
        stream.truncate(found.path.stat().st_size // 2)
    blocks = found.blocks(FINE)
    assert blocks is not None
    with pytest.raises(CheckpointError, match=r"blk\.1\.ffn_down\.weight has \d+ bytes of Q8_0; rows of 96 make"):
        blocks.read()


@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "q4_1"])
def test_a_file_of_that_type_runs_as_it_is(tmp_path: Path, kind: str) -> None:
    decoder = rdu.compile(written(tmp_path, kind.upper()), "tiny", dtype=kind, context=16)
    lost = decoder.program.quantization
    assert lost is not None
    assert (len(lost.kept), dict(lost.tensors)) == (2 * 7 + 1, {})
    runs = [decoder.program.session(mode).feed([1, 2, 3]).result() for mode in ("step", "split")]
    np.testing.assert_array_equal(*(run.outputs["logits"] for run in runs))
    assert runs[0].totals == runs[1].totals


def test_finer_weights_of_such_a_file_keep_their_type(tmp_path: Path) -> None:
    found = written(tmp_path, "Q4_1", "Q8_0")
    held = rdu.compile(found, "tiny", fusion="layer", dtype="q4_1", context=16).program
    assert held.quantization is not None
    assert len(held.quantization.kept) == 2 * 7 + 1
    assert {op.weights[0].held for op in held.graph.operators if op.kind == "linear" and op.weights[0]} == {
        "q4_1",
        "q8_0",
    }
    runs = [held.session(mode).feed([1, 2, 3]).result() for mode in ("step", "split")]
    np.testing.assert_array_equal(*(run.outputs["logits"] for run in runs))


def test_weights_without_blocks_of_such_a_file_take_the_finest(tmp_path: Path) -> None:
    held = rdu.compile(written(tmp_path, "Q4_0", "Q5_1"), "tiny", fusion="layer", dtype="q4_0", context=16).program
    assert held.quantization is not None
    assert list(held.quantization.tensors) == [FINE]
    # 8 bits of numbers that 5 bits told: half a step of 1/127 of the largest, a block's typical weight a third of it.
    assert held.quantization.relative < 0.01


def test_another_type_is_rounded_to(tmp_path: Path) -> None:
    held = rdu.compile(written(tmp_path, "Q4_1", "Q8_0"), "tiny", dtype="q8_0", context=16).program
    assert held.quantization is not None
    assert held.quantization.kept == (FINE,)
    assert len(held.quantization.tensors) == 2 * 7

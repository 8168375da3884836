"""GGUF files: they read back equal to the folder they were made from, and damage is named at once."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from dataclasses import replace
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest

from rdu.errors import CheckpointError
from rdu.models import load
from rdu.models.checkpoint import Checkpoint
from rdu.models.config import DecoderConfig
from rdu.models.gguf_file import half_split_rows
from rdu.models.tensors import expected_tensors
from rdu.testing.checkpoints import write_gguf

TINY = sorted((Path(__file__).parent / "data" / "tiny").iterdir())


def without_scaling(config: DecoderConfig) -> DecoderConfig:
    return replace(config, rope=replace(config.rope, kind="default"))


@pytest.mark.parametrize("folder", TINY, ids=lambda folder: folder.name)
def test_a_converted_folder_reads_back_equal(tmp_path: Path, folder: Path) -> None:
    source = load(folder)
    found = load(write_gguf(tmp_path / "model.gguf", source))
    if source.config.rope.kind == "llama3":  # llama.cpp keeps divisors instead of the formula
        head_dim = source.config.head_dim
        frequencies = [c.config.rope.inverse_frequencies(head_dim) for c in (source, found)]
        np.testing.assert_allclose(*frequencies, rtol=2.0**-21)  # divisors are rounded to float32, and a few steps
        assert replace(found.config, rope=source.config.rope) == source.config
    else:
        assert found.config == source.config
    assert found.dtype == "float32"
    for name in expected_tensors(source.config):
        np.testing.assert_array_equal(found.tensor(name), source.tensor(name).astype(np.float32), err_msg=name)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16"), ("Q8_0", "Q8_0")]
)
@pytest.mark.parametrize("kept", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", None])
def test_storage_types(tmp_path: Path, kind: str, dtype: str, kept: str | None) -> None:
    kind, dtype = (kept, kept) if kept else (kind, dtype)
    source = load(TINY[0])
    found = load(write_gguf(tmp_path / "model.gguf", source, quantization=kind))
    assert found.dtype == dtype
    for name in expected_tensors(source.config):
        exact = source.tensor(name).astype(np.float32)
        stored = exact
        if exact.ndim == 2:
            # rows are quantised one by one, so their order does not matter to the reference
            code = gguf.GGMLQuantizationType[kind]
            stored = gguf.quants.dequantize(gguf.quants.quantize(exact, code), code)
        array = found.tensor(name)
        assert array.dtype == (np.dtype(dtype) if exact.ndim == 2 and kind[0] != "Q" else np.float32)
        np.testing.assert_array_equal(array.astype(np.float32), stored, err_msg=name)


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_k_quants(tmp_path: Path, kind: str) -> None:
    code = gguf.GGMLQuantizationType[kind]
    _, block_bytes = gguf.GGML_QUANT_SIZES[code]
    blocks = np.random.default_rng(1).integers(0, 256, (512, 1, block_bytes), dtype=np.uint8)
    # half-precision scales: finite whatever the random bytes are
    blocks[..., [-1, -3] if kind in ("Q3_K", "Q6_K") else [1, 3]] = 0x20
    if kind == "Q2_K":
        blocks[..., [-1, -3]] = 0x20
    data = blocks.reshape(512, block_bytes)
    config = {"hidden_size": 256, "intermediate_size": 512}
    raw = {"blk.1.ffn_up.weight": (kind, data)}
    found = load(write_gguf(tmp_path / "model.gguf", config=config, raw=raw)).tensor(
        "model.layers.1.mlp.up_proj.weight"
    )
    expected = gguf.quants.dequantize(data, code)
    assert np.isfinite(expected).all()
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(found, expected)


def test_plain_tensors_are_views_of_the_file(tmp_path: Path) -> None:
    found = load(write_gguf(tmp_path / "model.gguf", quantization="BF16"))
    down = found.tensor("model.layers.0.mlp.down_proj.weight")
    assert not down.flags.owndata
    assert not down.flags.writeable


def test_rows_of_one_head_are_split_into_halves() -> None:
    stored = np.array([0, 4, 1, 5, 2, 6, 3, 7, 10, 14, 11, 15, 12, 16, 13, 17])
    expected = [*range(8), *range(10, 18)]
    assert half_split_rows(stored, 2).tolist() == expected
    assert half_split_rows(np.stack([stored, stored + 100], 1), 2)[:, 1].tolist() == [i + 100 for i in expected]


def test_biases_of_llama_are_reordered_and_those_of_qwen2_are_not(tmp_path: Path) -> None:
    for variant, reordered in (("s06_attn_mlp_bias", True), ("s12_qwen2", False)):
        source = load(TINY[0].parent / variant)
        path = write_gguf(tmp_path / f"{variant}.gguf", source)
        stored = {t.name: np.array(t.data) for t in gguf.GGUFReader(path).tensors}["blk.0.attn_q.bias"]
        same = np.array_equal(stored, source.tensor("model.layers.0.self_attn.q_proj.bias").astype(np.float32))
        assert same != reordered


# --- metadata -------------------------------------------------------------------------------------------------------


def rewritten(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert data.count(old) >= 1
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new, 1))
    return path


def keyed(key: str, kind: int) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind)


@pytest.mark.parametrize(
    ("key", "kind", "old", "new", "message"),
    [
        (
            "general.architecture",
            8,
            struct.pack("<Q", 5) + b"llama",
            struct.pack("<Q", 5) + b"gemma",
            "gemma'; accepted",
        ),
        ("llama.block_count", 4, struct.pack("<I", 2), struct.pack("<I", 0), "llama.block_count is 0"),
        ("llama.block_count", 4, struct.pack("<I", 2), struct.pack("<I", 3), "missing: model.layers.2"),
        ("llama.block_count", 4, struct.pack("<I", 2), struct.pack("<I", 1), "too many: model.layers.1"),
        ("llama.block_count", 4, struct.pack("<I", 2), b"\xff" * 4, "block_count is 4294967295"),
        ("llama.embedding_length", 4, struct.pack("<I", 32), struct.pack("<I", 64), "has shape"),
        ("llama.vocab_size", 4, struct.pack("<I", 64), struct.pack("<I", 65), "vocab_size is 65; accepted: 64"),
        ("llama.rope.freq_base", 6, struct.pack("<f", 1e4), struct.pack("<f", np.nan), "rope.freq_base is nan"),
        (
            "llama.attention.head_count_kv",
            4,
            struct.pack("<I", 2),
            struct.pack("<I", 3),
            "accepted: a divisor of the 4",
        ),
        (
            "llama.rope.dimension_count",
            4,
            struct.pack("<I", 8),
            struct.pack("<I", 4),
            "dimension_count is 4; accepted: 8",
        ),
        ("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 2), struct.pack("<I", 64), "eos_token_id is 64"),
    ],
)
def test_bad_metadata_is_named(tmp_path: Path, key: str, kind: int, old: bytes, new: bytes, message: str) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    head = keyed(key, kind)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(rewritten(path, head + old, head + new))
    assert "model.gguf" in str(caught.value)


def test_an_unknown_rope_scaling_is_named(tmp_path: Path) -> None:
    scaling = {"rope_scaling": {"type": "linear", "factor": 2}}
    path = write_gguf(tmp_path / "model.gguf", config=scaling)
    assert load(path).config.rope.kind == "linear"
    old = struct.pack("<Q", 6) + b"linear"
    with pytest.raises(CheckpointError, match=r"rope\.scaling\.type is 'quartz'; accepted: none"):
        load(rewritten(path, old, struct.pack("<Q", 6) + b"quartz"))


# --- damage ---------------------------------------------------------------------------------------------------------


def test_every_cut_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", quantization="Q4_0")
    data = path.read_bytes()
    for length in [*range(0, 2600, 61), len(data) // 2, len(data) - 32 * 4 - 64]:
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"model\.gguf"):
            load(path)


BIG = struct.pack("<Q", 2**60)
EXACT = struct.pack("<Q", 2**64 - 1)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("lie", [BIG, EXACT, struct.pack("<Q", 2**31)])
@pytest.mark.parametrize("at", ["tensors", "keys", "key length", "array", "dimension", "offset"])
def test_counts_that_lie_neither_hang_nor_allocate(tmp_path: Path, at: str, lie: bytes) -> None:
    tokenizer = {"ggml.scores": [0.0, 1.0, 2.0]}
    path = write_gguf(tmp_path / "model.gguf", tokenizer=tokenizer)
    data = bytearray(path.read_bytes())
    name = data.index(b"token_embd.weight") + len("token_embd.weight")
    key = b"tokenizer.ggml.scores"
    place = {
        "tensors": 8,
        "keys": 16,
        "key length": 24,
        "array": data.index(key) + len(key) + 8,
        "dimension": name + 4,
        "offset": name + 4 + 16 + 4,
    }[at]
    data[place : place + 8] = lie
    path.write_bytes(data)
    started = time.monotonic()
    with pytest.raises(CheckpointError, match=r"model\.gguf"):
        load(path)
    assert time.monotonic() - started < 5  # it takes milliseconds; a count that is believed takes years


def test_an_unknown_tensor_type_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    data = path.read_bytes()
    place = data.index(b"blk.0.ffn_up.weight") + len("blk.0.ffn_up.weight") + 4 + 16
    for code, message in ((999, "999"), (24, "blk.0.ffn_up.weight is of type I8; accepted: F32, F16, BF16, Q8_0")):
        path.write_bytes(data[:place] + struct.pack("<I", code) + data[place + 4 :])
        with pytest.raises(CheckpointError, match=message):
            load(path)


@pytest.mark.parametrize("head", [b"GGML", b"GGUF" + struct.pack("<I", 9), b"GGUF" + struct.pack(">I", 3), b""])
def test_what_is_no_gguf_file(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(head + b"\0" * 32 * bool(head))
    with pytest.raises(CheckpointError, match=r"model\.gguf: (not a GGUF file|GGUF version)"):
        load(path)


def test_random_damage_is_never_anything_else(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    data = path.read_bytes()
    random = np.random.default_rng(5)
    named = 0
    for _ in range(150):
        broken = bytearray(data)
        for place in random.integers(0, 2600, 3):
            broken[place] = random.integers(256)
        path.write_bytes(broken)
        try:
            load(path)
        except CheckpointError:
            named += 1
    assert named > 75  # most of the header matters


# --- the cache ------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file whose header is worth caching."""
    tokens = [f"token number {i}" for i in range(6000)]
    return write_gguf(tmp_path / "model.gguf", tokenizer={"ggml.model": "none", "ggml.tokens": tokens})


def open_counted(path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Checkpoint, int]:
    """Open a file; how often the library was asked."""
    calls = []
    reader = gguf.GGUFReader
    with monkeypatch.context() as patch:
        patch.setattr(gguf, "GGUFReader", lambda *args: calls.append(args) or reader(*args))
        return load(path, cache_dir=cache), len(calls)


def test_a_header_is_read_once(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first, asked = open_counted(large, cache, monkeypatch)
    assert asked == 1
    second, asked = open_counted(large, cache, monkeypatch)
    assert asked == 0
    assert second.config == first.config
    for name in expected_tensors(first.config):
        np.testing.assert_array_equal(second.tensor(name), first.tensor(name))
    os.utime(large, ns=(1, 1))
    assert open_counted(large, cache, monkeypatch)[1] == 1, "a file that changed is read anew"


def sealed(body: str) -> str:
    """A body with the right digest before it: only its content is wrong."""
    return f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("[64, 32]", "[64, 33]", 1),
        lambda text: sealed("[]"),
        lambda text: sealed("{" * 100_000),
        lambda text: sealed(json.dumps({**json.loads(text.partition("\n")[2]), "tensors": {"a": [1]}})),
        lambda text: sealed(json.dumps({**json.loads(text.partition("\n")[2]), "metadata": 3})),
        lambda text: sealed(json.dumps({**json.loads(text.partition("\n")[2]), "key": "another file"})),
    ],
)
def test_a_damaged_entry_is_rebuilt(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage) -> None:
    cache = tmp_path / "cache"
    load(large, cache_dir=cache)
    (entry,) = (cache / "gguf").iterdir()
    whole = entry.read_text()
    damaged = damage(whole)
    assert damaged != whole
    entry.write_text(damaged)
    assert open_counted(large, cache, monkeypatch)[1] == 1
    assert entry.read_text() == whole


def test_a_cache_that_cannot_be_written_is_no_error(large: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where the folder should be")
    assert load(large, cache_dir=cache).config.layers == 2


def test_a_full_disk_leaves_no_partial_entry(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rdu.models.gguf_cache.os.replace", full)
    assert load(large, cache_dir=tmp_path / "cache").config.layers == 2
    assert list((tmp_path / "cache" / "gguf").iterdir()) == []


# --- the real file ---------------------------------------------------------------------------------------------------


@pytest.mark.smollm2
def test_smollm2_is_the_checkpoint_of_the_goldens(smollm2: Checkpoint, data_dir: Path) -> None:
    expected = json.loads((data_dir / "smollm2" / "weights_sha256.json").read_text())["tensors"]
    assert set(expected) == set(expected_tensors(smollm2.config))
    assert smollm2.dtype == "Q4_1"
    for name, record in expected.items():
        weights = smollm2.tensor(name).astype(ml_dtypes.bfloat16)
        assert list(weights.shape) == record["shape"]
        assert hashlib.sha256(weights.tobytes()).hexdigest() == record["sha256"], name


@pytest.mark.smollm2
def test_smollm2_has_the_configuration_of_its_folder(smollm2: Checkpoint, data_dir: Path) -> None:
    from rdu.models.config import read_config

    assert smollm2.config == read_config(data_dir / "smollm2" / "hf")


@pytest.mark.smollm2
def test_smollm2_opens_quickly_the_second_time(smollm2: Checkpoint) -> None:
    started = time.process_time()
    load(smollm2.path)
    assert time.process_time() - started < 0.3  # the library takes 5 s

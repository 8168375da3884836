"""Hugging Face folders: weights come back bit for bit, damage is named."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rdu.errors import CheckpointError
from rdu.models import load
from rdu.models.config import parse_config
from rdu.models.tensors import expected_tensors
from rdu.testing.checkpoints import CONFIG, random_weights, write_folder

TINY = sorted((Path(__file__).parent / "data" / "tiny").iterdir())


@pytest.mark.parametrize("folder", TINY, ids=lambda folder: folder.name)
def test_every_tensor_is_what_the_library_reads(folder: Path) -> None:
    checkpoint = load(folder)
    expected = {}
    for file in sorted(folder.glob("*.safetensors")):
        expected |= load_file(file)
    assert set(expected) == set(expected_tensors(checkpoint.config))
    for name, array in expected.items():
        found = checkpoint.tensor(name)
        assert found.dtype == array.dtype
        assert not found.flags.owndata, "a view of the file, not a copy"
        assert not found.flags.writeable
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("shards", [1, 3])
def test_storage_types_and_shards(tmp_path: Path, dtype: str, shards: int) -> None:
    checkpoint = load(write_folder(tmp_path / "model", seed=3, shards=shards, config={"dtype": dtype}))
    assert (checkpoint.name, checkpoint.dtype) == ("model", dtype)
    for name, value in random_weights(checkpoint.config, 3).items():
        np.testing.assert_array_equal(checkpoint.tensor(name), value.astype(np.dtype(dtype)))


def test_unaligned_weights_come_as_a_copy(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"dtype": "float32"})
    file = folder / "model.safetensors"
    expected = load_file(file)
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    file.write_bytes(struct.pack("<Q", length + 1) + data[8 : 8 + length] + b" " + data[8 + length :])
    checkpoint = load(folder)
    for name, array in expected.items():
        assert checkpoint.tensor(name).flags.aligned
        np.testing.assert_array_equal(checkpoint.tensor(name), array)


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tensor model\.layers\.9\.x"):
        load(write_folder(tmp_path)).tensor("model.layers.9.x")


def rewrite(change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = {name: array.copy() for name, array in load_file(folder / "model.safetensors").items()}
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return damage


def patch(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(change(file.read_bytes()))

    return damage


def replace_file_by_folder(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def lie(data: bytes) -> bytes:
    """Say that the first tensor with 32 elements has 33."""
    return data.replace(b'"shape":[32]', b'"shape":[33]', 1)


NORM = "model.norm.weight"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (patch(lambda data: data[:-10]), "damaged safetensors"),
    "cut in the header": (patch(lambda data: data[:100]), "damaged safetensors"),
    "cut in the length": (patch(lambda data: data[:5]), "damaged safetensors"),
    "empty": (patch(lambda data: b""), r"model\.safetensors"),
    "header of 2**63 bytes": (patch(lambda data: struct.pack("<Q", 2**63) + data[8:]), "damaged safetensors"),
    "header longer than the file": (patch(lambda data: struct.pack("<Q", 10**7) + data[8:]), "damaged safetensors"),
    "header that is no JSON": (patch(lambda data: data[:8] + b"x" + data[9:]), "damaged safetensors"),
    "shape that lies": (patch(lie), "damaged safetensors"),
    "trailing bytes": (patch(lambda data: data + b"\0" * 16), "damaged safetensors"),
    "missing": (rewrite(lambda t: t.pop(NORM)), r"1 tensor missing: model\.norm\.weight"),
    "no head": (rewrite(lambda t: t.pop("lm_head.weight")), r"1 tensor missing: lm_head\.weight"),
    "misshapen": (
        rewrite(lambda t: t.update({NORM: t[NORM][:-1].copy()})),
        r"tensor model\.norm\.weight has shape \[31\]; the configuration asks for \[32\]",
    ),
    "transposed": (
        rewrite(lambda t: t.update({"lm_head.weight": t["lm_head.weight"].T.copy()})),
        r"lm_head\.weight has shape \[32, 64\]",
    ),
    "extra": (rewrite(lambda t: t.update({"model.extra": t[NORM]})), r"1 tensor too many: model\.extra"),
    "integers": (
        rewrite(lambda t: t.update({NORM: np.ones(32, np.int8)})),
        "is stored as I8; accepted: BF16, F16, F32",
    ),
    "unreadable": (replace_file_by_folder, r"model\.safetensors"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no weights; accepted: model.safetensors"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(tmp_path: Path, kind: str) -> None:
    damage, message = DAMAGE[kind]
    folder = write_folder(tmp_path / "model")
    load(folder)
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("length", range(0, 4000, 97))
def test_no_cut_of_a_header_gets_through(tmp_path: Path, length: int) -> None:
    folder = write_folder(tmp_path)
    patch(lambda data: data[:length])(folder)
    with pytest.raises(CheckpointError):
        load(folder)


def test_permission_denied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path)
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read \(Permission denied"):
        load(folder)


def test_a_tied_model_may_carry_its_head(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"tie_word_embeddings": True})
    rewrite(lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"]}))(folder)
    load(folder)
    rewrite(lambda t: t.update({"lm_head.weight": t[NORM]}))(folder)
    with pytest.raises(CheckpointError, match=r"lm_head\.weight has shape \[32\]"):
        load(folder)


def test_rotary_buffers_are_ignored(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    before = np.array(load(folder).tensor(NORM))
    buffers = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32) for i in range(2)}
    rewrite(lambda t: t.update(buffers))(folder)
    np.testing.assert_array_equal(load(folder).tensor(NORM), before)


def edit_index(folder: Path, **entries: object) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] |= entries
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "shard",
    [
        "../model.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..\\b.safetensors",
        "C:b.safetensors",
        "..",
        "",
        7,
        None,
    ],
)
def test_a_shard_name_may_not_leave_the_folder(tmp_path: Path, shard: object) -> None:
    folder = write_folder(tmp_path / "model", shards=2)
    shutil.copy(folder / "model-00001-of-00002.safetensors", tmp_path / "model.safetensors")
    edit_index(folder, **{NORM: shard})
    with pytest.raises(CheckpointError, match=r"accepted: the plain name of a \.safetensors file"):
        load(folder)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"shard model-00002-of-00002\.safetensors is missing"):
        load(folder)


def test_an_index_that_names_the_wrong_shard(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, shards=2)
    edit_index(folder, **{NORM: "model-00001-of-00002.safetensors"})
    with pytest.raises(CheckpointError, match=r"said to be in model-00001-of-00002\.safetensors, which does not hold"):
        load(folder)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, shards=2)
    second = folder / "model-00002-of-00002.safetensors"
    first = load_file(folder / "model-00001-of-00002.safetensors")
    name = "model.embed_tokens.weight"
    save_file({**load_file(second), name: first[name]}, second)
    with pytest.raises(CheckpointError, match="is also in model-00001"):
        load(folder)


@pytest.mark.parametrize("index", ["{}", '{"weight_map": {}}', '{"weight_map": []}', "{", "[]"])
def test_an_index_without_a_map(tmp_path: Path, index: str) -> None:
    folder = write_folder(tmp_path, shards=2)
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match=r"index\.json"):
        load(folder)


def test_what_load_takes(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model 'nowhere'; accepted: a folder .*\.gguf file, smollm2"):
        load("nowhere", cache_dir=tmp_path)
    with pytest.raises(CheckpointError, match="rdu pull some/model"):
        load("some/model", cache_dir=tmp_path)
    (tmp_path / "x.bin").touch()
    with pytest.raises(CheckpointError, match=r"x\.bin: a file that is no \.gguf"):
        load(tmp_path / "x.bin")
    write_folder(tmp_path / "hub" / "some--model")
    assert load("some/model", cache_dir=tmp_path).dtype == "bfloat16"


def test_expected_tensors_of_each_architecture() -> None:
    def names(**changes: object) -> set[str]:
        return set(expected_tensors(parse_config({**CONFIG, "num_hidden_layers": 1, **changes})))

    llama, layer = names(), "model.layers.0."
    assert len(llama) == 12
    assert llama - names(tie_word_embeddings=True) == {"lm_head.weight"}
    qwen2 = {f"{layer}self_attn.{x}_proj.bias" for x in "qkv"}
    assert names(architectures=["Qwen2ForCausalLM"]) - llama == qwen2
    assert names(attention_bias=True) - llama == qwen2 | {f"{layer}self_attn.o_proj.bias"}
    assert names(mlp_bias=True) - llama == {f"{layer}mlp.{x}_proj.bias" for x in ("gate", "up", "down")}
    assert names(architectures=["Qwen3ForCausalLM"]) - llama == {f"{layer}self_attn.{x}_norm.weight" for x in "qk"}


def test_bfloat16_is_the_type_that_ml_dtypes_has(data_dir: Path) -> None:
    assert load(data_dir / "tiny" / "s01_mha").tensor(NORM).dtype == ml_dtypes.bfloat16

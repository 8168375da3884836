"""Named shapes: parameters, bytes and caches as published; shapes from files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rdu.errors import CheckpointError
from rdu.models.shapes import SHIPPED, names, shape

# Parameters in 1e9, bf16 GB and bytes of keys and values a token, with the digits that their makers give.
PUBLISHED = [
    ("llama-2-7b", "6.738", "13.48", 524288),
    ("llama-2-70b", "68.98", "137.95", 327680),
    ("llama-3-8b", "8.030", "16.06", 131072),
    ("llama-3.1-8b", "8.030", "16.06", 131072),
    ("llama-3-70b", "70.55", "141.1", 327680),
    ("llama-3.1-70b", "70.55", "141.1", 327680),
    ("llama-3.1-405b", "405.85", "811.7", 516096),
    ("mistral-7b", "7.242", "14.48", 131072),
    ("llama-3.2-1b", "1.236", "2.47", 32768),
    ("smollm2", "0.135", "0.27", 23040),
]


def rounded(value: float, like: str) -> str:
    return f"{value:.{len(like.partition('.')[2])}f}"


@pytest.mark.parametrize(("name", "parameters", "gigabytes", "cache"), PUBLISHED)
def test_published_sizes(name: str, parameters: str, gigabytes: str, cache: int) -> None:
    found = shape(name)
    assert rounded(found.parameters / 1e9, parameters) == parameters
    assert rounded(found.weight_bytes("bf16") / 1e9, gigabytes) == gigabytes
    assert found.cache_bytes_per_token() == cache


def test_every_shipped_shape_has_published_sizes_and_a_source() -> None:
    assert sorted(row[0] for row in PUBLISHED) == names()
    for name in names():
        assert len(shape(name).source) > 20
        assert json.loads(SHIPPED.joinpath(f"{name}.json").read_text())["source"] == shape(name).source


def test_a_step_reads_the_input_table_only_where_it_is_the_output() -> None:
    untied, tied = shape("llama-3-8b"), shape("smollm2")
    assert untied.parameters - untied.step_parameters == 128256 * 4096
    assert tied.step_parameters == tied.parameters


def test_int8_halves_the_weights_and_not_the_caches() -> None:
    found = shape("llama-3-8b")
    assert 2 * found.weight_bytes("int8") == found.weight_bytes("bf16") == found.weight_bytes("fp32") // 2
    assert found.cache_bytes_per_token("int8") == found.cache_bytes_per_token("bf16")


def test_parameters_are_those_of_the_tensors(data_dir: Path) -> None:
    # Biases, norms of heads, odd sizes, a tied table: each tiny checkpoint has a shape of its own.
    from safetensors import safe_open

    for folder in sorted((data_dir / "tiny").iterdir()):
        elements = 0
        for file in folder.glob("*.safetensors"):
            with safe_open(file, "numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - no mapping
                    sizes = tensors.get_slice(name).get_shape()
                    count = 1
                    for size in sizes:
                        count *= size
                    elements += count
        assert shape(folder).parameters == elements, folder.name


def test_a_folder_and_its_config_are_the_same(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "smollm2" / "hf"
    assert shape(folder).config == shape(folder / "config.json").config
    assert shape(folder).parameters == shape("smollm2").parameters
    target = tmp_path / "my-model"
    target.mkdir()
    shutil.copy(folder / "config.json", target)
    assert shape(target).name == shape(target / "config.json").name == "my-model"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("llama-3-9b", "no shape 'llama-3-9b'; the nearest is 'llama-3-8b'"),
        ("", "no config.json|cannot be read"),
    ],
)
def test_no_such_shape(given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=said):
        shape(given)


def test_an_unknown_dtype() -> None:
    with pytest.raises(CheckpointError, match="dtype is 'fp8'; choose one of fp32, bf16, int8, w8a8"):
        shape("smollm2").weight_bytes("fp8")

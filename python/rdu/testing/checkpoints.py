"""Tiny random checkpoints, as a folder or a GGUF file, for tests: real formats, made-up weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rdu.models.checkpoint import Checkpoint, open_folder
from rdu.models.config import DecoderConfig, parse_config
from rdu.models.extras import LLM, needs
from rdu.models.gguf_config import ARCHITECTURES
from rdu.models.gguf_names import INSIDE, OUTSIDE, ROPE_FACTORS
from rdu.models.tensors import expected_tensors

if TYPE_CHECKING:
    from gguf import GGUFWriter

Weights = npt.NDArray[np.generic]

CONFIG: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "dtype": "bfloat16",
}


def random_weights(config: DecoderConfig, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Weights of a decoder, float32: norms near 1, all else normal with a spread of 1 / sqrt(columns)."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in expected_tensors(config).items():
        drawn = random.standard_normal(shape, dtype=np.float32)
        weights[name] = 1 + 0.1 * drawn if "norm" in name else drawn / np.float32(shape[-1]) ** 0.5
    return {name: np.asarray(value, np.float32) for name, value in weights.items()}


def write_folder(path: Path, *, seed: int = 0, shards: int = 1, config: Mapping[str, object] | None = None) -> Path:
    """Write a Hugging Face folder of random weights.

    Parameters
    ----------
    path : Path
        Made if absent.
    seed : int
        Of the weights.
    shards : int
        More than one writes an index too.
    config : mapping, optional
        Changes to `CONFIG`, by key of ``config.json``; None leaves the key out. ``dtype`` is the storage type.

    Returns
    -------
    Path
        ``path``.
    """
    import ml_dtypes  # noqa: F401  registers bfloat16 with numpy

    values = {key: value for key, value in {**CONFIG, **(config or {})}.items() if value is not None}
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(values, indent=1), encoding="utf-8")
    stored = np.dtype(str(values.get("dtype", "bfloat16")))
    weights = {name: value.astype(stored) for name, value in random_weights(parse_config(values), seed).items()}
    save_safetensors(path, weights, shards)
    return path


def save_safetensors(path: Path, weights: Mapping[str, Weights], shards: int = 1) -> None:
    """Write tensors as one ``model.safetensors``, or as shards with their index."""
    from safetensors.numpy import save_file

    if shards == 1:
        save_file(dict(weights), path / "model.safetensors")
        return
    weight_map = {}
    names = list(weights)
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = names[shard * len(names) // shards : (shard + 1) * len(names) // shards]
        save_file({name: weights[name] for name in part}, path / file)
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def write_gguf(
    path: Path,
    source: Checkpoint | None = None,
    *,
    quantization: str = "F32",
    seed: int = 0,
    tokenizer: Mapping[str, object] | None = None,
    raw: Mapping[str, tuple[str, npt.NDArray[np.uint8]]] | None = None,
    config: Mapping[str, object] | None = None,
) -> Path:
    """Write a GGUF file as llama.cpp's converter does: its names, and its row order of Q and K for llama.

    Parameters
    ----------
    path : Path
    source : Checkpoint, optional
        What to convert; without it, random weights as `write_folder` makes them from ``seed`` and ``config``.
    quantization : str
        llama.cpp's type name for matrices (``F16``, ``BF16``, ``Q8_0``, ``Q4_0``, ``Q4_1``); vectors stay F32, and
        so do matrices whose rows are no whole number of blocks.
    tokenizer : mapping, optional
        Metadata below ``tokenizer.``: strings, whole numbers, booleans, lists.
    raw : mapping, optional
        For types that the library cannot quantise to: GGUF tensor name to type name and bytes, shape (rows, row bytes).
    config : mapping, optional
        As for `write_folder`.

    Returns
    -------
    Path
        ``path``.
    """
    if source is None:
        source = open_folder(write_folder(path.with_suffix(""), seed=seed, config=config))
    with needs(LLM):
        import gguf
    decoder = source.config
    architecture = "MistralForCausalLM" if decoder.architecture.startswith("Mistral") else decoder.architecture
    arch = {**{value: key for key, value in ARCHITECTURES.items()}, "MistralForCausalLM": "llama"}[architecture]
    writer = gguf.GGUFWriter(path, arch)
    _write_sizes(writer, decoder)
    for key, value in (tokenizer or {}).items():
        _write_value(writer, f"tokenizer.{key}", value)
    if decoder.rope.kind == "llama3":
        writer.add_tensor(ROPE_FACTORS, llama3_factors(decoder))
    for name in expected_tensors(decoder):
        stored = gguf_name(name)
        if raw and stored in raw:
            type_name, data = raw[stored]
            writer.add_tensor(stored, data, raw_dtype=gguf.GGMLQuantizationType[type_name])
            continue
        weights = np.asarray(source.tensor(name), np.float32)
        if arch == "llama" and (".q_proj." in name or ".k_proj." in name):
            weights = interleave_rows(weights, decoder.heads if ".q_proj." in name else decoder.kv_heads)
        kind = gguf.GGMLQuantizationType[quantization]
        if weights.ndim == 1 or weights.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
            kind = gguf.GGMLQuantizationType.F32
        writer.add_tensor(stored, gguf.quants.quantize(np.ascontiguousarray(weights), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_sizes(writer: GGUFWriter, decoder: DecoderConfig) -> None:
    with needs(LLM):
        from gguf import RopeScalingType
    writer.add_vocab_size(decoder.vocab_size)
    writer.add_context_length(decoder.max_positions)
    writer.add_embedding_length(decoder.hidden_size)
    writer.add_block_count(decoder.layers)
    writer.add_feed_forward_length(decoder.ffn_size)
    writer.add_head_count(decoder.heads)
    writer.add_head_count_kv(decoder.kv_heads)
    writer.add_key_length(decoder.head_dim)
    writer.add_value_length(decoder.head_dim)
    writer.add_rope_dimension_count(decoder.head_dim)
    writer.add_rope_freq_base(decoder.rope.theta)
    writer.add_layer_norm_rms_eps(decoder.rms_eps)
    if decoder.rope.kind == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(decoder.rope.factor)
    if decoder.sliding_window is not None:
        writer.add_sliding_window(decoder.sliding_window)
    if decoder.bos_ids:
        writer.add_bos_token_id(decoder.bos_ids[0])
    if decoder.eos_ids:
        writer.add_eos_token_id(decoder.eos_ids[0])


def _write_value(writer: GGUFWriter, key: str, value: object) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, Sequence):
        writer.add_array(key, value)


def gguf_name(name: str) -> str:
    """llama.cpp's name of a Hugging Face tensor."""
    outside = {value: key for key, value in OUTSIDE.items()}
    if name in outside:
        return outside[name]
    _, _, layer, rest = name.split(".", 3)
    module, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{ {value: key for key, value in INSIDE.items()}[module] }.{kind}"


def interleave_rows(weights: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows of Q or K as llama.cpp stores them: the two halves of each head take turns."""
    half = weights.shape[0] // heads // 2
    order = [head * 2 * half + part * half + i for head in range(heads) for i in range(half) for part in range(2)]
    return weights[order]


def llama3_factors(decoder: DecoderConfig) -> npt.NDArray[np.float32]:
    """``rope_freqs.weight`` as llama.cpp's converter computes it: a divisor per frequency."""
    rope = decoder.rope
    factors = []
    for pair in range(decoder.head_dim // 2):
        wavelength = 2 * np.pi * rope.theta ** (2 * pair / decoder.head_dim)
        turns = rope.original_max_positions / wavelength
        if turns > rope.high_freq_factor:
            factors.append(1.0)
        elif turns < rope.low_freq_factor:
            factors.append(rope.factor)
        else:
            smooth = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
            factors.append(1 / ((1 - smooth) / rope.factor + smooth))
    return np.asarray(factors, np.float32)

"""GGUF metadata as a `DecoderConfig`. Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"""

from __future__ import annotations

import math

from rdu.errors import CheckpointError
from rdu.models.config import LARGEST_DEPTH, DecoderConfig, check_heads
from rdu.models.gguf_header import GgufHeader
from rdu.models.rope import Rope
from rdu.models.settings import Settings

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


def gguf_config(header: GgufHeader, file: str, rope_factors: tuple[float, ...] = ()) -> DecoderConfig:
    """The configuration that the metadata and the presence of tensors say.

    Parameters
    ----------
    header : GgufHeader
    file : str
        For messages.
    rope_factors : tuple of float
        The tensor ``rope_freqs.weight``, if there is one: a divisor per frequency.
    """
    general = Settings(header.metadata, file)
    arch = general.choice("general.architecture", ARCHITECTURES)
    settings = _Below(header, file, f"{arch}.")
    vocab_size = _vocab_size(header, settings, file)
    heads, hidden = settings.size("attention.head_count"), settings.size("embedding_length")
    kv_heads = check_heads(settings, heads, settings.size("attention.head_count_kv", heads), "attention.head_count_kv")
    layers = settings.size("block_count", largest=LARGEST_DEPTH)
    head_dim = _head_dim(settings, hidden, heads)
    window, full_layers = _window(settings, layers)
    ends = Settings(_stripped(header, "tokenizer.ggml."), file, "tokenizer.ggml.")
    return DecoderConfig(
        # llama.cpp calls Mistral llama too; only the window tells them apart
        architecture="MistralForCausalLM" if arch == "llama" and window else ARCHITECTURES[arch],
        vocab_size=vocab_size,
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn_size=settings.size("feed_forward_length"),
        max_positions=settings.size("context_length"),
        rms_eps=settings.positive("attention.layer_norm_rms_epsilon"),
        rope=_rope(settings, head_dim, rope_factors),
        tied="output.weight" not in header.tensors,
        qkv_bias="blk.0.attn_q.bias" in header.tensors,
        output_bias="blk.0.attn_output.bias" in header.tensors,
        mlp_bias="blk.0.ffn_gate.bias" in header.tensors,
        qk_norm=arch == "qwen3",
        sliding_window=window,
        full_attention_layers=full_layers,
        bos_ids=ends.token_ids("bos_token_id", vocab_size),
        eos_ids=tuple(dict.fromkeys(i for key in END_KEYS for i in ends.token_ids(key, vocab_size))),
    )


def _stripped(header: GgufHeader, prefix: str) -> dict[str, object]:
    return {key.removeprefix(prefix): value for key, value in header.metadata.items() if key.startswith(prefix)}


class _Below(Settings):
    """The metadata below an architecture's prefix."""

    def __init__(self, header: GgufHeader, file: str, prefix: str) -> None:
        super().__init__(_stripped(header, prefix), file, prefix)


def _vocab_size(header: GgufHeader, settings: Settings, file: str) -> int:
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None:
        raise CheckpointError(f"{file}: tensor token_embd.weight is missing; is this the first part of a split file?")
    rows = embedding.shape[0]
    if settings.size("vocab_size", rows) != rows:
        raise settings.error("vocab_size", f"{rows}, the rows of token_embd.weight")
    return rows


def _head_dim(settings: Settings, hidden: int, heads: int) -> int:
    if not settings.has("attention.key_length") and hidden % heads:
        raise settings.error("embedding_length", f"a multiple of the {heads} heads, or attention.key_length given")
    head_dim = settings.size("attention.key_length", max(hidden // heads, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        if settings.size(key, head_dim) != head_dim:
            raise settings.error(key, f"{head_dim}, the length of a head")
    if head_dim % 2:
        raise settings.error("attention.key_length", f"an even length of a head (it comes to {head_dim})")
    return head_dim


def _window(settings: Settings, layers: int) -> tuple[int | None, tuple[int, ...]]:
    if not settings.values.get("attention.sliding_window"):  # llama.cpp writes 0 for none
        return None, ()
    window = settings.size("attention.sliding_window")
    pattern = settings.values.get("attention.sliding_window_pattern")
    if pattern is None:
        return window, ()
    if not isinstance(pattern, list) or len(pattern) != layers or not all(isinstance(x, bool) for x in pattern):
        raise settings.error("attention.sliding_window_pattern", f"{layers} booleans, one per layer")
    full = tuple(layer for layer, sliding in enumerate(pattern) if not sliding)
    return (None, ()) if len(full) == layers else (window, full)


def _rope(settings: Settings, head_dim: int, factors: tuple[float, ...]) -> Rope:
    theta = settings.positive("rope.freq_base", 10000.0)
    kind = settings.choice("rope.scaling.type", ("none", "linear"), "none")
    factor = settings.positive("rope.scaling.factor") if kind == "linear" else 1.0
    if not settings.has("rope.scaling.type") and settings.has("rope.scale_linear"):  # files before mid-2023
        kind, factor = "linear", settings.positive("rope.scale_linear")
    if not factors:
        return Rope(theta, "linear", factor) if kind == "linear" else Rope(theta)
    if len(factors) != head_dim // 2 or not all(math.isfinite(x) and x > 0 for x in factors):
        raise CheckpointError(
            f"{settings.file}: tensor rope_freqs.weight holds {len(factors)} numbers; accepted: {head_dim // 2} finite "
            "numbers above 0, one per rotary frequency"
        )
    return Rope(theta, "factors", factor, factors=factors)

"""What a decoder is: the sizes and switches of a checkpoint, and how Hugging Face's ``config.json`` spells them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rdu.models.rope import KINDS, Rope
from rdu.models.settings import Settings, read_json

LARGEST_DEPTH = 4096  # layers; a larger number is damage, and would make lists of tensor names that never end


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of a Llama-style decoder. Sizes count elements, positions count tokens.

    ``bos_ids`` and ``eos_ids`` are token ids (eos: any of them ends a text). ``qkv_bias``, ``output_bias`` and
    ``mlp_bias`` say which linear operators add a bias. ``sliding_window`` is the number of positions a token sees,
    itself included; layers in ``full_attention_layers`` ignore it.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_size: int
    max_positions: int
    rms_eps: float
    rope: Rope
    tied: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    sliding_window: int | None = None
    full_attention_layers: tuple[int, ...] = ()
    bos_ids: tuple[int, ...] = ()
    eos_ids: tuple[int, ...] = ()

    def window(self, layer: int) -> int | None:
        """Positions that a token of ``layer`` sees, itself included; None: all before it."""
        return None if layer in self.full_attention_layers else self.sliding_window


@dataclass(frozen=True)
class Family:
    """What an architecture implies where ``config.json`` is silent (transformers' class defaults)."""

    qkv_bias: bool | None  # None: as attention_bias says
    output_bias: bool | None
    mlp_bias: bool | None  # None: as mlp_bias says
    qk_norm: bool = False
    head_dim: int | None = None  # None: hidden_size / num_attention_heads
    default_window: int | None = 4096  # None: the architecture has no sliding window
    window_switch: bool = False  # sliding_window counts only where use_sliding_window is true


FAMILIES = {
    "LlamaForCausalLM": Family(qkv_bias=None, output_bias=None, mlp_bias=None, default_window=None),
    "MistralForCausalLM": Family(qkv_bias=False, output_bias=False, mlp_bias=False),
    "Qwen2ForCausalLM": Family(qkv_bias=True, output_bias=False, mlp_bias=False, window_switch=True),
    "Qwen3ForCausalLM": Family(
        qkv_bias=None, output_bias=None, mlp_bias=False, qk_norm=True, head_dim=128, window_switch=True
    ),
}


def read_config(folder: Path) -> DecoderConfig:
    """The configuration of a Hugging Face folder; eos ids of ``generation_config.json`` are added to its own.

    Raises
    ------
    CheckpointError
        Names the file, the key, the value and what is accepted.
    """
    path = folder / "config.json"
    config = parse_config(read_json(path), str(path))
    generation = folder / "generation_config.json"
    if not generation.is_file():
        return config
    extra = Settings(read_json(generation), str(generation)).token_ids("eos_token_id", config.vocab_size)
    return with_eos(config, extra)


def with_eos(config: DecoderConfig, extra: tuple[int, ...]) -> DecoderConfig:
    """``config`` with more end-of-text ids."""
    return replace(config, eos_ids=tuple(dict.fromkeys(config.eos_ids + extra)))


def parse_config(values: dict[str, object], file: str = "config.json") -> DecoderConfig:
    """Read the older style (``rope_theta``, ``rope_scaling``) and that of transformers 5 (``rope_parameters``)."""
    settings = Settings(values, file)
    architecture = _architecture(settings)
    family = FAMILIES[architecture]
    settings.choice("hidden_act", ("silu",), "silu")
    vocab_size, hidden_size = settings.size("vocab_size"), settings.size("hidden_size")
    heads = settings.size("num_attention_heads")
    kv_heads = settings.size("num_key_value_heads", heads if architecture == "LlamaForCausalLM" else None)
    layers = settings.size("num_hidden_layers", largest=LARGEST_DEPTH)
    window, full_layers = _window(settings, family, layers)
    attention_bias = settings.flag("attention_bias", False)
    mlp_bias = settings.flag("mlp_bias", False)
    return DecoderConfig(
        architecture=architecture,
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        layers=layers,
        heads=heads,
        kv_heads=check_heads(settings, heads, kv_heads, "num_key_value_heads"),
        head_dim=_head_dim(settings, family, hidden_size, heads),
        ffn_size=settings.size("intermediate_size"),
        max_positions=settings.size("max_position_embeddings"),
        rms_eps=settings.positive("rms_norm_eps"),
        rope=_rope(settings),
        tied=settings.flag("tie_word_embeddings", False),
        qkv_bias=attention_bias if family.qkv_bias is None else family.qkv_bias,
        output_bias=attention_bias if family.output_bias is None else family.output_bias,
        mlp_bias=mlp_bias if family.mlp_bias is None else family.mlp_bias,
        qk_norm=family.qk_norm,
        sliding_window=window,
        full_attention_layers=full_layers,
        bos_ids=settings.token_ids("bos_token_id", vocab_size),
        eos_ids=settings.token_ids("eos_token_id", vocab_size),
    )


def check_heads(settings: Settings, heads: int, kv_heads: int, key: str) -> int:
    """``kv_heads``, once it is known to divide ``heads``."""
    if heads % kv_heads:
        raise settings.error(key, f"a divisor of the {heads} attention heads")
    return kv_heads


def _architecture(settings: Settings) -> str:
    names = settings.values.get("architectures")
    accepted = ", ".join(FAMILIES)
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str) or names[0] not in FAMILIES:
        raise settings.error("architectures", f"a list of one of {accepted}")
    return names[0]


def _head_dim(settings: Settings, family: Family, hidden_size: int, heads: int) -> int:
    if not settings.has("head_dim") and family.head_dim is None:
        if hidden_size % heads:
            raise settings.error("hidden_size", f"a multiple of the {heads} attention heads, or head_dim given")
        default = hidden_size // heads
    else:
        default = family.head_dim or 1
    head_dim = settings.size("head_dim", default)
    if head_dim % 2:
        if settings.has("head_dim"):
            raise settings.error("head_dim", "an even number (rotary embedding turns pairs)")
        raise settings.error("hidden_size", f"such that hidden_size / {heads} heads = {head_dim} is even")
    return head_dim


def _window(settings: Settings, family: Family, layers: int) -> tuple[int | None, tuple[int, ...]]:
    """The sliding window, and the layers that ignore it."""
    if family.default_window is None or (family.window_switch and not settings.flag("use_sliding_window", False)):
        return None, ()
    window = None if "sliding_window" in settings.values else family.default_window
    if settings.has("sliding_window"):
        window = settings.size("sliding_window")
    full = _full_attention_layers(settings, family, layers)
    if window is None or len(full) == layers:
        if window is None and settings.has("layer_types") and len(full) < layers:
            raise settings.error("sliding_window", "a whole number, since layer_types has sliding_attention")
        return None, ()
    return window, full


def _full_attention_layers(settings: Settings, family: Family, layers: int) -> tuple[int, ...]:
    types = settings.values.get("layer_types")
    if types is None:
        first = settings.size("max_window_layers", 28, smallest=0) if family.window_switch else 0
        return tuple(range(min(first, layers)))
    accepted = ("full_attention", "sliding_attention")
    if not isinstance(types, list) or len(types) != layers or any(kind not in accepted for kind in types):
        raise settings.error("layer_types", f"a list of {layers} (one per layer) of {', '.join(accepted)}")
    return tuple(layer for layer, kind in enumerate(types) if kind == "full_attention")


def _rope(settings: Settings) -> Rope:
    scaling = settings.section("rope_parameters")
    theta = settings.positive("rope_theta", 10000.0)
    if scaling is not None:
        theta = scaling.positive("rope_theta", theta)
    else:
        scaling = settings.section("rope_scaling")
    for table in (settings, scaling):
        if table is not None and table.positive("partial_rotary_factor", 1.0) != 1.0:
            raise table.error("partial_rotary_factor", "1 (the whole head is turned)")
    if scaling is None:
        return Rope(theta)
    kind = scaling.choice("rope_type" if scaling.has("rope_type") else "type", KINDS, "default")
    if kind == "default":
        return Rope(theta)
    factor = scaling.positive("factor")
    if kind == "linear":
        return Rope(theta, kind, factor)
    low, high = scaling.positive("low_freq_factor"), scaling.positive("high_freq_factor")
    if high <= low:
        raise scaling.error("high_freq_factor", f"a number above low_freq_factor, which is {low:g}")
    return Rope(theta, kind, factor, low, high, scaling.size("original_max_position_embeddings"))

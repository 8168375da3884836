"""Which tensors a decoder is made of, and whether a file holds exactly these."""

from __future__ import annotations

from collections.abc import Mapping

from rdu.errors import CheckpointError
from rdu.models.config import DecoderConfig

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
SHOWN = 4  # names in a message; the rest is counted


def layer_tensors(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Names inside one layer (below ``model.layers.N.``) and their shapes, rows = output features."""
    hidden, ffn, head = config.hidden_size, config.ffn_size, config.head_dim
    query, key = config.heads * head, config.kv_heads * head
    shapes: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (hidden,)}
    linears = [
        ("self_attn.q_proj", query, hidden, config.qkv_bias),
        ("self_attn.k_proj", key, hidden, config.qkv_bias),
        ("self_attn.v_proj", key, hidden, config.qkv_bias),
        ("self_attn.o_proj", hidden, query, config.output_bias),
        ("mlp.gate_proj", ffn, hidden, config.mlp_bias),
        ("mlp.up_proj", ffn, hidden, config.mlp_bias),
        ("mlp.down_proj", hidden, ffn, config.mlp_bias),
    ]
    for name, rows, columns, bias in linears:
        shapes[f"{name}.weight"] = (rows, columns)
        if bias:
            shapes[f"{name}.bias"] = (rows,)
    if config.qk_norm:
        shapes["self_attn.q_norm.weight"] = shapes["self_attn.k_norm.weight"] = (head,)
    shapes["post_attention_layernorm.weight"] = (hidden,)
    return shapes


def expected_tensors(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of the decoder under its Hugging Face name, with its shape; ``lm_head.weight`` unless tied."""
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (config.vocab_size, config.hidden_size)}
    one_layer = layer_tensors(config)
    for layer in range(config.layers):
        shapes.update({f"model.layers.{layer}.{name}": shape for name, shape in one_layer.items()})
    shapes["model.norm.weight"] = (config.hidden_size,)
    if not config.tied:
        shapes[HEAD] = (config.vocab_size, config.hidden_size)
    return shapes


def ignored(name: str) -> bool:
    """Whether a tensor is a buffer that older exporters wrote and that the configuration already says."""
    return name.endswith("rotary_emb.inv_freq")


def check_tensors(config: DecoderConfig, shapes: Mapping[str, tuple[int, ...]], place: str) -> None:
    """Compare the tensors of a checkpoint with those that its configuration asks for.

    Parameters
    ----------
    config : DecoderConfig
    shapes : mapping of str to tuple
        What the files hold, under Hugging Face names.
    place : str
        The file or folder, for messages.

    Raises
    ------
    CheckpointError
        Missing, misshapen or extra tensors, by name. A tied model may carry ``lm_head.weight`` too.
    """
    expected = expected_tensors(config)
    missing = [name for name in expected if name not in shapes]
    if missing:
        raise CheckpointError(
            f"{place}: {_counted('tensor', missing)} missing: {_listed(missing)}; the configuration asks for "
            f"{len(expected)} tensors in {config.layers} layers. Is a file incomplete, or the wrong config beside it?"
        )
    if config.tied:
        expected[HEAD] = expected[EMBEDDING]
    for name, shape in shapes.items():
        if name in expected and shape != expected[name]:
            raise CheckpointError(
                f"{place}: tensor {name} has shape {list(shape)}; the configuration asks for {list(expected[name])}"
            )
    extra = [name for name in shapes if name not in expected and not ignored(name)]
    if extra:
        raise CheckpointError(
            f"{place}: {_counted('tensor', extra)} too many: {_listed(extra)}; the architecture {config.architecture} "
            "as configured has no such tensor"
        )


def _counted(noun: str, names: list[str]) -> str:
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''}"


def _listed(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")

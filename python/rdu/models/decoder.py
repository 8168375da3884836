"""The decoder as a graph: embedding, layers, head. A layer is attention, then feed-forward, each with a residual."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rdu.graph import Array, Graph, Tensor, Weight
from rdu.models.checkpoint import Checkpoint


def decoder_graph(checkpoint: Checkpoint, context: int) -> Graph:
    """The graph of a Llama-style checkpoint for sequences of up to ``context`` positions; its output is ``logits``."""
    config = checkpoint.config
    g = Graph()
    vocabulary, hidden, head_dim = config.vocab_size, config.hidden_size, config.head_dim
    queries, cached = config.heads * head_dim, config.kv_heads * head_dim

    def weight(name: str, *shape: int) -> Weight:
        return g.weight(name, lambda: checkpoint.tensor(name), shape, checkpoint.blocks(name))

    def linear(name: str, x: Tensor, source: str, outputs: int, biased: bool) -> Tensor:
        bias = weight(f"{source}.bias", outputs) if biased else None
        return g.linear(name, x, weight(f"{source}.weight", outputs, x.width), bias)

    def norm(name: str, x: Tensor, source: str, width: int) -> Tensor:
        return g.norm(name, x, weight(f"{source}.weight", width), config.rms_eps)

    def turns() -> Array:
        cos, sin = config.rope.table(np.arange(context), head_dim)
        both: npt.NDArray[np.float32] = np.concatenate([cos, sin], axis=1)
        return both

    g.position_table("rope", turns, (context, head_dim))
    embedding = weight("model.embed_tokens.weight", vocabulary, hidden)
    with g.block("embed"):
        x = g.rows("embed.rows", embedding)
    for at in range(config.layers):
        here, source = f"layers.{at}", f"model.layers.{at}"
        with g.block(here):
            # attention
            h = norm(f"{here}.norm1", x, f"{source}.input_layernorm", hidden)
            q = linear(f"{here}.q", h, f"{source}.self_attn.q_proj", queries, config.qkv_bias)
            k = linear(f"{here}.k", h, f"{source}.self_attn.k_proj", cached, config.qkv_bias)
            v = linear(f"{here}.v", h, f"{source}.self_attn.v_proj", cached, config.qkv_bias)
            if config.qk_norm:
                q = norm(f"{here}.q_norm", q, f"{source}.self_attn.q_norm", head_dim)
                k = norm(f"{here}.k_norm", k, f"{source}.self_attn.k_norm", head_dim)
            h = g.attention(
                f"{here}.attention",
                q,
                k,
                v,
                heads=config.heads,
                kv_heads=config.kv_heads,
                head_dim=head_dim,
                window=config.window(at),
            )
            h = linear(f"{here}.o", h, f"{source}.self_attn.o_proj", hidden, config.output_bias)
            x = g.add(f"{here}.residual1", x, h)
            # feed-forward
            h = norm(f"{here}.norm2", x, f"{source}.post_attention_layernorm", hidden)
            gate = linear(f"{here}.gate", h, f"{source}.mlp.gate_proj", config.ffn_size, config.mlp_bias)
            up = linear(f"{here}.up", h, f"{source}.mlp.up_proj", config.ffn_size, config.mlp_bias)
            h = g.silu_mul(f"{here}.silu_mul", gate, up)
            h = linear(f"{here}.down", h, f"{source}.mlp.down_proj", hidden, config.mlp_bias)
            x = g.add(f"{here}.residual2", x, h)
    with g.block("head"):
        h = norm("norm", x, "model.norm", hidden)
        # A tied table serves twice: as rows to look up, and as tiles to multiply by.
        head = embedding if config.tied else weight("lm_head.weight", vocabulary, hidden)
        g.output(g.linear("logits", h, head))
    return g

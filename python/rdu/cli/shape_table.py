"""What ``rdu describe`` says about a model shape that comes without weights."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rdu.machine import Machine
from rdu.models.shapes import ELEMENT_BYTES, Shape
from rdu.report.units import quantity


def description(shape: Shape, machine: Machine, dtype: str, context: int | None) -> dict[str, Any]:
    """Everything as plain types: sizes, bytes by dtype, and the fewest sockets whose HBM holds the model."""
    config = shape.config
    length = config.max_positions if context is None else context
    cache_bytes = length * shape.cache_bytes_per_token(dtype)
    needed, have = shape.weight_bytes(dtype) + cache_bytes, machine.hbm.capacity_bytes
    return {
        "model": shape.name,
        "source": shape.source,
        "architecture": config.architecture,
        "layers": config.layers,
        "hidden_size": config.hidden_size,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "ffn_size": config.ffn_size,
        "vocab_size": config.vocab_size,
        "tied_embeddings": config.tied,
        "max_positions": config.max_positions,
        "sliding_window": config.sliding_window,
        "parameters": shape.parameters,
        "step_parameters": shape.step_parameters,
        "weight_bytes": {name: shape.weight_bytes(name) for name in ELEMENT_BYTES},
        "kv_bytes_per_token": {name: shape.cache_bytes_per_token(name) for name in ELEMENT_BYTES},
        "fit": {
            "machine": machine.name,
            "dtype": dtype,
            "context": length,
            "weight_bytes": shape.weight_bytes(dtype),
            "cache_bytes": cache_bytes,
            "hbm_capacity_bytes": have,
            "least_sockets": -(-needed // have),
        },
    }


def table(facts: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table(title=Text(f"{facts['model']}: {facts['source']}"), title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("what", no_wrap=True)
    shown.add_column("value", overflow="fold")
    fit = facts["fit"]
    rows = {
        "architecture": facts["architecture"],
        "layers": str(facts["layers"]),
        "hidden, feed-forward": f"{facts['hidden_size']}, {facts['ffn_size']}",
        "heads": f"{facts['heads']} of {facts['head_dim']}; {facts['kv_heads']} for keys and values",
        "vocabulary": f"{facts['vocab_size']}, embeddings {'tied' if facts['tied_embeddings'] else 'not tied'}",
        "positions": f"{facts['max_positions']}, window {facts['sliding_window'] or 'none'}",
        "parameters": f"{quantity(facts['parameters'])}, {quantity(facts['step_parameters'])} read in a decode step",
        "weights": _by_dtype(facts["weight_bytes"]),
        "cache per token": _by_dtype(facts["kv_bytes_per_token"]),
        f"on {fit['machine']}": _fit(fit),
    }
    for what, value in rows.items():
        shown.add_row(what, Text(value))
    return shown


def _fit(fit: dict[str, Any]) -> str:
    need = f"{quantity(fit['weight_bytes'], 'B')} of weights + {quantity(fit['cache_bytes'], 'B')} of caches"
    have = f"HBM of one has {quantity(fit['hbm_capacity_bytes'], 'B')}"
    return f"{fit['least_sockets']} sockets at least: {need} for {fit['context']} positions in {fit['dtype']}; {have}"


def _by_dtype(sizes: dict[str, int]) -> str:
    return ", ".join(f"{quantity(size, 'B')} in {dtype}" for dtype, size in sizes.items())

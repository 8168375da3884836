"""What ``rdu describe`` says about a model."""

from __future__ import annotations

import math
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rdu.api import DEFAULT_CONTEXT
from rdu.cli.fit import fit
from rdu.compiler.formats import FORMATS, element_bytes
from rdu.machine import Machine
from rdu.models.checkpoint import Checkpoint
from rdu.models.decoder import decoder_graph
from rdu.report.units import quantity


def description(checkpoint: Checkpoint, machine: Machine, dtype: str, context: int | None) -> dict[str, Any]:
    """Everything as plain types: sizes, parameters, bytes by dtype, tokenizer, and the fit on a machine."""
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    length = min(config.max_positions, DEFAULT_CONTEXT) if context is None else context
    graph = decoder_graph(checkpoint, length)
    # A tied table serves two operators and counts once.
    weights = {id(w): w for op in graph.operators for w in op.weights if w is not None}
    parameters = sum(_size(weight.shape) for weight in weights.values())
    cached = 2 * config.layers * config.kv_heads * config.head_dim
    return {
        "model": checkpoint.name,
        "path": str(checkpoint.path),
        "architecture": config.architecture,
        "stored_as": checkpoint.dtype,
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
        "rope": config.rope.kind,
        "rope_theta": config.rope.theta,
        "parameters": parameters,
        "weight_bytes": {name: math.ceil(parameters * form.weight_bytes) for name, form in FORMATS.items()},
        "kv_bytes_per_token": {name: cached * element_bytes(form.operand) for name, form in FORMATS.items()},
        "tokenizer": {
            "present": tokenizer is not None,
            "tokens": tokenizer.vocab_size if tokenizer else None,
            "chat_template": tokenizer is not None and tokenizer.has_chat_template,
            "note": checkpoint.tokenizer_note,
        },
        "fit": fit(graph, machine, dtype, length),
    }


def table(facts: dict[str, Any]) -> Table:
    """The same for people."""
    shown = Table(title=Text(f"{facts['model']}: {facts['path']}"), title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("what", no_wrap=True)
    shown.add_column("value", overflow="fold")
    tokenizer, fitted = facts["tokenizer"], facts["fit"]
    rows = {
        "architecture": f"{facts['architecture']}, stored as {facts['stored_as']}",
        "layers": str(facts["layers"]),
        "hidden, feed-forward": f"{facts['hidden_size']}, {facts['ffn_size']}",
        "heads": f"{facts['heads']} of {facts['head_dim']}; {facts['kv_heads']} for keys and values",
        "vocabulary": f"{facts['vocab_size']}, embeddings {'tied' if facts['tied_embeddings'] else 'not tied'}",
        "positions": f"{facts['max_positions']}, window {facts['sliding_window'] or 'none'}, rope {facts['rope']} "
        f"(theta {facts['rope_theta']:g})",
        "parameters": quantity(facts["parameters"]),
        "weights": _by_dtype(facts["weight_bytes"]),
        "cache per token": _by_dtype(facts["kv_bytes_per_token"]),
        "tokenizer": _tokenizer(tokenizer),
        f"on {fitted['machine']}": _fit(fitted),
    }
    for what, value in rows.items():
        shown.add_row(what, Text(value))
    return shown


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _by_dtype(sizes: dict[str, int]) -> str:
    return ", ".join(f"{quantity(size, 'B')} in {dtype}" for dtype, size in sizes.items())


def _tokenizer(found: dict[str, Any]) -> str:
    if not found["present"]:
        return f"none ({found['note']}): token ids in and out"
    template = "with" if found["chat_template"] else "without"
    note = f" ({found['note']})" if found["note"] else ""
    return f"{found['tokens']} tokens, {template} chat template{note}"


def _fit(fitted: dict[str, Any]) -> str:
    if not fitted["fits"]:
        return f"does not fit: {fitted['reason']}"
    need = f"{quantity(fitted['weight_bytes'], 'B')} of weights + {quantity(fitted['cache_bytes'], 'B')} of caches"
    have = quantity(fitted["hbm_capacity_bytes"], "B")
    return f"fits: {need} for {fitted['context']} positions in {fitted['dtype']}, HBM has {have}"

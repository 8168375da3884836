"""Whether a model fits a machine, found by the compiler's own passes, without reading a weight."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from rdu.compiler.allocate import allocate
from rdu.compiler.allocation import Allocation
from rdu.compiler.formats import FORMATS, row_bytes
from rdu.compiler.fuse import fuse
from rdu.errors import CompileError
from rdu.graph import Graph
from rdu.machine import Machine


def fit(graph: Graph, machine: Machine, dtype: str, context: int) -> dict[str, Any]:
    """Bytes in HBM of weights and caches, and why it does not fit if it does not."""
    form = FORMATS[dtype]
    cache_bytes = sum(
        2 * context * op.attention.kv_heads * row_bytes(op.attention.head_dim, form.operand)
        for op in graph.operators
        if op.attention is not None
    )
    block = min(machine.mapping.prefill_block, context)
    seen: dict[Hashable, Allocation] = {}
    weight_bytes: int | None = 0
    reason = ""
    try:
        for region in fuse(graph, "layer"):
            if region.signature not in seen:
                seen[region.signature] = allocate(region, machine, form, block, context)
            assert weight_bytes is not None
            weight_bytes += seen[region.signature].weight_bytes
    except CompileError as error:
        weight_bytes, reason = None, str(error)
    have = machine.hbm.capacity_bytes
    if weight_bytes is not None and weight_bytes + cache_bytes > have:
        need = f"{weight_bytes} bytes of weights + {cache_bytes} of caches"
        reason = f"{need} are more than hbm.capacity_bytes={have}; a shorter context or a narrower dtype would help"
    return {
        "machine": machine.name,
        "dtype": dtype,
        "context": context,
        "fits": not reason,
        "reason": reason,
        "weight_bytes": weight_bytes,
        "cache_bytes": cache_bytes,
        "hbm_capacity_bytes": have,
    }

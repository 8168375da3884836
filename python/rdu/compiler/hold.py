"""Which blocks each linear operator's weight is held in, where the dtype is one of blocks.

A file of blocks is called by the type of most of its weights, and has a few of another, finer one. Asked for by that
name it runs as it is; else every weight is of the dtype that was asked for.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from rdu.blocks import BLOCK_WEIGHTS
from rdu.compiler.formats import FINEST_BLOCKS, Format
from rdu.errors import CompileError
from rdu.graph import Graph, Operator, Weight


def hold(graph: Graph, form: Format) -> Graph:
    """The graph with ``Weight.held`` said for what its linear operators multiply by; itself for other dtypes."""
    if not form.blocked:
        return graph
    elements: Counter[str | None] = Counter()
    for weight in map(_multiplier, graph.operators):
        if weight is not None:
            elements[weight.blocks.kind if weight.blocks else None] += math.prod(weight.shape)
    as_it_is = bool(elements) and max(elements, key=lambda kind: elements[kind]) == form.weight
    held = Graph()
    held.table, held.outputs = graph.table, graph.outputs
    for op in graph.operators:
        weight = _multiplier(op)
        if weight is not None:
            own = weight.blocks.kind if weight.blocks else FINEST_BLOCKS
            op = replace(op, weights=(replace(weight, held=own if as_it_is else form.weight), *op.weights[1:]))
        held.operators.append(op)
    return held


def check_blocks(graph: Graph, form: Format) -> None:
    """Sums, and what each socket has of them, are cut between blocks alone.

    Raises
    ------
    CompileError
        Names the weight, how much it sums over, and what would help.
    """
    for weight in map(_multiplier, graph.operators) if form.blocked else ():
        if weight is None:
            continue
        share = weight.share
        divided = share is not None and share.axis == 1
        for inputs, where in (
            (weight.shape[1], " on each socket" if divided else ""),
            ((share or weight).shape[1], ""),
        ):
            if inputs % BLOCK_WEIGHTS:
                raise CompileError(
                    f"weight {weight.name!r} sums over {inputs} inputs{where}, which {form.dtype} cannot cut into "
                    f"blocks of {BLOCK_WEIGHTS}; dtype='int8' has no blocks"
                )


def _multiplier(op: Operator) -> Weight | None:
    """What a linear operator multiplies by."""
    return op.weights[0] if op.kind == "linear" else None

"""Pass 1, fuse: cut the graph into regions; each region becomes one kernel call."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from rdu.errors import CompileError
from rdu.graph import Graph, Operator, Tensor

LEVELS = ("op", "layer", "loop")


@dataclass(frozen=True, eq=False)
class Region:
    """Operators of one kernel call; ``inputs`` and ``outputs`` cross its border through HBM."""

    name: str
    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def signature(self) -> Hashable:
        """Equal for regions that one kernel can serve: same operators, wiring and shapes, whatever the names."""
        number = {id(tensor): at for at, tensor in enumerate(self.inputs)}
        for op in self.operators:
            number[id(op.output)] = len(number)
        return (
            tuple(tensor.width for tensor in self.inputs),
            tuple(
                (
                    op.kind,
                    tuple(number[id(tensor)] for tensor in op.inputs),
                    op.output.width,
                    tuple(weight.shape if weight else None for weight in op.weights),
                    op.group,
                    op.eps,
                    op.attention,
                )
                for op in self.operators
            ),
            tuple(number[id(tensor)] for tensor in self.outputs),
        )


def fuse(graph: Graph, level: str) -> list[Region]:
    """Regions in the order of their calls.

    ``op`` makes every operator a region; ``layer`` every stretch of operators of one block.
    """
    if level not in LEVELS:
        raise CompileError(f"fusion is {level!r}; choose one of {', '.join(LEVELS)}")
    if level == "loop":
        raise CompileError("fusion 'loop' (all layers in one call) is not available yet; use 'layer' or 'op'")
    groups: list[list[Operator]] = []
    for op in graph.operators:
        if op.kind == "input":
            continue
        if level == "layer" and groups and groups[-1][0].block == op.block:
            groups[-1].append(op)
        else:
            groups.append([op])
    if not groups:
        raise CompileError("the graph has no operators")
    if not graph.outputs:
        raise CompileError("the graph has no outputs; call graph.output(tensor)")
    read = {id(tensor) for op in graph.operators for tensor in op.inputs}
    for op in graph.operators:
        if op.kind == "input" and id(op.output) not in read:
            raise CompileError(f"input {op.name!r} is read by no operator; drop it")
    return [_region(graph, group) for group in groups]


def _region(graph: Graph, group: list[Operator]) -> Region:
    made = {id(op.output) for op in group}
    used_outside = {id(tensor) for op in graph.operators if id(op.output) not in made for tensor in op.inputs}
    used_outside |= {id(tensor) for tensor in graph.outputs}
    inputs: dict[int, Tensor] = {}
    for op in group:
        for tensor in op.inputs:
            if id(tensor) not in made:
                inputs.setdefault(id(tensor), tensor)
    used_inside = {id(tensor) for op in group for tensor in op.inputs}
    for op in group:
        if id(op.output) not in used_inside | used_outside:
            raise CompileError(f"tensor {op.name!r} is never used; make it an output or drop its operator")
    outputs = tuple(op.output for op in group if id(op.output) in used_outside)
    name = group[0].block or (group[0].name if len(group) == 1 else "graph")
    return Region(name, tuple(group), tuple(inputs.values()), outputs)

"""Tensor parallelism: the graph that one of several sockets runs.

As published for decoders: heads are divided, and columns of the first feed-forward matrices, then rows of what follows;
after each divided row the partial sums of all sockets are added (``all_reduce``). The vocabulary is divided. Key-value
heads are repeated where there are more sockets than heads. All sockets do the same work: what does not divide evenly is
padded.
"""

from __future__ import annotations

from dataclasses import replace

from rdu.errors import CompileError
from rdu.graph import Attention, Graph, Operator, Tensor, Weight

_ALONG = ("attention", "silu", "silu_mul", "mul")


def shard(graph: Graph, sockets: int) -> Graph:
    """The part of ``graph`` that each of ``sockets`` sockets runs; the graph itself for one.

    Raises
    ------
    CompileError
        An operator cannot be divided; the message names it and why.
    """
    return graph if sockets == 1 else _Shard(graph, sockets).graph


class _Shard:
    def __init__(self, graph: Graph, sockets: int) -> None:
        self.whole = graph
        self.sockets = sockets
        self.graph = Graph()
        self.graph.table = graph.table
        self.tensors: dict[int, Tensor] = {}
        self.divided: set[int] = set()
        self.takers: dict[int, list[Operator]] = {}
        for op in graph.operators:
            for tensor in op.inputs:
                self.takers.setdefault(id(tensor), []).append(op)
        self.results = {id(tensor) for tensor in graph.outputs}
        for op in graph.operators:
            self._place(op)
        self.graph.outputs = [self.tensors[id(tensor)] for tensor in graph.outputs]

    def _place(self, op: Operator) -> None:
        parts = {id(tensor) in self.divided for tensor in op.inputs}
        if len(parts) > 1:
            raise CompileError(
                f"operator {op.name!r} takes whole and divided tensors: it cannot run on several sockets"
            )
        divided = parts == {True}
        if op.kind == "linear":
            self._linear(op, divided)
        elif op.attention is not None:
            if not divided:
                raise CompileError(f"attention {op.name!r}: its heads are not made by linear operators, so not divided")
            local = self._heads(op, op.attention)
            self._add(op, local.heads * local.head_dim, op.weights, attention=local)
        elif op.kind == "norm" and divided and op.output.width != op.group:
            self._add(op, self.tensors[id(op.inputs[0])].width, op.weights)
        elif op.kind == "norm" and divided:
            raise CompileError(
                f"norm {op.name!r} needs a whole row, but its input is divided over {self.sockets} sockets"
            )
        else:
            self._add(op, self.tensors[id(op.inputs[0])].width if op.inputs else op.output.width, op.weights)
        if divided and op.kind != "linear":
            self.divided.add(id(op.output))

    def _linear(self, op: Operator, divided: bool) -> None:
        weight, bias = op.weights
        assert weight is not None
        inner = self.tensors[id(op.inputs[0])].width
        if divided:
            partial = self._add(op, op.output.width, (self._cut(weight, op.output.width, inner), bias), "partial")
            total = Tensor(op.output.name, op.output.width)
            self.graph.operators.append(Operator("all_reduce", (partial,), total, block=op.block))
            self.tensors[id(op.output)] = total
        elif self._divides(op.output):
            width = self._width(op)
            self._add(op, width, (self._cut(weight, width, inner), bias and self._cut(bias, width)))
            self.divided.add(id(op.output))
        else:
            self._add(op, op.output.width, op.weights)

    def _add(
        self,
        op: Operator,
        width: int,
        weights: tuple[Weight | None, ...],
        suffix: str = "",
        attention: Attention | None = None,
    ) -> Tensor:
        name = f"{op.output.name}.{suffix}" if suffix else op.output.name
        made = Tensor(name, width)
        inputs = tuple(self.tensors[id(tensor)] for tensor in op.inputs)
        self.graph.operators.append(
            replace(op, inputs=inputs, output=made, weights=weights, attention=attention or op.attention)
        )
        self.tensors[id(op.output)] = made
        return made

    def _divides(self, tensor: Tensor) -> bool:
        """Whether all that is done with the tensor can be done with a part of it."""
        if id(tensor) in self.results:
            return True
        takers = self.takers.get(id(tensor), [])
        return all(
            op.kind == "linear"
            or ((op.kind in _ALONG or (op.kind == "norm" and op.group < op.output.width)) and self._divides(op.output))
            for op in takers
        )

    def _width(self, op: Operator) -> int:
        """Columns of a divided linear operator on each socket."""
        tensor, takers = op.output, self.takers.get(id(op.output), [])
        while takers and takers[0].kind == "norm":
            tensor, takers = takers[0].output, self.takers.get(id(takers[0].output), [])
        for taker in takers:
            if taker.attention is not None:
                local = self._heads(taker, taker.attention)
                heads = local.heads if taker.inputs[0] is tensor else local.kv_heads
                return heads * local.head_dim
        return -(-op.output.width // self.sockets)

    def _heads(self, op: Operator, a: Attention) -> Attention:
        n = self.sockets
        if a.heads % n:
            raise CompileError(
                f"attention {op.name!r} has {a.heads} heads, which {n} sockets cannot share evenly; "
                f"use a number of sockets that divides {a.heads}"
            )
        if a.kv_heads % n and n % a.kv_heads:
            raise CompileError(
                f"attention {op.name!r} has {a.kv_heads} key-value heads, which {n} sockets cannot share evenly; "
                f"use a number of sockets that divides {a.kv_heads}, or a multiple of it"
            )
        return replace(a, heads=a.heads // n, kv_heads=max(1, a.kv_heads // n))

    @staticmethod
    def _cut(weight: Weight, *shape: int) -> Weight:
        return replace(weight, shape=shape)

"""Tensor parallelism: the graph that one of several sockets runs.

As published for decoders: heads are divided, and columns of the first feed-forward matrices, then rows of what follows;
after each divided row the partial sums of all sockets are added (``all_reduce``). The vocabulary is divided. Key-value
heads are repeated where there are more sockets than heads. All sockets do the same work: what does not divide evenly is
padded.
"""

from __future__ import annotations

from dataclasses import replace

from rdu.errors import CompileError
from rdu.graph import Attention, Graph, Operator, Share, Tensor, Weight

_ALONG = ("attention", "silu", "silu_mul", "mul")


def shard(graph: Graph, sockets: int) -> Graph:
    """The part of ``graph`` that each of ``sockets`` sockets runs; the graph itself for one.

    Raises
    ------
    CompileError
        An operator cannot be divided; the message names it and why.
    """
    return graph if sockets == 1 else _Shard(graph, sockets).graph


def holder(part: int, parts: int, sockets: int) -> int:
    """The first socket that has this part; those up to the next part's have the same."""
    return part * sockets // parts


def part_of(socket: int, parts: int, sockets: int) -> int:
    """The part that a socket has."""
    return socket * parts // sockets


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
        if divided and op.attention is None and len({self.tensors[id(tensor)].parts for tensor in op.inputs}) > 1:
            raise CompileError(
                f"operator {op.name!r} takes heads that sockets repeat, and others: it cannot run on several sockets"
            )
        if op.kind == "linear":
            self._linear(op, divided)
        elif op.attention is not None:
            if not divided:
                raise CompileError(f"attention {op.name!r}: its heads are not made by linear operators, so not divided")
            local = self._heads(op, op.attention)
            self._check_heads(op, local)
            self._add(op, local.heads * local.head_dim, op.weights, attention=local)
        elif op.kind == "norm" and divided and op.output.width != op.group:
            if self._local(op).width % op.group:
                raise CompileError(
                    f"norm {op.name!r} has groups of {op.group} columns, which {self.sockets} sockets cannot share "
                    f"evenly; use a number of sockets that divides {op.output.width // op.group}"
                )
            self._add(op, self._local(op).width, op.weights)
        elif op.kind == "norm" and divided:
            raise CompileError(
                f"norm {op.name!r} needs a whole row, but its input is divided over {self.sockets} sockets"
            )
        else:
            self._add(op, self._local(op).width if op.inputs else op.output.width, op.weights)
        if divided and op.kind != "linear":
            self.divided.add(id(op.output))

    def _linear(self, op: Operator, divided: bool) -> None:
        weight, bias = op.weights
        assert weight is not None
        n = self.sockets
        if divided:
            x = self._local(op)
            if x.parts != n:
                raise CompileError(
                    f"operator {op.name!r} sums over heads that some of {n} sockets repeat: it cannot run on them; "
                    f"{x.parts} sockets would do"
                )
            columns = _cut(weight, 1, n, x.width)
            # Its bias is added once, by the first socket; the others add zeros.
            once = bias and replace(bias, share=Share(bias.shape, None, n))
            partial = self._add(op, op.output.width, (columns, once), "partial", parts=n)
            total = Tensor(op.output.name, op.output.width)
            self.graph.operators.append(Operator("all_reduce", (partial,), total, block=op.block))
            self.tensors[id(op.output)] = total
        elif self._divides(op.output):
            width, parts = self._width(op)
            rows = (_cut(weight, 0, parts, width), bias and _cut(bias, 0, parts, width))
            self._add(op, width, rows, parts=parts)
            self.divided.add(id(op.output))
        else:
            self._add(op, op.output.width, op.weights, parts=1)

    def _local(self, op: Operator) -> Tensor:
        """What the operator's first input is here."""
        return self.tensors[id(op.inputs[0])]

    def _add(
        self,
        op: Operator,
        width: int,
        weights: tuple[Weight | None, ...],
        suffix: str = "",
        attention: Attention | None = None,
        parts: int | None = None,
    ) -> Tensor:
        """``parts``: if not given, as many as the first input has."""
        name = f"{op.output.name}.{suffix}" if suffix else op.output.name
        inputs = tuple(self.tensors[id(tensor)] for tensor in op.inputs)
        if parts is None:
            parts = inputs[0].parts if inputs else 1
        made = Tensor(name, width, parts)
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

    def _width(self, op: Operator) -> tuple[int, int]:
        """Columns of a divided linear operator on each socket, and how many parts they make."""
        tensor, takers = op.output, self.takers.get(id(op.output), [])
        while takers and takers[0].kind == "norm":
            tensor, takers = takers[0].output, self.takers.get(id(takers[0].output), [])
        for taker in takers:
            if taker.attention is not None:
                local = self._heads(taker, taker.attention)
                if taker.inputs[0] is tensor:
                    return local.heads * local.head_dim, self.sockets
                return local.kv_heads * local.head_dim, min(self.sockets, taker.attention.kv_heads)
        return -(-op.output.width // self.sockets), self.sockets

    def _check_heads(self, op: Operator, local: Attention) -> None:
        n, whole = self.sockets, op.attention
        assert whole is not None
        shared = min(n, whole.kv_heads)
        wanted = [(local.heads, n), (local.kv_heads, shared), (local.kv_heads, shared)]
        for tensor, (heads, parts) in zip(op.inputs, wanted, strict=True):
            here = self.tensors[id(tensor)]
            if (here.width, here.parts) != (heads * local.head_dim, parts):
                raise CompileError(
                    f"attention {op.name!r}: {tensor.name!r} is not divided by heads, because what makes it is no "
                    f"linear operator or feeds others too; on {n} sockets it cannot be computed"
                )

    def _heads(self, op: Operator, a: Attention) -> Attention:
        n = self.sockets
        if not _shares(a, n):
            fit = ", ".join(str(count) for count in range(1, a.heads + 1) if _shares(a, count))
            raise CompileError(
                f"attention {op.name!r} has {a.heads} heads and {a.kv_heads} key-value heads, which {n} sockets cannot "
                f"share evenly; numbers of sockets that can: {fit}"
            )
        return replace(a, heads=a.heads // n, kv_heads=max(1, a.kv_heads // n))


def _shares(a: Attention, sockets: int) -> bool:
    """Whether each socket gets as many query heads, and whole key-value heads or one that neighbours have too."""
    return a.heads % sockets == 0 and (a.kv_heads % sockets == 0 or sockets % a.kv_heads == 0)


def _cut(weight: Weight, axis: int, parts: int, size: int) -> Weight:
    """The weight of one socket: ``size`` rows (axis 0) or columns (axis 1) of it."""
    shape = (*weight.shape[:axis], size, *weight.shape[axis + 1 :])
    return replace(weight, shape=shape, share=Share(weight.shape, axis, parts))

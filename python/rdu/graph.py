"""The tensor level: operators on named tensors, before any machine is chosen.

Every activation tensor has one row per position; how many positions a call has is decided when it runs. A weight is
named, has a shape, and is read only when a program is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rdu.blocks import Blocks
from rdu.errors import GraphError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Share:
    """What each of several sockets holds of a weight: one of ``parts`` parts along ``axis``, the last of them padded
    with zeros. Without an axis the first holds all of it, and the others zeros.
    """

    shape: tuple[int, ...]  # of all of it
    axis: int | None
    parts: int


@dataclass(frozen=True, eq=False)
class Weight:
    """A constant: ``(outputs, inputs)`` for a linear operator or a table of rows, ``(n,)`` for a norm or a bias."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Array] = field(repr=False)
    # Of a weight that sockets do not all hold alike; ``shape`` is then what each holds, and ``read`` reads all of it.
    share: Share | None = None
    # As its file stores it, where that is in blocks; and the type of blocks that a program holds it in, if any.
    blocks: Blocks | None = None
    held: str = ""


@dataclass(frozen=True, eq=False)
class Tensor:
    """An activation: one row of ``width`` values per position.

    On several sockets ``parts`` of them differ, each of that width: columns of a divided tensor, or partial sums. Where
    there are fewer parts than sockets, neighbours have the same.
    """

    name: str
    width: int
    parts: int = 1


@dataclass(frozen=True)
class OperatorKind:
    """One record of the operator table."""

    name: str
    doc: str
    tensors: int
    weights: tuple[str, ...] = ()


OPERATORS: dict[str, OperatorKind] = {
    kind.name: kind
    for kind in (
        OperatorKind("input", "rows that the caller passes", 0),
        OperatorKind("rows", "rows of a table, chosen by one index per position", 0, ("table",)),
        OperatorKind("linear", "y = x @ weight.T + bias", 1, ("weight", "bias")),
        OperatorKind("norm", "y = x / sqrt(mean(x^2) + eps) * weight, in groups of columns", 1, ("weight",)),
        OperatorKind("attention", "softmax(q @ k.T * scale) @ v over cached and new rows, causal", 3),
        OperatorKind("add", "y = a + b", 2),
        OperatorKind("mul", "y = a * b", 2),
        OperatorKind("silu", "y = x / (1 + exp(-x))", 1),
        OperatorKind("silu_mul", "y = silu(a) * b", 2),
    )
}


@dataclass(frozen=True)
class Attention:
    """Parameters of an ``attention`` operator; the cache keeps the rows of k and v between calls."""

    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    window: int | None = None
    interleaved: bool = False


@dataclass(frozen=True, eq=False)
class Operator:
    """A node: what it is, what it reads, what it makes, and the block (a decoder layer, say) that it belongs to."""

    kind: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    weights: tuple[Weight | None, ...] = ()
    block: str = ""
    group: int = 0
    eps: float = 0.0
    attention: Attention | None = None

    @property
    def name(self) -> str:
        """An operator is called what its output is called."""
        return self.output.name

    @property
    def local_name(self) -> str:
        """The name without that of the block: the same in every block of one kind."""
        return self.name.removeprefix(f"{self.block}.")


class Graph:
    """Operators on named tensors; ``rdu.compile`` maps it onto a machine.

    Examples
    --------
    >>> import numpy as np, rdu
    >>> g = rdu.Graph()
    >>> x = g.input("x", 64)
    >>> y = g.linear("y", x, g.weight("w", np.ones((32, 64), np.float32)))
    >>> g.output(y)
    >>> program = rdu.compile(g, rdu.machine("tiny"), dtype="fp32")
    >>> program.run(x=np.ones((1, 64))).outputs["y"][0, :3]
    array([64., 64., 64.], dtype=float32)
    """

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.outputs: list[Tensor] = []
        self.table: Weight | None = None
        self._names: set[str] = set()
        # By identity, which holds as long as the weight is kept here.
        self._weights: dict[int, Weight] = {}
        self._block = ""

    @contextmanager
    def block(self, name: str) -> Iterator[None]:
        """Operators made inside belong to block ``name``: what fusion level ``layer`` makes one kernel call."""
        outer, self._block = self._block, name
        try:
            yield
        finally:
            self._block = outer

    def weight(
        self,
        name: str,
        array: npt.ArrayLike | Callable[[], Array],
        shape: tuple[int, ...] | None = None,
        blocks: Blocks | None = None,
    ) -> Weight:
        """Name a constant.

        Parameters
        ----------
        name : str
        array : array_like, or a function that returns one
            A function is called when a program is compiled, and must then be given with its ``shape``.
        shape : tuple of int, optional
            Of an array, what it must be.
        blocks : Blocks, optional
            The same weight in blocks: a program of such a ``dtype`` takes them as they are.
        """
        if callable(array):
            if shape is None:
                raise GraphError(f"weight {name!r}: a weight that is read later needs its shape")
            return self._constant(name, shape, array, blocks)
        try:
            values = np.asarray(array)
        except ValueError as error:
            raise GraphError(f"weight {name!r} is no array: {error}") from None
        if shape is not None and values.shape != tuple(shape):
            raise GraphError(f"weight {name!r}: the array has shape {values.shape}, not {shape}")
        return self._constant(name, values.shape, lambda: values, blocks)

    def position_table(self, name: str, array: Callable[[], Array], shape: tuple[int, int]) -> Weight:
        """Cosines and sines by position, ``(positions, head_dim)``: what every attention of the graph rotates by."""
        if self.table is not None:
            raise GraphError(f"position table {name!r}: the graph already has {self.table.name!r}; one serves all")
        if any(op.kind == "attention" for op in self.operators):
            raise GraphError(f"position table {name!r}: make it before the first attention, which rotates by it")
        table = self.weight(name, array, shape)
        self._rank(table, 2)
        if table.shape[1] % 2:
            raise GraphError(f"position table {name!r}: {table.shape[1]} columns are not cosines and as many sines")
        self.table = table
        return table

    def input(self, name: str, width: int) -> Tensor:
        """Rows of ``width`` values that the caller passes."""
        return self._add("input", name, width)

    def rows(self, name: str, table: Weight) -> Tensor:
        """Rows of a table ``(rows, width)``, one index per position (an embedding)."""
        self._rank(table, 2)
        return self._add("rows", name, table.shape[1], weights=(table,))

    def linear(self, name: str, x: Tensor, weight: Weight, bias: Weight | None = None) -> Tensor:
        """``x @ weight.T + bias`` with weight ``(outputs, inputs)`` and bias ``(outputs,)``."""
        self._known(x)
        self._rank(weight, 2)
        outputs, inputs = weight.shape
        self._match(name, "input", x.width, f"weight {weight.name!r} {weight.shape}", inputs)
        if bias is not None:
            self._rank(bias, 1)
            self._match(name, "weight's outputs", outputs, f"bias {bias.name!r}", bias.shape[0])
        return self._add("linear", name, outputs, (x,), (weight, bias))

    def norm(self, name: str, x: Tensor, weight: Weight, eps: float) -> Tensor:
        """Root-mean-square norm over groups as long as ``weight`` (the whole row, or one head)."""
        self._known(x)
        self._rank(weight, 1)
        group = weight.shape[0]
        if x.width % group:
            raise GraphError(f"norm {name!r}: a row of {x.width} is not a whole number of groups of {group}")
        if not (_is_number(eps) and eps >= 0):
            raise GraphError(f"norm {name!r}: eps is {eps!r}; it must be finite and not negative")
        return self._add("norm", name, x.width, (x,), (weight,), group=group, eps=eps)

    def attention(
        self,
        name: str,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        heads: int,
        kv_heads: int,
        head_dim: int,
        scale: float | None = None,
        window: int | None = None,
        interleaved: bool = False,
    ) -> Tensor:
        """Causal attention over all rows so far; k and v join a cache. q and k are rotated by the position table.

        ``window`` limits what a position sees to the last ``window`` positions, itself included. ``interleaved``
        rotates pairs (2i, 2i+1) instead of (i, i + head_dim/2).
        """
        for what, size in (("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim)):
            if not _is_size(size):
                raise GraphError(f"attention {name!r}: {what} is {size!r}; it must be a whole number of at least 1")
        if heads % kv_heads:
            raise GraphError(f"attention {name!r}: {heads} heads cannot share {kv_heads} key-value heads")
        for what, tensor, width in (("q", q, heads), ("k", k, kv_heads), ("v", v, kv_heads)):
            self._known(tensor)
            self._match(name, what, tensor.width, f"{width} heads of {head_dim}", width * head_dim)
        if window is not None and not _is_size(window):
            raise GraphError(
                f"attention {name!r}: window is {window!r}; it must be a whole number of at least 1, or None"
            )
        if scale is not None and not _is_number(scale):
            raise GraphError(f"attention {name!r}: scale is {scale!r}; it must be a finite number, or None")
        if self.table is not None:
            self._match(name, "position table", self.table.shape[1], "head_dim", head_dim)
        scale = head_dim**-0.5 if scale is None else scale
        window = None if window is None else int(window)
        parameters = Attention(int(heads), int(kv_heads), int(head_dim), float(scale), window, bool(interleaved))
        return self._add("attention", name, heads * head_dim, (q, k, v), attention=parameters)

    def add(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """``a + b``"""
        return self._map("add", name, a, b)

    def mul(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """``a * b``"""
        return self._map("mul", name, a, b)

    def silu(self, name: str, x: Tensor) -> Tensor:
        """``x / (1 + exp(-x))``"""
        return self._map("silu", name, x)

    def silu_mul(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """``silu(a) * b``"""
        return self._map("silu_mul", name, a, b)

    def output(self, x: Tensor) -> None:
        """Make ``x`` a result that a run returns under its name."""
        self._known(x)
        self.outputs.append(x)

    def _map(self, kind: str, name: str, *inputs: Tensor) -> Tensor:
        for tensor in inputs:
            self._known(tensor)
        for other in inputs[1:]:
            self._match(name, repr(inputs[0].name), inputs[0].width, repr(other.name), other.width)
        return self._add(kind, name, inputs[0].width, inputs)

    def _add(
        self,
        kind: str,
        name: str,
        width: int,
        inputs: tuple[Tensor, ...] = (),
        weights: tuple[Weight | None, ...] = (),
        **parameters: Any,
    ) -> Tensor:
        if not _is_size(width):
            raise GraphError(f"tensor {name!r}: width is {width!r}; it must be a whole number of at least 1")
        self._claim(name)
        output = Tensor(name, int(width))
        self.operators.append(Operator(kind, inputs, output, weights, self._block, **parameters))
        return output

    def _claim(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise GraphError(f"a name must be a non-empty string, not {name!r}")
        if name in self._names:
            raise GraphError(f"two things in the graph are called {name!r}; names must be unique")
        self._names.add(name)

    def _known(self, tensor: Tensor) -> None:
        if not any(op.output is tensor for op in reversed(self.operators)):
            raise GraphError(f"tensor {getattr(tensor, 'name', tensor)!r} is not of this graph")

    def _constant(self, name: str, shape: object, read: Callable[[], Array], blocks: Blocks | None = None) -> Weight:
        sizes = tuple(shape) if isinstance(shape, tuple | list) else ()
        if not sizes or not all(_is_size(size) for size in sizes):
            raise GraphError(f"weight {name!r}: shape {shape!r} has no elements; give whole numbers of at least 1")
        self._claim(name)
        weight = Weight(name, tuple(int(size) for size in sizes), read, blocks=blocks)
        self._weights[id(weight)] = weight
        return weight

    def _rank(self, weight: Weight, rank: int) -> None:
        if id(weight) not in self._weights:
            raise GraphError(
                f"weight {getattr(weight, 'name', weight)!r} is not of this graph; make it with graph.weight"
            )
        if len(weight.shape) != rank:
            raise GraphError(f"weight {weight.name!r}: shape {weight.shape} must have {rank} dimensions here")

    @staticmethod
    def _match(name: str, what: str, width: int, other: str, wanted: int) -> None:
        if width != wanted:
            raise GraphError(f"{name!r}: {what} is {width} wide, but {other} wants {wanted}")


def _is_size(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return math.isfinite(value)

"""Weights into the emulated HBM, in the layout that the loads stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from rdu.compiler.allocate import Placed
from rdu.compiler.formats import Format, row_bytes
from rdu.errors import CompileError
from rdu.graph import Array, Weight
from rdu.program import Image

Progress = Callable[[str, int, int], None]


def fill(
    placed: Iterable[Placed],
    table: Weight | None,
    table_base: int,
    context: int,
    form: Format,
    progress: Progress | None,
) -> Image:
    """Read every weight once and write it where `allocate` put it.

    ``progress`` is called with ("weights", bytes done, bytes in all).
    """
    image = Image()
    layers = list(placed)
    total = sum(layer.weight_bytes for layer in layers)
    done = 0
    for layer in layers:
        image.reserve(layer.base, layer.weight_bytes)
        # Blocks that share a kernel share its offsets; weights follow the operators in order.
        offsets = iter(layer.offsets)
        for op in layer.operators:
            for weight in op.weights:
                if weight is None:
                    continue
                address = layer.base + next(offsets)
                values = _values(weight)
                if op.kind == "linear" and values.ndim == 2:
                    image.put_tiles(address, values, form.operand)
                else:
                    image.put_rows(address, np.atleast_2d(values), form.operand)
        done += layer.weight_bytes
        if progress is not None:
            progress("weights", done, total)
    if table is not None:
        rows = np.ascontiguousarray(_values(table)[:context])
        image.reserve(table_base, len(rows) * row_bytes(rows.shape[1], "f32"))
        image.put_rows(table_base, rows, "f32")
    return image


def _values(weight: Weight) -> Array:
    """The weight as float32, or bfloat16 as its bits; checked against the shape that the graph was built with."""
    array = np.asarray(weight.read())
    if array.shape != weight.shape:
        raise CompileError(f"weight {weight.name!r}: read shape {array.shape}, the graph has {weight.shape}")
    if array.dtype.name == "bfloat16":
        return np.ascontiguousarray(array).view(np.uint16)
    if array.dtype.kind not in "fiu":
        raise CompileError(f"weight {weight.name!r}: dtype {array.dtype} is not numeric")
    return np.ascontiguousarray(array, dtype=np.float32)

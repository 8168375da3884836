"""Weights into the emulated HBM, in the layout that the loads stream."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable

import numpy as np

from rdu.compiler.allocate import SCALES, stored
from rdu.compiler.allocation import Placed
from rdu.compiler.formats import Format, row_bytes
from rdu.errors import CompileError, NumbersWarning
from rdu.graph import Array, Weight
from rdu.program import Image
from rdu.quantization import Loss, Quantization

Progress = Callable[[str, int, int], None]


def fill(
    placed: Iterable[Placed],
    table: Weight | None,
    table_base: int,
    context: int,
    form: Format,
    progress: Progress | None,
) -> tuple[Image, Quantization | None]:
    """Read every weight once and write it where `allocate` put it; also what quantising took from the weights.

    ``progress`` is called with ("weights", bytes done, bytes in all).

    Warns
    -----
    NumbersWarning
        Weights with NaN or infinities, by name.
    """
    image = Image()
    losses: dict[str, Loss] = {}
    # Those with most to read first: what reading takes for a while is gone when memory is full.
    layers = sorted(placed, key=lambda layer: -layer.weight_bytes)
    total = sum(layer.weight_bytes for layer in layers)
    done = 0
    for layer in layers:
        image.reserve(layer.base, layer.weight_bytes)
        # Blocks that share a kernel share its offsets; weights follow the operators in order.
        offsets = iter(layer.offsets)
        for op in layer.operators:
            places = {at: layer.base + next(offsets) for at in stored(op, form)}
            for at, weight in enumerate(op.weights):
                if weight is None:
                    continue
                values = _values(weight)
                if op.kind == "linear" and at == 0:
                    strange, *lost = image.put_tiles(places[0], values, form.weight, places.get(SCALES))
                    if form.scaled:
                        losses[weight.name] = Loss(*lost)
                else:
                    element = form.beside if op.kind == "linear" else form.operand
                    strange = image.put_rows(places[at], np.atleast_2d(values), element)
                _warn(weight, strange)
        done += layer.weight_bytes
        if progress is not None:
            progress("weights", done, total)
    if table is not None:
        rows = np.ascontiguousarray(_values(table)[:context])
        image.reserve(table_base, len(rows) * row_bytes(rows.shape[1], "f32"))
        image.put_rows(table_base, rows, "f32")
    return image, Quantization(losses) if losses else None


def _warn(weight: Weight, strange: int) -> None:
    if strange:
        size = math.prod(weight.shape)
        message = (
            f"weight {weight.name!r}: {strange} of {size} values are NaN or infinite, and so is what is computed from "
            f"them; is the file damaged, or the training run diverged?"
        )
        warnings.warn(message, NumbersWarning, stacklevel=3)


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

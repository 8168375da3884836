"""Weights into the emulated HBM, in the layout that the loads stream."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator

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
    banks: Callable[[int], tuple[int, ...]],
    progress: Progress | None,
) -> tuple[Image, Quantization | None]:
    """Read every weight once and write it where `allocate` put it; also what quantising took from the weights.

    ``banks`` says how far behind the first part each of so many parts lies, which several sockets keep one each.
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
        offsets = iter((*layer.offsets, layer.weight_bytes))
        start = next(offsets, 0)
        for op in layer.operators:
            places = {}
            for at in stored(op, form):
                places[at], start = layer.base + start, next(offsets)
            held = banks(op.output.parts) if op.kind == "linear" else (0,)
            for bank in held[1:]:
                image.reserve(places[0] + bank, layer.base + start - places[0])
            for at, weight in enumerate(op.weights):
                if weight is None:
                    continue
                values = _values(weight)
                if op.kind == "linear" and at == 0:
                    axis = 1 if weight.share is not None and weight.share.axis == 1 else 0
                    scales = [places[SCALES] + bank for bank in held] if form.scaled else []
                    bases = [places[0] + bank for bank in held]
                    strange, *lost = image.put_tiles(bases, values, form.weight, scales, axis)
                    if form.scaled:
                        losses[weight.name] = Loss(*lost)
                else:
                    element = form.beside if op.kind == "linear" else form.operand
                    parts = zip(held, _parts(weight, values), strict=False)
                    strange = sum(image.put_rows(places[at] + bank, part, element) for bank, part in parts)
                _warn(weight, strange)
        done += layer.weight_bytes
        if progress is not None:
            progress("weights", done, total)
    if table is not None:
        rows = np.ascontiguousarray(_values(table)[:context])
        image.reserve(table_base, len(rows) * row_bytes(rows.shape[1], "f32"))
        image.put_rows(table_base, rows, "f32")
    return image, Quantization(losses) if losses else None


def _parts(weight: Weight, values: Array) -> Iterator[Array]:
    """What each socket holds of a bias or a norm's weights; what is missing behind it stays zero."""
    share = weight.share
    count, size = (1, values.shape[-1]) if share is None or share.axis is None else (share.parts, weight.shape[0])
    for part in range(count):
        yield np.ascontiguousarray(np.atleast_2d(values)[:, part * size : (part + 1) * size])


def _warn(weight: Weight, strange: int) -> None:
    if strange:
        size = math.prod(weight.shape if weight.share is None else weight.share.shape)
        message = (
            f"weight {weight.name!r}: {strange} of {size} values are NaN or infinite, and so is what is computed from "
            f"them; is the file damaged, or the training run diverged?"
        )
        warnings.warn(message, NumbersWarning, stacklevel=3)


def _values(weight: Weight) -> Array:
    """The weight as float32, or bfloat16 as its bits; checked against the shape that the graph was built with."""
    array = np.asarray(weight.read())
    shape = weight.shape if weight.share is None else weight.share.shape
    if array.shape != shape:
        raise CompileError(f"weight {weight.name!r}: read shape {array.shape}, the graph has {shape}")
    if array.dtype.name == "bfloat16":
        return np.ascontiguousarray(array).view(np.uint16)
    if array.dtype.kind not in "fiu":
        raise CompileError(f"weight {weight.name!r}: dtype {array.dtype} is not numeric")
    return np.ascontiguousarray(array, dtype=np.float32)

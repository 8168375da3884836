"""Weights into the emulated HBM, in the layout that the loads stream."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from rdu.blocks import BLOCK_BYTES, BLOCK_WEIGHTS
from rdu.compiler.allocate import SCALES, stored
from rdu.compiler.allocation import Placed
from rdu.compiler.formats import BlockType, Element, Format, row_bytes
from rdu.errors import CompileError, NumbersWarning
from rdu.graph import Array, Weight
from rdu.program import Image
from rdu.quantization import Loss, Quantization

Progress = Callable[[str, int, int], None]


class Shelf(Protocol):
    """Where images are kept from one process to the next, with a note; each under what decides its bytes."""

    def find(self, layout: str) -> tuple[Image, str] | None:
        """One that was kept; more can be added to it."""
        ...

    def keep(self, layout: str, image: Image, note: str) -> None:
        """Keep all that the image holds so far."""
        ...


@dataclass(frozen=True)
class _Write:
    """One weight, and where it goes: as the tiles of a linear operator, with their scales, or row by row."""

    weight: Weight
    bases: tuple[int, ...]
    element: Element | BlockType
    tiles: bool
    scales: tuple[int, ...] = ()
    axis: int = 0


@dataclass
class _Found:
    """What reading the weights told: losses of quantising, whose blocks were kept as they are, and how many values of a
    weight are no finite numbers.
    """

    losses: dict[str, Loss] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    strange: dict[str, int] = field(default_factory=dict)

    def to_note(self) -> str:
        losses = {name: [loss.lost, loss.total] for name, loss in self.losses.items()}
        return json.dumps({"losses": losses, "kept": self.kept, "strange": self.strange})

    @property
    def quantization(self) -> Quantization | None:
        return Quantization(self.losses, tuple(self.kept)) if self.losses or self.kept else None

    @classmethod
    def of_note(cls, note: str) -> _Found:
        said = json.loads(note)
        return cls({name: Loss(*both) for name, both in said["losses"].items()}, said["kept"], said["strange"])


def fill(
    placed: Iterable[Placed],
    table: Weight | None,
    table_base: int,
    context: int,
    form: Format,
    banks: Callable[[int], tuple[int, ...]],
    progress: Progress | None,
    shelf: Shelf | None = None,
) -> tuple[Image, Quantization | None]:
    """Every weight where `allocate` put it, read once, or taken from the shelf; also what quantising took from them.

    ``banks`` says how far behind the first part each of so many parts lies, which several sockets keep one each.
    ``progress`` is called with ("weights", bytes done, bytes in all).

    Warns
    -----
    NumbersWarning
        Weights with NaN or infinities, by name.
    """
    # Those with most to read first: what reading takes for a while is gone when memory is full.
    layers = sorted(placed, key=lambda layer: -layer.weight_bytes)
    stretches = [_stretch(layer, form, banks) for layer in layers]
    layout = repr([(regions, [_described(write) for write in writes]) for regions, writes in stretches])
    total = sum(layer.weight_bytes for layer in layers)
    kept = shelf.find(layout) if shelf else None
    if kept:
        image, found = kept[0], _Found.of_note(kept[1])
        if progress is not None:
            progress("weights", total, total)
    else:
        image, found = _read(layers, stretches, progress)
        if shelf:
            shelf.keep(layout, image, found.to_note())
            # From now on as at every later start: what is mapped lies in larger pages, and is read faster.
            kept = shelf.find(layout)
            image = kept[0] if kept else image
    sizes = {write.weight.name: write.weight for _, writes in stretches for write in writes}
    for name, strange in found.strange.items():
        _warn(sizes[name], strange)
    if table is not None:
        rows = np.ascontiguousarray(_values(table)[:context])
        image.reserve(table_base, len(rows) * row_bytes(rows.shape[1], "f32"))
        image.put_rows(table_base, rows, "f32")
    return image, found.quantization


def _stretch(
    layer: Placed, form: Format, banks: Callable[[int], tuple[int, ...]]
) -> tuple[list[tuple[int, int]], list[_Write]]:
    """Regions (base, bytes) of a layer, and what is written there."""
    regions: list[tuple[int, int]] = []
    writes: list[_Write] = []
    # Blocks that share a kernel share its offsets; weights follow the operators in order.
    offsets = iter((*layer.offsets, layer.weight_bytes))
    start = next(offsets, 0)
    for op in layer.operators:
        held = banks(op.output.parts) if op.kind == "linear" else (0,)
        places = {}
        for at in stored(op, form):
            places[at], begin, start = layer.base + start, start, next(offsets)
            size = start - begin
            table = op.weights[0] if op.kind == "rows" else None
            if table is not None:  # close together here, though the machine has each row in granules of its own
                size = table.shape[0] * row_bytes(table.shape[1], form.operand)
            regions += [(places[at] + bank, size) for bank in held]
        for at, weight in enumerate(op.weights):
            if weight is None:
                continue
            bases = tuple(places[at] + bank for bank in held)
            if op.kind == "linear" and at == 0:
                axis = 1 if weight.share is not None and weight.share.axis == 1 else 0
                scales = tuple(places[SCALES] + bank for bank in held) if form.scaled else ()
                writes.append(_Write(weight, bases, form.of(weight).weight, True, scales, axis))
            else:
                writes.append(_Write(weight, bases, form.beside if op.kind == "linear" else form.operand, False))
    return regions, writes


def _described(write: _Write) -> tuple[Any, ...]:
    """All that decides the bytes that are written, but for those of the weight."""
    weight, share = write.weight, write.weight.share
    divided = None if share is None else (share.parts, share.axis, share.shape)
    return (weight.name, weight.shape, divided, write.bases, write.element, write.tiles, write.scales, write.axis)


def _read(
    layers: list[Placed],
    stretches: list[tuple[list[tuple[int, int]], list[_Write]]],
    progress: Progress | None,
) -> tuple[Image, _Found]:
    """Read every weight and write it where it belongs."""
    image, found = Image(), _Found()
    total = sum(layer.weight_bytes for layer in layers)
    done = 0
    for layer, (regions, writes) in zip(layers, stretches, strict=True):
        for base, size in regions:
            image.reserve(base, size)
        for write in writes:
            weight = write.weight
            if write.element in BLOCK_BYTES:
                strange = _put_blocks(image, write, found)
            elif write.tiles:
                scales = list(write.scales)
                strange, *lost = image.put_tiles(list(write.bases), _values(weight), write.element, scales, write.axis)
                if scales:
                    found.losses[weight.name] = Loss(*lost)
            else:
                values = _values(weight)
                parts = zip(write.bases, _parts(weight, values), strict=False)
                strange = sum(image.put_rows(base, part, write.element) for base, part in parts)
            if strange:
                found.strange[weight.name] = strange
        done += layer.weight_bytes
        if progress is not None:
            progress("weights", done, total)
    return image, found


def _put_blocks(image: Image, write: _Write, found: _Found) -> int:
    """A weight in tiles of blocks: as its file has them, or rounded; how many of its values are no finite numbers."""
    weight, bases = write.weight, list(write.bases)
    if weight.blocks is None or weight.blocks.kind != write.element:
        strange, *lost = image.put_blocks(bases, _values(weight), write.element, write.axis)
        found.losses[weight.name] = Loss(*lost)
        return strange
    rows = np.ascontiguousarray(weight.blocks.read())
    outputs, inputs = weight.shape if weight.share is None else weight.share.shape
    shape = (outputs, inputs // BLOCK_WEIGHTS * BLOCK_BYTES[write.element])
    if rows.dtype != np.uint8 or rows.shape != shape:
        raise CompileError(f"weight {weight.name!r}: read {rows.dtype} {rows.shape}, its blocks are uint8 {shape}")
    found.kept.append(weight.name)
    return image.put_blocks(bases, rows, write.element, write.axis)[0]


def _parts(weight: Weight, values: Array) -> Iterator[Array]:
    """What each socket holds of a bias or a norm's weights; what is missing behind it stays zero."""
    share = weight.share
    count, size = (1, values.shape[-1]) if share is None or share.axis is None else (share.parts, weight.shape[0])
    for part in range(count):
        yield np.ascontiguousarray(np.atleast_2d(values)[:, part * size : (part + 1) * size])


def _warn(weight: Weight, strange: int) -> None:
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

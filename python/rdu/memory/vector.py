"""A vector as a user describes it, and as the engine takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict, cast

import numpy.typing as npt

from rdu.errors import TransferError
from rdu.machine.parameter import nearest, shown
from rdu.memory.requests import number, whole

Layout = Literal["linear", "skewed"]
Row = tuple[list[int] | None, int, int, int, int, int | None]

MOST = 2**40
LAYOUTS = ("linear", "skewed")


class Vector(TypedDict, total=False):
    """Lanes of one access; see `rdu.Sram` for what each is when it is left out."""

    stride: int
    stride_bytes: int | None
    lanes: int | None
    element_bytes: int
    base_bytes: int
    layout: Layout
    row_bytes: int | None
    addresses: npt.ArrayLike | None


KEYS = tuple(Vector.__annotations__)


def row(vector: Mapping[str, object], *, port_bytes: int, line_bytes: int) -> Row:
    """The vector in the engine's terms.

    Raises
    ------
    TransferError
        An unknown key, or a value of the wrong type or beyond any SRAM.
    """
    for key in vector:
        if key not in KEYS:
            raise TransferError(f"a vector has no {shown(key)}; the nearest is {nearest(str(key), KEYS)!r}")
    given = cast(Vector, vector)
    element = number("element_bytes", given.get("element_bytes", 4), 1, MOST)
    layout = given.get("layout", "linear")
    if layout not in LAYOUTS:
        raise TransferError(f"layout is {shown(layout)}; give one of {', '.join(map(repr, LAYOUTS))}")
    addresses = given.get("addresses")
    if addresses is not None:
        for key in ("stride", "stride_bytes", "lanes", "base_bytes"):
            if given.get(key) is not None:
                raise TransferError(f"{key} is given and so are addresses; gathered lanes have no {key}")
        where = whole("addresses", addresses).reshape(-1)
        return where.tolist(), 0, 0, where.size, element, _row_bytes(given, layout, 0, line_bytes)
    stride = number("stride", given.get("stride", 1), -MOST, MOST) * element
    if given.get("stride_bytes") is not None:
        if "stride" in given:
            raise TransferError("stride and stride_bytes are both given; give one: stride counts elements")
        stride = number("stride_bytes", given["stride_bytes"], -MOST, MOST)
    if abs(stride) > MOST:
        raise TransferError(f"stride of {shown(stride)} bytes is beyond any SRAM; give at most {MOST}")
    lanes = number("lanes", max(1, port_bytes // element) if given.get("lanes") is None else given["lanes"], 1, MOST)
    # A vector that runs downwards ends at address 0, unless it is put elsewhere.
    lowest = 0 if stride >= 0 else -stride * (lanes - 1)
    base = number("base_bytes", given.get("base_bytes", min(lowest, MOST)), 0, MOST)
    return None, base, stride, lanes, element, _row_bytes(given, layout, stride, line_bytes)


def _row_bytes(given: Vector, layout: Layout, stride: int, line_bytes: int) -> int | None:
    """Bytes of a skewed row: as given, or the stride where rows can be that long (a column of a matrix), or a line."""
    asked = given.get("row_bytes")
    if layout == "linear":
        if asked is not None:
            raise TransferError("row_bytes is given for a linear layout; rows belong to layout='skewed'")
        return None
    if asked is not None:
        return number("row_bytes", asked, 1, MOST)
    rows = abs(stride)
    return rows if rows and (rows % line_bytes == 0 or line_bytes % rows == 0) else line_bytes

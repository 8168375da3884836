"""What is asked of a memory, as arrays that the engine can borrow; anything else is named and refused."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rdu.errors import TransferError
from rdu.machine.parameter import shown

Whole = npt.NDArray[np.uint64]

MAX_NS = 2**53
PS_PER_NS = 1000


class Requests(NamedTuple):
    """Requests in the order in which they are made; all but ``addresses`` may be one for all.

    ``arrivals_ps`` is None for traffic that comes as fast as it is accepted.
    """

    addresses: Whole
    nbytes: Whole
    is_write: npt.NDArray[np.bool_]
    arrivals_ps: Whole | None


def requests(
    addresses: npt.ArrayLike, nbytes: npt.ArrayLike, is_write: npt.ArrayLike, arrival_ns: npt.ArrayLike | None
) -> Requests:
    """Check what the user gave; arrays of 64-bit integers are borrowed, not copied.

    Raises
    ------
    TransferError
        No requests, a negative or fractional number, NaN, a wrong type or shape, or lengths that do not fit together.
    """
    where = whole("addresses", addresses)
    sizes = whole("nbytes", nbytes)
    writes = _flags(is_write)
    arrivals = None if arrival_ns is None else _picoseconds(arrival_ns)
    columns: dict[str, npt.NDArray[np.generic]] = {"addresses": where, "nbytes": sizes, "is_write": writes}
    if arrivals is not None:
        columns["arrival"] = arrivals
    count = 1
    for name, column in columns.items():
        if column.ndim > 1:
            raise TransferError(f"{name} has shape {column.shape}; give one number or one dimension")
        if column.size == 0:
            raise TransferError(f"{name} is empty; a replay needs at least one request")
        if column.ndim and column.size != 1:
            if count not in (1, column.size):
                lengths = ", ".join(f"{key} {item.size}" for key, item in columns.items())
                raise TransferError(f"lengths do not fit together: {lengths}; give one number or one for each request")
            count = column.size
    spread = np.ascontiguousarray(np.broadcast_to(where, count)) if where.size != count else where.reshape(count)
    together = None if arrivals is None else np.ascontiguousarray(np.broadcast_to(arrivals, count))
    return Requests(spread, sizes.reshape(-1), writes.reshape(-1), together)


def whole(name: str, given: npt.ArrayLike) -> Whole:
    """The numbers as uint64, without a copy where they are 64-bit integers already."""
    array = _array(name, given)
    if array.dtype.kind not in "iu":
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).all():
            at, value = _first(array, ~np.isfinite(array))
            raise TransferError(f"{name}{at} is {value}; give whole numbers of bytes")
        if array.dtype.kind == "O" and array.size:
            raise TransferError(f"{name} = {shown(given)} holds what is no 64-bit integer; give whole numbers of bytes")
        if array.size:
            raise TransferError(f"{name} has dtype {array.dtype}; give whole numbers of bytes (dtype uint64 or int64)")
        return array.astype(np.uint64)
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        at, value = _first(array, array.astype(np.int64) < 0)
        raise TransferError(f"{name}{at} is {value}; it must not be negative")
    if array.dtype == np.int64:
        array = array.view(np.uint64)
    return np.ascontiguousarray(array, np.uint64)


def number(name: str, given: object, least: int, most: int) -> int:
    """A whole number between two bounds."""
    if isinstance(given, bool | np.bool_) or not isinstance(given, int | np.integer) or not least <= given <= most:
        raise TransferError(f"{name} is {shown(given)}; give a whole number from {least} to {most}")
    return int(given)


def _flags(given: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    array = _array("is_write", given)
    if array.dtype.kind in "iu" and ((array == 0) | (array == 1)).all():
        return np.ascontiguousarray(array != 0, np.bool_)
    if array.dtype.kind != "b" and array.size:
        raise TransferError(f"is_write has dtype {array.dtype}; give True and False (dtype bool), or 0 and 1")
    return np.ascontiguousarray(array, np.bool_)


def _picoseconds(given: npt.ArrayLike) -> Whole:
    """Times in ns, as whole ps."""
    array = _array("arrival", given)
    if array.dtype.kind not in "iuf" and array.size:
        raise TransferError(f"arrival has dtype {array.dtype}; give times in ns")
    times = array.astype(np.float64)
    wrong = ~((times >= 0) & (times < MAX_NS / PS_PER_NS))
    if wrong.any():
        at, value = _first(array, wrong)
        raise TransferError(f"arrival{at} is {value}; give times in ns, from 0 and below {MAX_NS // PS_PER_NS}")
    result: Whole = np.rint(times * PS_PER_NS).astype(np.uint64)
    return result


def _array(name: str, given: npt.ArrayLike) -> npt.NDArray[np.generic]:
    try:
        return np.asarray(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise TransferError(f"{name} is no array of numbers: {error}") from error


def _first(array: npt.NDArray[np.generic], wrong: npt.NDArray[np.bool_]) -> tuple[str, object]:
    """Where the first wrong entry stands, and what it is."""
    if array.ndim == 0:
        return "", array.item()
    at = tuple(int(index) for index in np.argwhere(wrong)[0])
    return "[" + ", ".join(map(str, at)) + "]", array[at].item()

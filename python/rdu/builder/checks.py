"""What a user may pass: each check names the thing, its value and what it should be."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..errors import GraphError

# Cycles and tokens are counted in 64 bits; a single number is kept well below, so that no sum of two can overflow.
MOST = (1 << 62) - 1
# A rate is the tokens of one firing.
MOST_RATE = (1 << 32) - 1


def name(value: object, what: str) -> str:
    """A name: text that is not empty and that can be written as UTF-8."""
    if type(value) is str and value and value.isascii():
        return value
    if not isinstance(value, str) or not value:
        raise GraphError(f"{what}: the name is {value!r}; it must be a text that is not empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise GraphError(f"{what}: the name {value!r} cannot be written as UTF-8") from error
    return value


def integer(value: object, what: str, least: int, most: int = MOST) -> int:
    """A whole number within bounds; truth values and floating-point numbers are not taken for one."""
    if isinstance(value, bool | np.bool_):
        raise GraphError(f"{what} is {value!r}; it must be a whole number")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise GraphError(f"{what} is {shown(value)}; it must be a whole number") from None
    if number < least:
        raise GraphError(f"{what} is {shown(number)}; it must be at least {least}")
    if number > most:
        raise GraphError(f"{what} is {shown(number)}; it must be at most {most}")
    return number


# One firing or slot each is so common that a program of 100 000 units need not make the tuple anew each time.
ONE = (1,)


def number(value: object, kind: str, name: str, key: str, least: int, most: int = MOST) -> int:
    """A whole number that is ``key`` of a unit or stream; the message is made only when it is needed."""
    if type(value) is int and least <= value <= most:
        return value
    return integer(value, f"{kind} {name!r}: {key}", least, most)


def numbers(value: object, kind: str, name: str, key: str, least: int) -> int | tuple[int, ...]:
    """A whole number, or a list of several: one per firing of the unit, over and over."""
    if type(value) is int and least <= value <= MOST:
        return value
    found = integers(value, f"{kind} {name!r}: {key}", least)
    return found if len(found) > 1 else found[0]


def integers(value: object, what: str, least: int, most: int = MOST) -> tuple[int, ...]:
    """A whole number, or a list of them."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, list | tuple | range):
        return (integer(value, what, least, most),)
    if not value:
        raise GraphError(f"{what} is an empty list; give at least one number")
    return tuple(integer(entry, f"{what}[{at}]", least, most) for at, entry in enumerate(value))


def rates(value: object, name: str, key: str) -> tuple[int, ...] | None:
    """Tokens per firing of a stream; a list may have zeros, but not only zeros. None is left to the unit."""
    if value is None:
        return None
    if type(value) is int and 1 <= value <= MOST_RATE:
        return ONE if value == 1 else (value,)
    what = f"stream {name!r}: {key}"
    if isinstance(value, list | tuple | range | np.ndarray):
        found = integers(value, what, 0, MOST_RATE)
        if not any(found):
            raise GraphError(f"{what} is {shown(value)}; at least one entry must be more than 0")
        return found
    return (integer(value, what, 1, MOST_RATE),)


def capacity(
    name: str, slots: int, initial: int, produce: tuple[int, ...] | None, consume: tuple[int, ...] | None
) -> None:
    """What one firing of either unit moves, and the initial tokens, fit into the stream."""
    most = {key: max(rates) for key, rates in (("produce", produce), ("consume", consume)) if rates}
    for key, need in {**most, "initial": initial}.items():
        if slots < need:
            raise GraphError(f"stream {name!r}: capacity is {slots}, below {key} of {need}; make it at least {need}")


def rows(value: object, what: str) -> npt.NDArray[np.float32]:
    """Values of a source as float32, shape (tokens, lanes); an array of one dimension has one lane."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "bcOSUmM":
            raise GraphError(f"{what}: an array of {array.dtype} cannot be converted to float32")
        borrowed = array.dtype == np.float32 and array.flags.c_contiguous and array.flags.aligned
        with np.errstate(over="ignore"):
            floats = array if borrowed else np.array(array, dtype=np.float32, order="C")
    except (TypeError, ValueError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"{what}: {shown(value)} cannot be converted to a float32 array ({error})") from error
    if floats.ndim == 1:
        floats = floats[:, np.newaxis]
    if floats.ndim != 2:
        raise GraphError(f"{what} has shape {floats.shape}; it must be (tokens,) or (tokens, lanes)")
    if 0 in floats.shape:
        raise GraphError(f"{what} has shape {floats.shape}; it must have at least one token and one lane")
    if not borrowed and np.count_nonzero(np.isinf(floats)) != np.count_nonzero(np.isinf(array.astype(np.float64))):
        raise GraphError(f"{what} has a finite value beyond the float32 range of ±{np.finfo(np.float32).max}")
    return floats


def known(value: str, names: Iterable[str], what: str) -> str:
    """A name among others; the message has the nearest one."""
    if isinstance(names, dict) and value in names:
        return value
    names = list(names)
    if value in names:
        return value
    near = difflib.get_close_matches(value, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names[:20]) or '(there is none yet)'}"
    raise GraphError(f"{what} {value!r} does not exist; {hint}")


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    # Python refuses to write out integers of more than some thousands of digits.
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"about 2^{value.bit_length() - 1}" if value > 0 else f"about -2^{value.bit_length() - 1}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

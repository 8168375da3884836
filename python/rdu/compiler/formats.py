"""Element types of what travels and of what is kept: bf16 or fp32 values, int8 whole numbers that count a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VECTOR_BYTES = 64
# Products of whole numbers from -127 to 127 that a 32-bit sum surely holds.
LONGEST_EXACT_SUM = (2**31 - 1) // 127**2

Element = Literal["bf16", "f32", "int8"]
Rate = Literal["bf16", "fp32", "int8"]

_BYTES: dict[Element, int] = {"bf16": 2, "f32": 4, "int8": 1}
_RATES: dict[Element, Rate] = {"bf16": "bf16", "f32": "fp32", "int8": "int8"}


@dataclass(frozen=True)
class Format:
    """What a ``dtype`` means on the machine; sums are fp32, and exact where whole numbers meet whole numbers.

    Attributes
    ----------
    operand : element of caches, tables of rows, norms' weights, and of all that attention multiplies
    weight : element of what linear operators multiply by
    activation : element of what they multiply; int8 is quantised row by row, as it comes
    """

    dtype: str
    operand: Element
    weight: Element
    activation: Element

    @property
    def scaled(self) -> bool:
        """Whether each output of a linear operator has an fp32 scale beside its weights."""
        return self.weight == "int8"

    @property
    def beside(self) -> Element:
        """Element of a linear operator's bias and scales."""
        return "f32" if self.scaled else self.weight

    @property
    def rate(self) -> Rate:
        """The peak that linear operators multiply at: weights that are whole numbers are widened to meet values."""
        return _RATES[self.activation]


FORMATS = {
    form.dtype: form
    for form in (
        Format("bf16", "bf16", "bf16", "bf16"),
        Format("fp32", "f32", "f32", "f32"),
        Format("int8", "bf16", "int8", "bf16"),
        Format("w8a8", "bf16", "int8", "int8"),
    )
}


def lanes(element: Element) -> int:
    """Elements of one 64-byte token."""
    return VECTOR_BYTES // element_bytes(element)


def element_bytes(element: Element) -> int:
    """Bytes of one element."""
    return _BYTES[element]


def rate_of(element: Element) -> Rate:
    """The peak that an element is multiplied at."""
    return _RATES[element]


def chunks(width: int, element: Element) -> int:
    """Tokens that one row of ``width`` values fills; the last may be padded."""
    return -(-width // lanes(element))


def row_bytes(width: int, element: Element) -> int:
    """Bytes of a row in memory, padded to whole tokens."""
    return chunks(width, element) * VECTOR_BYTES

"""Element types of what travels and of what is kept: bf16 or fp32 values, int8 whole numbers that count a scale.

Weights may be blocks of whole numbers, which hold their scales.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, cast

from rdu.blocks import BLOCK_BYTES, BLOCK_WEIGHTS
from rdu.graph import Weight

VECTOR_BYTES = 64
# Products of whole numbers from -127 to 127 that a 32-bit sum surely holds.
LONGEST_EXACT_SUM = (2**31 - 1) // 127**2

Element = Literal["bf16", "f32", "int8"]
BlockType = Literal["q8_0", "q4_0", "q4_1"]
Rate = Literal["bf16", "fp32", "int8"]
FINEST_BLOCKS: BlockType = "q8_0"

_BYTES: dict[Element, int] = {"bf16": 2, "f32": 4, "int8": 1}
_RATES: dict[Element, Rate] = {"bf16": "bf16", "f32": "fp32", "int8": "int8"}


@dataclass(frozen=True)
class Format:
    """What a ``dtype`` means on the machine; sums are fp32, and exact where whole numbers meet whole numbers.

    Attributes
    ----------
    operand : element of caches, tables of rows, norms' weights, and of all that attention multiplies
    weight : element of what linear operators multiply by, or the type of its blocks
    activation : element of what they multiply; int8 is quantised row by row, as it comes
    """

    dtype: str
    operand: Element
    weight: Element | BlockType
    activation: Element

    def of(self, weight: Weight | None) -> Format:
        """The same for one weight, which may be held in other blocks than most."""
        held = weight.held if weight is not None else ""
        return replace(self, weight=cast(BlockType, held)) if self.blocked and held else self

    @property
    def scaled(self) -> bool:
        """Whether each output of a linear operator has an fp32 scale beside its weights."""
        return self.weight == "int8"

    @property
    def blocked(self) -> bool:
        """Whether weights are blocks, whose scales lie among them."""
        return self.weight in BLOCK_BYTES

    @property
    def carried(self) -> Element:
        """Element of the vectors that bring weights: blocks come as bytes."""
        return "int8" if self.blocked else self._element

    @property
    def beside(self) -> Element:
        """Element of a linear operator's bias and scales."""
        return "f32" if self.scaled or self.blocked else self._element

    @property
    def _element(self) -> Element:
        assert self.weight == "bf16" or self.weight == "f32" or self.weight == "int8"
        return self.weight

    @property
    def width(self) -> int:
        """Outputs of a tile."""
        return lanes(self.carried)

    def vectors(self, inputs: int) -> int:
        """Vectors of a tile whose outputs sum so many inputs: one for each, or of blocks as many as one has bytes."""
        return inputs // BLOCK_WEIGHTS * BLOCK_BYTES[self.weight] if self.blocked else inputs

    @property
    def chunk(self) -> int:
        """Vectors of a tile for as many inputs as it has outputs."""
        return self.vectors(self.width)

    @property
    def weight_bytes(self) -> Fraction:
        """Bytes of one weight."""
        return Fraction(self.chunk * VECTOR_BYTES, self.width**2)

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
        Format("q8_0", "bf16", "q8_0", "bf16"),
        Format("q4_0", "bf16", "q4_0", "bf16"),
        Format("q4_1", "bf16", "q4_1", "bf16"),
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

"""Element types of what travels: bf16 (or fp32) for whatever a PCU multiplies by weights, fp32 for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VECTOR_BYTES = 64

Element = Literal["bf16", "f32"]


@dataclass(frozen=True)
class Format:
    """What a ``dtype`` means on the machine. ``operand`` is the element of weights, caches and what meets them."""

    dtype: str
    operand: Element


FORMATS = {"bf16": Format("bf16", "bf16"), "fp32": Format("fp32", "f32")}


def lanes(element: Element) -> int:
    """Elements of one 64-byte token."""
    return VECTOR_BYTES // element_bytes(element)


def element_bytes(element: Element) -> int:
    """Bytes of one element."""
    return 2 if element == "bf16" else 4


def chunks(width: int, element: Element) -> int:
    """Tokens that one row of ``width`` values fills; the last may be padded."""
    return -(-width // lanes(element))


def row_bytes(width: int, element: Element) -> int:
    """Bytes of a row in memory, padded to whole tokens."""
    return chunks(width, element) * VECTOR_BYTES

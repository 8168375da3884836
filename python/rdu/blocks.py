"""Weights in blocks, as GGUF files store them: whole numbers of one output beside the scale that they count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

# Weights of a block, which follow each other along the reduced dimension; and its bytes: a scale in fp16 (in q4_1 also
# a least value), then 8 or 4 bits for each weight. Source: ggml-common.h of llama.cpp.
BLOCK_WEIGHTS = 32
BLOCK_BYTES = {"q8_0": 34, "q4_0": 18, "q4_1": 20}


@dataclass(frozen=True)
class Blocks:
    """A weight that is stored in blocks.

    Attributes
    ----------
    kind : str
        A name in `BLOCK_BYTES`.
    read : function
        Its rows: uint8, shape (outputs, blocks of a row * bytes of a block).
    """

    kind: str
    read: Callable[[], npt.NDArray[np.uint8]] = field(repr=False)

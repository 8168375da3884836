"""Memory-mapped views of weights in a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rdu.errors import CheckpointError

Weights = npt.NDArray[np.generic]


def map_file(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a file, read-only, read from disk when touched."""
    try:
        return np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be mapped into memory ({error})") from error


def float_type(name: str) -> np.dtype[np.generic]:
    """The numpy dtype of ``float32``, ``float16`` or ``bfloat16``."""
    if name == "bfloat16":
        import ml_dtypes  # lazily: it takes a while, and only bf16 files need it

        kind: np.dtype[np.generic] = np.dtype(ml_dtypes.bfloat16)
        return kind
    return np.dtype(name)


def view(data: npt.NDArray[np.uint8], offset: int, dtype: str, shape: tuple[int, ...]) -> Weights:
    """Part of a file as an array of ``dtype`` and ``shape``; a copy only where its bytes are not aligned."""
    kind = float_type(dtype)
    part = data[offset : offset + math.prod(shape) * kind.itemsize].view(kind).reshape(shape)
    return part if part.flags.aligned else part.copy()

"""The engine (Rust). Only the engine API of `rdu` uses it; nothing here is public."""

from collections.abc import Callable, Mapping, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["StreamProgram", "operators"]

def operators() -> list[tuple[str, str, int | None]]: ...
@final
class StreamProgram:
    def __new__(
        cls,
        units: Sequence[Mapping[str, object]],
        streams: Sequence[Mapping[str, object]],
        roles: Sequence[tuple[str, int, npt.NDArray[np.float32] | None]] | None = None,
    ) -> StreamProgram: ...
    def run(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[int, int, list[list[int]], list[list[int]], list[tuple[int, npt.NDArray[np.float32]]]]: ...

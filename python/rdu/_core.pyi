"""The engine (Rust). Only the engine API of `rdu` uses it; nothing here is public."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self, final

import numpy as np
import numpy.typing as npt

__all__ = ["Image", "Kernel", "Session", "StreamProgram", "analyse", "build_profile", "capacities", "operators"]

_Array = npt.NDArray[np.float32] | npt.NDArray[np.uint16]

# Units, their cycles and firings in an iteration, its cycles, and the critical cycle, by index: see rdu.builder.analysis.
StepRow = tuple[Literal["busy", "token", "slot"], int | None, int, int, int, int, int, int]
PartRow = tuple[list[int], list[int], list[int], tuple[int, int] | None, list[StepRow]]

def analyse(program: StreamProgram) -> list[PartRow]: ...
def capacities(
    program: StreamProgram, work: int
) -> tuple[list[tuple[int, int]], tuple[list[int], bool], tuple[list[int], bool]]: ...
def build_profile() -> str: ...
def operators() -> list[tuple[str, str, int | None]]: ...

@final
class StreamProgram:
    def __new__(
        cls,
        units: Sequence[Mapping[str, object]],
        streams: Sequence[Mapping[str, object]],
        roles: Sequence[tuple[str, int, npt.NDArray[np.float32] | None]] | None = None,
    ) -> StreamProgram: ...
    def describe(self) -> dict[str, list[dict[str, object]]]: ...
    def run(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[int, int, list[list[int]], list[list[int]], list[tuple[int, npt.NDArray[np.float32]]]]: ...

@final
class Image:
    """Constants in the emulated memory: filled once, then shared by sessions."""

    def __new__(cls) -> Self: ...
    def reserve(self, base: int, bytes: int) -> None: ...
    def put_tiles(self, base: int, weight: _Array, element_name: str) -> None: ...
    def put_rows(self, base: int, table: _Array, element_name: str) -> None: ...

@final
class Kernel:
    """A mapped kernel, checked."""

    def __new__(cls, description: dict[str, object]) -> Self: ...

@final
class Session:
    """A machine at work: its memories and its clock."""

    def __new__(
        cls,
        image: Image,
        tiers: list[dict[str, object]],
        costs: tuple[int, int, int],
        regions: list[tuple[int, int]],
    ) -> Self: ...
    def call(
        self,
        id: int,
        kernel: Kernel,
        arguments: list[int],
        indices: list[int],
        mode: str,
        progress: Callable[[int], object] | None = None,
    ) -> None: ...
    def write(self, address: int, values: npt.NDArray[np.float32]) -> None: ...
    def read(self, address: int, count: int) -> npt.NDArray[np.float32]: ...
    @property
    def cycles(self) -> int: ...
    def totals(self) -> dict[str, object]: ...

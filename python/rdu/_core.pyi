"""The engine (Rust). Only the engine API of `rdu` uses it; nothing here is public."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NotRequired, Self, TypedDict, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "Dram",
    "Image",
    "Kernel",
    "Recording",
    "Session",
    "Sram",
    "StreamProgram",
    "Timer",
    "allocate_sram",
    "analyse",
    "build_profile",
    "capacities",
    "dequantize",
    "operator_rules",
    "operators",
    "read_seconds",
]

_Array = npt.NDArray[np.float32] | npt.NDArray[np.uint16]

# Units by index, their cycles and firings in an iteration, its cycles, the critical cycle: see builder.analysis.
_StepRow = tuple[Literal["busy", "token", "slot"], int | None, int, int, int, int, int, int]
_PartRow = tuple[list[int], list[int], list[int], tuple[int, int] | None, list[_StepRow]]

def analyse(program: StreamProgram) -> list[_PartRow]: ...
def capacities(
    program: StreamProgram, work: int
) -> tuple[list[tuple[int, int]], tuple[list[int], bool], tuple[list[int], bool]]: ...
def build_profile() -> str: ...
def dequantize(kind: str, blocks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None: ...
def read_seconds(words: npt.NDArray[np.uint64]) -> float: ...
def operator_rules() -> list[tuple[str, int | None, bool, str]]: ...
def operators() -> list[tuple[str, str, int | None]]: ...

_Column = npt.NDArray[np.int64]
_Ends = list[tuple[int, int]]
# Tier, write, outstanding; address, run, stride and bytes of each pattern; the pattern of each phase.
_Port = tuple[int, bool, int, list[tuple[int, int, int, int]], list[int]]

class _RunAsked(TypedDict):
    """What is asked of a run; see ``StreamProgram.run`` of the builder."""

    fast: bool
    skip: bool
    progress: Callable[[int], object] | None
    record: bool
    recording: Recording | None
    trace: tuple[list[bool], int, int, int] | None
    intervals: int | None
    firing_times: list[tuple[int, list[int]]] | None
    tiers: list[dict[str, object]] | None

class _RunResult(TypedDict):
    """What a run returns."""

    cycles: int
    firings: int
    fast: bool
    units: npt.NDArray[np.uint64]
    streams: npt.NDArray[np.uint64]
    outputs: list[tuple[int, npt.NDArray[np.float32]]]
    recording: NotRequired[Recording]
    trace: NotRequired[tuple[list[npt.NDArray[np.uint64]], bool]]
    intervals: NotRequired[npt.NDArray[np.uint64]]
    firing_times: NotRequired[list[list[int | None]]]
    traffic: NotRequired[list[tuple[int, int]]]
    memory: NotRequired[list[dict[str, int]]]

@final
class Recording:
    """What the data-dependent units of a run chose."""

@final
class StreamProgram:
    def __new__(
        cls,
        units: tuple[list[str], _Column, _Column, _Column],
        streams: tuple[list[str], _Column, _Column, _Column, _Column, _Column, _Column, _Column, _Column, _Column],
        special: Sequence[
            tuple[int, Sequence[tuple[int, int, _Ends, _Ends]], Sequence[object], int | None, _Port | None]
        ],
        ops: Sequence[str | Callable[..., object]] | None = None,
        values: Mapping[int, npt.NDArray[np.float32]] | None = None,
        decided: Mapping[int, npt.NDArray[np.uint32]] | None = None,
    ) -> StreamProgram: ...
    def describe(
        self, phases: Mapping[int, Sequence[str]], kinds: Mapping[int, str], tiers: Sequence[str]
    ) -> dict[str, list[dict[str, object]]]: ...
    @property
    def merges(self) -> bool: ...
    def retimed(
        self,
        units: Sequence[tuple[int, int | None, int | None, int | None]],
        streams: Sequence[tuple[int, int | None, int | None, int | None]],
    ) -> StreamProgram: ...
    def run(self, asked: _RunAsked) -> _RunResult: ...

@final
class Image:
    """Constants in the emulated memory: filled once, then shared by sessions."""

    def __new__(cls) -> Self: ...
    @property
    def size_bytes(self) -> int: ...
    def reserve(self, base: int, bytes: int) -> None: ...
    @staticmethod
    def open(path: Path) -> tuple[Image, str] | None: ...
    def save(self, path: Path, note: str) -> None: ...
    def put_tiles(
        self, bases: list[int], weight: _Array, element_name: str, scales: list[int], axis: int
    ) -> tuple[int, float, float]: ...
    def put_blocks(
        self, bases: list[int], weight: _Array | npt.NDArray[np.uint8], type_name: str, axis: int
    ) -> tuple[int, float, float]: ...
    def put_rows(self, base: int, table: _Array, element_name: str) -> int: ...

@final
class Kernel:
    """A mapped kernel, checked."""

    def __new__(cls, description: dict[str, object]) -> Self: ...

@final
class Timer:
    """Times passes on a machine, and keeps what they took."""

    def __new__(cls, tiers: list[dict[str, object]], costs: tuple[int, int]) -> Self: ...
    @property
    def passes(self) -> int: ...

@final
class Session:
    """A machine at work: what its memories hold, and what its passes took."""

    def __new__(cls, image: Image, timer: Timer, regions: list[tuple[int, int]]) -> Self: ...
    def run(
        self,
        calls: list[tuple[int, Kernel, list[int]]],
        indices: list[int],
        timed: list[int],
        mode: str,
        progress: Callable[[int], object] | None = None,
    ) -> None: ...
    def write(self, address: int, values: npt.NDArray[np.float32]) -> None: ...
    def read(self, address: int, positions: int, width: int) -> npt.NDArray[np.float32]: ...
    @property
    def cycles(self) -> int: ...
    def totals(self) -> dict[str, object]: ...

class _DramFacts(TypedDict):
    """What follows from a memory's description."""

    capacity_bytes: int
    burst_bytes: int
    channels: int
    peak_bytes_per_second: float
    tick_fs: int

class _ReplayAsked(TypedDict):
    """How a replay is asked for; see ``rdu.Dram.replay``."""

    outstanding: int | None
    warmup: int
    measure: int | None
    times: bool
    trace: int
    skip: bool

_Ticks = npt.NDArray[np.uint64]

class _ReplayMade(TypedDict):
    """What a replay returns; times are in ticks, counts in the order of ``rdu.memory.replay``."""

    elapsed_ticks: int
    read_bursts: int
    written_bursts: int
    bytes_read: int
    bytes_written: int
    peak_fraction: float
    row_hits: int
    mean_latency_ticks: float | None
    p50_latency_ticks: int | None
    p99_latency_ticks: int | None
    latency_counts: _Ticks
    commands: list[int]
    busy_ticks: int
    idle_ticks: _Ticks
    times: _Ticks | None
    trace: _Ticks | None

@final
class Dram:
    """A memory, checked."""

    def __new__(cls, description: Mapping[str, object]) -> Self: ...
    def facts(self) -> _DramFacts: ...
    def replay(
        self,
        requests: tuple[
            npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.bool_], npt.NDArray[np.uint64] | None
        ],
        asked: _ReplayAsked,
    ) -> _ReplayMade: ...
    def replay_pattern(self, pattern: tuple[int, int, int, int, bool], asked: _ReplayAsked) -> _ReplayMade: ...

# Addresses of gathered lanes, or None; then base, stride and lanes; bytes of an element; bytes of a skewed row.
_Access = tuple[Sequence[int] | None, int, int, int, int, int | None]

@final
class Sram:
    """One PMU, checked."""

    def __new__(
        cls, name: str, sizes: tuple[int, int, int, int, int, int, int], dual_port: bool, address_per_lane: bool
    ) -> Self: ...
    def cost(self, asked: _Access, write: bool) -> tuple[int, int, int, int, int, int]: ...
    def bank_words(self, asked: _Access) -> list[int]: ...
    def pair(self, write: _Access, read: _Access) -> tuple[int, int]: ...
    def ping_pong(
        self, write: _Access, read: _Access, counts: tuple[int, int, int, int]
    ) -> tuple[int, int, int, int, int, int, int]: ...
    def transpose(self, shape: tuple[int, int, int, int, int], row_bytes: int | None) -> tuple[int, int, int]: ...

def allocate_sram(
    buffers: Sequence[tuple[str, int, int, int, int]], capacity_bytes: int, pmus: int, split_bytes: int | None
) -> tuple[list[tuple[int, int, int, int]], int, int, list[int]]: ...

"""Where buffers lie in tile SRAM, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from rdu.errors import TransferError
from rdu.machine.parameter import nearest, shown
from rdu.memory.requests import number

MOST_BYTES = 2**46
MOST_STEPS = 2**63 - 1


@dataclass(frozen=True)
class Buffer:
    """Bytes that must stay from their first use to their last, both included, in the order of the schedule.

    Attributes
    ----------
    name : str
        Each buffer has its own.
    bytes : int
        Size.
    first_use, last_use : int
        Steps of the schedule.
    alignment_bytes : int
        A power of two that divides the offset.
    """

    name: str
    bytes: int
    first_use: int
    last_use: int
    alignment_bytes: int = 64


KEYS = tuple(field.name for field in fields(Buffer))


def buffer_of(given: Buffer | Mapping[str, object], at: int, alignment_bytes: int) -> Buffer:
    """A checked buffer, from one or from its fields; ``at`` is its place in the list."""
    if isinstance(given, Buffer):
        given = asdict(given)
    if not isinstance(given, Mapping):
        raise TransferError(f"buffers[{at}] is {shown(given)}; give a Buffer or a mapping of {', '.join(KEYS)}")
    for key in given:
        if key not in KEYS:
            raise TransferError(f"buffers[{at}] has no {shown(key)}; the nearest is {nearest(str(key), KEYS)!r}")
    for key in KEYS[:4]:
        if key not in given:
            raise TransferError(f"buffers[{at}]: {key} is missing; a buffer has {', '.join(KEYS[:4])}")
    name = given["name"]
    if not isinstance(name, str) or not name:
        raise TransferError(f"buffers[{at}]: name is {shown(name)}; give a string")
    of = f"buffer {name!r}: "
    return Buffer(
        name=name,
        bytes=number(f"{of}bytes", given["bytes"], 1, MOST_BYTES),
        first_use=number(f"{of}first_use", given["first_use"], 0, MOST_STEPS),
        last_use=number(f"{of}last_use", given["last_use"], 0, MOST_STEPS),
        alignment_bytes=number(f"{of}alignment_bytes", given.get("alignment_bytes", alignment_bytes), 1, MOST_BYTES),
    )


@dataclass(frozen=True)
class Piece:
    """A part of a buffer, most often all of it, in one PMU."""

    buffer: str
    pmu: int
    offset_bytes: int
    bytes: int


@dataclass(frozen=True)
class Allocation:
    """Where buffers lie.

    Attributes
    ----------
    buffers : tuple of Buffer
        As given.
    pieces : tuple of Piece
        In the order of the buffers; the pieces of one buffer in the order of its bytes.
    capacity_bytes, pmus : int
        Bytes of a PMU, and how many there are.
    lower_bound_bytes, fullest_step : int
        Bytes alive at the fullest step, and that step: no allocation needs less.
    pmu_high_water_bytes : tuple of int
        Highest end in each PMU in use.
    """

    buffers: tuple[Buffer, ...]
    pieces: tuple[Piece, ...]
    capacity_bytes: int
    pmus: int
    lower_bound_bytes: int
    fullest_step: int
    pmu_high_water_bytes: tuple[int, ...]

    @property
    def high_water_bytes(self) -> int:
        """Bytes taken up: the high-water marks of all PMUs together."""
        return sum(self.pmu_high_water_bytes)

    @property
    def offsets(self) -> dict[str, int]:
        """Offset in its PMU of each buffer that lies in one piece."""
        places = self.places
        return {name: pieces[0].offset_bytes for name, pieces in places.items() if len(pieces) == 1}

    @property
    def places(self) -> dict[str, tuple[Piece, ...]]:
        """The pieces of each buffer."""
        found: dict[str, list[Piece]] = {buffer.name: [] for buffer in self.buffers}
        for piece in self.pieces:
            found[piece.buffer].append(piece)
        return {name: tuple(pieces) for name, pieces in found.items()}

    def live_bytes(self, step: int) -> int:
        """Bytes of the buffers alive at a step."""
        return sum(buffer.bytes for buffer in self.buffers if buffer.first_use <= step <= buffer.last_use)

    def to_dict(self) -> dict[str, object]:
        """All of it, of plain types."""
        return {
            "buffers": [asdict(buffer) for buffer in self.buffers],
            "pieces": [asdict(piece) for piece in self.pieces],
            "capacity_bytes": self.capacity_bytes,
            "pmus": self.pmus,
            "lower_bound_bytes": self.lower_bound_bytes,
            "fullest_step": self.fullest_step,
            "high_water_bytes": self.high_water_bytes,
            "pmu_high_water_bytes": list(self.pmu_high_water_bytes),
        }

    def to_text(self, *, pmu: int = 0, width: int = 64, height: int = 16) -> str:
        """One PMU as a picture of characters: steps to the right, addresses upwards, a letter for each buffer."""
        from rdu.memory.allocation_picture import text

        return text(self, pmu, width, height)

    def to_svg(self, *, pmu: int = 0) -> str:
        """One PMU as an SVG document: steps to the right, addresses upwards, a box for each buffer."""
        from rdu.memory.allocation_picture import svg

        return svg(self, pmu)

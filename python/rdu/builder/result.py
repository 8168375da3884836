"""What a run of a stream program counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

STATES = ("busy", "data", "space", "memory", "idle")
# Characters of a full bar.
BAR = 10


@dataclass(frozen=True)
class UnitTotals:
    """Cycles of one unit by state; the five sum to the cycles of the run.

    Attributes
    ----------
    busy
        ``ii`` cycles from each start.
    data, space, memory
        Waiting for a token, for a free slot downstream, for a transfer.
    idle
        The unit has finished.
    firings
        How often it fired.
    first_cycle, end_cycle
        Start of its first firing; when its last results left it (or its last ``ii`` ended, if that is later).
    """

    busy: int
    data: int
    space: int
    memory: int
    idle: int
    firings: int
    first_cycle: int
    end_cycle: int


@dataclass(frozen=True)
class StreamTotals:
    """Tokens that the source sent, and the most slots taken at any time."""

    tokens: int
    high_water: int


@dataclass(frozen=True, repr=False, eq=False)
class StreamRun:
    """A finished run; ``print(run)`` shows where each unit's cycles went.

    Attributes
    ----------
    cycles
        Elapsed cycles: the largest ``end_cycle`` of a unit.
    firings
        Of all units.
    units, streams
        Totals by name, in the order in which they were described.
    outputs
        Each sink's tokens, float32, shape (tokens, lanes).
    """

    cycles: int
    firings: int
    units: Mapping[str, UnitTotals]
    streams: Mapping[str, StreamTotals]
    outputs: Mapping[str, npt.NDArray[np.float32]]

    def to_dict(self) -> dict[str, object]:
        """All numbers as plain dictionaries and lists that ``json`` can write."""
        return {
            "cycles": self.cycles,
            "firings": self.firings,
            "units": {name: asdict(unit) for name, unit in self.units.items()},
            "streams": {name: asdict(stream) for name, stream in self.streams.items()},
            "outputs": {name: values.tolist() for name, values in self.outputs.items()},
        }

    def __repr__(self) -> str:
        sizes = f"{len(self.units)} units, {len(self.streams)} streams"
        return f"StreamRun({self.cycles} cycles, {self.firings} firings, {sizes})"

    def __str__(self) -> str:
        width = max(4, *map(len, self.units))
        count = max(7, *(len(str(unit.firings)) for unit in self.units.values()))
        head = "".join(f"  {state:<{BAR + 5}}" for state in STATES)
        lines = [f"{self.cycles} cycles, {self.firings} firings", f"{'unit':<{width}}  {'firings':>{count}}{head}"]
        for name, unit in self.units.items():
            cells = "".join(f"  {_bar(getattr(unit, state), self.cycles)}" for state in STATES)
            lines.append(f"{name:<{width}}  {unit.firings:>{count}}{cells}")
        return "\n".join(line.rstrip() for line in lines)


def _bar(part: int, whole: int) -> str:
    share = part / whole if whole else 0.0
    full = round(share * BAR)
    return f"{'█' * full}{'·' * (BAR - full)} {share:4.0%}"

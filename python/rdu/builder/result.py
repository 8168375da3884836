"""What a run of a stream program counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import GraphError
from ..machine import Machine
from . import traffic
from .labels import Labels
from .trace import COLUMNS, Trace
from .trace import STATES as STATES
from .traffic import TierTotals

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


T = TypeVar("T")


class Totals(Mapping[str, T], Generic[T]):
    """Rows of numbers by name; an entry is made when it is looked at, so that a large run is ready at once."""

    def __init__(self, numbers: Mapping[str, int], rows: npt.NDArray[np.int64], make: Callable[..., T]) -> None:
        self._numbers = numbers
        self._rows = rows
        self._make = make

    def __getitem__(self, name: str) -> T:
        return self._make(*self._rows[self._numbers[name]].tolist())

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True, repr=False, eq=False)
class StreamRun:
    """A finished run; ``print(run)`` shows where each unit's cycles went.

    Attributes
    ----------
    cycles
        Elapsed cycles: the largest ``end_cycle`` of a unit.
    firings
        Of all units.
    mode
        What ran: ``"fast"`` or ``"step"``.
    units, streams
        Totals by name, in the order in which they were described.
    outputs
        Each sink's tokens, float32, shape (tokens, lanes).
    memory
        What each tier of the machine did, by name; empty where no unit transfers.
    trace
        The firings that were asked for.
    intervals
        int64, shape (units, intervals, 5): cycles in each state, in the order busy, data, space, memory, idle.
    firing_times
        By unit the starts of the firings that were asked for, int64, in the order in which they were.
    recording
        What other runs need to take over the decisions of this one; None if it was not asked for.
    """

    cycles: int
    firings: int
    mode: str
    units: Mapping[str, UnitTotals]
    streams: Mapping[str, StreamTotals]
    outputs: Mapping[str, npt.NDArray[np.float32]]
    memory: Mapping[str, TierTotals] = field(default_factory=dict)
    trace: Trace | None = None
    intervals: npt.NDArray[np.int64] | None = None
    firing_times: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    recording: _core.Recording | None = None

    def to_dict(self) -> dict[str, object]:
        """All numbers as plain dictionaries and lists that ``json`` can write."""
        return {
            "cycles": self.cycles,
            "firings": self.firings,
            "mode": self.mode,
            "units": {name: asdict(unit) for name, unit in self.units.items()},
            "streams": {name: asdict(stream) for name, stream in self.streams.items()},
            "outputs": {name: values.tolist() for name, values in self.outputs.items()},
            "memory": {name: tier.to_dict() for name, tier in self.memory.items()},
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
        lines += traffic.lines(self.memory)
        return "\n".join(line.rstrip() for line in lines)


def collect(
    labels: Labels,
    found: _core._RunResult,
    numbers: list[list[int]] | None,
    asked: list[str],
    values: StreamRun | None,
    machine: Machine | None = None,
) -> StreamRun:
    """A run from what the engine returned; outputs are those of ``values``, where a recorded run stands for them.

    ``numbers`` are the firings whose times were asked for, of the units ``asked``; ``machine`` has the memory.
    """
    units = Totals(labels.unit_numbers, found["units"].view(np.int64), UnitTotals)
    outputs = {labels.units[at]: rows.reshape(-1, labels.sinks[at]) for at, rows in found["outputs"]}
    trace, intervals = found.get("trace"), found.get("intervals")
    times = {}
    for name, wanted, starts in zip(asked, numbers or [], found.get("firing_times") or [], strict=True):
        if None in starts:
            missing = wanted[starts.index(None)]
            raise GraphError(
                f"firing_times of unit {name!r}: there is no firing {missing}; it fired {units[name].firings} times"
            )
        times[name] = np.array(starts, dtype=np.int64)
    return StreamRun(
        cycles=found["cycles"],
        firings=found["firings"],
        mode="fast" if found["fast"] else "step",
        units=units,
        streams=Totals(labels.stream_numbers, found["streams"].view(np.int64), StreamTotals),
        outputs=outputs if values is None else values.outputs,
        memory={} if machine is None else traffic.totals(found, machine),
        trace=None if trace is None else _trace(labels, *trace),
        intervals=None if intervals is None else intervals.view(np.int64),
        firing_times=times,
        recording=found.get("recording"),
    )


def _trace(labels: Labels, columns: list[npt.NDArray[np.uint64]], complete: bool) -> Trace:
    by_name = {name: column.view(np.int64) for name, column in zip(COLUMNS, columns, strict=True)}
    phases = {labels.units[at]: names for at, names in labels.phases.items()}
    return Trace(**by_name, units=labels.units, phases=phases, complete=complete)


def _bar(part: int, whole: int) -> str:
    share = part / whole if whole else 0.0
    full = round(share * BAR)
    return f"{'█' * full}{'·' * (BAR - full)} {share:4.0%}"

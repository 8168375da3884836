"""Firings of chosen units in a window of time, as columns and as a file that trace viewers open."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import GraphError
from . import checks
from .labels import Labels

STATES = ("busy", "data", "space", "memory", "idle")
COLUMNS = ("unit", "number", "phase", "ready", "start", "end", "leave", "wait")

Column = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TraceWindow:
    """Which firings a trace keeps.

    Attributes
    ----------
    units
        Names of units; None is all of them.
    start, stop
        Cycles: firings that start from ``start`` on and before ``stop``; None is to the end.
    most
        Firings kept of one unit, the first ones; ``run.trace.complete`` says whether that was all. One takes 64 bytes.
    """

    units: Sequence[str] | None = None
    start: int = 0
    stop: int | None = None
    most: int = 1_000_000

    def asked(self, labels: Labels) -> tuple[list[bool], int, int, int]:
        """The window in the engine's terms.

        Raises
        ------
        rdu.errors.GraphError
            A unit that does not exist, or a number out of range.
        """
        start = checks.integer(self.start, "trace: start", 0)
        stop = checks.MOST if self.stop is None else checks.integer(self.stop, "trace: stop", start + 1)
        most = checks.integer(self.most, "trace: most", 1)
        if self.units is None:
            return [True] * len(labels.units), start, stop, most
        if isinstance(self.units, str) or not isinstance(self.units, Sequence):
            raise GraphError(f"trace: units is {checks.shown(self.units)}; it must be a list of names")
        wanted = [False] * len(labels.units)
        for name in self.units:
            checks.known(checks.name(name, "trace: units"), labels.unit_numbers, "trace: unit")
            wanted[labels.unit_numbers[name]] = True
        return wanted, start, stop, most


def window(wanted: object) -> TraceWindow:
    """What ``trace=`` of a run may be: a window, its fields as a dictionary, or True for everything."""
    if wanted is True:
        return TraceWindow()
    if isinstance(wanted, TraceWindow):
        return wanted
    if isinstance(wanted, Mapping):
        for key in wanted:
            checks.known(checks.name(key, "trace"), list(TraceWindow.__dataclass_fields__), "trace: key")
        return TraceWindow(**wanted)
    raise GraphError(
        f"trace is {checks.shown(wanted)}; it must be an rdu.TraceWindow, a dictionary of its fields, or True"
    )


@dataclass(frozen=True, repr=False, eq=False)
class Trace:
    """One row for each firing, ordered by start and then by unit; all columns are int64, shape (firings,).

    Attributes
    ----------
    unit
        Index into ``units``.
    number
        Firings of the unit before this one.
    phase
        Index of the phase that it ran; see ``phases``.
    ready, start
        Cycles: from ``ready`` to ``start`` it waited.
    end, leave
        Cycles: it is busy from ``start`` to ``end``; its results leave it at ``leave``.
    wait
        What it waited for, as an index into ``("busy", "data", "space", "memory", "idle")``; 0 when it did not wait.
    units
        Names of all units of the program.
    phases
        Names of the phases by unit, where they have names.
    complete
        False when a unit fired more often in the window than ``most`` allows.
    """

    unit: Column
    number: Column
    phase: Column
    ready: Column
    start: Column
    end: Column
    leave: Column
    wait: Column
    units: tuple[str, ...]
    phases: Mapping[str, tuple[str, ...]]
    complete: bool

    def __len__(self) -> int:
        return len(self.start)

    def to_dict(self) -> dict[str, list[object]]:
        """The columns as lists that ``json`` can write, with names instead of indices."""
        columns: dict[str, list[object]] = {name: getattr(self, name).tolist() for name in COLUMNS}
        columns["unit"] = [self.units[at] for at in self.unit.tolist()]
        columns["phase"] = [
            self._phase(at, phase) for at, phase in zip(self.unit.tolist(), self.phase.tolist(), strict=True)
        ]
        columns["wait"] = [STATES[state] for state in self.wait.tolist()]
        return columns

    def save(self, path: str | Path) -> None:
        """Write the trace for a viewer (ui.perfetto.dev, chrome://tracing): a row for each unit, waits by cause.

        Parameters
        ----------
        path
            Ends in ``.json``: Chrome's trace event format, in which one microsecond stands for one cycle.

        Raises
        ------
        rdu.errors.GraphError
            Another ending.
        """
        if Path(path).suffix != ".json":
            raise GraphError(f"trace: cannot write {str(path)!r}; the name must end in .json")
        Path(path).write_text(json.dumps({"traceEvents": self._events()}), encoding="utf-8")

    def _phase(self, unit: int, phase: int) -> str | int:
        names = self.phases.get(self.units[unit])
        return phase if names is None else names[phase]

    def _events(self) -> list[dict[str, object]]:
        shown = np.unique(self.unit).tolist()
        events: list[dict[str, object]] = [
            {"ph": "M", "pid": 1, "tid": at, "name": "thread_name", "args": {"name": self.units[at]}} for at in shown
        ]
        rows = zip(*(getattr(self, name).tolist() for name in COLUMNS), strict=True)
        for unit, number, phase, ready, start, end, leave, wait in rows:
            row = {"ph": "X", "pid": 1, "tid": unit}
            if start > ready:
                events.append({**row, "name": STATES[wait], "cat": "wait", "ts": ready, "dur": start - ready})
            name = self._phase(unit, phase)
            said = {"number": number, "phase": name, "leave": leave}
            label = name if isinstance(name, str) else "busy"
            events.append({**row, "name": label, "cat": "busy", "ts": start, "dur": end - start, "args": said})
        return events

    def __repr__(self) -> str:
        return f"Trace({len(self)} firings of {len(np.unique(self.unit))} units)"

"""How a description crosses into the engine: columns of numbers, and one by one the few units that need more."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from .. import _core
from .parts import Function, Stream, StreamRow, Unit, UnitRow
from .phases import Nest, Plan, first, rate
from .transfer import Port, port

Column = npt.NDArray[np.int64]
# Index of the unit; (ii, latency, consume, produce) for each phase; nest; control input (-1: first come); memory port.
Ends = list[tuple[int, int]]
Special = tuple[int, list[tuple[int, int, Ends, Ends]], Nest, int | None, Port | None]


def program(
    units: list[Unit],
    streams: list[Stream],
    plans: Mapping[int, Plan],
    firings: list[int | None],
    lanes: list[int] | None,
) -> _core.StreamProgram:
    """The engine's program. ``lanes`` has the values in one token of each stream, in a program with values."""
    unit_columns = (
        [unit.name for unit in units],
        _column([-1 if count is None else count for count in firings]),
        _column([first(unit.ii) for unit in units]),
        _column([first(unit.latency) for unit in units]),
    )
    stream_columns = (
        [stream.name for stream in streams],
        _column([stream.source.at for stream in streams]),
        _column([stream.target.at for stream in streams]),
        _column([stream.capacity for stream in streams]),
        _column([stream.latency for stream in streams]),
        _column([stream.credit for stream in streams]),
        _column([stream.initial for stream in streams]),
        _column(lanes if lanes is not None else [1] * len(streams)),
        _column([rate(stream.produce) for stream in streams]),
        _column([rate(stream.consume) for stream in streams]),
    )
    special = [_special(units[at], plan, firings[at]) for at, plan in plans.items()]
    if lanes is None:
        given = [(unit.at, unit.choice.decisions) for unit in units if unit.choice is not None]
        decided = {at: decisions for at, decisions in given if decisions is not None} or None
        return _core.StreamProgram(unit_columns, stream_columns, special, decided=decided)
    ops: list[str | Function] = ["" if unit.role is None else unit.role for unit in units]
    values = {unit.at: unit.values for unit in units if unit.values is not None}
    return _core.StreamProgram(unit_columns, stream_columns, special, ops, values)


def plain(
    names: Iterable[str], units: list[UnitRow], firings: list[int], streams: Mapping[str, StreamRow]
) -> _core.StreamProgram:
    """The engine's program where all units are plain."""
    rows = list(streams.values())
    return _core.StreamProgram(
        (list(names), _column(firings), _column([unit[1] for unit in units]), _column([unit[2] for unit in units])),
        (
            list(streams),
            _column([row[0] for row in rows]),
            _column([row[1] for row in rows]),
            _column([row[2] for row in rows]),
            _column([row[3] for row in rows]),
            _column([row[4] for row in rows]),
            _column([row[5] for row in rows]),
            np.ones(len(rows), dtype=np.int64),
            _column([1 if row[6] is None else row[6][0] for row in rows]),
            _column([1 if row[7] is None else row[7][0] for row in rows]),
        ),
        [],
    )


def _column(numbers: Iterable[int]) -> Column:
    # An array.array reads a list several times as fast as NumPy does.
    return np.frombuffer(array("q", numbers), dtype=np.int64)


def _special(unit: Unit, plan: Plan, firings: int | None) -> Special:
    phases = [(row.ii, row.latency, _ends(row.consume), _ends(row.produce)) for row in plan.rows]
    door = port(unit.name, [row.transfer for row in plan.rows])
    return unit.at, phases, plan.nest(firings), plan.control, door


def _ends(rates: tuple[int, ...]) -> Ends:
    """Only the ends that a firing touches."""
    return [end for end in enumerate(rates) if end[1]]

"""Other times and capacities for a program that is otherwise the same."""

from __future__ import annotations

from collections.abc import Mapping

from .. import _core
from ..errors import GraphError
from . import checks
from .labels import Labels
from .result import StreamRun

# Least value of each number that can be changed.
UNIT = {"ii": 1, "latency": 0}
STREAM = {"capacity": 1, "latency": 1, "credit": 0}

# Unit, phase (None: all), ii, latency.
UnitChange = tuple[int, int | None, int | None, int | None]
# Stream, capacity, latency, credit.
StreamChange = tuple[int, int | None, int | None, int | None]


def recording(run: object) -> _core.Recording:
    """What a run kept for others."""
    if not isinstance(run, StreamRun):
        raise GraphError(f"values is {checks.shown(run)}; it must be a run that was recorded with record=True")
    if run.recording is None:
        raise GraphError("values is a run without a recording; run it with record=True")
    return run.recording


def units(changes: object, labels: Labels) -> list[UnitChange]:
    """The changes of units in the engine's terms."""
    found: list[UnitChange] = []
    for name, values in _entries(changes, "units", "unit", labels.unit_numbers):
        at, phases = labels.unit_numbers[name], labels.phases.get(labels.unit_numbers[name], ())
        for key, value in _keys(values, f"unit {name!r}", UNIT):
            for phase, number in _by_phase(value, f"unit {name!r}: {key}", phases, UNIT[key]):
                found.append((at, phase, number if key == "ii" else None, number if key == "latency" else None))
    return found


def streams(changes: object, labels: Labels) -> list[StreamChange]:
    """The changes of streams in the engine's terms."""
    found = []
    for name, values in _entries(changes, "streams", "stream", labels.stream_numbers):
        keys = {
            key: checks.integer(value, f"stream {name!r}: {key}", STREAM[key])
            for key, value in _keys(values, f"stream {name!r}", STREAM)
        }
        found.append((labels.stream_numbers[name], keys.get("capacity"), keys.get("latency"), keys.get("credit")))
    return found


def _by_phase(value: object, what: str, phases: tuple[str, ...], least: int) -> list[tuple[int | None, int]]:
    if not isinstance(value, Mapping):
        return [(None, checks.integer(value, what, least))]
    if not phases:
        raise GraphError(f"{what} is {checks.shown(value)}, but the unit has no named phases; give one number")
    for phase in value:
        checks.known(checks.name(phase, what), phases, f"{what}: phase")
    return [
        (phases.index(phase), checks.integer(number, f"{what}[{phase!r}]", least)) for phase, number in value.items()
    ]


def _entries(changes: object, what: str, kind: str, known: dict[str, int]) -> list[tuple[str, object]]:
    if not isinstance(changes, Mapping):
        raise GraphError(f"retimed: {what} is {checks.shown(changes)}; it must be a dictionary by name")
    for name in changes:
        checks.known(checks.name(name, f"retimed: {what}"), known, f"retimed: {kind}")
    return list(changes.items())


def _keys(values: object, what: str, known: dict[str, int]) -> list[tuple[str, object]]:
    if not isinstance(values, Mapping):
        raise GraphError(f"retimed: {what} is {checks.shown(values)}; it must be a dictionary of {', '.join(known)}")
    for key in values:
        checks.known(checks.name(key, f"retimed: {what}"), known, f"retimed: {what}: key")
    return list(values.items())

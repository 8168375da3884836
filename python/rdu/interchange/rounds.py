"""A unit's loop nest as one round of firings that repeats, the form that SDF3 has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import GraphError
from .sequences import MOST_ENTRIES


@dataclass(frozen=True, slots=True)
class Round:
    """The phases of one round in order, and the unit's firings over all rounds (the last one may be cut short)."""

    order: list[int]
    firings: int


def of(unit: dict[str, Any]) -> Round:
    """The round of a unit as `StreamProgram.describe` gives it.

    Raises
    ------
    rdu.errors.GraphError
        The unit is data-dependent, fires for as long as its inputs deliver, or has too long a round.
    """
    name, nest = unit["name"], unit["nest"]
    if unit["choice"] is not None or unit["firings"] is None:
        raise GraphError(f"unit {name!r} depends on data, or fires as long as tokens come; SDF3 has only fixed rates")
    if len(unit["phases"]) == 1:
        return Round([0], unit["firings"])
    body, times, rest = nest, 1, []
    if "body" in nest[0]:
        body, times, rest = nest[0]["body"], nest[0]["times"], nest[1:]
    order, tail = _fires(name, body), _fires(name, rest)
    if tail != order[: len(tail)] or len(tail) == len(order):
        # What follows the loop is something else, so the whole run is the round.
        order, times, tail = _fires(name, nest), 1, []
    firings = times * len(order) + len(tail)
    if times == 1 and not tail:
        # Phases that are never reached stand behind the end: without them a stream might have no tokens at all.
        order += sorted(set(range(len(unit["phases"]))) - set(order))
    return Round(order, firings)


def _fires(unit: str, nest: Sequence[dict[str, Any]]) -> list[int]:
    """A nest written out, phase by phase."""
    found: list[int] = []
    for entry in nest:
        body = _fires(unit, entry["body"]) if "body" in entry else [entry["phase"]]
        if len(found) + len(body) * entry["times"] > MOST_ENTRIES:
            raise GraphError(
                f"unit {unit!r} has a round of more than {MOST_ENTRIES} firings; SDF3 has no loops, and rdu writes no "
                "longer lists"
            )
        found += body * entry["times"]
    return found

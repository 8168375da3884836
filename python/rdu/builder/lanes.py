"""Values in one token of each stream: from the rows of the sources on, as each operator's record says."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from ..errors import GraphError
from . import choices
from .operators import RULES
from .parts import ROUTE, SINK, SOURCE, Stream, Unit
from .phases import Plan

# Stream number -> values in one token.
Found = dict[int, int]


def lanes(units: list[Unit], streams: list[Stream], plans: Mapping[int, Plan]) -> list[int]:
    """Values in one token of every stream; 1 where nothing says more."""
    found: Found = {}
    for unit in units:
        if unit.values is not None:
            found.update((stream.at, unit.values.shape[1]) for stream in unit.outputs)
    _spread(deque(units), found, plans)
    for stream in streams:
        if stream.at not in found:
            found[stream.at] = 1
            _spread(deque((stream.source, stream.target)), found, plans)
    for unit in units:
        _check(unit, found, plans)
    return [found[stream.at] for stream in streams]


def _spread(ready: deque[Unit], found: Found, plans: Mapping[int, Plan]) -> None:
    """Works out all that follows from what is known."""
    while ready:
        for stream, width in _follow(ready.popleft(), found, plans):
            if stream.at not in found:
                found[stream.at] = width
                ready += (stream.source, stream.target)


def _rule(unit: Unit) -> str:
    if callable(unit.role):
        return "own"
    return {SOURCE: "none", SINK: "none", ROUTE: "same"}.get(unit.role or "") or RULES[unit.role or ""].lanes


def _inputs(unit: Unit, plans: Mapping[int, Plan]) -> Sequence[Stream]:
    """The inputs whose values go into the outputs."""
    return choices.data_inputs(unit, plans[unit.at]) if unit.choice is not None else unit.inputs


def _equal(unit: Unit, plans: Mapping[int, Plan]) -> Sequence[Stream]:
    """The streams of a unit that must be of one width."""
    rule, inputs = _rule(unit), _inputs(unit, plans)
    if rule == "same":
        return [*inputs, *unit.outputs]
    if rule == "first":
        return [*inputs[:1], *unit.outputs]
    return inputs if rule == "one" else []


def _follow(unit: Unit, found: Found, plans: Mapping[int, Plan]) -> list[tuple[Stream, int]]:
    rule, inputs = _rule(unit), _inputs(unit, plans)
    equal = _equal(unit, plans)
    known = next((found[stream.at] for stream in equal if stream.at in found), None)
    follows = [] if known is None else [(stream, known) for stream in equal]
    if rule == "one":
        follows += [(stream, 1) for stream in unit.outputs]
    elif rule == "first":
        follows += [(stream, 1) for stream in inputs[1:]]
    else:
        width = _made(unit, rule, [found.get(stream.at) for stream in inputs])
        if width is not None:
            follows += [(stream, width) for stream in unit.outputs]
    return follows


def _made(unit: Unit, rule: str, inputs: list[int | None]) -> int | None:
    """The width that follows from that of all inputs together, or that the unit itself has."""
    if rule == "own":
        return unit.lanes if unit.lanes is not None else inputs[0] if inputs else 1
    if rule == "total" and None not in inputs:
        return sum(width or 0 for width in inputs)
    return None


def _check(unit: Unit, found: Found, plans: Mapping[int, Plan]) -> None:
    equal = _equal(unit, plans)
    width = found[equal[0].at] if equal else 1
    expected = [(stream, width) for stream in equal]
    rule, inputs = _rule(unit), _inputs(unit, plans)
    if rule == "first":
        expected += [(stream, 1) for stream in inputs[1:]]
    elif rule == "one":
        expected += [(stream, 1) for stream in unit.outputs]
    made = _made(unit, rule, [found[stream.at] for stream in inputs])
    if made is not None:
        expected += [(stream, made) for stream in unit.outputs]
    for stream, wanted in expected:
        if found[stream.at] != wanted:
            like = f"as those of {equal[0].name!r} have" if equal and stream in equal else "as its operator wants"
            raise GraphError(
                f"unit {unit.name!r}: tokens of {stream.name!r} have {found[stream.at]} values, "
                f"but they must have {wanted}, {like}"
            )

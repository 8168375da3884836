"""Data-dependent units: switch, select, gate and merge as one phase for each way that a firing can go."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import GraphError
from . import checks
from .parts import Choice, Stream, Unit
from .phases import Plan, Row, end, first, rate

SWITCH, SELECT, GATE, MERGE = "switch", "select", "gate", "merge"


def plan(unit: Unit, choice: Choice) -> Plan:
    """One phase for each decision; every phase takes one token of control."""
    for stream in (*unit.inputs, *unit.outputs):
        rates = stream.consume if stream.target is unit else stream.produce
        if rates is not None and len(rates) > 1:
            key = "consume" if stream.target is unit else "produce"
            what = f"stream {stream.name!r}: {key} is a list, but {choice.kind} {unit.name!r} fires as data decide"
            raise GraphError(f"{what}; give one number")
    control = None if choice.control is None else _control(unit, choice)
    data = [at for at in range(len(unit.inputs)) if at != control]
    _check_ends(unit, choice, data)
    takes, sends = [rate(stream.consume) for stream in unit.inputs], [rate(stream.produce) for stream in unit.outputs]
    everything = range(len(sends))
    ways: list[tuple[list[int], list[int]]]
    if choice.kind == SWITCH:
        ways = [(data, [out]) for out in everything]
    elif choice.kind == GATE:
        ways = [(data, []), (data, list(everything))]
    else:
        ways = [([at], list(everything)) for at in data]
    rows = [
        Row(
            first(unit.ii),
            first(unit.latency),
            tuple(count if at in inputs or at == control else 0 for at, count in enumerate(takes)),
            tuple(count if at in outputs else 0 for at, count in enumerate(sends)),
        )
        for inputs, outputs in ways
    ]
    _check_decisions(unit, choice, len(rows))
    return Plan(rows, control=-1 if control is None else control)


def data_inputs(unit: Unit, found: Plan) -> list[Stream]:
    """The inputs whose tokens are handed on."""
    return [stream for at, stream in enumerate(unit.inputs) if at != found.control]


def sent(choice: Choice, found: Plan, output: int, firings: int | None) -> int | None:
    """Tokens on an output in the whole run, where that is known before it."""
    each = [row.produce[output] for row in found.rows]
    if choice.decisions is not None:
        times = np.bincount(choice.decisions, minlength=len(each))
        return sum(count * int(number) for count, number in zip(each, times, strict=True))
    if firings is not None and len(set(each)) == 1:
        return firings * each[0]
    return None


def decisions(values: object, what: str) -> npt.NDArray[np.uint32]:
    """Decisions as given: whole numbers, one for each firing."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise GraphError(f"{what} is no list of whole numbers ({error})") from error
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise GraphError(f"{what} is {checks.shown(values)}; it must be a list of whole numbers, one for each firing")
    if not len(array):
        raise GraphError(f"{what} is an empty list; give one number for each firing")
    if array.min() < 0 or array.max() > checks.MOST_RATE:
        bad = int(array.min()) if array.min() < 0 else int(array.max())
        raise GraphError(f"{what} has {bad}; it must be at least 0 and below the number of ways")
    return array.astype(np.uint32)


def _control(unit: Unit, choice: Choice) -> int:
    at = end(unit, unit.inputs, choice.control or "", f"{choice.kind} {unit.name!r}: control")
    stream = unit.inputs[at]
    if rate(stream.consume) != 1:
        raise GraphError(
            f"stream {stream.name!r}: consume is {rate(stream.consume)}, but it is the control of {choice.kind} "
            f"{unit.name!r}, which takes 1 token in each firing"
        )
    return at


def _check_ends(unit: Unit, choice: Choice, data: list[int]) -> None:
    one = choice.kind in (SWITCH, GATE)
    if (len(data) != 1 if one else not data) or not unit.outputs:
        control = "" if choice.control is None else " beside its control"
        wanted = "one input" if one else "at least one input"
        raise GraphError(
            f"{choice.kind} {unit.name!r} has {len(data)} inputs{control} and {len(unit.outputs)} outputs; "
            f"it must have {wanted} and at least one output"
        )


def _check_decisions(unit: Unit, choice: Choice, ways: int) -> None:
    if choice.decisions is not None and int(choice.decisions.max()) >= ways:
        at = int(np.argmax(choice.decisions >= ways))
        raise GraphError(
            f"{choice.kind} {unit.name!r}: decisions[{at}] is {choice.decisions[at]}; "
            f"it must be from 0 to {ways - 1}, as the unit has {ways} ways"
        )


def check_decided(units: list[Unit], values: bool) -> None:
    """Decisions come from the values, where there are any, and are given where there are none."""
    merge = next((unit.name for unit in units if unit.choice is not None and unit.choice.kind == MERGE), None)
    for unit in units:
        choice = unit.choice
        if choice is None or choice.kind == MERGE:
            continue
        what = f"{choice.kind} {unit.name!r}"
        if values and choice.decisions is not None:
            raise GraphError(f"{what} has decisions, but the program has values, which decide; leave decisions out")
        if not values and choice.decisions is None:
            raise GraphError(f"{what} has nothing to decide by: give decisions=[...], or make it a program with values")
        if not values and merge is not None:
            raise GraphError(
                f"{what} has decisions, but merge {merge!r} can change the order of all tokens behind it; "
                f"such a program needs values"
            )

"""The operator table of the engine, and whether the rates of a unit fit what its operator computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import _core
from ..errors import GraphError
from .choices import data_inputs
from .parts import ROUTE, SINK, SOURCE, Unit
from .phases import Plan, Row, row


@dataclass(frozen=True, slots=True)
class Rule:
    """What an operator wants of its unit.

    Attributes
    ----------
    inputs
        How many; None is one or more.
    folds
        It takes any number of tokens and makes one; any other operator makes one token of one token of each input.
    lanes
        Width of a token: ``"same"`` at all ends; ``"one"`` value at the outputs, inputs alike; ``"first"`` input as the
        outputs, one value at the others; ``"total"`` of the inputs at the outputs.
    """

    inputs: int | None
    folds: bool
    lanes: str


RULES = {name: Rule(inputs, folds, lanes) for name, inputs, folds, lanes in _core.operator_rules()}


def check(units: list[Unit], plans: Mapping[int, Plan]) -> None:
    """Every unit of a program with values has a role, and its rates fit what the role computes."""
    for unit in units:
        _check_ends(unit)
        plan = plans.get(unit.at)
        if plan is None:
            _check_rates(unit, row(unit), plan, 0)
            continue
        for at, entry in enumerate(plan.rows):
            _check_rates(unit, entry, plan, at)


def _check_ends(unit: Unit) -> None:
    role = unit.role
    if role is None:
        raise GraphError(f"unit {unit.name!r} has no op, but the program has values; give every unit an op")
    if role == SINK:
        if len(unit.inputs) != 1 or unit.outputs:
            ends = f"{len(unit.inputs)} inputs and {len(unit.outputs)} outputs"
            raise GraphError(f"sink {unit.name!r} has {ends}; it must have one input and no output")
    elif role == SOURCE:
        if unit.inputs:
            raise GraphError(f"source {unit.name!r} has an input, stream {unit.inputs[0].name!r}; it can have none")
    elif isinstance(role, str) and role != ROUTE:
        wanted = RULES[role].inputs
        if (wanted is not None and len(unit.inputs) != wanted) or not unit.inputs:
            raise GraphError(
                f"unit {unit.name!r}: op {role!r} takes {'at least 1' if wanted is None else wanted} "
                f"inputs, the unit has {len(unit.inputs)}"
            )


def _check_rates(unit: Unit, entry: Row, plan: Plan | None, at: int) -> None:
    made = {rate for rate in entry.produce if rate}
    if not made or callable(unit.role):
        return
    where = f"unit {unit.name!r}, {_firing(plan, at)}"
    if len(made) > 1:
        raise GraphError(f"{where}: it sends {entry.produce} tokens; all streams carry the same values, so equal rates")
    if unit.role == SOURCE:
        return
    if unit.role == ROUTE and plan is not None:
        taken = {entry.consume[stream.input] for stream in data_inputs(unit, plan)} - {0}
        if taken != made:
            raise GraphError(f"{where}: it hands on {taken.pop()} tokens, but produce is {made.pop()}")
    elif RULES[str(unit.role)].folds:
        if made != {1}:
            raise GraphError(f"{where}: op {unit.role!r} makes one token, but produce is {made.pop()}")
    elif set(entry.consume) != made:
        raise GraphError(
            f"{where}: op {unit.role!r} makes one token of one token of each input, but takes {entry.consume} and "
            f"makes {entry.produce}"
        )


def _firing(plan: Plan | None, at: int) -> str:
    """Where a row stands, in the words of the description."""
    if plan is not None and plan.names:
        return f"phase {plan.names[at]!r}"
    if plan is not None and plan.control is not None:
        return f"decision {at}"
    return f"firing {0 if plan is None or plan.order is None else plan.order.index(at)} of its cycle"

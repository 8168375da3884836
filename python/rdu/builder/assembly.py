"""From described units and streams to a program: plans, firings, widths, and what the engine is told."""

from __future__ import annotations

from . import choices, columns, inference, lanes, operators, phases, transfer
from .labels import Labels
from .parts import ROUTE, SINK, Stream, Unit, attach
from .phases import Plan
from .program import StreamProgram


def program(units: list[Unit], streams: list[Stream]) -> StreamProgram:
    """The checked program.

    Raises
    ------
    rdu.errors.GraphError
        As :meth:`rdu.Builder.build`.
    """
    special = [unit for unit in units if unit.is_special]
    valued = any(unit.role is not None and unit.role != ROUTE for unit in units)
    if valued or special:
        attach(units, streams)
    plans = {unit.at: _plan(unit) for unit in special}
    firings = inference.firings(units, streams, plans)
    widths = None
    if valued:
        operators.check(units, plans)
        widths = lanes.lanes(units, streams, plans)
    choices.check_decided(special, values=widths is not None)
    core = columns.program(units, streams, plans, firings, widths)
    labels = Labels(
        units=tuple(unit.name for unit in units),
        streams=tuple(stream.name for stream in streams),
        sinks={} if widths is None else {unit.at: widths[unit.inputs[0].at] for unit in units if unit.role == SINK},
        phases={at: plan.names for at, plan in plans.items() if plan.names},
        kinds={unit.at: unit.choice.kind for unit in special if unit.choice is not None},
    )
    doors = [unit for unit in special if unit.transfers]
    return StreamProgram(core, labels, tuple(_reach(unit, plans[unit.at], firings[unit.at]) for unit in doors))


def _plan(unit: Unit) -> Plan:
    if unit.choice is not None:
        return choices.plan(unit, unit.choice)
    return phases.cyclic(unit) if unit.phases is None else phases.phased(unit)


def _reach(unit: Unit, plan: Plan, firings: int | None) -> transfer.Reach:
    # A unit that transfers has a count of firings: data decide those of others alone.
    each = phases.counts(plan, firings) or [0] * len(plan.rows)
    return transfer.reach(unit.name, [row.transfer for row in plan.rows], each)

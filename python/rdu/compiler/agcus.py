"""Which AGCU issues which load, and in what order: the order of need, so that nothing needed early waits for later."""

from __future__ import annotations

from itertools import groupby

from rdu.compiler.context import Lowering
from rdu.compiler.netlist import Json, Load, Times, Unit


def issue_loads(low: Lowering) -> None:
    """Deal the loads out to the AGCUs, one after another; each AGCU is one load unit.

    Loads come in the order in which operators follow each other in the graph. Every AGCU keeps that order, so a load
    that waits for space waits only for operators that come earlier: no cycle of waiting can close.
    """
    net, machine = low.netlist, low.machine
    count = min(machine.total_agcus, len(net.loads))
    for at in range(count):
        mine = net.loads[at::count]
        token_op: Json = {"op": "load", "elements": [load.element for load in mine]}
        port = {
            "tier": 0,
            "write": False,
            "outstanding": machine.agcu.outstanding,
            "patterns": [m.pattern for m in mine],
        }
        unit = net.unit(f"agcu.{at}", "load", "load", token_op, agcus=1, port=port)
        ends = [_connect(low, unit, load) for load in mine]
        for _, group in groupby(range(len(mine)), key=lambda i: mine[i].operator):
            _interleave(unit, low, [(i, mine[i], ends[i]) for i in group])


def _connect(low: Lowering, unit: Unit, load: Load) -> list[tuple[int, int]]:
    produce = []
    for target, into, depth in load.taps:
        stream = low.netlist.connect(unit, target, load.element, depth, input=into, buffer=load.buffer)
        produce.append((stream.output, 1))
    return produce


def _interleave(unit: Unit, low: Lowering, loads: list[tuple[int, Load, list[tuple[int, int]]]]) -> None:
    """One vector of each load in turn, so that the macs of one operator advance together."""

    def fire(times: Times, transfer: int, produce: list[tuple[int, int]]) -> None:
        unit.fire(times, produce=produce, ii=low.issue_cycles, transfer=transfer)

    fixed = [(i, load.times, ends) for i, load, ends in loads if isinstance(load.times, int)]
    done = 0
    while fixed:
        least = min(times for _, times, _ in fixed)
        with unit.loop(least - done):
            for i, _, ends in fixed:
                fire(1, i, ends)
        done = least
        fixed = [entry for entry in fixed if entry[1] > least]
    for i, load, ends in loads:
        if not isinstance(load.times, int):
            fire(load.times, i, ends)

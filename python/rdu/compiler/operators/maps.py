"""Elementwise operators: one PCU, a chunk at a time; PMUs hold the inputs until all of them are there."""

from __future__ import annotations

from rdu.compiler.allocate import waves_kept
from rdu.compiler.context import Lowering, write_map
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """Inputs in the operator's order."""
    element = low.element(op)
    token_op = {"op": "map", "function": op.kind, "positions": low.positions, "out": element}
    unit = low.netlist.unit(op.local_name, op.local_name, "map", token_op, pcus=low.width, links=low.width)
    # One input may be waves ahead of another, which took the way round: through attention, say.
    kept = low.positions * (1 if low.last_only else waves_kept(op, low.machine, low.allocation.wave))
    unit.pmus = len(op.inputs) * low.pmus(kept * op.output.width * 4)
    sources = [low.flow(tensor, "f32") for tensor in op.inputs]
    for source in sources:
        low.netlist.tap(source, unit, whole=True, positions=kept)
    write_map(low, unit, low.publish(op.output, unit, element), sources)


def plan(op: Operator, low: Lowering) -> None:
    """The same as one blocked step."""
    inputs = [low.values(tensor, "f32") for tensor in op.inputs]
    out = low.made(op.output, low.element(op))
    low.netlist.plan.append({"op": "map", "function": op.kind, "inputs": inputs, "out": out})

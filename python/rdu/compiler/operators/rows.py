"""Rows of a table: an AGCU gathers them from memory by the call's indices."""

from __future__ import annotations

from rdu.compiler.context import Lowering
from rdu.compiler.formats import chunks, row_bytes
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """One unit turns rows into a tensor in flat order."""
    form, width = low.form, op.output.width
    table = low.weight(op, 0)
    token_op = {
        "op": "flatten",
        "width": width,
        "head_dim": width,
        "from": form.operand,
        "positions": low.positions,
        "out": "f32",
    }
    unit = low.netlist.unit(op.local_name, op.local_name, "align", token_op, pcus=1)
    unit.pmus = low.pmus(low.positions * width * 4)
    per_row = chunks(width, form.operand)
    pattern = low.pattern(table, per_row, row_bytes(width, form.operand), indexed=True)
    count = per_row * low.positions
    low.load_into(op, unit, unit.new_input(), pattern, form.operand, count, count)
    unit.fire(count, consume=[(0, 1)])
    low.emit(low.publish(op.output, unit, "f32"))
    low.netlist.plan.append(
        {"op": "gather", "table": pattern, "element": form.operand, "out": low.values(op.output, "f32")}
    )

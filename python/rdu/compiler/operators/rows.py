"""Rows of a table: the AGCUs gather them from memory by the call's indices."""

from __future__ import annotations

from rdu.compiler.allocation import whole
from rdu.compiler.context import Lowering, into
from rdu.compiler.formats import VECTOR_BYTES, chunks, row_bytes
from rdu.compiler.netlist import Json
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """One unit turns rows into a tensor in flat order."""
    form, width = low.form, op.output.width
    token_op = {
        "op": "flatten",
        "width": width,
        "head_dim": width,
        "group": 1,
        "parts": 1,
        "mixes": 1,
        "from": form.operand,
        "positions": low.positions,
        "out": "f32",
    }
    unit = low.netlist.unit(op.local_name, op.local_name, "align", token_op, pcus=low.width, links=low.width)
    unit.pmus = low.pmus(low.positions * width * 4)
    per_row = chunks(width, form.operand)
    count = per_row * low.positions * low.waves
    table = low.weight(op, 0)
    stored = whole(per_row * VECTOR_BYTES, low.granule_bytes)
    source = {"kind": "rows", "at": table, "run": per_row, "stride": row_bytes(width, form.operand)}
    load = low.load(
        op.local_name,
        table,
        source,
        form.operand,
        count,
        granules=low.positions * low.waves * stored // low.granule_bytes,
        indexed_bytes=stored,
    )
    into(load, unit, count)
    unit.fire(per_row * low.positions, consume=[(0, 1)])
    low.emit(low.publish(op.output, unit, "f32"))


def plan(op: Operator, low: Lowering) -> None:
    """The same as one blocked step."""
    element, width = low.form.operand, op.output.width
    table: Json = low.weight(op, 0) | {
        "run": chunks(width, element),
        "stride": row_bytes(width, element),
        "bytes": VECTOR_BYTES,
        "indexed": True,
    }
    low.netlist.plan.append({"op": "gather", "table": table, "element": element, "out": low.made(op.output, "f32")})

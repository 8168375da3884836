"""A norm: one pass to take and square, one to scale and send."""

from __future__ import annotations

from rdu.compiler.context import Lowering
from rdu.compiler.formats import chunks, lanes
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """Inputs: 0 the tensor, 1 the weights."""
    net, form = low.netlist, low.form
    element = low.elements[id(op.output)]
    weight = low.weight(op, 0)
    token_op = {
        "op": "norm",
        "width": op.output.width,
        "group": op.group,
        "eps": op.eps,
        "positions": low.positions,
        "out": element,
    }
    unit = net.unit(op.local_name, op.local_name, "norm", token_op, pcus=1)
    unit.pmus = low.pmus(low.positions * op.output.width * 4)
    x = low.flow(op.inputs[0], "f32")
    net.tap(x, unit)
    vectors = chunks(op.group, form.operand)
    low.load_into(op, unit, unit.new_input(), low.pattern(weight, vectors, 0), form.operand, vectors, vectors)
    unit.fire(x.chunks, consume=[(0, low.positions)])
    unit.fire(vectors, consume=[(1, 1)])
    # The sums pass the reduction tree and the tail (root, reciprocal) before the first value is scaled.
    unit.fire(1, ii=2 * low.pipeline)
    low.emit(low.publish(op.output, unit, element), lanes(element) // lanes("f32"))
    net.plan.append(
        {
            "op": "norm",
            "x": low.values(op.inputs[0], "f32"),
            "weight": weight,
            "element": form.operand,
            "group": op.group,
            "eps": op.eps,
            "out": low.values(op.output, element),
        }
    )

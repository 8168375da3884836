"""A norm: one pass to take and square, one to scale and send."""

from __future__ import annotations

from rdu.compiler.context import Lowering
from rdu.compiler.formats import chunks, lanes
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """Inputs: 0 the tensor, 1 the weights."""
    net, form = low.netlist, low.form
    element = low.element(op)
    token_op = {
        "op": "norm",
        "width": op.output.width,
        "group": op.group,
        "eps": op.eps,
        "positions": low.positions,
        "out": element,
    }
    unit = net.unit(op.local_name, op.local_name, "norm", token_op, pcus=low.width, links=low.width)
    unit.pmus = low.pmus(low.positions * op.output.width * 4)
    x = low.flow(op.inputs[0], "f32")
    net.tap(x, unit)
    vectors = chunks(op.group, form.operand)
    low.load_vector(op, 0, unit, vectors, form.operand)
    flow, p, waves, pipeline = low.publish(op.output, unit, element), low.positions, low.waves, low.pipeline

    def pass_wave() -> None:
        # The sums pass the reduction tree and the tail (root, reciprocal) before the first value is scaled.
        unit.fire(1, ii=2 * pipeline)
        ii = -(-lanes(element) // lanes("f32") * p // unit.links)
        unit.fire(flow.chunks, produce=[(out, p) for out in flow.outputs], ii=ii, latency=pipeline)

    def write() -> None:
        unit.fire(x.chunks, consume=[(0, p)])
        unit.fire(vectors, consume=[(1, 1)])
        pass_wave()
        with unit.loop(waves - 1):
            unit.fire(x.chunks, consume=[(0, p)])
            pass_wave()
        unit.steady = True

    low.writers.append(write)


def plan(op: Operator, low: Lowering) -> None:
    """The same as one blocked step."""
    low.netlist.plan.append(
        {
            "op": "norm",
            "x": low.values(op.inputs[0], "f32"),
            "weight": low.weight(op, 0),
            "element": low.form.operand,
            "group": op.group,
            "eps": op.eps,
            "out": low.made(op.output, low.element(op)),
        }
    )

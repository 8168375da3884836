"""A linear operator: weights stream from memory through PMUs, dealt to macs; a gather joins and adds their sums.

All macs work in lockstep: a firing of the buffer deals one vector to each of them.
"""

from __future__ import annotations

from rdu.compiler.allocate import linear_pmus
from rdu.compiler.context import Lowering, into
from rdu.compiler.formats import lanes
from rdu.compiler.netlist import Unit
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """Units: a buffer, a bundle of macs (see `allocate.Linear`), a gather."""
    net, form = low.netlist, low.form
    shape = low.allocation.linears[op.name]
    width, p = lanes(form.operand), low.positions
    x = low.flow(op.inputs[0], form.operand)
    tile_tokens = p * width // lanes("f32")
    depth = low.allocation.buffer_vectors[op.name]

    gather = _gather(op, low)
    if op.weights[1] is not None:
        # Before the weights: without it no sum leaves the gather, and then no weight would move either.
        low.load_vector(op, 1, gather, shape.tiles)
    buffer = net.unit(f"{op.local_name}.buffer", op.local_name, "buffer", {"op": "deal"}, links=shape.macs)
    buffer.pmus = linear_pmus(low.machine, shape, depth, p)
    mac_op = {"op": "mac", "element": form.operand, "positions": p, "rounds": shape.rounds}
    mac = net.unit(f"{op.local_name}.mac", op.local_name, "mac", mac_op, copies=shape.macs, pcus=1, macs=width * p)
    parts = [shape.part_of(split) for split in range(shape.splits)]
    mac.variants = tuple({"first": first, "inner": inner} for first, inner in parts for _ in range(shape.units))
    net.connect(buffer, mac, form.operand, net.fifo)
    net.tap(x, mac, whole=True)
    net.connect(mac, gather, "f32", 2 * tile_tokens, input=0)

    low.buffer_nest(buffer, shape.vectors_per_unit, shape.macs)
    _mac_nest(mac, low, op)
    address = low.weight(op, 0)
    order = {
        "tiles": shape.tiles,
        "inner": shape.inner,
        "width": width,
        "units": shape.units,
        "splits": shape.splits,
        "part": shape.part,
        "rounds": shape.rounds,
    }
    source = {"kind": "tiles", "at": address, "layer_bytes": low.layer_bytes, "order": order}
    weights = low.load(
        op.local_name, address, source, form.operand, shape.vectors, layer_bytes=low.layer_bytes, buffer=True
    )
    into(weights, buffer, depth * shape.macs)


def plan(op: Operator, low: Lowering) -> None:
    """The same as one blocked step."""
    low.netlist.plan.append(
        {
            "op": "linear",
            "x": low.values(op.inputs[0], low.form.operand),
            "weight": low.weight(op, 0),
            "bias": low.weight(op, 1) if op.weights[1] is not None else None,
            "element": low.form.operand,
            "splits": low.allocation.linears[low.twin(op)].splits,
            "out": low.made(op.output, "f32"),
        }
    )


def _mac_nest(mac: Unit, low: Lowering, op: Operator) -> None:
    """``part`` weight vectors per tile; the first tile also takes the activations, one chunk every ``width`` vectors.

    Inputs: 0 weights, 1 activations. A lane waits for the chunks that the last part begins with, and all wait with it.
    """
    shape = low.allocation.linears[op.name]
    p, width, inner = low.positions, shape.width, shape.part
    ii = low.mac_cycles(width * p)
    tile_tokens = p * width // lanes("f32")

    def fire(times: int, *, activations: bool = False, last: bool = False) -> None:
        consume = [(0, 1), (1, p)] if activations else [(0, 1)]
        produce = [(0, tile_tokens)] if last else []
        mac.fire(times, consume=consume, produce=produce, ii=ii, latency=low.pipeline)

    mac.fire(shape.chunks - shape.part_chunks, consume=[(1, p)])
    # All chunks but the last are full; the last vector of the tile sends the sums.
    full, rest = divmod(inner - 1, width)
    with mac.loop(full):
        fire(1, activations=True)
        fire(width - 1)
    if rest:
        fire(1, activations=True)
        fire(rest - 1)
        fire(1, last=True)
    else:
        fire(1, activations=True, last=True)
    with mac.loop(shape.rounds - 1):
        fire(inner - 1)
        fire(1, last=True)


def _gather(op: Operator, low: Lowering) -> Unit:
    """The unit that takes a tile from every mac, and sends the tensor in order."""
    shape, p = low.allocation.linears[op.name], low.positions
    biased = op.weights[1] is not None
    token_op = {"op": "gather", "parts": shape.splits, "units": shape.units, "positions": p}
    gather = low.netlist.unit(f"{op.local_name}.gather", op.local_name, "gather", token_op, pcus=1)
    gather.pmus = low.pmus(p * op.output.width * 4)
    gather.inputs = 1
    flow = low.publish(op.output, gather, "f32")
    per_tile = shape.width // lanes("f32")
    last = (flow.chunks - (shape.tiles - 1) * per_tile) * p

    def fire(times: int, tokens: int, *, first: bool = False) -> None:
        consume = [(0, per_tile * p)] if first else []
        consume += [(1, 1)] if biased else []
        produce = [(output, tokens) for output in flow.outputs]
        gather.fire(times, consume=consume, produce=produce, latency=low.pipeline)

    def round_of(tiles: int, end: int) -> None:
        """A tile of each unit; the last of the tensor may be only partly there."""
        fire(1, end if tiles == 1 else per_tile * p, first=True)
        fire(max(tiles - 2, 0), per_tile * p)
        if tiles > 1:
            fire(1, end)

    def write() -> None:
        with gather.loop(shape.rounds - 1):
            round_of(shape.units, per_tile * p)
        round_of(shape.tiles - (shape.rounds - 1) * shape.units, last)

    low.writers.append(write)
    return gather

"""A linear operator: weights stream from memory through PMUs, dealt to macs; a gather joins and adds their sums.

All macs work in lockstep: a firing of the buffer deals one vector to each of them. Where weights are whole numbers, the
gather multiplies by each output's scale; where activations are too, a unit of their own quantises them, row by row.
"""

from __future__ import annotations

from rdu.compiler.allocate import SCALES, linear_pmus, prompt_pmus
from rdu.compiler.allocation import Linear
from rdu.compiler.context import Lowering, into
from rdu.compiler.formats import chunks, lanes
from rdu.compiler.netlist import Flow, Unit
from rdu.graph import Operator, Tensor


def lower(op: Operator, low: Lowering) -> None:
    """Units: a buffer, a bundle of macs (see `allocate.Linear`), a gather."""
    net, form = low.netlist, low.form.of(op.weights[0])
    shape = low.allocation.linears[op.name]
    width, p = shape.width, low.positions
    x = quantised(op.inputs[0], low) if form.activation == "int8" else low.flow(op.inputs[0], form.activation)
    tile_tokens = p * width // lanes("f32")
    depth = low.allocation.buffer_vectors[op.name]

    # Scales and bias before the weights: without them no sum leaves the gather, and then no weight would move either.
    gather = _gather(op, low, x.scales)
    buffer = net.unit(f"{op.local_name}.buffer", op.local_name, "buffer", {"op": "deal"}, links=shape.macs)
    held = low.waves > 1
    if held:
        # In a prompt the weights stay while the waves pass.
        buffer.pmus, keep = prompt_pmus(low.machine, shape, depth + shape.vectors_per_unit, p)
    else:
        buffer.pmus = linear_pmus(low.machine, shape, depth, p)
    mac_op = {"op": "mac", "element": form.weight, "x": form.activation, "positions": p, "rounds": shape.rounds}
    mac = net.unit(f"{op.local_name}.mac", op.local_name, "mac", mac_op, copies=shape.macs, pcus=1)
    mac.macs = shape.products * p
    parts = [shape.part_of(split) for split in range(shape.splits)]
    mac.variants = tuple({"first": first, "inner": inner} for first, inner in parts for _ in range(shape.units))
    if held:
        # A wave of activations goes to the macs chunk by chunk, each part's to its lanes, while the next wave comes.
        hold = net.unit(f"{op.local_name}.hold", op.local_name, "buffer", {"op": "copy"}, pmus=keep, links=keep)
        net.tap(x, hold, whole=True)
        hold.fire(x.chunks, consume=[(0, p)])
        taken, latency = shape.taken * p, low.machine.pmu.latency_cycles
        times = shape.rounds * shape.part_chunks
        hold.fire(times, produce=[(0, taken)], ii=taken * low.port_cycles, latency=latency)
        net.connect(buffer, mac, form.carried, max(net.fifo, 2 * shape.chunk))
        net.connect(hold, mac, form.activation, 2 * taken)
    else:
        net.connect(buffer, mac, form.carried, net.fifo)
        net.tap(x, mac, whole=True)
    net.connect(mac, gather, "f32", 2 * tile_tokens, input=0)

    low.buffer_nest(buffer, shape.vectors_per_unit, shape.macs)
    if held:
        _again(buffer, low, shape)
        _block_nest(mac, low, shape)
    else:
        _mac_nest(mac, low, op, x.chunks)
    buffer.steady = True
    address = low.weight(op, 0)
    order = {
        "tiles": shape.tiles,
        "inner": shape.inner,
        "width": shape.chunk,
        "units": shape.units,
        "splits": shape.splits,
        "part": shape.part,
        "rounds": shape.rounds,
    }
    source = {"kind": "tiles", "at": address, "layer_bytes": low.layer_bytes, "order": order}
    weights = low.load(
        op.local_name,
        address,
        source,
        form.carried,
        shape.vectors,
        layer_bytes=low.layer_bytes,
        buffer=True,
        parts=low.shares(op),
    )
    into(weights, buffer, depth * shape.macs)


def plan(op: Operator, low: Lowering) -> None:
    """The same as one blocked step."""
    form = low.form.of(op.weights[0])
    whole = form.activation == "int8"
    low.netlist.plan.append(
        {
            "op": "linear",
            "x": low.values(op.inputs[0], "f32" if whole else form.activation),
            "weight": low.weight(op, 0),
            "bias": low.weight(op, 1) if op.weights[1] is not None else None,
            "element": form.weight,
            "splits": low.allocation.linears[low.twin(op)].splits,
            "scales": low.weight(op, SCALES) if form.scaled else None,
            "quantized": whole,
            "out": low.made(op.output, "f32"),
        }
    )


def quantised(tensor: Tensor, low: Lowering) -> Flow:
    """``tensor`` as whole numbers, and its rows' scales ahead of them: one unit, once all of a row is there."""
    key = (id(tensor), low.form.activation)
    if key in low.flows:
        return low.flows[key]
    net, p = low.netlist, low.positions
    source = low.flow(tensor, "f32")
    token_op = {"op": "quantise", "width": tensor.width, "positions": p}
    unit = net.unit(f"quantise.{len(net.units)}", "quantise", "quantise", token_op, pcus=low.width, links=low.width)
    unit.pmus = low.pmus(p * tensor.width * 4)
    net.tap(source, unit)
    scales = Flow(unit, "f32", chunks(p, "f32"))
    flow = low.publish(tensor, unit, low.form.activation)
    flow.scales = scales

    def write() -> None:
        unit.fire(source.chunks, consume=[(0, p)])
        # The largest magnitude passes the reduction tree, and its reciprocal the tail, before a value is divided.
        produce = [(out, scales.chunks) for out in scales.outputs]
        unit.fire(1, produce=produce, ii=2 * low.pipeline, latency=low.pipeline)
        produce = [(out, p) for out in flow.outputs]
        ii = -(-lanes("int8") // lanes("f32") * p // unit.links)
        unit.fire(flow.chunks, produce=produce, ii=ii, latency=low.pipeline)

    low.writers.append(write)
    return flow


def _mac_nest(mac: Unit, low: Lowering, op: Operator, chunks_in: int) -> None:
    """``part`` weight vectors per tile; the first tile also takes the activations, one chunk every ``width`` vectors.

    Inputs: 0 weights, 1 activations. A lane waits for the chunks that the last part begins with, and all wait with it.
    """
    shape = low.allocation.linears[op.name]
    p, width, inner = low.positions, shape.chunk, shape.part
    # A chunk takes as long as its products, spread evenly over its vectors, and never less than a cycle for each.
    ii = -(-low.mac_cycles(shape.width * shape.width * p, low.form.activation) // width)
    taken = shape.taken * p
    # The last chunk may be narrower, by whole vectors of activations.
    last_taken = chunks_in * p - (shape.chunks - 1) * taken
    tile_tokens = p * shape.width // lanes("f32")

    def fire(times: int, *, activations: int = 0, last: bool = False) -> None:
        consume = [(0, 1), (1, activations)] if activations else [(0, 1)]
        produce = [(0, tile_tokens)] if last else []
        mac.fire(times, consume=consume, produce=produce, ii=ii, latency=low.pipeline)

    mac.fire(shape.chunks - shape.part_chunks, consume=[(1, taken)])
    # All chunks but the last are full; the last vector of the tile sends the sums.
    full, rest = divmod(inner - 1, width)
    with mac.loop(full):
        fire(1, activations=taken)
        fire(width - 1)
    if rest:
        fire(1, activations=last_taken)
        fire(rest - 1)
        fire(1, last=True)
    else:
        fire(1, activations=last_taken, last=True)
    with mac.loop(shape.rounds - 1):
        fire(inner - 1)
        fire(1, last=True)


def _again(buffer: Unit, low: Lowering, shape: Linear) -> None:
    """The weights once more for each wave after the first: a chunk of the reduced dimension at a time."""
    latency = low.machine.pmu.latency_cycles
    full, rest = divmod(shape.part, shape.chunk)
    with buffer.loop((low.waves - 1) * shape.rounds):
        for times, vectors in ((full, shape.chunk), (1 if rest else 0, rest)):
            buffer.fire(times, produce=[(0, vectors)], ii=vectors * low.port_cycles, latency=latency)


def _block_nest(mac: Unit, low: Lowering, shape: Linear) -> None:
    """A systolic array: a block of weights, a chunk of the reduced dimension long, meets the chunks of all positions.

    Inputs: 0 weights, 1 activations, which come anew for each tile. The last block of a tile sends the sums.
    """
    p, chunk = low.positions, shape.chunk
    full, rest = divmod(shape.part, chunk)
    blocks = [(full - (rest == 0), chunk, False)] + ([(1, rest, True)] if rest else [(1, chunk, True)])
    with mac.loop(shape.rounds):
        for times, vectors, last in blocks:
            produce = [(0, p * shape.width // lanes("f32"))] if last else []
            ii = low.mac_cycles(shape.width * shape.width * p * vectors // chunk, low.form.activation)
            mac.fire(times, consume=[(0, vectors), (1, shape.taken * p)], produce=produce, ii=ii, latency=low.pipeline)


def _gather(op: Operator, low: Lowering, row_scales: Flow | None) -> Unit:
    """The unit that takes a tile from every mac, and sends the tensor in order; inputs after the macs': scales of the
    rows, scales of the outputs, bias.
    """
    shape, p, form = low.allocation.linears[op.name], low.positions, low.form
    token_op = {
        "op": "gather",
        "parts": shape.splits,
        "units": shape.units,
        "positions": p,
        "quantized": row_scales is not None,
        "scaled": form.scaled,
    }
    name, width = op.local_name, max(low.width, shape.ports)
    gather = low.netlist.unit(f"{name}.gather", name, "gather", token_op, pcus=width, links=width)
    gather.pmus = low.pmus(p * op.output.width * 4)
    gather.inputs = 1
    flow = low.publish(op.output, gather, "f32")
    per_tile = shape.width // lanes("f32")
    flow.burst = per_tile
    last = (flow.chunks - (shape.tiles - 1) * per_tile) * p
    rows = [] if row_scales is None else [(low.netlist.tap(row_scales, gather, whole=True), row_scales.chunks)]
    # The vectors of one tile, of each that lies beside the weights.
    tile = shape.width // lanes(form.beside)
    parts = [SCALES] * form.scaled + [1] * (op.weights[1] is not None)
    beside = [(low.load_vector(op, at, gather, shape.tiles * tile, form.beside), tile) for at in parts]

    waves, pipeline = low.waves, low.pipeline
    # Of each tile all parts come in, by as many links.
    intake = -(-per_tile * p * shape.splits // width) * low.port_cycles

    def fire(times: int, tokens: int, *, first: bool = False) -> None:
        consume = [(0, per_tile * p)] if first else []
        # They are kept for the waves after the first.
        consume += beside if not gather.steady else []
        produce = [(output, tokens) for output in flow.outputs]
        gather.fire(times, consume=consume, produce=produce, ii=intake, latency=pipeline)

    def round_of(tiles: int, end: int) -> None:
        """A tile of each unit; the last of the tensor may be only partly there."""
        fire(1, end if tiles == 1 else per_tile * p, first=True)
        fire(max(tiles - 2, 0), per_tile * p)
        if tiles > 1:
            fire(1, end)

    def pass_wave() -> None:
        if rows:
            gather.fire(1, consume=rows)
        with gather.loop(shape.rounds - 1):
            round_of(shape.units, per_tile * p)
        round_of(shape.tiles - (shape.rounds - 1) * shape.units, last)

    def write() -> None:
        pass_wave()
        gather.steady = True
        with gather.loop(waves - 1):
            pass_wave()

    low.writers.append(write)
    return gather

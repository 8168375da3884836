"""A linear operator: weights stream from memory through PMU buffers to macs; a gather joins and adds their sums."""

from __future__ import annotations

from rdu.compiler.context import Lowering
from rdu.compiler.formats import VECTOR_BYTES, lanes
from rdu.compiler.netlist import Unit
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """Units ``mac.s.u`` hold part s of tiles u, u + units, ... (see `allocate.Linear`)."""
    net, form = low.netlist, low.form
    shape = low.allocation.linears[op.name]
    weight, width = low.weight(op, 0), lanes(form.operand)
    bias = low.weight(op, 1) if op.weights[1] is not None else None
    x = low.flow(op.inputs[0], form.operand)
    tile_tokens = low.positions * width // lanes("f32")

    gather = _gather(op, low, tile_tokens, bias is not None)
    if bias is not None:
        # Before the weights: without it no sum leaves the gather, and then no weight would move either.
        pattern = low.pattern(bias, shape.tiles, 0)
        low.load_into(op, gather, shape.macs, pattern, form.operand, shape.tiles, shape.tiles)
    for s in range(shape.splits):
        first, end = s * x.chunks // shape.splits, (s + 1) * x.chunks // shape.splits
        k, k_end = first * width, min(end * width, shape.inner)
        for u in range(shape.units):
            rounds = len(range(u, shape.tiles, shape.units))
            name = f"{op.local_name}.{s}.{u}"
            mac_op = {"op": "mac", "element": form.operand, "positions": low.positions}
            buffer = net.unit(f"{name}.buffer", op.local_name, "buffer", {"op": "copy"})
            depth = low.allocation.buffer_vectors[op.name]
            # The PMU beside a mac holds weights that are ahead, and the activations that the mac multiplies by.
            buffer.pmus = low.pmus((depth + (end - first) * low.positions) * VECTOR_BYTES)
            mac = net.unit(f"{name}.mac", op.local_name, "mac", mac_op, pcus=1, macs=width * low.positions)
            net.connect(buffer, mac, form.operand, net.fifo)
            net.tap(x, mac, first, end, whole=True)
            net.connect(mac, gather, "f32", 2 * tile_tokens, input=s * shape.units + u)

            count = rounds * (k_end - k)
            low.buffer_nest(buffer, count)
            _mac_nest(mac, low, k_end - k, rounds, tile_tokens)
            base = {**weight, "base": weight["base"] + (u * shape.inner + k) * VECTOR_BYTES}
            pattern = low.pattern(base, k_end - k, shape.units * shape.inner * VECTOR_BYTES)
            low.load_into(op, buffer, buffer.new_input(), pattern, form.operand, count, depth).buffer = True
    net.plan.append(
        {
            "op": "linear",
            "x": low.values(op.inputs[0], form.operand),
            "weight": weight,
            "bias": bias,
            "element": form.operand,
            "splits": shape.splits,
            "out": low.values(op.output, "f32"),
        }
    )


def _mac_nest(mac: Unit, low: Lowering, inner: int, rounds: int, tile_tokens: int) -> None:
    """``inner`` weight vectors per tile; the first tile also takes the activations, one chunk every ``width`` vectors.

    Inputs: 0 weights, 1 activations.
    """
    p, width = low.positions, lanes(low.form.operand)
    ii = low.mac_cycles(width * p)

    def fire(times: int, *, activations: bool = False, last: bool = False) -> None:
        consume = [(0, 1), (1, p)] if activations else [(0, 1)]
        produce = [(0, tile_tokens)] if last else []
        mac.fire(times, consume=consume, produce=produce, ii=ii, latency=low.pipeline)

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
    with mac.loop(rounds - 1):
        fire(inner - 1)
        fire(1, last=True)


def _gather(op: Operator, low: Lowering, tile_tokens: int, biased: bool) -> Unit:
    """The unit that takes tile after tile, whoever made it, and sends the tensor in order."""
    shape = low.allocation.linears[op.name]
    parts, units = shape.splits, shape.units
    token_op = {"op": "gather", "parts": parts, "positions": low.positions}
    gather = low.netlist.unit(f"{op.local_name}.gather", op.local_name, "gather", token_op, pcus=1)
    gather.pmus = low.pmus(low.positions * op.output.width * 4)
    gather.inputs = parts * units + biased
    flow = low.publish(op.output, gather, "f32")

    def fire(tile: int, tokens: int, outputs: list[int]) -> None:
        consume = [(s * units + tile % units, tile_tokens) for s in range(parts)]
        consume += [(parts * units, 1)] if biased else []
        produce = [(output, tokens) for output in outputs]
        gather.fire(1, consume=consume, produce=produce, latency=low.pipeline)

    def write() -> None:
        # In fp32 the macs of a split sum take their parts of the tensor, cut at its tiles; rounded flows are cut later.
        per_tile = lanes(low.form.operand) // lanes("f32")
        last = shape.tiles - 1
        for first, end, outputs in flow.segments():
            tile, stop = first // per_tile, min(-(-end // per_tile), last)
            while tile < stop and tile % units:
                fire(tile, tile_tokens, outputs)
                tile += 1
            rounds = max(stop - tile, 0) // units
            with gather.loop(rounds):
                for u in range(units):
                    fire(u, tile_tokens, outputs)
            for rest in range(tile + rounds * units, stop):
                fire(rest, tile_tokens, outputs)
            if end == flow.chunks:
                # The last tile may be only partly there: it is fired on its own.
                fire(last, (flow.chunks - last * per_tile) * low.positions, outputs)

    low.writers.append(write)
    return gather

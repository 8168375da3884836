"""Attention of a prompt: wave after wave of queries, past the keys and values of all positions so far, which are kept
on chip: those of earlier blocks of the prompt come from the cache first, or anew for every wave.

For each key-value head, ``shares`` sets of a dot, a softmax and a mix, each with its own part of a wave's query rows.
The keys of the newest wave are scored whole: a systolic block does not stop at the diagonal.
"""

from __future__ import annotations

from rdu.compiler.allocate import attend_pmus
from rdu.compiler.cache import CacheLayout
from rdu.compiler.context import Lowering, into
from rdu.compiler.formats import chunks, lanes
from rdu.compiler.netlist import Count, Times, Unit
from rdu.graph import Operator


def lower_prompt(op: Operator, low: Lowering, aligned: dict[str, Unit], flatten: Unit, layout: CacheLayout) -> None:
    """Join the aligners to the flatten, by buffers for keys and values, dots, softmax units and mixes."""
    net, operand, a, wave = low.netlist, low.form.operand, op.attention, low.allocation.wave
    assert a is not None
    assert wave is not None
    shape, p = low.allocation.attends[op.name], wave.rows
    keys, values, _, softmaxes = attend_pmus(low.machine, a, shape, p, wave.context, wave)
    units, per_head = shape.units * shape.shares, shape.per_head
    rows = a.heads // a.kv_heads * p // shape.shares
    name, macs, token_op = op.local_name, lanes(operand) * rows, {"op": "copy"}
    buffers = {
        which: net.unit(f"{name}.{which}.buffer", name, "buffer", token_op, pmus=pmus, links=shape.units)
        for which, pmus in (("k", keys), ("v", values))
    }
    dot = net.unit(f"{name}.dot", name, "dot", token_op, copies=units, pcus=1, pmus=1, macs=macs)
    softmax = net.unit(f"{name}.softmax", name, "softmax", token_op, copies=units, pcus=1, pmus=softmaxes // units)
    mix = net.unit(f"{name}.mix", name, "mix", token_op, copies=units, pcus=1, pmus=1, macs=macs)

    scores, weights = chunks(rows, "f32"), chunks(rows, operand)
    net.connect(aligned["q"], dot, operand, rows * per_head)
    net.connect(buffers["k"], dot, operand, max(net.fifo, 2 * per_head))
    # The scores of a wave come while the weights of the one before leave.
    net.connect(dot, softmax, "f32", scores * (wave.context + 1))
    net.connect(softmax, mix, operand, 2 * weights)
    net.connect(buffers["v"], mix, operand, max(net.fifo, 2 * per_head))
    net.connect(mix, flatten, operand, rows * per_head)
    for which, buffer in buffers.items():
        net.connect(aligned[which], buffer, operand, p * per_head * shape.units)
        _load(op, low, which, buffer, layout, 1, late=False)
        if wave.streamed:
            _load(op, low, which, buffer, layout, wave.count - 1, late=True)

    cycles = lanes(operand) // lanes("f32")
    for which, count in (("q", rows), ("k", p), ("v", p)):
        tokens = units if which == "q" else shape.units
        # One vector for each unit in a firing; k and v go to the cache in memory as well.
        produce = [(0, 1)] if which == "q" else [(0, tokens), (1, tokens)]
        unit = aligned[which]
        unit.fire(count * per_head, produce=produce, ii=-(-tokens * cycles // unit.links), latency=low.pipeline)
    flatten.fire(rows * per_head, consume=[(0, 1)], ii=-(-units // flatten.links))

    ii, port_cycles, latency = low.mac_cycles(macs * per_head, operand), low.port_cycles, low.machine.pmu.latency_cycles
    cached = low.cache(op)
    # The last granule may hold rows that nobody asked for.
    past: Times = Count(f"rounds.{cached}")
    rest = Count(f"rest.{cached}")
    for _ in range(wave.sequences):
        if not wave.streamed:
            for buffer in buffers.values():
                for times in (past, rest):
                    buffer.fire(times, consume=[(1, layout.row_vectors)], ii=port_cycles)
        for mine in range(p, p * wave.count + 1, p):
            for buffer in buffers.values():
                buffer.fire(p * per_head, consume=[(0, shape.units)], ii=port_cycles)
            dot.fire(rows, consume=[(0, per_head)])
            seen: tuple[Times, ...] = (past, mine)
            for times in seen:
                source = 1 if mine == p else 2
                taken = [(source, layout.row_vectors)] if wave.streamed and times is past else []
                for buffer in buffers.values():
                    buffer.fire(
                        times, consume=taken, produce=[(0, per_head)], ii=per_head * port_cycles, latency=latency
                    )
                    if taken:
                        buffer.fire(rest, consume=taken, ii=port_cycles)
                produce = [(0, scores)]
                dot.fire(times, consume=[(1, per_head)], produce=produce, ii=ii, latency=low.pipeline)
                softmax.fire(times, consume=[(0, scores)])
            for times in seen:
                # Exponentials leave the tail at one fp32 vector a cycle.
                softmax.fire(times, produce=[(0, weights)], ii=scores, latency=2 * low.pipeline)
                mix.fire(times, consume=[(0, weights), (1, per_head)], ii=ii)
            mix.fire(rows, produce=[(0, per_head)], latency=low.pipeline)
    for unit in (*buffers.values(), dot, softmax, mix):
        unit.steady = True


def _load(
    op: Operator, low: Lowering, which: str, buffer: Unit, layout: CacheLayout, times: int, *, late: bool
) -> None:
    """The cached rows of earlier blocks: at the layer's beginning, or (``late``) so many ``times`` for later waves.

    The latter come after all weights of the layer: the first wave must meet them for the next to get through.
    """
    net, cached = low.netlist, low.cache(op)
    address = {"base": 0, "argument": net.argument(f"{which}.{cached}.load")}
    load = low.load(
        op.local_name,
        address,
        {"kind": "flat", "at": address, "tokens": low.granule, "layer_bytes": layout.layer_bytes},
        low.form.operand,
        low.granule,
        granules=Count(f"granules.{cached}", times),
        layer_bytes=layout.layer_bytes,
        buffer=True,
        late=late,
    )
    into(load, buffer, low.granule + layout.row_vectors)

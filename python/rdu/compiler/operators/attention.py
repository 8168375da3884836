"""Attention: cached and new rows stream past held queries; scores, softmax and weighted sum are units of their own.

For each key-value head: ``dot`` scores one key row after another, ``softmax`` holds the scores until all are there,
``mix`` adds the value rows. New rows of k and v go to these units on chip, and to the cache in memory.
"""

from __future__ import annotations

from rdu.compiler.context import Lowering
from rdu.compiler.formats import VECTOR_BYTES, chunks, lanes
from rdu.compiler.netlist import Count, Json, Load, Unit
from rdu.graph import Attention, Operator, Tensor


def lower(op: Operator, low: Lowering) -> None:
    """Units: aligners for q, k and v; dot, softmax and mix for each cached head; a flatten."""
    net, form, a = low.netlist, low.form, op.attention
    assert a is not None
    p, group = low.positions, a.heads // a.kv_heads
    rows = group * p
    per_head = chunks(a.head_dim, form.operand)
    q, k, v = op.inputs
    aligned = {
        "q": _align(op, low, "q", q, low.rotated, a),
        "k": _align(op, low, "k", k, low.rotated, a),
        "v": _align(op, low, "v", v, False, a),
    }
    cached = f"past.{low.cache(op)}"
    past = net.argument(cached)
    flatten = net.unit(f"{op.local_name}.flatten", op.local_name, "align", _flatten_op(op, low, a), pcus=1)
    flatten.pmus = low.pmus(p * op.output.width * 4)
    outs: dict[str, list[list[int]]] = {"q": [], "k": [], "v": []}
    values: list[Load] = []
    for head in range(a.kv_heads):
        name = f"{op.local_name}.{head}"
        macs = lanes(form.operand) * rows
        dot_op = {
            "op": "dot",
            "head_dim": a.head_dim,
            "group": group,
            "scale": a.scale,
            "window": a.window,
            "past": past,
            "element": form.operand,
            "positions": p,
        }
        dot = net.unit(f"{name}.dot", op.local_name, "dot", dot_op, pcus=1, pmus=1, macs=macs)
        seen = low.context if a.window is None else min(low.context, a.window + p)
        softmax = net.unit(
            f"{name}.softmax", op.local_name, "softmax", {"op": "softmax", "rows": rows, "out": form.operand}, pcus=1
        )
        softmax.pmus = low.pmus(rows * 4 * seen)
        mix_op = {"op": "mix", "rows": rows, "head_dim": a.head_dim, "element": form.operand}
        mix = net.unit(f"{name}.mix", op.local_name, "mix", mix_op, pcus=1, pmus=1, macs=macs)

        outs["q"].append([net.connect(aligned["q"], dot, form.operand, rows * per_head).output])
        _cached(op, low, f"{name}.k", "k", head, dot)
        outs["k"].append([net.connect(aligned["k"], dot, form.operand, p * per_head).output])
        net.connect(dot, softmax, "f32", 2 * chunks(rows, "f32"))
        net.connect(softmax, mix, form.operand, 2 * chunks(rows, form.operand))
        values.append(_cached(op, low, f"{name}.v", "v", head, mix))
        outs["v"].append([net.connect(aligned["v"], mix, form.operand, p * per_head).output])
        net.connect(mix, flatten, form.operand, rows * per_head)

        _dot_nest(dot, low, cached, rows, per_head)
        _softmax_nest(softmax, low, cached, rows)
        _mix_nest(mix, low, cached, rows, per_head)
    # Values are wanted when a head's scores are all there; until then they must not stand before another head's keys.
    net.loads = [load for load in net.loads if load not in values] + values
    for which in ("k", "v"):
        store = _store(op, low, which, a)
        out = net.connect(aligned[which], store, form.operand, max(net.fifo, 2 * per_head)).output
        for taken in outs[which]:
            taken.append(out)
    for which, unit in aligned.items():
        heads = group if which == "q" else 1
        cycles = lanes(form.operand) // lanes("f32")
        with unit.loop(p):
            for taken in outs[which]:
                unit.fire(heads * per_head, produce=[(out, 1) for out in taken], ii=cycles, latency=low.pipeline)
    for head in range(a.kv_heads):
        flatten.fire(rows * per_head, consume=[(head, 1)])
    element = low.elements[id(op.output)]
    low.emit(low.publish(op.output, flatten, element))
    _plan(op, low, a, past)


def _align(op: Operator, low: Lowering, which: str, x: Tensor, rotated: bool, a: Attention) -> Unit:
    """Flat to rows, rotated by the position table (input 1)."""
    token_op = {
        "op": "heads",
        "width": x.width,
        "head_dim": a.head_dim,
        "interleaved": a.interleaved,
        "positions": low.positions,
        "out": low.form.operand,
    }
    unit = low.netlist.unit(f"{op.local_name}.{which}", op.local_name, "align", token_op, pcus=1)
    unit.pmus = low.pmus(low.positions * x.width * 4)
    flow = low.flow(x, "f32")
    low.netlist.tap(flow, unit)
    turns = chunks(a.head_dim, "f32") * low.positions
    if rotated:
        low.load_into(op, unit, unit.new_input(), _turns(low, a), "f32", turns, turns)
    # The tensor first: its macs are waiting to send it, and the rows of the table are loaded after their weights.
    unit.fire(flow.chunks, consume=[(0, low.positions)])
    if rotated:
        unit.fire(turns, consume=[(1, 1)])
    return unit


def _turns(low: Lowering, a: Attention) -> Json:
    per_row = chunks(a.head_dim, "f32")
    return low.pattern({"base": 0, "argument": low.netlist.argument("turns")}, per_row, per_row * VECTOR_BYTES)


def _flatten_op(op: Operator, low: Lowering, a: Attention) -> Json:
    return {
        "op": "flatten",
        "width": op.output.width,
        "head_dim": a.head_dim,
        "from": low.form.operand,
        "positions": low.positions,
        "out": low.elements[id(op.output)],
    }


def _cached(op: Operator, low: Lowering, name: str, which: str, head: int, unit: Unit) -> Load:
    """Rows of one head from the cache, through a PMU buffer, into ``unit``."""
    a, form = op.attention, low.form
    assert a is not None
    per_head = chunks(a.head_dim, form.operand)
    depth = low.machine.mapping.weight_buffer_vectors
    buffer = low.netlist.unit(f"{name}.buffer", op.local_name, "buffer", {"op": "copy"})
    buffer.pmus = low.pmus(depth * VECTOR_BYTES)
    count = Count(f"past.{low.cache(op)}", per_head)
    low.buffer_nest(buffer, count)
    low.netlist.connect(buffer, unit, form.operand, low.netlist.fifo)
    base = {"base": head * per_head * VECTOR_BYTES, "argument": low.netlist.argument(f"{which}.{low.cache(op)}.read")}
    pattern = low.pattern(base, per_head, a.kv_heads * per_head * VECTOR_BYTES)
    load = low.load_into(op, buffer, buffer.new_input(), pattern, form.operand, count, depth)
    load.buffer = True
    return load


def _store(op: Operator, low: Lowering, which: str, a: Attention) -> Unit:
    """New rows to the cache."""
    count = a.kv_heads * chunks(a.head_dim, low.form.operand) * low.positions
    base = {"base": 0, "argument": low.netlist.argument(f"{which}.{low.cache(op)}.write")}
    port = {
        "tier": 0,
        "write": True,
        "outstanding": low.machine.agcu.outstanding,
        "patterns": [low.pattern(base, count, 0)],
    }
    token_op = {"op": "store", "element": low.form.operand}
    unit = low.netlist.unit(f"{op.local_name}.{which}.store", op.local_name, "store", token_op, port=port)
    unit.fire(count, consume=[(0, 1)], ii=low.issue_cycles, transfer=0)
    return unit


def _dot_nest(dot: Unit, low: Lowering, past: str, rows: int, per_head: int) -> None:
    """Inputs: 0 queries, 1 cached keys, 2 new keys. A key row makes one score per query row."""
    ii = low.mac_cycles(lanes(low.form.operand) * rows)
    scores = chunks(rows, "f32")
    dot.fire(rows * per_head, consume=[(0, 1)])
    for source, times in ((1, Count(past)), (2, low.positions)):
        with dot.loop(times):
            dot.fire(per_head - 1, consume=[(source, 1)], ii=ii)
            dot.fire(1, consume=[(source, 1)], produce=[(0, scores)], ii=ii, latency=low.pipeline)


def _softmax_nest(softmax: Unit, low: Lowering, past: str, rows: int) -> None:
    scores, weights = chunks(rows, "f32"), chunks(rows, low.form.operand)
    for times in (Count(past), low.positions):
        softmax.fire(times, consume=[(0, scores)])
    for times in (Count(past), low.positions):
        # Exponentials leave the tail at one fp32 vector a cycle.
        softmax.fire(times, produce=[(0, weights)], ii=scores, latency=2 * low.pipeline)


def _mix_nest(mix: Unit, low: Lowering, past: str, rows: int, per_head: int) -> None:
    """Inputs: 0 weights, 1 cached values, 2 new values."""
    ii = low.mac_cycles(lanes(low.form.operand) * rows)
    weights = chunks(rows, low.form.operand)
    for source, times in ((1, Count(past)), (2, low.positions)):
        with mix.loop(times):
            mix.fire(1, consume=[(0, weights), (source, 1)], ii=ii)
            mix.fire(per_head - 1, consume=[(source, 1)], ii=ii)
    mix.fire(rows * per_head, produce=[(0, 1)], latency=low.pipeline)


def _plan(op: Operator, low: Lowering, a: Attention, past: int) -> None:
    net, operand = low.netlist, low.form.operand
    made = {}
    for which, x in zip("qkv", op.inputs, strict=True):
        made[which] = net.tensor(x.width, operand)
        table = _turns(low, a) if low.rotated and which != "v" else None
        x_at = low.values(x, "f32")
        net.plan.append(
            {
                "op": "heads",
                "x": x_at,
                "table": table,
                "head_dim": a.head_dim,
                "interleaved": a.interleaved,
                "out": made[which],
            }
        )
    for which in "kv":
        cache = {"base": 0, "argument": net.argument(f"{which}.{low.cache(op)}.write")}
        net.plan.append({"op": "append", "x": made[which], "cache": cache, "head_dim": a.head_dim})
    # Rows leave mix rounded, as its stream is, even where the tensor then goes on in fp32.
    rounded, out = net.tensor(op.output.width, operand), low.values(op.output, low.elements[id(op.output)])
    net.plan.append(
        {
            "op": "weigh",
            "query": made["q"],
            "keys": {"base": 0, "argument": net.argument(f"k.{low.cache(op)}.read")},
            "values": {"base": 0, "argument": net.argument(f"v.{low.cache(op)}.read")},
            "past": past,
            "head_dim": a.head_dim,
            "shared_heads": a.kv_heads,
            "scale": a.scale,
            "window": a.window,
            "element": operand,
            "out": rounded,
        }
    )
    net.plan.append({"op": "map", "function": "copy", "inputs": [rounded], "out": out})

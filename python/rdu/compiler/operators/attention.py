"""Attention: cached and new rows stream past held queries; scores, softmax and weighted sum are units of their own.

For each key-value head: ``dots`` units score key rows, each its own rows; a softmax holds the scores until all are
there; ``parts`` times ``mixes`` units add the value rows, each its own vectors of its own rows, and the flatten joins
the parts. Heads side by side work in lockstep (see `allocate.Attend`). New rows of k and v go to these units on chip,
and to the cache in memory.
"""

from __future__ import annotations

from rdu.compiler.allocate import ahead, attend_pmus
from rdu.compiler.allocation import Attend
from rdu.compiler.cache import CacheLayout, cache_layout
from rdu.compiler.context import Lowering, into
from rdu.compiler.formats import VECTOR_BYTES, Element, chunks, lanes, row_bytes
from rdu.compiler.netlist import Count, Json, Load, Unit
from rdu.compiler.operators.prompt_attention import lower_prompt
from rdu.graph import Attention, Operator, Tensor


def lower(op: Operator, low: Lowering) -> None:
    """Units: aligners for q, k and v; bundles of dots, softmax units and mixes; a flatten."""
    a, shape = op.attention, low.allocation.attends[op.name]
    assert a is not None
    group = a.heads // a.kv_heads
    q, k, v = op.inputs
    turns = _turns(op, low, a) if low.rotated else None
    aligned = {
        "q": _align(op, low, "q", q, group, 1, turns),
        "k": _align(op, low, "k", k, 1, 1, turns),
        "v": _align(op, low, "v", v, 1, shape.mixes, None),
    }
    if low.allocation.wave is None:
        flatten = _lower_step(op, low, aligned)
    else:
        flatten = _flatten(op, low, a)
        lower_prompt(op, low, aligned, flatten, _layout(op, low))
    for which in ("k", "v"):
        _store(op, low, which, aligned[which])
    low.emit(low.publish(op.output, flatten, low.element(op)))


def _lower_step(op: Operator, low: Lowering, aligned: dict[str, Unit]) -> Unit:
    """Cached rows stream past the queries of this call; with a batch, each sequence has heads of its own.

    Returns the flatten.
    """
    net, form, a = low.netlist, low.form, op.attention
    assert a is not None
    shape = low.allocation.attends[op.name]
    p = low.positions // low.batch
    group = a.heads // a.kv_heads
    rows, each = group * p, shape.per_head // shape.mixes
    cached = low.cache(op)
    past = net.argument(f"past.{cached}")
    held = attend_pmus(low.machine, a, shape, p, low.context)
    name, rounds = op.local_name, Count(f"rounds.{cached}")
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
        "dots": shape.dots,
    }
    dot = net.unit(f"{name}.dot", name, "dot", dot_op, copies=shape.units * shape.dots, pcus=1, pmus=1, macs=macs)
    dot.variants = tuple({"at": at} for _ in range(shape.units) for at in range(shape.dots))
    dealt = {"past": past, "rounds": net.argument(rounds.argument), "dots": shape.dots, "parts": shape.parts}
    softmax_op = {"op": "softmax", "rows": rows, "positions": p, **dealt, "out": form.operand}
    softmax = net.unit(f"{name}.softmax", name, "softmax", softmax_op, copies=shape.units, pcus=1)
    softmax.pmus = held[3] // shape.units
    mix_op = {
        "op": "mix",
        "rows": rows,
        "positions": p,
        "vectors": each,
        **dealt,
        "element": form.operand,
    }
    adders = shape.units * shape.parts * shape.mixes
    mix = net.unit(f"{name}.mix", name, "mix", mix_op, copies=adders, pcus=1, pmus=1, macs=macs)
    mix.variants = tuple({"at": at // shape.mixes % shape.parts} for at in range(adders))
    flatten = _flatten(op, low, a)

    keys, values = (_buffer(op, low, which, pmus) for which, pmus in (("k", held[0]), ("v", held[1])))
    net.connect(aligned["q"], dot, form.operand, rows * shape.per_head)
    net.connect(keys, dot, form.operand, net.fifo)
    net.connect(aligned["k"], dot, form.operand, p * shape.per_head)
    net.connect(dot, softmax, "f32", 2 * chunks(rows, "f32"))
    net.connect(softmax, mix, form.operand, 2 * chunks(shape.parts * rows, form.operand))
    net.connect(values, mix, form.operand, net.fifo)
    net.connect(aligned["v"], mix, form.operand, p * each)
    # Parts of a sum are not rounded before they are joined.
    summed: Element = "f32" if shape.parts > 1 else form.operand
    sent = rows * each * (lanes(form.operand) // lanes(summed))
    net.connect(mix, flatten, summed, sent)

    cycles = lanes(form.operand) // lanes("f32")
    for which, heads, parts in (("q", group, 1), ("k", 1, 1), ("v", 1, shape.mixes)):
        # One vector for each unit in a firing; the copy for the cache goes over one link.
        units = shape.units * parts
        produce = [(0, 1)] if which == "q" else [(0, 1), (1, units)]
        times = shape.rounds * p * heads * shape.per_head // parts
        aligned[which].fire(times, produce=produce, ii=units * cycles, latency=low.pipeline)
    with dot.loop(shape.rounds):
        _dot_nest(dot, low, rounds, rows, p, shape.per_head)
    with softmax.loop(shape.rounds):
        _softmax_nest(softmax, low, shape, rounds, rows, p)
    with mix.loop(shape.rounds):
        _mix_nest(mix, low, shape, rounds, rows, p, sent)
    flatten.fire(shape.rounds * sent, consume=[(0, 1)], ii=adders)
    return flatten


def _align(op: Operator, low: Lowering, which: str, x: Tensor, group: int, mixes: int, turns: Load | None) -> Unit:
    """Flat to heads, rotated by the position table (input 1)."""
    a = op.attention
    assert a is not None
    token_op = {
        "op": "heads",
        "width": x.width,
        "head_dim": a.head_dim,
        "group": group,
        "mixes": mixes,
        "interleaved": a.interleaved,
        "positions": low.positions,
        "out": low.form.operand,
    }
    unit = low.netlist.unit(f"{op.local_name}.{which}", op.local_name, "align", token_op)
    unit.pcus = unit.links = low.width
    unit.pmus = low.pmus(low.positions * x.width * 4)
    flow = low.flow(x, "f32")
    low.netlist.tap(flow, unit)
    # The tensor first: its macs are waiting to send it, and the rows of the table are loaded after their weights.
    unit.fire(flow.chunks, consume=[(0, low.positions)])
    if turns is not None:
        into(turns, unit, turns.tokens)
        unit.fire(turns.tokens // low.waves, consume=[(1, 1)])
    return unit


def _turns(op: Operator, low: Lowering, a: Attention) -> Load:
    """The rows of the position table that this call's positions need, once for q and k."""
    net, row = low.netlist, row_bytes(a.head_dim, "f32")
    tokens = row // VECTOR_BYTES * low.positions * low.waves
    address = {"base": 0, "argument": net.argument("turns")}
    at = {"base": 0, "argument": net.argument("turn")}
    granules = low.granules(tokens)
    if low.positions > 1 or low.granule_bytes % row:
        granules += 1
    source = {"kind": "flat", "at": at, "tokens": tokens, "layer_bytes": 0}
    return low.load(op.local_name, address, source, "f32", tokens, granules=granules)


def _flatten(op: Operator, low: Lowering, a: Attention) -> Unit:
    """Heads to flat."""
    token_op = {
        "op": "flatten",
        "width": op.output.width,
        "head_dim": a.head_dim,
        "group": a.heads // a.kv_heads,
        "parts": low.allocation.attends[op.name].parts,
        "mixes": low.allocation.attends[op.name].mixes,
        "from": low.form.operand,
        "positions": low.positions,
        "out": low.element(op),
    }
    name, width = op.local_name, low.width
    unit = low.netlist.unit(f"{name}.flatten", name, "align", token_op, pcus=width, links=width)
    unit.pmus = low.pmus(low.positions * op.output.width * 4)
    return unit


def _layout(op: Operator, low: Lowering, attend: Attend | None = None) -> CacheLayout:
    assert op.attention is not None
    attend = attend or low.allocation.attends[op.name]
    return cache_layout(op.attention, attend, low.form, low.context, low.granule_bytes, low.machine.mapping)


def _buffer(op: Operator, low: Lowering, which: str, pmus: int) -> Unit:
    """Cached rows through a PMU buffer, dealt to the dots or the mixes."""
    a, form, shape = op.attention, low.form, low.allocation.attends[op.name]
    assert a is not None
    net, cached, layout = low.netlist, low.cache(op), _layout(op, low)
    dots, mixes = (shape.dots, 1) if which == "k" else (shape.parts, shape.mixes)
    takers = shape.units * dots * mixes
    buffer = net.unit(f"{op.local_name}.{which}.buffer", op.local_name, "buffer", {"op": "deal"}, links=takers)
    buffer.pmus = pmus
    firings = shape.per_head // mixes
    padding = dots * (layout.row_vectors - shape.units * shape.per_head)
    times = Count(f"rounds.{cached}", shape.dots // dots)
    with buffer.loop(shape.rounds):
        with buffer.loop(times):
            low.buffer_nest(buffer, firings - 1, takers)
            low.buffer_nest(buffer, 1, takers + padding)
        # The last granule may hold rows that nobody asked for.
        buffer.fire(Count(f"rest.{cached}"), consume=[(0, layout.row_vectors)], ii=low.port_cycles)
    order = {
        "heads": shape.units,
        "per_head": shape.per_head,
        "dots": dots,
        "mixes": mixes,
        "padded": layout.row_vectors,
    }
    address = {"base": 0, "argument": net.argument(f"{which}.{cached}.load")}
    at = {"base": 0, "argument": net.argument(f"{which}.{cached}.read")}
    source = {"kind": "cached", "at": at, "seen": net.argument(f"past.{cached}"), "order": order}
    load = low.load(
        op.local_name,
        address,
        source,
        form.operand,
        low.granule,
        granules=Count(f"granules.{cached}", shape.rounds),
        layer_bytes=layout.layer_bytes,
        buffer=True,
        parts=op.inputs[1].parts,
    )
    into(load, buffer, max(ahead(low.machine, takers) * takers, low.granule + layout.row_vectors * dots))
    return buffer


def _store(op: Operator, low: Lowering, which: str, aligned: Unit) -> None:
    """New rows to the cache, in whole granules: the rest of the granule is written back as it was read."""
    shape, layout, net = low.allocation.attends[op.name], _layout(op, low), low.netlist
    p = low.positions // low.batch
    tokens = p * shape.units * shape.per_head
    granules = layout.stored_granules(p)
    address = {"base": 0, "argument": net.argument(f"{which}.{low.cache(op)}.store")}
    pattern = address | {
        "run": granules * shape.rounds * low.waves,
        "stride": layout.layer_bytes,
        "bytes": low.granule_bytes,
        "indexed": False,
    }
    outstanding = max(1, low.machine.agcu.outstanding * low.machine.total_agcus // low.granule)
    port = {"tier": 0, "write": True, "outstanding": outstanding, "patterns": [pattern]}
    at = {"base": 0, "argument": net.argument(f"{which}.{low.cache(op)}.write")}
    token_op = {
        "op": "store",
        "element": low.form.operand,
        "at": at,
        "tokens": tokens * shape.rounds,
        "layer_bytes": layout.layer_bytes,
        "heads": (shape.units, shape.per_head, shape.mixes if which == "v" else 1),
    }
    unit = net.unit(f"{op.local_name}.{which}.store", op.local_name, "store", token_op, port=port)
    unit.shares = [op.inputs[1].parts]
    each = -(-tokens // granules)
    net.connect(aligned, unit, low.form.operand, max(net.fifo, 2 * each))
    with unit.loop(shape.rounds):
        left = tokens
        for _ in range(granules):
            unit.fire(1, consume=[(0, min(each, left))] if left else [], ii=low.issue_cycles, transfer=0)
            left -= min(each, left)


def _dot_nest(dot: Unit, low: Lowering, rounds: Count, rows: int, p: int, per_head: int) -> None:
    """Inputs: 0 queries, 1 cached keys, 2 new keys. A key row makes one score per query row."""
    ii = low.mac_cycles(lanes(low.form.operand) * rows, low.form.operand)
    scores = chunks(rows, "f32")
    dot.fire(rows * per_head, consume=[(0, 1)])
    for source, times in ((1, rounds), (2, p)):
        with dot.loop(times):
            dot.fire(per_head - 1, consume=[(source, 1)], ii=ii)
            dot.fire(1, consume=[(source, 1)], produce=[(0, scores)], ii=ii, latency=low.pipeline)


def _softmax_nest(softmax: Unit, low: Lowering, shape: Attend, rounds: Count, rows: int, p: int) -> None:
    scores, weights = chunks(rows, "f32"), chunks(shape.parts * rows, low.form.operand)
    softmax.fire(rounds, consume=[(0, scores)])
    softmax.fire(p, consume=[(0, scores)])
    # Exponentials leave the tail at one fp32 vector a cycle.
    ii = chunks(shape.parts * rows, "f32")
    for times in (rounds * (shape.dots // shape.parts), p):
        softmax.fire(times, produce=[(0, weights)], ii=ii, latency=2 * low.pipeline)


def _mix_nest(mix: Unit, low: Lowering, shape: Attend, rounds: Count, rows: int, p: int, sent: int) -> None:
    """Inputs: 0 weights, 1 cached values, 2 new values."""
    ii = low.mac_cycles(lanes(low.form.operand) * rows, low.form.operand)
    weights, each = chunks(shape.parts * rows, low.form.operand), shape.per_head // shape.mixes
    for source, times in ((1, rounds * (shape.dots // shape.parts)), (2, p)):
        with mix.loop(times):
            mix.fire(1, consume=[(0, weights), (source, 1)], ii=ii)
            mix.fire(each - 1, consume=[(source, 1)], ii=ii)
    mix.fire(sent, produce=[(0, 1)], latency=low.pipeline)


def plan(op: Operator, low: Lowering) -> None:
    """The same as blocked steps."""
    net, operand, a = low.netlist, low.form.operand, op.attention
    assert a is not None
    cached, twin = low.cache(op), low.twin(op)
    attend = (low.alone or low.allocation).attends[twin]
    layout = _layout(op, low, attend)
    layer = low.layer * layout.layer_bytes

    # Sockets that repeat a key-value head see the rows that the first of them keeps.
    bank = low.bank(op.inputs[1])
    keeps = bank == low.bank(op.inputs[0])

    def address(name: str) -> Json:
        return {"base": bank + layer, "argument": low.own(f"{name[0]}.{cached}.{name[2:]}")}

    made = {}
    for which, x in zip("qkv" if keeps else "q", op.inputs, strict=False):
        x_at = low.values(x, "f32")
        made[which] = low.scratch(x.width, operand)
        table = _turn_rows(low, a) if low.rotated and which != "v" else None
        net.plan.append(
            {
                "op": "heads",
                "x": x_at,
                "table": table,
                "head_dim": a.head_dim,
                "interleaved": a.interleaved,
                "span": low.span,
                "out": made[which],
            }
        )
    for which in "kv" if keeps else "":
        to = {"cache": address(f"{which}.write"), "head_dim": a.head_dim, "span": low.span}
        net.plan.append({"op": "append", "x": made[which], **to})
    # Rows leave mix rounded, as its stream is, even where the tensor then goes on in fp32.
    rounded = low.scratch(op.output.width, operand)
    net.plan.append(
        {
            "op": "weigh",
            "query": made["q"],
            "keys": address("k.read"),
            "values": address("v.read"),
            "past": low.own(f"past.{cached}"),
            "head_dim": a.head_dim,
            "shared_heads": a.kv_heads,
            "scale": a.scale,
            "window": a.window,
            "parts": attend.parts,
            "element": operand,
            "span": low.span,
            "out": rounded,
        }
    )
    out = low.made(op.output, low.element(op))
    net.plan.append({"op": "map", "function": "copy", "inputs": [rounded], "out": out})


def _turn_rows(low: Lowering, a: Attention) -> Json:
    per_row = chunks(a.head_dim, "f32")
    at = {"base": 0, "argument": low.own("turn")}
    return at | {"run": per_row, "stride": per_row * VECTOR_BYTES, "bytes": VECTOR_BYTES, "indexed": False}

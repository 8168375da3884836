"""Sums over sockets: vectors stream from socket to socket as they are made, and their sum streams on.

``exchange``: every socket sends each vector to all others, and adds what all of them sent. ``scatter``: vector i
belongs to socket i modulo their number, which adds it up and sends the sum to all: fewer bytes, and twice on the way.
``ring``: as ``scatter``, but from neighbour to neighbour. Who adds adds in the tree of split sums, and in a ring as the
vector comes along: from the socket after its owner's to its owner.
"""

from __future__ import annotations

from rdu.compiler.context import Lowering
from rdu.compiler.formats import VECTOR_BYTES
from rdu.compiler.netlist import Flow, Unit
from rdu.graph import Operator


def lower(op: Operator, low: Lowering) -> None:
    """All sockets run the same units at the same time: what one sends, it also gets from each of the others."""
    source = low.flow(op.inputs[0], "f32")
    {"exchange": _exchange, "scatter": _scatter, "ring": _ring}[low.machine.p2p.all_reduce](op, low, source)


def plan(op: Operator, low: Lowering) -> None:
    """One blocked step that adds the partial sums of all sockets, in the order of the units above."""
    parts = [low.values(op.inputs[0], "f32") for _ in low.each_part(op.inputs[0])]
    order = "ring" if low.machine.p2p.all_reduce == "ring" else "tree"
    low.netlist.plan.append({"op": "sum", "inputs": parts, "order": order, "out": low.made(op.output, "f32")})


def _exchange(op: Operator, low: Lowering, source: Flow) -> None:
    p, peers = low.positions, low.sockets - 1
    send = _unit(op, low, "send", "peers")
    add = _unit(op, low, "add", "add", pcus=low.width)
    _between(add, low, "sum")
    low.netlist.tap(source, send)
    window = _window(low, peers)
    low.netlist.connect(send, add, "f32", 2 * window)
    low.netlist.connect(send, add, "f32", window, peers="all")
    _paced(send, low, source.chunks, p, p * peers, [(0, p), (1, p)])
    flow = low.publish(op.output, add, "f32")

    def write() -> None:
        produce = [(out, p) for out in flow.outputs]
        add.fire(flow.chunks, consume=[(0, p), (1, p)], produce=produce, latency=_levels(low) * low.pipeline)

    low.writers.append(write)


def _scatter(op: Operator, low: Lowering, source: Flow) -> None:
    p, sockets = low.positions, low.sockets
    send, share = _unit(op, low, "send", "peers"), _unit(op, low, "share", "peers")
    add, collect = _unit(op, low, "add", "add", pcus=low.width), _unit(op, low, "collect", "buffer")
    collect.pmus = low.pmus(p * op.output.width * 4)
    for unit, kind in ((send, "scatter"), (add, "sum"), (collect, "collect")):
        _between(unit, low, kind)
    low.netlist.tap(source, send, whole=True)
    window = _window(low, sockets - 1)
    for begin, end in ((send, add), (share, collect)):
        low.netlist.connect(begin, end, "f32", 2 * window)
        low.netlist.connect(begin, end, "f32", window, peers="all")
    low.netlist.connect(add, share, "f32", 2 * p)
    groups, rest = divmod(source.chunks, sockets)
    # Each phase has half of the ports. The last vectors may be fewer than the sockets: some then send padding.
    for times, chunks in ((groups, sockets), (1 if rest else 0, rest)):
        _paced(send, low, times, chunks * p, 2 * p * (sockets - 1), [(0, p), (1, p)])
    whole = groups + bool(rest)
    add.fire(whole, consume=[(0, p), (1, p)], produce=[(0, p)], latency=_levels(low) * low.pipeline)
    _paced(share, low, whole, p, 2 * p * (sockets - 1), [(0, p), (1, p)])
    flow = low.publish(op.output, collect, "f32")

    def write() -> None:
        for times, chunks in ((groups, sockets), (1 if rest else 0, rest)):
            produce = [(out, chunks * p) for out in flow.outputs]
            latency = low.machine.pmu.latency_cycles
            collect.fire(times, consume=[(0, p), (1, p)], produce=produce, latency=latency)

    low.writers.append(write)


def _ring(op: Operator, low: Lowering, source: Flow) -> None:
    """Two rounds over the ring, a stage for each step: a partial sum on its way to its owner, then the sum to all."""
    p, sockets, net = low.positions, low.sockets, low.netlist
    steps = sockets - 1
    groups = -(-source.chunks // sockets)
    window = _window(low, 1)
    deal = _unit(op, low, "deal", "buffer")
    deal.pmus = low.pmus(p * op.output.width * 4)
    # What begins here belongs to the socket before this one, and what then comes along to those before it.
    _ordered(deal, "scatter", [[(s - 1 - at) % sockets for at in range(sockets)] for s in range(sockets)])
    net.tap(source, deal, whole=True)
    stages = []
    for step in range(2 * steps):
        send = _unit(op, low, f"send.{step}", "peers")
        take = _unit(op, low, f"take.{step}", "add", pcus=low.width)
        if step < steps:
            take.token_op = {"op": "map", "function": "add", "positions": p, "out": "f32"}
        net.connect(send, take, "f32", window, peers="next")
        stages.append((send, take))
    collect = _unit(op, low, "collect", "buffer")
    collect.pmus = low.pmus(p * op.output.width * 4)
    _ordered(collect, "collect", [[(s - vector) % sockets for vector in range(sockets)] for s in range(sockets)])
    # The first vector of a group starts on its way; each step on the first round adds one of this socket's own.
    net.connect(deal, stages[0][0], "f32", groups * p)
    for step, (send, take) in enumerate(stages):
        own = step < steps
        if own:
            net.connect(deal, take, "f32", groups * p)
        if step + 1 < len(stages):
            net.connect(take, stages[step + 1][0], "f32", 2 * p)
        if step >= steps - 1:
            net.connect(take, collect, "f32", groups * p)
        # Every step has its share of the ports.
        _paced(send, low, groups, p, 2 * steps * p, [(0, p)])
        outputs = (step + 1 < len(stages)) + (step >= steps - 1)
        consume = [(0, p), (1, p)] if own else [(0, p)]
        take.fire(groups, consume=consume, produce=[(at, p) for at in range(outputs)], latency=low.pipeline)
    rest = source.chunks - (groups - 1) * sockets
    for times, chunks in ((groups - 1, sockets), (1, rest)):
        deal.fire(times, consume=[(0, chunks * p)], produce=[(at, p) for at in range(sockets)])
    flow = low.publish(op.output, collect, "f32")

    def write() -> None:
        for times, chunks in ((groups - 1, sockets), (1, rest)):
            produce = [(out, chunks * p) for out in flow.outputs]
            consume = [(at, p) for at in range(sockets)]
            collect.fire(times, consume=consume, produce=produce, latency=low.machine.pmu.latency_cycles)

    low.writers.append(write)


def _unit(op: Operator, low: Lowering, name: str, role: str, pcus: int = 0) -> Unit:
    # What goes to other sockets is paced by the ports, not by links on chip.
    return low.netlist.unit(f"{op.local_name}.{name}", op.local_name, role, {"op": "copy"}, pcus=pcus, links=low.width)


def _between(unit: Unit, low: Lowering, kind: str) -> None:
    """Its first end is the socket's own, the others those of the other sockets by number."""
    sockets = range(low.sockets)
    if kind == "scatter":
        orders = [[s, *(other for other in sockets if other != s)] for s in sockets]
    else:
        orders = [[0 if other == s else other + (other < s) for other in sockets] for s in sockets]
    _ordered(unit, kind, orders)


def _ordered(unit: Unit, kind: str, orders: list[list[int]]) -> None:
    """Values go by each socket's own order; time does not."""
    unit.by_socket = tuple({"order": order} for order in orders)
    unit.token_op = {"op": kind} | unit.by_socket[0]


def _levels(low: Lowering) -> int:
    """Levels of a binary tree over the sockets."""
    return max(1, (low.sockets - 1).bit_length())


def _window(low: Lowering, peers: int) -> int:
    """Vectors from one socket that can be on their way, or back as credits, at the rate of the ports."""
    way = 2 * low.machine.cycles(low.machine.p2p.latency_ns)
    return low.positions * max(2, -(-way * _port_bytes_per_second(low) // (_clock(low) * VECTOR_BYTES * peers)))


def _port_bytes_per_second(low: Lowering) -> int:
    return round(low.machine.p2p.gbps * 1e9)


def _clock(low: Lowering) -> int:
    return round(low.machine.clock_ghz * 1e9)


def _paced(unit: Unit, low: Lowering, times: int, taken: int, vectors: int, produce: list[tuple[int, int]]) -> None:
    """``times`` firings at the rate at which the ports move ``vectors`` vectors each, never faster."""
    # Waves of a prompt are in all sums at a time, which then share the ports.
    sums = sum(other.kind == "all_reduce" for other in low.stretch.operators) if low.waves > 1 else 1
    whole = sums * vectors * VECTOR_BYTES * _clock(low)
    rate = _port_bytes_per_second(low)
    # Sixteenths of a cycle are close enough; the rest is rounded up.
    sixteenths = -(-16 * whole // rate)
    ii, longer = divmod(sixteenths, 16)

    def fire(count: int, cycles: int) -> None:
        unit.fire(count, consume=[(0, taken)], produce=produce, ii=cycles)

    with unit.loop(times // 16):
        for at in range(16):
            fire(1, ii + ((at + 1) * longer // 16 > at * longer // 16))
    fire(times % 16, ii + bool(longer))

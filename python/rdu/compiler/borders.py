"""What crosses the border of a kernel, through memory, and what goes from one layer of a loop to the next."""

from __future__ import annotations

from collections.abc import Callable

from rdu.compiler.context import Lowering, into
from rdu.compiler.formats import chunks
from rdu.compiler.fuse import Stretch
from rdu.compiler.netlist import Flow, Json
from rdu.graph import Tensor


def read_input(low: Lowering, tensor: Tensor, at: int, source: int) -> None:
    """A tensor that an earlier call left in memory, in the order of its tokens; a PMU hands it on.

    It has ``source`` rows, all of which are read; the last ones go on.
    """
    p = low.positions
    unit = low.netlist.unit(f"in.{at}", "boundary", "boundary", {"op": "copy"})
    unit.pmus = low.pmus(p * tensor.width * 4)
    address = {"base": 0, "argument": low.netlist.argument(f"in.{at}")}
    count = chunks(tensor.width, "f32") * source * low.waves
    host = {"kind": "flat", "at": address, "tokens": count, "layer_bytes": 0}
    into(low.load("boundary", address, host, "f32", count, parts=tensor.parts), unit, count)
    unit.links = min(unit.pmus, low.width)
    flow, waves, port_cycles = low.publish(tensor, unit, "f32"), low.waves, -(-low.port_cycles * source // unit.links)

    def write() -> None:
        produce = [(out, p) for out in flow.outputs]
        latency = low.machine.pmu.latency_cycles
        with unit.loop(waves):
            unit.fire(flow.chunks, consume=[(0, source)], produce=produce, ii=port_cycles, latency=latency)

    low.writers.append(write)


def write_output(low: Lowering, tensor: Tensor, at: int) -> None:
    """A tensor that later calls, or the host, read from memory."""
    count = chunks(tensor.width, "f32") * low.positions
    address = {"base": 0, "argument": low.netlist.argument(f"out.{at}")}
    pattern = address | {"run": 1, "stride": low.granule_bytes, "bytes": low.granule_bytes, "indexed": False}
    outstanding = max(1, low.machine.agcu.outstanding * low.machine.total_agcus // low.granule)
    port: Json = {"tier": 0, "write": True, "outstanding": outstanding, "patterns": [pattern]}
    token_op = {"op": "store", "element": "f32", "at": address, "tokens": count, "layer_bytes": 0}
    unit = low.netlist.unit(f"out.{at}", "boundary", "store", token_op, port=port)
    unit.shares = [tensor.parts]
    stream = low.netlist.streams
    low.netlist.tap(low.flow(tensor, "f32"), unit)
    # A unit that sends several chunks at once needs room for all of them.
    stream[-1].depth = max(stream[-1].depth, 2 * min(low.granule, count), low.sockets * low.positions)
    full, rest = divmod(count, low.granule)
    unit.links = low.width
    with unit.loop(low.waves):
        unit.fire(full, consume=[(0, low.granule)], ii=low.issue_cycles, transfer=0)
        if rest:
            unit.fire(1, consume=[(0, rest)], ii=low.issue_cycles, transfer=0)


def carry(low: Lowering, stretch: Stretch) -> Callable[[], None]:
    """The unit between the layers of a loop: the first layer takes what comes in, each other what the one before made.

    Returns what closes the loop once its operators are lowered.
    """
    assert stretch.carried is not None
    assert stretch.result is not None
    net, p, tensor, result = low.netlist, low.positions, stretch.carried, stretch.result
    source = low.flow(tensor, "f32")
    unit = net.unit(f"carry.{len(net.units)}", "loop", "carry", {"op": "copy"})
    unit.pmus = low.pmus(p * low.waves * tensor.width * 4)
    unit.links = min(unit.pmus, low.width)
    net.tap(source, unit)
    outside = {key: flow for key, flow in low.flows.items() if key[0] == id(tensor)}
    for key in outside:
        del low.flows[key]
    inside = low.publish(tensor, unit, "f32")
    latency, port_cycles, waves = low.machine.pmu.latency_cycles, low.port_cycles, low.waves

    def close() -> None:
        back = low.flow(_made(stretch), "f32")
        # What all waves of a layer leave behind waits here for the next.
        net.tap(back, unit, whole=True, positions=p * low.waves)
        last = low.last_positions if low.tail else p
        for key in [key for key in low.flows if key[0] == id(tensor)]:
            del low.flows[key]
        low.flows.update(outside)
        after = low.publish(result, unit, "f32")

        def hand(times: int, source: int, flow: Flow, rows: int = p) -> None:
            produce = [(out, rows) for out in flow.outputs if rows]
            ii = -(-port_cycles * p // unit.links)
            with unit.loop(times):
                unit.fire(flow.chunks, consume=[(source, p)], produce=produce, ii=ii, latency=latency)

        def write() -> None:
            hand(waves, 0, inside)
            hand(waves * (stretch.layers - 1), 1, inside)
            if last == p:
                hand(waves, 1, after)
            else:
                # Only the last position of each sequence goes on.
                for at in range(waves):
                    hand(1, 1, after, last if at == waves - 1 else 0)

        low.writers.append(write)

    return close


def _made(stretch: Stretch) -> Tensor:
    """What the first layer makes in place of ``result``."""
    at = next(i for i, op in enumerate(stretch.bodies[-1]) if op.output is stretch.result)
    return stretch.operators[at].output

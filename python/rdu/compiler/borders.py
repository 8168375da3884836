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
    count = chunks(tensor.width, "f32") * source
    host = {"kind": "flat", "at": address, "tokens": count, "layer_bytes": 0}
    into(low.load("boundary", address, host, "f32", count), unit, count)
    flow = low.publish(tensor, unit, "f32")

    def write() -> None:
        produce = [(out, p) for out in flow.outputs]
        latency = low.machine.pmu.latency_cycles
        unit.fire(flow.chunks, consume=[(0, source)], produce=produce, ii=low.port_cycles * source, latency=latency)

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
    stream = low.netlist.streams
    low.netlist.tap(low.flow(tensor, "f32"), unit)
    stream[-1].depth = max(stream[-1].depth, 2 * min(low.granule, count))
    full, rest = divmod(count, low.granule)
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
    unit.pmus = low.pmus(p * tensor.width * 4)
    net.tap(source, unit)
    outside = {key: flow for key, flow in low.flows.items() if key[0] == id(tensor)}
    for key in outside:
        del low.flows[key]
    inside = low.publish(tensor, unit, "f32")
    latency = low.machine.pmu.latency_cycles

    def close() -> None:
        back = low.flow(_made(stretch), "f32")
        net.tap(back, unit, whole=True)
        for key in [key for key in low.flows if key[0] == id(tensor)]:
            del low.flows[key]
        low.flows.update(outside)
        after = low.publish(result, unit, "f32")

        def hand(source: int, flow: Flow) -> None:
            produce = [(out, p) for out in flow.outputs]
            unit.fire(flow.chunks, consume=[(source, p)], produce=produce, ii=low.port_cycles * p, latency=latency)

        def write() -> None:
            hand(0, inside)
            with unit.loop(stretch.layers - 1):
                hand(1, inside)
            hand(1, after)

        low.writers.append(write)

    return close


def _made(stretch: Stretch) -> Tensor:
    """What the first layer makes in place of ``result``."""
    at = next(i for i, op in enumerate(stretch.bodies[-1]) if op.output is stretch.result)
    return stretch.operators[at].output

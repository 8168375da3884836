"""Pass 5, lower: a region at a number of positions becomes a kernel description of units and streams.

The operators' rules (``operators/``) add units to a netlist in the order of the data; the AGCUs take their loads;
`place` and `route` give every stream its latency; `Netlist.describe` writes it out.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdu.compiler.agcus import issue_loads
from rdu.compiler.allocate import Allocation
from rdu.compiler.context import Lowering
from rdu.compiler.formats import VECTOR_BYTES, Element, Format, chunks
from rdu.compiler.fuse import Region
from rdu.compiler.netlist import Json, Netlist, Stream, Unit
from rdu.compiler.operators import LOWER
from rdu.compiler.place import place
from rdu.compiler.route import route
from rdu.graph import Tensor
from rdu.machine import Machine

# Producers that can round what they emit; the others emit fp32.
ROUNDING = ("norm", "attention", "add", "mul", "silu", "silu_mul")


@dataclass(frozen=True)
class Kernel:
    """A lowered kernel: the engine's description, and what each unit is, for reports."""

    name: str
    positions: int
    description: Json
    arguments: tuple[str, ...]
    units: tuple[Unit, ...]
    streams: tuple[Stream, ...]


def lower(
    region: Region,
    allocation: Allocation,
    machine: Machine,
    form: Format,
    *,
    positions: int,
    sources: tuple[int, ...],
    context: int,
    rotated: bool,
    name: str,
) -> Kernel:
    """Lower ``region`` for calls of ``positions`` rows.

    ``sources`` says how many rows each input has in memory: of more than ``positions`` only the last are read (an
    output head that needs just the last position). ``context`` bounds the cached rows; ``rotated`` says that a position
    table exists.
    """
    link_cycles = -(-VECTOR_BYTES // machine.network.vector_bytes_per_cycle)
    net = Netlist(name, positions, machine.network.fifo_vectors, link_cycles)
    low = Lowering(net, machine, form, allocation, context, _elements(region, form), rotated, region.operators)
    for at, tensor in enumerate(region.inputs):
        _input(low, tensor, at, sources[at])
    for op in region.operators:
        LOWER[op.kind](op, low)
    for at, tensor in enumerate(region.outputs):
        _output(low, tensor, at)
    issue_loads(low)
    for write in low.writers:
        write()
    place(net, machine)
    route(net, machine)
    description = net.describe()
    return Kernel(name, positions, description, tuple(net.arguments), tuple(net.units), tuple(net.streams))


def _elements(region: Region, form: Format) -> dict[int, Element]:
    """A producer that can round does so if everyone who takes its tensor multiplies it by weights."""
    elements: dict[int, Element] = {}
    for op in region.operators:
        takers = [other.kind for other in region.operators if op.output in other.inputs]
        rounds = op.kind in ROUNDING and op.output not in region.outputs and set(takers) == {"linear"}
        elements[id(op.output)] = form.operand if rounds else "f32"
    return elements


def _input(low: Lowering, tensor: Tensor, at: int, source: int) -> None:
    """A tensor that an earlier call left in memory, in the order of its tokens; a PMU hands it on."""
    p = low.positions
    unit = low.netlist.unit(f"in.{at}", "boundary", "boundary", {"op": "copy"})
    unit.pmus = low.pmus(p * tensor.width * 4)
    base = {"base": (source - p) * VECTOR_BYTES, "argument": low.netlist.argument(f"in.{at}")}
    pattern = low.pattern(base, p, source * VECTOR_BYTES)
    count = chunks(tensor.width, "f32") * p
    load = low.netlist.load("boundary", pattern, "f32", count)
    load.taps.append((unit, unit.new_input(), count))
    flow = low.publish(tensor, unit, "f32")

    def write() -> None:
        for first, end, outputs in flow.segments():
            produce = [(out, p) for out in outputs]
            unit.fire(
                end - first,
                consume=[(0, p)],
                produce=produce,
                ii=low.port_cycles * p,
                latency=low.machine.pmu.latency_cycles,
            )

    low.writers.append(write)
    low.netlist.plan.append({"op": "load", "from": pattern, "out": low.values(tensor, "f32")})


def _output(low: Lowering, tensor: Tensor, at: int) -> None:
    """A tensor that later calls, or the host, read from memory."""
    count = chunks(tensor.width, "f32") * low.positions
    base = {"base": 0, "argument": low.netlist.argument(f"out.{at}")}
    pattern = low.pattern(base, count, 0)
    port = {"tier": 0, "write": True, "outstanding": low.machine.agcu.outstanding, "patterns": [pattern]}
    unit = low.netlist.unit(f"out.{at}", "boundary", "store", {"op": "store", "element": "f32"}, port=port)
    low.netlist.tap(low.flow(tensor, "f32"), unit)
    unit.fire(count, consume=[(0, 1)], ii=low.issue_cycles, transfer=0)
    low.netlist.plan.append({"op": "store", "x": low.values(tensor, "f32"), "to": pattern})

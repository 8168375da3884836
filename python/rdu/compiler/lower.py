"""Pass 5, lower: a region at a number of positions becomes a kernel description of units and streams.

The operators' rules (``operators/``) add units to a netlist in the order of the data; the AGCUs take their loads;
`place` and `route` give every stream its latency; `describe` writes it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from rdu.compiler.allocation import Allocation, Wave, socket_bytes
from rdu.compiler.borders import carry, read_input, write_output
from rdu.compiler.context import Lowering
from rdu.compiler.describe import folded, representatives, unfolded
from rdu.compiler.formats import VECTOR_BYTES, Element, Format
from rdu.compiler.fuse import Region
from rdu.compiler.loads import issue_loads
from rdu.compiler.netlist import Json, Load, Netlist, Stream, Unit
from rdu.compiler.operators import LOWER, PLAN
from rdu.compiler.place import check_places, place
from rdu.compiler.route import route
from rdu.machine import Machine

# Producers that can round what they emit; the others emit fp32.
ROUNDING = ("norm", "attention", "add", "mul", "silu", "silu_mul")


@dataclass(frozen=True, eq=False)
class Kernel:
    """A lowered kernel: the engine's description, and what each unit is, for reports."""

    net: Netlist
    # Of a prompt: how it streams through.
    wave: Wave | None = None

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.net.name

    @property
    def positions(self) -> int:
        """Rows of every tensor."""
        return self.net.positions

    @cached_property
    def description(self) -> Json:
        """The engine's form, one unit for each bundle."""
        return folded(self.net)

    @cached_property
    def whole(self) -> Json:
        """The engine's form with every copy of a bundle written out, and every socket."""
        return unfolded(self.net, self.net.sockets)

    @cached_property
    def representatives(self) -> tuple[list[int], list[int]]:
        """Where in ``whole`` the first copy of each unit, and of each stream, stands."""
        return representatives(self.net, self.net.sockets)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What a call passes, in order."""
        return tuple(self.net.arguments)

    @property
    def units(self) -> tuple[Unit, ...]:
        """Bundles, in the order of ``description``."""
        return tuple(self.net.units)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """In the order of ``description``."""
        return tuple(self.net.streams)


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
    batch: int = 1,
    planned: bool = True,
    tail: bool = False,
    alone: Allocation | None = None,
    place: Callable[[Netlist, Machine], None] = place,
    route: Callable[[Netlist, Machine], None] = route,
) -> Kernel:
    """Lower ``region`` for calls of ``positions`` rows.

    ``sources`` says how many rows each input has in memory: of more than ``positions`` only the last are read (an
    output head that needs just the last position). ``context`` bounds the cached rows; ``rotated`` says that a position
    table exists; the rows are one each of ``batch`` sequences, whose own rows lie in memory as ``alone`` says. Without
    ``planned`` the kernel has time alone. With ``tail`` nothing in the region needs more of a prompt than the last
    position of each sequence.
    """
    link_cycles = -(-VECTOR_BYTES // machine.network.vector_bytes_per_cycle)
    net = Netlist(name, positions, machine.network.fifo_vectors, link_cycles, machine.sockets, socket_bytes(machine))
    elements = _elements(region, form)
    low = Lowering(
        net,
        machine,
        form,
        allocation,
        context,
        elements,
        rotated,
        region.operators,
        region.stretches[0],
        batch=batch,
        sockets=machine.sockets,
        alone=alone,
    )
    if allocation.wave is not None:
        low.tail = frozenset(region.operators if tail else region.tail)
        low.begin_tail(region.stretches[0])
    loads: list[tuple[int, list[Load]]] = []
    for at, tensor in enumerate(region.inputs):
        read_input(low, tensor, at, sources[at])
    loads.append((1, net.loads))
    for stretch in region.stretches:
        net.loads = []
        low.enter(stretch)
        low.begin_tail(stretch)
        close = carry(low, stretch) if stretch.layers > 1 else None
        begun = len(net.units)
        for op in stretch.operators:
            LOWER[op.kind](op, low)
        made = net.units[begun:]
        if close is not None:
            close()
        loads.append((stretch.layers, sorted(net.loads, key=lambda load: load.late)))
        _repeat(low, made, stretch.layers, low.waves)
    low.enter(region.stretches[-1])
    for at, tensor in enumerate(region.outputs):
        write_output(low, tensor, at)
    net.positions, low.last_only = positions, False
    issue_loads(low, loads)
    for write in low.writers:
        write()
    place(net, machine)
    check_places(net, machine)
    route(net, machine)
    if planned:
        _plan(low, region, sources)
    return Kernel(net, allocation.wave)


def _repeat(low: Lowering, units: list[Unit], layers: int, waves: int) -> None:
    """Once all nests are written, units run theirs once for each wave, and those of a loop once a layer."""

    def write() -> None:
        for unit in units:
            unit.repeat(1 if unit.steady else waves)
            unit.repeat(layers)

    low.writers.append(write)


def _plan(low: Lowering, region: Region, sources: tuple[int, ...]) -> None:
    """The same computation as blocked steps, layer after layer; what sockets divide, for each of them."""
    net, p = low.netlist, low.positions
    if low.batch > 1:
        _number_sequences(low)
    for at, (tensor, source) in enumerate(zip(region.inputs, sources, strict=True)):
        for _ in low.each_part(tensor):
            first = low.bank(tensor) + (source - p) * VECTOR_BYTES
            base = {"base": first, "argument": net.argument(f"in.{at}")}
            pattern = base | {"run": p, "stride": source * VECTOR_BYTES, "bytes": VECTOR_BYTES, "indexed": False}
            index = low.tensors[id(tensor), "f32", low.part(tensor)] = net.tensor(tensor.width, "f32")
            net.plan.append({"op": "load", "from": pattern, "out": index})
    for stretch in region.stretches:
        for layer, body in enumerate(stretch.bodies):
            low.enter(stretch, layer)
            for op in body:
                for _ in low.each_part(op.output):
                    PLAN[op.kind](op, low)
    for at, tensor in enumerate(region.outputs):
        for _ in low.each_part(tensor):
            to = {"base": low.bank(tensor), "argument": net.argument(f"out.{at}")}
            pattern = to | {"run": 1, "stride": VECTOR_BYTES, "bytes": VECTOR_BYTES, "indexed": False}
            net.plan.append({"op": "store", "x": low.values(tensor, "f32"), "to": pattern})


def _number_sequences(low: Lowering) -> None:
    """Each sequence's own arguments, one sequence behind the other."""
    cached = range(sum(op.kind == "attention" for op in low.operators))
    uses = ("past.{}", "k.{}.read", "k.{}.write", "v.{}.read", "v.{}.write")
    names = ["turn"] * low.rotated + [use.format(at) for at in cached for use in uses]
    for sequence in range(low.batch):
        for name in names:
            low.netlist.argument(f"{sequence}/{name}")
    low.span = len(names)


def _elements(region: Region, form: Format) -> dict[int, Element]:
    """A producer that can round does so if everyone who takes its tensor multiplies it by weights; to
    quantise a row, all of it must be there first, in fp32.
    """
    elements: dict[int, Element] = {}
    takers: dict[int, set[str]] = {}
    for op in region.operators:
        for tensor in op.inputs:
            takers.setdefault(id(tensor), set()).add(op.kind)
    crossing = {id(tensor) for tensor in region.outputs} | {id(loop.carried) for loop in region.loops}
    for op in region.operators:
        rounds = op.kind in ROUNDING and id(op.output) not in crossing and takers.get(id(op.output)) == {"linear"}
        elements[id(op.output)] = form.activation if rounds and form.activation != "int8" else "f32"
    return elements

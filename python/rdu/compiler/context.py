"""What lowering an operator needs to know and to look up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rdu.compiler.allocation import Allocation, agcu_cycles, pmus_for, socket_bytes
from rdu.compiler.formats import VECTOR_BYTES, Element, Format, chunks, lanes, rate_of
from rdu.compiler.fuse import Stretch
from rdu.compiler.netlist import Flow, Json, Load, Netlist, Times, Unit
from rdu.compiler.shard import holder, part_of
from rdu.graph import Operator, Tensor
from rdu.machine import Machine


@dataclass
class Lowering:
    """One region being lowered for one number of positions."""

    netlist: Netlist
    machine: Machine
    form: Format
    allocation: Allocation
    context: int
    # What each tensor's producer may emit, decided from who consumes it.
    elements: dict[int, Element]
    rotated: bool
    operators: tuple[Operator, ...]
    # The operators being lowered run in a loop of so many layers; the blocked plan writes out layer after layer.
    stretch: Stretch
    batch: int = 1
    # The operators being lowered see the last position of a prompt alone.
    last_only: bool = False
    # Those of this region that do.
    tail: frozenset[Operator] = frozenset()
    sockets: int = 1
    # Whose part the blocked plan computes; units are those of the first socket, which stands for all.
    socket: int = 0
    # Of a call for several sequences that has values: the mapping that each of them alone has, whose rows lie in
    # memory, and how many arguments each has of its own.
    alone: Allocation | None = None
    span: int | None = None
    layer: int = 0
    twins: dict[str, Operator] = field(default_factory=dict)
    turns: dict[tuple[int, int], int] = field(default_factory=dict)
    made_in_layer: int = 0
    flows: dict[tuple[int, Element], Flow] = field(default_factory=dict)
    # Of the blocked plan, part by part.
    tensors: dict[tuple[int, Element, int], int] = field(default_factory=dict)
    # Nests that depend on who consumes a flow: written last, in order.
    writers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def positions(self) -> int:
        """Rows of every tensor."""
        return self.netlist.positions

    @property
    def waves(self) -> int:
        """Times that positions come in a layer: more than one in a prompt."""
        wave = self.allocation.wave
        return wave.count * wave.sequences if wave is not None and not self.last_only else 1

    @property
    def width(self) -> int:
        """Links side by side that activations have."""
        return 1 if self.last_only else self.allocation.width

    @property
    def layers(self) -> int:
        """Times that the operators being lowered run."""
        return self.stretch.layers

    @property
    def pipeline(self) -> int:
        """Latency of a PCU, in cycles."""
        return self.machine.pcu.pipeline_cycles

    @property
    def port_cycles(self) -> int:
        """Cycles that a PMU takes to write and, at the same time, read a vector."""
        pmu = self.machine.pmu
        return -(-VECTOR_BYTES // min(pmu.read_bytes_per_cycle, pmu.write_bytes_per_cycle))

    @property
    def issue_cycles(self) -> int:
        """Cycles that an AGCU takes for a vector."""
        return agcu_cycles(self.machine)

    @property
    def granule(self) -> int:
        """Vectors of one transfer."""
        return self.allocation.granule

    @property
    def granule_bytes(self) -> int:
        """Bytes of one transfer."""
        return self.allocation.granule_bytes

    def mac_cycles(self, multiplies: int, element: Element) -> int:
        """Cycles of one PCU for this many multiply-adds at its peak for ``element``."""
        return -(-2 * multiplies // self.machine.pcu.flops_per_cycle[rate_of(element)])

    def pmus(self, byte_count: int) -> int:
        """PMUs that hold this many bytes."""
        return pmus_for(self.machine, byte_count)

    def granules(self, tokens: int) -> int:
        """Transfers for this many vectors."""
        return -(-tokens // self.granule)

    def publish(self, tensor: Tensor, unit: Unit, element: Element) -> Flow:
        """``unit`` makes ``tensor``; returns the flow whose emission the caller writes with `emit`."""
        flow = Flow(unit, element, chunks(tensor.width, element))
        self.flows[id(tensor), element] = flow
        return flow

    def emit(self, flow: Flow, cycles_per_token: int = 1) -> None:
        """Write the flow's emission once its consumers are known: one firing per chunk."""
        p = self.positions

        def write() -> None:
            produce = [(out, p) for out in flow.outputs]
            ii = -(-cycles_per_token * p // flow.unit.links)
            flow.unit.fire(flow.chunks, produce=produce, ii=ii, latency=self.pipeline)

        self.writers.append(write)

    def flow(self, tensor: Tensor, element: Element) -> Flow:
        """The flow of ``tensor`` as ``element``, through a rounding unit if its producer emits fp32."""
        key = (id(tensor), element)
        if key not in self.flows:
            source = self.flows[id(tensor), "f32"]
            op: Json = {"op": "map", "function": "copy", "positions": self.positions, "out": element}
            name, width = f"round.{len(self.netlist.units)}", self.width
            unit = self.netlist.unit(name, "round", "map", op, pcus=width, links=width)
            self.netlist.tap(source, unit)
            flow = self.publish(tensor, unit, element)
            write_map(self, unit, flow, [source])
        return self.flows[key]

    def twin(self, op: Operator) -> str:
        """Name of the operator of the first layer that stands for ``op``."""
        return self.twins.get(op.name, op).name

    def element(self, op: Operator) -> Element:
        """What ``op`` emits."""
        return self.elements[id(self.twins.get(op.name, op).output)]

    def scratch(self, width: int, element: Element) -> int:
        """Index of a tensor of the blocked plan; layers of a loop take turns with two sets of them."""
        key = (self.layer % 2, self.made_in_layer)
        self.made_in_layer += 1
        if key not in self.turns:
            self.turns[key] = self.netlist.tensor(width, element)
        return self.turns[key]

    def made(self, tensor: Tensor, element: Element) -> int:
        """Index of a fresh tensor of the blocked plan, which ``tensor`` (this socket's part) now is as ``element``."""
        key = (id(tensor), element, self.part(tensor))
        self.tensors[key] = self.scratch(tensor.width, element)
        return self.tensors[key]

    def part(self, tensor: Tensor) -> int:
        """Which part of a tensor this socket has."""
        return part_of(self.socket, tensor.parts, self.sockets)

    def bank(self, tensor: Tensor) -> int:
        """From addresses of the first socket to those of the one that keeps what belongs to this part of a tensor."""
        return holder(self.part(tensor), tensor.parts, self.sockets) * socket_bytes(self.machine)

    def each_part(self, tensor: Tensor) -> Iterator[None]:
        """Plan for each part of a tensor in turn."""
        for part in range(tensor.parts):
            self.socket = holder(part, tensor.parts, self.sockets)
            yield
        self.socket = 0

    def values(self, tensor: Tensor, element: Element) -> int:
        """Index of ``tensor`` as ``element`` in the blocked plan, rounded to it where it is not yet."""
        key = (id(tensor), element, self.part(tensor))
        if key not in self.tensors:
            x = self.tensors[id(tensor), "f32", self.part(tensor)]
            self.netlist.plan.append(
                {"op": "map", "function": "copy", "inputs": [x], "out": self.made(tensor, element)}
            )
        return self.tensors[key]

    @property
    def last_positions(self) -> int:
        """Rows that what follows the last attention sees: in a prompt, the last of each sequence."""
        wave = self.allocation.wave
        return self.positions if wave is None else wave.sequences

    def begin_tail(self, stretch: Stretch) -> None:
        """From ``stretch`` on only last positions count, if it is of the tail."""
        if self.tail.intersection(stretch.operators):
            self.last_only, self.netlist.positions = True, self.last_positions

    def enter(self, stretch: Stretch, layer: int = 0) -> None:
        """Lower (or plan) the operators of a layer from here on."""
        if stretch is not self.stretch:
            self.turns = {}
        self.stretch, self.layer, self.made_in_layer = stretch, layer, 0
        self.twins = {op.name: first for op, first in zip(stretch.bodies[layer], stretch.operators, strict=True)}

    def own(self, name: str) -> int:
        """Index of the argument of that name, which each sequence has of its own; of several, the first's."""
        return self.netlist.argument(name if self.span is None else f"0/{name}")

    def cache(self, op: Operator) -> int:
        """Number of an attention operator's cache among those of the region."""
        mine = self.twins.get(op.name, op)
        return [other for other in self.operators if other.kind == "attention"].index(mine)

    @property
    def layer_bytes(self) -> int:
        """From the weights of one layer of a loop to those of the next."""
        return self.allocation.layer_bytes_of(self.stretch)

    def weight(self, op: Operator, at: int) -> Json:
        """Address of a weight: the call passes where the region's weights lie."""
        offset = self.allocation.weight_offsets[self.twin(op), at] + self.layer * self.layer_bytes
        bank = self.bank(op.output) if self.shares(op) > 1 else 0
        return {"base": bank + offset, "argument": self.netlist.argument("weights")}

    def shares(self, op: Operator) -> int:
        """Parts that sockets keep of its weights: of a linear operator, as many as it makes parts or partial sums."""
        return op.output.parts if op.kind == "linear" else 1

    def buffer_nest(self, buffer: Unit, times: Times, tokens: int) -> None:
        """PMUs side by side that hand ``tokens`` vectors on in each firing, one to each of their takers."""
        latency = self.machine.pmu.latency_cycles
        buffer.fire(times, consume=[(0, tokens)], produce=[(0, 1)], ii=self.port_cycles, latency=latency)

    def load(
        self,
        op: str,
        address: Json,
        source: Json,
        element: Element,
        tokens: int,
        *,
        granules: Times | None = None,
        layer_bytes: int = 0,
        indexed_bytes: int = 0,
        buffer: bool = False,
        late: bool = False,
        parts: int = 1,
    ) -> Load:
        """Ask for vectors from memory; `into` says who takes them."""
        count = self.granules(tokens) if granules is None else granules
        made = Load(op, address, source, element, count, tokens, layer_bytes, indexed_bytes, buffer, late, parts)
        self.netlist.loads.append(made)
        return made

    def load_vector(self, op: Operator, at: int, unit: Unit, tokens: int, element: Element) -> int:
        """A norm's weights, a bias or scales, straight into a fresh input of ``unit``, which is returned."""
        address = self.weight(op, at)
        source = {"kind": "flat", "at": address, "tokens": tokens, "layer_bytes": self.layer_bytes}
        load = self.load(
            op.local_name, address, source, element, tokens, layer_bytes=self.layer_bytes, parts=self.shares(op)
        )
        return into(load, unit, tokens)


def into(load: Load, unit: Unit, depth: int) -> int:
    """Let ``unit`` take a load at a fresh input, which is returned; the stream holds ``depth`` vectors."""
    at = unit.new_input()
    load.taps.append((unit, at, depth))
    return at


def write_map(low: Lowering, unit: Unit, flow: Flow, sources: list[Flow]) -> None:
    """Write the nest of an elementwise unit: chunks in, chunks of the output's width out."""
    p = low.positions

    def write() -> None:
        ratio = lanes(flow.element) // lanes("f32")
        full, rest = divmod(sources[0].chunks, ratio)
        for times, taken in ((full, ratio), (1 if rest else 0, rest)):
            consume = [(at, taken * p) for at in range(len(sources))]
            produce = [(out, p) for out in flow.outputs]
            unit.fire(times, consume=consume, produce=produce, latency=low.pipeline)

    low.writers.append(write)

"""What lowering an operator needs to know and to look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rdu.compiler.allocate import Allocation, pmus_for
from rdu.compiler.formats import VECTOR_BYTES, Element, Format, chunks, lanes
from rdu.compiler.netlist import Flow, Json, Load, Netlist, Times, Unit
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
    flows: dict[tuple[int, Element], Flow] = field(default_factory=dict)
    tensors: dict[tuple[int, Element], int] = field(default_factory=dict)
    # Nests that depend on who consumes a flow: written last, in order.
    writers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def positions(self) -> int:
        """Rows of every tensor."""
        return self.netlist.positions

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
        """Cycles between two transfers of an AGCU."""
        agcu = self.machine.agcu
        return max(agcu.issue_cycles, -(-VECTOR_BYTES // agcu.bytes_per_cycle))

    def mac_cycles(self, multiplies: int) -> int:
        """Cycles of one PCU for this many multiply-adds at its peak."""
        pcu = self.machine.pcu
        flops = pcu.bf16_flops_per_cycle if self.form.operand == "bf16" else pcu.fp32_flops_per_cycle
        return -(-2 * multiplies // flops)

    def pmus(self, byte_count: int) -> int:
        """PMUs that hold this many bytes."""
        return pmus_for(self.machine, byte_count)

    def publish(self, tensor: Tensor, unit: Unit, element: Element) -> Flow:
        """``unit`` makes ``tensor``; returns the flow whose emission the caller writes with `emit`."""
        flow = Flow(unit, element, chunks(tensor.width, element))
        self.flows[id(tensor), element] = flow
        self.tensors[id(tensor), element] = self.netlist.tensor(tensor.width, element)
        return flow

    def emit(self, flow: Flow, cycles_per_token: int = 1) -> None:
        """Write the flow's emission once its consumers are known: one firing per chunk."""

        def write() -> None:
            p = self.positions
            for first, end, outputs in flow.segments():
                produce = [(out, p) for out in outputs]
                flow.unit.fire(end - first, produce=produce, ii=cycles_per_token * p, latency=self.pipeline)

        self.writers.append(write)

    def flow(self, tensor: Tensor, element: Element) -> Flow:
        """The flow of ``tensor`` as ``element``, through a rounding unit if its producer emits fp32."""
        key = (id(tensor), element)
        if key not in self.flows:
            source = self.flows[id(tensor), "f32"]
            op: Json = {"op": "map", "function": "copy", "positions": self.positions, "out": element}
            unit = self.netlist.unit(f"round.{len(self.netlist.units)}", "round", "map", op, pcus=1)
            self.netlist.tap(source, unit)
            flow = self.publish(tensor, unit, element)
            write_map(self, unit, flow, [source])
            x, out = self.tensors[id(tensor), "f32"], self.tensors[key]
            self.netlist.plan.append({"op": "map", "function": "copy", "inputs": [x], "out": out})
        return self.flows[key]

    def values(self, tensor: Tensor, element: Element) -> int:
        """Index of ``tensor`` as ``element`` in the blocked plan."""
        return self.tensors[id(tensor), element]

    def cache(self, op: Operator) -> int:
        """Number of an attention operator's cache among those of the region."""
        return [other for other in self.operators if other.kind == "attention"].index(op)

    def weight(self, op: Operator, at: int) -> Json:
        """Address of a weight: the call passes where the region's weights lie."""
        offset = self.allocation.weight_offsets[op.name, at]
        return {"base": offset, "argument": self.netlist.argument("weights")}

    def pattern(self, address: Json, run: int, stride: int, *, indexed: bool = False) -> Json:
        """Runs of ``run`` vectors, ``stride`` bytes apart."""
        return address | {"run": run, "stride": stride, "bytes": VECTOR_BYTES, "indexed": indexed}

    def buffer_nest(self, buffer: Unit, count: Times) -> None:
        """A PMU that hands ``count`` vectors on."""
        latency = self.machine.pmu.latency_cycles
        buffer.fire(count, consume=[(0, 1)], produce=[(0, 1)], ii=self.port_cycles, latency=latency)

    def load_into(
        self, op: Operator, unit: Unit, input: int, pattern: Json, element: Element, times: Times, depth: int
    ) -> Load:
        """Vectors from memory straight into an input of ``unit``."""
        load = self.netlist.load(op.local_name, pattern, element, times)
        load.taps.append((unit, input, depth))
        return load


def write_map(low: Lowering, unit: Unit, flow: Flow, sources: list[Flow]) -> None:
    """Write the nest of an elementwise unit: chunks in, chunks of the output's width out."""

    def write() -> None:
        ratio = lanes(flow.element) // lanes("f32")
        full = sources[0].chunks // ratio
        for first, end, outputs in flow.segments():
            for start, stop, taken in (
                (first, min(end, full), ratio),
                (max(first, full), end, sources[0].chunks % ratio),
            ):
                if stop > start:
                    consume = [(at, taken * low.positions) for at in range(len(sources))]
                    produce = [(out, low.positions) for out in outputs]
                    unit.fire(stop - start, consume=consume, produce=produce, latency=low.pipeline)

    low.writers.append(write)

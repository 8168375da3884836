"""A SwiGLU layer on a tiled machine, unit by unit: down(silu(x @ gate.T) * (x @ up.T)), as in Figure 8 of STeP.

The layer is cut into *blocks* of some rows of x and some columns of the hidden layer. For each block the machine reads
its part of all four tensors, keeps sums over columns on chip, and writes a result once its last column is done. Each
operator has one processing unit and each operand of a matrix unit one memory unit, whatever the block: one allocation.

Source of the structure: the hardware description that the paper is compared with
(github.com/const-antin/hwsim-bluespec); of the numbers: machine file ``step``.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdu.builder import Builder, StreamProgram, StreamRun, loop, phase
from rdu.errors import GraphError
from rdu.machine import Machine
from rdu.machine import machine as find_machine
from rdu.studies.operand_buffer import OperandBuffer
from rdu.studies.tile_memory import TileMemory, interleave

# The layer of the figure, and the edge of its tiles.
BATCH, HIDDEN, INNER, EDGE = 64, 256, 512, 16
# The paper counts its traffic at four bytes an element.
TILE_BYTES = EDGE * EDGE * 4
VECTOR_BYTES = 64


@dataclass(frozen=True)
class Layer:
    """A layer that was run.

    Attributes
    ----------
    rows, columns : int
        Of a block.
    cycles : int
        From the first off-chip read to the last off-chip write.
    bytes : int
        Read and written off chip.
    program : StreamProgram
    run : StreamRun
    """

    rows: int
    columns: int
    cycles: int
    bytes: int
    program: StreamProgram
    run: StreamRun


def swiglu(rows: int, columns: int, machine: Machine | str = "step", mode: str = "fast") -> Layer:
    """Time the layer (batch 64, hidden 256, intermediate 512) cut into blocks of ``rows`` by ``columns``.

    Parameters
    ----------
    rows, columns : int
        Rows of a block, a divisor of 64, and columns, a divisor of 512; multiples of 16.
    machine : Machine or name
        What has the keys of machine ``step``; its tiles must take whole cycles.
    mode : {"fast", "step"}
        See `rdu.builder.StreamProgram.run`; the results are identical.

    Raises
    ------
    GraphError
        A block that does not divide the layer into tiles.

    Examples
    --------
    >>> from rdu.studies import swiglu
    >>> swiglu(16, 64).bytes == 4 * (3 * 256 * 512 * 4 + 64 * 256 * 8 + 64 * 256)
    True
    """
    for what, value, whole in (("rows", rows, BATCH), ("columns", columns, INNER)):
        if isinstance(value, bool) or not isinstance(value, int) or value < EDGE or value % EDGE or whole % value:
            raise GraphError(f"{what} is {value!r}; give a multiple of {EDGE} that divides {whole}")
    target = machine if isinstance(machine, Machine) else find_machine(machine)
    program = _Blocks(target, rows // EDGE, columns // EDGE).program()
    run = program.run(mode)
    return Layer(rows, columns, run.cycles, run.units["memory"].firings * TILE_BYTES, program, run)


class _Blocks:
    """The program of one block size; all sizes are in tiles: ``m`` rows, ``n`` columns, ``k`` of the hidden size."""

    def __init__(self, machine: Machine, m: int, n: int) -> None:
        self.m, self.n, self.k = m, n, HIDDEN // EDGE
        # Blocks of columns, one after another, make a band of rows; bands make the layer.
        self.columns, self.bands = INNER // EDGE // n, BATCH // EDGE // m
        self.blocks = self.columns * self.bands
        self.memory = TileMemory.of(machine, TILE_BYTES)
        self.multiply_cycles = -(-2 * EDGE**3 // machine.pcu.bf16_flops_per_cycle)
        self.pipeline_cycles = machine.pcu.pipeline_cycles
        port_bytes = min(machine.pmu.read_bytes_per_cycle, machine.pmu.write_bytes_per_cycle)
        self.port_cycles = -(-TILE_BYTES // port_bytes)
        self.lookup_cycles = max(1, machine.pmu.latency_cycles)
        self.fifo_tiles = max(1, machine.network.fifo_vectors * VECTOR_BYTES // TILE_BYTES)
        self.copies = machine.mapping.activation_buffering
        self.pmu_tiles = machine.pmu.capacity_bytes // TILE_BYTES

    def program(self) -> StreamProgram:
        """All units and streams."""
        b, m, n, k = Builder(), self.m, self.n, self.k
        products = self.blocks * m * n * k
        for name in ("gate", "up"):
            self._unit(b, name, products, self.multiply_cycles)
            self._sum(b, f"sum.{name}", name, "silu_mul", m * n, 1, self.blocks)
        self._unit(b, "silu_mul", self.blocks * m * n, 1)
        self._unit(b, "down", products, self.multiply_cycles)
        self._sum(b, "sum.down", "down", "memory", m * k, self.columns, self.bands)

        reads = {"x": "port.x", "gate": "port.gate", "up": "port.up", "down": "port.down"}
        self.memory.join(b, reads, {"y": "sum.down"}, self._order(), self.fifo_tiles)
        for name in ("gate", "up"):
            self._buffer(b, f"x.{name}", "port.x", name, k, m, n)
            self._buffer(b, f"w.{name}", f"port.{name}", name, n * k, 1, m)
            b.stream(name, f"sum.{name}", capacity=self.fifo_tiles, produce=_last_of(k))
            b.stream(f"sum.{name}", "silu_mul", capacity=self.fifo_tiles)
        self._buffer(b, "w.down", "port.down", "down", n, k, m)
        self._buffer(b, "h", "silu_mul", "down", m * n, 1, k)
        b.stream("down", "sum.down", capacity=self.fifo_tiles, produce=_last_of(n))
        return b.build()

    def _unit(self, b: Builder, name: str, firings: int, ii: int) -> None:
        b.unit(name, firings=firings, ii=ii, latency=self.pipeline_cycles)

    def _sum(self, b: Builder, name: str, source: str, target: str, tiles: int, parts: int, times: int) -> None:
        """Add up ``parts`` results of ``tiles`` tiles each, in a memory unit, and then send the sum."""
        phases = {
            "add": phase(consume={source: 1}),
            "turn": phase(ii=self.lookup_cycles + self.pipeline_cycles),
            "send": phase(latency=self.pipeline_cycles, produce={target: 1}),
        }
        b.unit(name, phases=phases, nest=loop(times, loop(parts * tiles, "add"), "turn", loop(tiles, "send")))

    def _buffer(self, b: Builder, name: str, source: str, target: str, tiles: int, operands: int, times: int) -> None:
        """A memory unit with room for two blocks' operands: one fills while the other is sent."""
        room = self.copies * tiles * operands
        if room > self.pmu_tiles:
            raise GraphError(f"{name} needs room for {room} tiles, pmu.capacity_bytes is {self.pmu_tiles} of them")
        times_blocks = operands * self.blocks
        ports = (self.port_cycles, self.lookup_cycles, self.fifo_tiles)
        OperandBuffer(name, tiles, times_blocks, times, room, *ports).join(b, source, target)

    def _order(self) -> list[str]:
        """The port of each tile: a block's x, gate and up beside the last block's down; results a block later."""
        n, k = self.n, self.k
        order: list[str] = []
        for at in range(self.blocks + 2):
            shares = {"x": self.m * k, "gate": n * k, "up": n * k} if at < self.blocks else {}
            if 0 < at <= self.blocks:
                shares["down"] = n * k
            order += interleave(shares)
            if at > 1 and (at - 1) % self.columns == 0:
                order += ["y"] * (self.m * k)
        return order


def _last_of(count: int) -> list[int]:
    """One result after each ``count`` firings."""
    return [0] * (count - 1) + [1]

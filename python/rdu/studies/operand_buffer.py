"""A memory unit that keeps operands of a matrix unit: each is stored once, whole, and then sent again and again."""

from __future__ import annotations

from dataclasses import dataclass

from rdu.builder import Builder, Loop, Phase, loop, phase


@dataclass(frozen=True)
class OperandBuffer:
    """One memory unit as two units of a program, its write port and its read port.

    Attributes
    ----------
    name : str
        The write port is called ``write.NAME``, the read port ``read.NAME``.
    tiles, operands, times : int
        Tiles of an operand, operands of the whole run, and how often each is sent.
    room_tiles : int
        Tiles that the unit has room for.
    port_cycles, lookup_cycles, fifo_tiles : int
        Cycles of a tile through a port; cycles before an operand is sent, each time; tiles in a FIFO.
    """

    name: str
    tiles: int
    operands: int
    times: int
    room_tiles: int
    port_cycles: int
    lookup_cycles: int
    fifo_tiles: int

    def join(self, b: Builder, source: str, target: str) -> None:
        """Add the unit to a program: it takes tiles from ``source`` and sends them to ``target``."""
        write, read = f"write.{self.name}", f"read.{self.name}"
        b.unit(write, firings=self.operands * self.tiles, ii=self.port_cycles, latency=1)
        # The last time that an operand is sent, each tile leaves a free place behind.
        phases = {
            "open": phase(ii=self.lookup_cycles, consume={write: 1}),
            "again": phase(ii=self.lookup_cycles),
            "send": self._send({target: 1}),
            "clear": self._send({target: 1, write: 1}),
        }
        last = loop(self.tiles, "clear")
        nest: list[str | Loop] = ["open", last]
        if self.times > 1:
            each = loop(self.tiles, "send")
            nest = ["open", each, loop(self.times - 2, "again", each), "again", last]
        else:
            del phases["again"], phases["send"]
        b.unit(read, phases=phases, nest=loop(self.operands, *nest))
        b.stream(source, write, capacity=self.fifo_tiles)
        # An operand is looked up only once all of it is there.
        whole = [0] * (self.tiles - 1) + [1]
        b.stream(write, read, capacity=self.room_tiles, produce=whole)
        b.stream(read, write, capacity=self.room_tiles, initial=self.room_tiles)
        b.stream(read, target, capacity=self.fifo_tiles)

    def _send(self, produce: dict[str, int]) -> Phase:
        return phase(ii=self.port_cycles, latency=1, produce=produce)

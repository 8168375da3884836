"""Off-chip memory of a tiled machine: ports that take turns, one interface, and a fixed order of tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdu.builder import Builder, phase
from rdu.machine import Machine
from rdu.memory import Dram

VECTOR_BYTES = 64


@dataclass(frozen=True)
class TileMemory:
    """The interface in cycles and tiles; made by `of`.

    Attributes
    ----------
    tile_cycles : int
        The interface is busy with one tile.
    turn_cycles : int
        From one tile of a port to its next: each port asks in its turn, and an unused turn is lost.
    window_tiles : int
        Tiles that a port may have asked for and not yet handed on.
    latency_cycles : int
        From asking to answer, nothing else going on.
    refresh_tiles, refresh_cycles : int
        After so many tiles the interface is shut for so long.
    """

    tile_cycles: int
    turn_cycles: int
    window_tiles: int
    latency_cycles: int
    refresh_tiles: int
    refresh_cycles: int

    @classmethod
    def of(cls, machine: Machine, tile_bytes: int) -> TileMemory:
        """The interface that a machine file describes, for tiles of so many bytes."""
        agcu, hbm = machine.agcu, machine.hbm
        requests = -(-tile_bytes // agcu.bytes_per_cycle)
        cycles = machine.cycles(tile_bytes / hbm.peak_gbps)
        alone_ns = Dram(hbm.device).replay(np.zeros(1, np.uint64), VECTOR_BYTES).mean_latency_ns
        assert alone_ns is not None  # as for any read
        return cls(
            tile_cycles=cycles,
            turn_cycles=requests * machine.total_agcus * agcu.issue_cycles,
            window_tiles=max(1, agcu.outstanding // requests),
            latency_cycles=machine.cycles(alone_ns + hbm.network_ns),
            refresh_tiles=max(1, machine.cycles(hbm.refresh_interval_ns) // cycles),
            refresh_cycles=machine.cycles(hbm.refresh_ns),
        )

    def join(
        self, b: Builder, reads: dict[str, str], writes: dict[str, str], order: list[str], fifo_tiles: int
    ) -> None:
        """Add the interface to a program.

        Parameters
        ----------
        b : Builder
        reads : dict of str to str
            Ports that read, and the unit that each port's tiles go to.
        writes : dict of str to str
            Ports that write, and the unit that each port's tiles come from.
        order : list of str
            The port of each tile, first to last.
        fifo_tiles : int
            Tiles in a FIFO.
        """
        # Refresh takes its time from the interface before tiles are asked for, so that every port waits for it.
        busy = [self.tile_cycles] * (self.refresh_tiles - 1) + [self.tile_cycles + self.refresh_cycles]
        b.unit("interface", firings=len(order), ii=busy)
        phases = {}
        for port in reads:
            b.unit(f"ask.{port}", firings=order.count(port), ii=self.turn_cycles)
            b.unit(f"port.{port}", firings=order.count(port))
            asked, answer = {"interface": 1, f"ask.{port}": 1}, {f"port.{port}": 1}
            phases[port] = phase(latency=self.latency_cycles, consume=asked, produce=answer)
        for port, source in writes.items():
            phases[port] = phase(latency=self.latency_cycles, consume={"interface": 1, source: 1})
        b.unit("memory", phases=phases, nest=order)
        b.stream("interface", "memory", capacity=1)
        for port in reads:
            b.stream(f"ask.{port}", "memory", capacity=fifo_tiles)
            b.stream("memory", f"port.{port}", capacity=self.window_tiles)
        for source in writes.values():
            b.stream(source, "memory", capacity=fifo_tiles)


def interleave(shares: dict[str, int]) -> list[str]:
    """Ports in turns, each as often as it has tiles, spread evenly; ties go to the port named first.

    Examples
    --------
    >>> interleave({"x": 4, "w": 2})
    ['x', 'w', 'x', 'x', 'w', 'x']
    """
    places = [((2 * at + 1) / count, port) for port, count in shares.items() for at in range(count)]
    return [port for _, port in sorted(places, key=lambda place: place[0])]

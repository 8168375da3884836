"""Pass 4, route: every stream takes the dimension-order path between its ends; its latency is the path's."""

from __future__ import annotations

from rdu.compiler.netlist import Netlist
from rdu.machine import Machine

# A switch on the way holds this many vectors of a stream: one moving, one waiting for its credit.
VECTORS_PER_HOP = 2


def route(netlist: Netlist, machine: Machine) -> None:
    """Set latency, credit latency and capacity of every stream from the hops between its ends."""
    per_die = machine.grid.tiles_per_die * machine.grid.columns
    die_cycles = machine.cycles(machine.die_to_die.latency_ns)
    for stream in netlist.streams:
        (row, column), (to_row, to_column) = stream.source.tile, stream.target.tile
        hops = max(1, abs(row - to_row) + abs(column - to_column))
        crossing = abs(column // per_die - to_column // per_die) * die_cycles
        stream.latency = max(1, hops * machine.network.hop_cycles + crossing)
        stream.credit = hops * machine.network.credit_hop_cycles + crossing
        stream.capacity = stream.depth + VECTORS_PER_HOP * hops

"""Pass 4, route: every stream takes the dimension-order path between its ends; its latency is the path's.

The members of a bundle's stream are padded to the longest of them, so that its lanes stay in lockstep. Memory and other
sockets are reached over a network of their own, which ends at the AGCUs: on the mesh, what comes from there and goes
there runs between a unit and the AGCUs of its own tile.
"""

from __future__ import annotations

import numpy as np

from rdu.compiler.allocation import agcu_cycles
from rdu.compiler.netlist import Netlist, Stream, Tiles, Unit
from rdu.machine import Machine

# A switch on the way holds this many vectors of a stream: one moving, one waiting for its credit.
VECTORS_PER_HOP = 2
# Units at the edges, which stand on AGCUs.
EDGES = ("load", "store", "peers")


def route(netlist: Netlist, machine: Machine) -> None:
    """Set latency, credit latency and capacity of every stream from the hops between its ends."""
    die_cycles = machine.cycles(machine.die_to_die.latency_ns)
    peer_cycles = machine.cycles(machine.p2p.latency_ns)
    for stream in netlist.streams:
        hops, dies = longest(stream, machine)
        crossing = dies * die_cycles + (peer_cycles if stream.peers else 0)
        stream.latency = max(1, hops * machine.network.hop_cycles + crossing)
        stream.credit = hops * machine.network.credit_hop_cycles + crossing
        stream.capacity = stream.depth + VECTORS_PER_HOP * hops
    for unit in netlist.units:
        if unit.role == "load":
            _pace(unit, netlist, machine)


def longest(stream: Stream, machine: Machine) -> tuple[int, int]:
    """(hops, crossings between dies) of the longest member."""
    columns, per_die = machine.grid.columns, machine.grid.tiles_per_die * machine.grid.columns
    hops, dies = 1, 0
    for source, target in members(stream, columns):
        hops = max(hops, int(np.abs(source - target).sum(axis=1).max()))
        dies = max(dies, int(np.abs(source[:, 1] // per_die - target[:, 1] // per_die).max()))
    return hops, dies


def members(stream: Stream, columns: int) -> list[tuple[Tiles, Tiles]]:
    """Tiles at both ends of every member, in groups; ``columns`` are those of a tile."""
    source, target = stream.source.tiles, stream.target.tiles
    if stream.source.role in EDGES or stream.target.role in EDGES:
        return [_all(*ends) for ends in _by_tile(source, target, columns)]
    m, n = len(source), len(target)
    # Either end in equal parts of the whole: those that overlap belong together.
    at = np.union1d(np.arange(m) * n, np.arange(n) * m)
    return [(source[at // n], target[at // m])]


def _by_tile(source: Tiles, target: Tiles, columns: int) -> list[tuple[Tiles, Tiles]]:
    """Both ends of each tile of the machine that has both; what sits at edges alone meets itself."""
    tiles = np.intersect1d(source[:, 1] // columns, target[:, 1] // columns)
    return [(source[source[:, 1] // columns == tile], target[target[:, 1] // columns == tile]) for tile in tiles]


def _all(source: Tiles, target: Tiles) -> tuple[Tiles, Tiles]:
    """Everyone to everyone."""
    return np.repeat(source, len(target), axis=0), np.tile(target, (len(source), 1))


def _pace(unit: Unit, netlist: Netlist, machine: Machine) -> None:
    """A transfer comes no faster than the AGCUs of the tiles that it goes to bring it."""
    columns = machine.grid.columns
    shares = {}
    for stream in netlist.streams:
        if stream.source is unit:
            tiles = np.unique(stream.target.tiles[:, 1] // columns, return_counts=True)[1]
            shares[stream.output] = tiles.max() / tiles.sum()
    per_tile = machine.grid.agcus_per_tile
    cycles = agcu_cycles(machine)
    for phase in unit.phases:
        vectors = max((rate * shares[at] for at, rate in phase["produce"]), default=0.0)
        phase["ii"] = max(phase["ii"], int(np.ceil(vectors * cycles / per_tile)))

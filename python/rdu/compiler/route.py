"""Pass 4, route: every stream takes the dimension-order path between its ends; its latency is the path's.

The members of a bundle's stream are padded to the longest of them, so that its lanes stay in lockstep.
"""

from __future__ import annotations

import numpy as np

from rdu.compiler.netlist import Netlist, Stream, Tiles
from rdu.machine import Machine

# A switch on the way holds this many vectors of a stream: one moving, one waiting for its credit.
VECTORS_PER_HOP = 2


def route(netlist: Netlist, machine: Machine) -> None:
    """Set latency, credit latency and capacity of every stream from the hops between its ends."""
    per_die = machine.grid.tiles_per_die * machine.grid.columns
    die_cycles = machine.cycles(machine.die_to_die.latency_ns)
    peer_cycles = machine.cycles(machine.p2p.latency_ns)
    for stream in netlist.streams:
        hops, dies = longest(stream, per_die)
        crossing = dies * die_cycles + (peer_cycles if stream.peers else 0)
        stream.latency = max(1, hops * machine.network.hop_cycles + crossing)
        stream.credit = hops * machine.network.credit_hop_cycles + crossing
        stream.capacity = stream.depth + VECTORS_PER_HOP * hops


def longest(stream: Stream, per_die: int) -> tuple[int, int]:
    """(hops, crossings between dies) of the longest member."""
    source, target = stream.source.tiles, stream.target.tiles
    m, n = len(source), len(target)
    if max(m, n) % min(m, n) == 0 and stream.source.role != "load":
        at = np.arange(max(m, n))
        source, target = source[at * m // max(m, n)], target[at * n // max(m, n)]
        hops = np.abs(source - target).sum(axis=1).max()
        dies = np.abs(source[:, 1] // per_die - target[:, 1] // per_die).max()
        return max(1, int(hops)), int(dies)
    # A load is striped over the AGCUs: every one of them sends to every PMU.
    hops = max(_reach(source.sum(axis=1), target.sum(axis=1)), _reach(*(t[:, 0] - t[:, 1] for t in (source, target))))
    return max(1, hops), _reach(source[:, 1] // per_die, target[:, 1] // per_die)


def _reach(a: Tiles, b: Tiles) -> int:
    """The largest difference between an element of each."""
    return int(max(a.max() - b.min(), b.max() - a.min()))

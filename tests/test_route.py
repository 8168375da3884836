"""Route: latency and credits follow the way over the mesh; memory is reached at the edges of a unit's own tile."""

from __future__ import annotations

import numpy as np
import pytest

from rdu.compiler.netlist import Netlist, Stream, Unit
from rdu.compiler.route import longest, members, route
from rdu.machine import machine

WHERE = machine("sn40l")


def joined(source: list[tuple[int, int]], target: list[tuple[int, int]], role: str = "map") -> tuple[Netlist, Stream]:
    net = Netlist("n", 1, 4, 1)
    ends: list[Unit] = []
    for name, tiles, kind in (("a", source, role), ("b", target, "map")):
        unit = net.unit(name, name, kind, {}, copies=1, pcus=len(tiles))
        unit.tiles = np.array(tiles)
        ends.append(unit)
    return net, net.connect(*ends, "f32", 4)


@pytest.mark.parametrize(
    ("source", "target", "hops", "dies"),
    [
        ([(3, 4)], [(3, 4)], 1, 0),
        ([(0, 0)], [(5, 7)], 12, 0),
        ([(5, 7)], [(0, 0)], 12, 0),
        ([(0, 0)], [(0, 1), (9, 3)], 12, 0),
        ([(0, 51)], [(0, 52)], 1, 1),
        ([(0, 0), (0, 2)], [(1, 0), (4, 2)], 4, 0),
    ],
)
def test_the_longest_member_counts(
    source: list[tuple[int, int]], target: list[tuple[int, int]], hops: int, dies: int
) -> None:
    net, stream = joined(source, target)
    assert longest(stream, WHERE) == (hops, dies)
    route(net, WHERE)
    crossing = dies * WHERE.cycles(WHERE.die_to_die.latency_ns)
    assert stream.latency == hops * WHERE.network.hop_cycles + crossing
    assert stream.credit == hops * WHERE.network.credit_hop_cycles + crossing
    assert stream.capacity == 4 + 2 * hops


def test_loads_come_from_the_tiles_own_edge() -> None:
    """26 columns a tile: the second tile's unit is not fed across the first."""
    _, stream = joined([(0, 0), (0, 25), (0, 26), (0, 51)], [(0, 27), (0, 3)], "load")
    ways = [
        (tuple(a), tuple(b)) for pair in members(stream, 26) for a, b in zip(*map(np.ndarray.tolist, pair), strict=True)
    ]
    assert ways == [((0, 0), (0, 3)), ((0, 25), (0, 3)), ((0, 26), (0, 27)), ((0, 51), (0, 27))]


@pytest.mark.parametrize(("tiles", "cycles"), [(1, 16), (2, 8), (4, 4)])
def test_a_transfer_is_as_fast_as_the_agcus_of_its_tiles(tiles: int, cycles: int) -> None:
    """Eight AGCUs a tile bring a vector a cycle each: 128 vectors take 16 cycles into one tile, 4 into all four."""
    net, stream = joined([(0, 26 * tile) for tile in range(4)], [(1, 26 * tile + 1) for tile in range(tiles)], "load")
    stream.source.links = 128
    stream.source.fire(1, produce=[(stream.output, 128)])
    route(net, WHERE)
    assert stream.source.phases[0]["ii"] == cycles

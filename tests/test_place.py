"""Place: every PCU and PMU serves one unit, bundles are dealt over the tiles, and what belongs together is near."""

from __future__ import annotations

import numpy as np
import pytest

from rdu.compiler.compile import compile_graph
from rdu.compiler.lower import Kernel
from rdu.compiler.place import floor
from rdu.machine import Machine, machine
from test_bundles import calls, shapes

WIDE = {"hidden_size": 1024, "intermediate_size": 2048, "head_dim": 64, "num_attention_heads": 16}


@pytest.fixture(scope="module")
def where() -> Machine:
    return machine("sn40l")


@pytest.fixture(scope="module")
def layer(where: Machine) -> Kernel:
    program = compile_graph(shapes(64, **WIDE), where, fusion="loop", context=64, values=False)
    ((lowered, _),) = calls(program, 1, 20)
    return lowered


def test_the_floor_is_the_socket_of_the_machine_file(where: Machine) -> None:
    found = floor(where)
    assert [len(tile) for tile in found.pcus] == [len(tile) for tile in found.pmus] == [260] * 4
    squares = {slot for kind in (found.pcus, found.pmus) for tile in kind for slot in tile}
    assert len(squares) == 4 * 20 * 26, "one switch for each"
    for tile, slots in enumerate(found.pcus):
        assert {column // 26 for _, column in slots} == {tile}
    edges = {0, 25}
    assert {column % 26 for _, column in found.agcus.tolist()} == edges
    assert [int(n) for n in np.unique(found.agcus[:, 1] // 26, return_counts=True)[1]] == [8] * 4


def test_every_tile_gets_the_same_part_of_a_bundle(layer: Kernel) -> None:
    large = [unit for unit in layer.units if unit.role == "mac" and unit.copies >= 32]
    assert large
    for unit in large:
        each = np.unique(unit.tiles[:, 1] // 26, return_counts=True)[1]
        assert len(each) == 4, unit.name
        assert each.max() - each.min() <= 0.05 * unit.copies + 1, unit.name


def test_a_mac_is_beside_the_memory_of_its_weights(layer: Kernel) -> None:
    streams = [s for s in layer.streams if s.source.role == "buffer" and s.target.role == "mac"]
    hops = []
    for stream in streams:
        source, target = stream.source.tiles, stream.target.tiles
        hops += np.abs(source[np.arange(len(target)) * len(source) // len(target)] - target).sum(axis=1).tolist()
    assert np.median(hops) == 1, "next to each other on the chessboard"
    assert np.mean(hops) < 3


def test_a_single_unit_is_in_the_middle(layer: Kernel) -> None:
    """Where its way to the members of a bundle is shortest."""
    for unit in layer.units:
        if unit.copies == 1 and unit.pcus:
            assert (np.abs(unit.tiles[:, 1] - 51.5) < 10).all(), unit.name

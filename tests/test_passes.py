"""Passes of a user's own in place of the compiler's: they are used, and what they do wrong is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rdu
from rdu.compiler.allocate import allocate
from rdu.compiler.allocation import Allocation
from rdu.compiler.fuse import Region, fuse
from rdu.compiler.lower import Kernel, lower
from rdu.compiler.netlist import Netlist
from rdu.compiler.place import place
from rdu.compiler.route import route
from rdu.errors import CompileError
from rdu.graph import Graph
from rdu.machine import Machine, machine
from rdu.program import Program

X = np.linspace(-1, 1, 3 * 96, dtype=np.float32).reshape(3, 96)


def graph() -> Graph:
    """Two linear operators, one after the other."""
    g = Graph()
    weights = [np.random.default_rng(at).normal(size=(96, 96)).astype(np.float32) for at in range(2)]
    y = g.linear("y", g.input("x", 96), g.weight("a", weights[0]))
    g.output(g.linear("z", y, g.weight("b", weights[1])))
    return g


def compiled(**passes: Any) -> Program:
    return rdu.compile(graph(), "tiny", passes=passes or None)


def test_a_place_of_ones_own_takes_time_but_changes_no_value() -> None:
    """Gathers in the farthest corner from all others: long ways for sums, which the last operator waits for."""

    def apart(netlist: Netlist, machine: Machine) -> None:
        place(netlist, machine)
        for unit in netlist.units:
            corner = (machine.grid.rows - 1, machine.grid.columns - 1) if unit.role == "gather" else (0, 0)
            unit.tiles = np.array([corner] * len(unit.tiles))

    where = machine("tiny", network__hop_cycles=4)
    usual, mine = (rdu.compile(graph(), where, passes=passes).run(x=X) for passes in (None, {"place": apart}))
    assert mine.cycles > usual.cycles
    assert mine.outputs["z"].tobytes() == usual.outputs["z"].tobytes()


def test_a_route_of_ones_own() -> None:
    def slow(netlist: Netlist, machine: Machine) -> None:
        route(netlist, machine)
        for stream in netlist.streams:
            stream.latency += 100

    assert compiled(route=slow).run(x=X).cycles >= compiled().run(x=X).cycles + 300


def test_a_fuse_of_ones_own() -> None:
    """Every operator its own kernel, whatever was asked for."""

    def apart(graph: Graph, level: str, collective: str) -> list[Region]:
        assert level == "loop"
        return fuse(graph, "op", collective)

    assert [site.name for site in compiled(fuse=apart).sites] == ["y", "z"]
    assert len(compiled().sites) == 1


def test_an_allocate_of_ones_own() -> None:
    """Shallower buffers."""

    def shallow(*arguments: Any) -> Allocation:
        found = allocate(*arguments)
        return replace(found, buffer_vectors=dict.fromkeys(found.buffer_vectors, 1))

    mine, usual = compiled(allocate=shallow).run(x=X), compiled().run(x=X)
    assert mine.cycles > usual.cycles
    assert mine.outputs["z"].tobytes() == usual.outputs["z"].tobytes()


def test_a_lower_of_ones_own() -> None:
    names = []

    def seen(*arguments: Any, **options: Any) -> Kernel:
        names.append(options["name"])
        return lower(*arguments, **options)

    compiled(lower=seen)
    assert set(names) == {"graph"}


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        (
            {"plac": place},
            "there is no pass 'plac'; there are fuse, allocate, lower, place, route; did you mean 'place'",
        ),
        ({"place": 3}, "pass 'place' is 3; it must be a function"),
    ],
)
def test_passes_that_cannot_be(passes: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compiled(**passes)


def test_a_unit_off_the_socket_is_named() -> None:
    def outside(netlist: Netlist, machine: Machine) -> None:
        place(netlist, machine)
        netlist.units[0].tiles = np.array([[0, 999]])

    with pytest.raises(CompileError, match=r"unit '.*' is at row 0, column 999, outside of the \d+ x \d+ switches"):
        compiled(place=outside)


def test_a_unit_without_a_place_is_named() -> None:
    def nowhere(netlist: Netlist, machine: Machine) -> None:
        netlist.units[0].tiles = np.zeros((0, 2), int)

    with pytest.raises(CompileError, match=r"give a \(row, column\) for each of its parts"):
        compiled(place=nowhere)

"""Explaining a program: what it says of units is what a run counts, and what it says of links is what they carry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rdu
from rdu.compiler.compile import compile_graph
from rdu.compiler.explain import Explanation, KernelRow, explain
from rdu.compiler.links import Links, links, shares
from rdu.compiler.netlist import Netlist, Unit
from rdu.compiler.timing import time_prefill
from rdu.errors import RequestError
from rdu.graph import Graph
from rdu.machine import machine
from rdu.program import Program
from rdu.testing.checkpoints import write_folder
from test_bundles import calls, shapes, timed


@pytest.mark.parametrize("fusion", ["op", "layer", "loop"])
@pytest.mark.parametrize(("positions", "past"), [(1, 0), (1, 37), (3, 5)])
def test_it_says_what_a_run_counts(fusion: str, positions: int, past: int) -> None:
    """Firings and busy cycles of every unit; and no run is shorter than its busiest unit, link or memory."""
    where = machine("tiny")
    program = compile_graph(shapes(64), where, fusion=fusion, context=64, values=False)
    found = explain(program, positions, past)
    # Regions that look alike share a kernel, and the explanation shows it once.
    counted = {id(kernel): (kernel, arguments) for kernel, arguments in calls(program, positions, past)}
    assert len(found.kernels) == len(counted)
    for row, (kernel, arguments) in zip(found.kernels, counted.values(), strict=True):
        totals = timed(kernel.description, where, arguments, positions)
        said = {unit.name: unit for op in row.operators for unit in op.units}
        assert len(said) == len(kernel.units)
        for unit, counters in zip(kernel.units, totals["kernels"][0]["units"], strict=True):
            assert said[unit.name].firings == counters[-1], unit.name
            assert said[unit.name].busy_cycles == counters[0], unit.name
        cycles = totals["kernels"][0]["run_cycles"]
        assert row.busiest_link_vectors <= cycles * where.network.vector_bytes_per_cycle / 64
        assert row.hbm_cycles <= cycles
        assert sum(op.hbm_bytes for op in row.operators) == totals["traffic"][0][0]


@pytest.mark.parametrize("sockets", [1, 8])
def test_no_link_of_a_large_decoder_is_asked_for_too_much(sockets: int) -> None:
    """In the time that HBM takes at its peak, which no step beats, no link would have to carry more than it can."""
    wide = {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8}
    where = machine("sn40l", sockets=sockets)
    program = compile_graph(
        shapes(64, **wide, head_dim=128, vocab_size=128256), where, fusion="loop", context=64, values=False
    )
    (kernel,) = explain(program, 1, 32).kernels
    assert kernel.busiest_link_vectors < kernel.hbm_cycles
    assert 0.2 < kernel.busiest_link_share < 1, "of the time of the busiest unit, which is near that of HBM"


def timed_prompt(positions: int) -> tuple[Program, KernelRow]:
    wide = {"hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3}
    graph = shapes(positions, **wide, head_dim=64, vocab_size=49152)
    program = time_prefill(graph, machine("sn40l"), prompt=positions).run.program
    (kernel,) = program.explain(program.block).kernels
    return program, kernel


def test_the_streams_of_the_busiest_link_are_named() -> None:
    """The most of what it carries first, and no more than all of it."""
    program, kernel = timed_prompt(512)
    vectors = [vectors for _, vectors in kernel.busiest_link_streams]
    assert vectors == sorted(vectors, reverse=True)
    assert 0.3 * kernel.busiest_link_vectors < vectors[0]
    assert sum(vectors) <= kernel.busiest_link_vectors
    text = str(program.explain(program.block))
    assert f"{kernel.busiest_link_share:.0%} of what it can carry" in text
    assert all(f"{name} " in text for name, _ in kernel.busiest_link_streams)


@pytest.mark.parametrize("positions", [1, 64, 512])
def test_a_gather_takes_no_more_sums_than_its_links_bring(positions: int) -> None:
    """All parts of all tiles come in, a vector a cycle on each link; in a prompt that is not what it waits for."""
    if positions == 1:
        (kernel,) = explain(compile_graph(shapes(64), machine("sn40l"), context=64, values=False), 1).kernels
    else:
        _, kernel = timed_prompt(positions)
    gathers = 0
    for op in kernel.operators:
        rows = {unit.role: unit for unit in op.units}
        if "gather" in rows and "mac" in rows:
            mac, gather = rows["mac"], rows["gather"]
            # Tiles that are only padding of the last round stay where they are.
            parts = mac.copies * mac.vectors_out // gather.vectors_out
            assert gather.busy_cycles * gather.pcus >= parts * gather.vectors_out
            if positions > 1 and op.name != "logits":
                assert gather.busy_cycles <= max(op.busy_cycles for op in kernel.operators)
            gathers += 1
    assert gathers == 8


def test_text_and_plain_types() -> None:
    program = compile_graph(shapes(64), machine("tiny"), fusion="layer", context=64, values=False)
    found = program.explain(2, past=5)
    assert isinstance(found, Explanation)
    text = str(found)
    for operator in ("norm1", "q", "attention", "down", "residual2"):
        assert f"\n  {operator} " in text
    assert "q.mac" in text
    assert "tiny, layer, bf16: 2 positions after 5" in text
    plain = found.to_dict()
    assert plain["positions"] == 2
    assert len(plain["kernels"]) == len(found.kernels)  # type: ignore[arg-type]


@pytest.mark.parametrize(("positions", "past"), [(0, 0), (1, -1), (2, 63)])
def test_calls_that_cannot_be(positions: int, past: int) -> None:
    program = compile_graph(shapes(64), machine("tiny"), context=64, values=False)
    with pytest.raises(RequestError, match=f"{positions} positions after {past}"):
        program.explain(positions, past)


def test_what_compile_returns_explains_itself(tmp_path: Path) -> None:
    assert "attention.dot" in str(rdu.compile(write_folder(tmp_path / "model"), "tiny").explain())
    g = Graph()
    g.output(g.linear("y", g.input("x", 8), g.weight("w", np.ones((4, 8), np.float32))))
    assert "y.mac" in str(rdu.compile(g, "tiny").explain())


# --- links -----------------------------------------------------------------------------------------------------------


def carried(sources: list[tuple[int, int]], targets: list[tuple[int, int]], tokens: int, role: str = "map") -> Links:
    """A stream between units at these places; several places are several copies."""
    net = Netlist("n", 1, 4, 1)
    ends: list[Unit] = []
    for name, tiles in (("a", sources), ("b", targets)):
        op = {"op": "deal"} if role == "buffer" and name == "a" else {}
        unit = net.unit(name, name, role if name == "a" else "map", op, copies=len(tiles), pcus=1)
        unit.tiles = np.array(tiles)
        ends.append(unit)
    net.connect(*ends, "f32", 4)
    return links(net, machine("tiny"), [tokens])


def test_the_busiest_link_is_shared_by_what_goes_over_it() -> None:
    net = Netlist("n", 1, 4, 1)
    ends = {name: net.unit(name, name, "map", {}, pcus=1) for name in "abc"}
    for name, place in zip("abc", ((0, 0), (0, 2), (0, 3)), strict=True):
        ends[name].tiles = np.array([place])
    for source, target in ("ab", "ac", "bc", "ca"):
        net.connect(ends[source], ends[target], "f32", 4)
    whole, mine = shares(net, machine("tiny"), [5, 3, 4, 9])
    # To the right of a both of its streams; from c back to a another link.
    assert whole.busiest == 9
    assert mine == [0, 0, 0, 9]
    whole, mine = shares(net, machine("tiny"), [5, 3, 4, 7])
    assert whole.busiest == 8
    assert mine == [5, 3, 0, 0]


def used(found: Links) -> Iterator[tuple[str, int, int, int, float]]:
    for name, loads in (("along", found.along), ("across", found.across)):
        for row, column, way in np.argwhere(loads).tolist():
            yield name, row, column, way, float(loads[row, column, way])


def test_a_way_goes_along_the_row_then_across() -> None:
    assert list(used(carried([(1, 1)], [(2, 3)], 7))) == [
        ("along", 1, 1, 0, 7),
        ("along", 1, 2, 0, 7),
        ("across", 1, 3, 0, 7),
    ]
    assert list(used(carried([(2, 3)], [(1, 2)], 7))) == [("along", 2, 2, 1, 7), ("across", 1, 2, 1, 7)]


def test_a_tree_takes_every_link_once() -> None:
    """One unit to three copies: what they share on the way is carried once."""
    found = sorted(used(carried([(0, 0)], [(0, 2), (1, 2), (2, 2)], 5)))
    assert found == [("across", 0, 2, 0, 5), ("across", 1, 2, 0, 5), ("along", 0, 0, 0, 5), ("along", 0, 1, 0, 5)]


def test_what_is_dealt_takes_a_link_for_each() -> None:
    found = list(used(carried([(0, 0)], [(0, 1), (0, 2)], 5, "buffer")))
    assert found == [("along", 0, 0, 0, 10), ("along", 0, 1, 0, 5)]

"""Compiling: what is promised of a mapping holds on drawn shapes, and what does not fit is named with its size."""

from __future__ import annotations

import itertools
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdu
from decoders import splits
from rdu.compiler.allocate import ahead, allocate
from rdu.compiler.formats import FORMATS, VECTOR_BYTES, chunks, lanes, row_bytes
from rdu.compiler.fuse import fuse
from rdu.compiler.netlist import Netlist
from rdu.compiler.shard import shard
from rdu.errors import CompileError, RequestError
from rdu.graph import Graph
from rdu.machine import machine
from rdu.models import Checkpoint, load
from rdu.models.decoder import decoder_graph
from rdu.program import Program
from rdu.testing.checkpoints import write_folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load(write_folder(tmp_path_factory.mktemp("small") / "model"))


def one_linear(outputs: int, inputs: int) -> Graph:
    g = Graph()
    g.output(g.linear("y", g.input("x", inputs), g.weight("w", lambda: np.ones((outputs, inputs)), (outputs, inputs))))
    return g


# --- what does not fit -----------------------------------------------------------------------------------------------

TOO_SMALL = {
    "HBM": (
        {"hbm__capacity_bytes": 65536},
        r"needs \d+ bytes of HBM \(\d+ of weights, \d+ of caches and activations\)",
    ),
    "PCUs": ({"grid__pcus_per_tile": 8}, r"needs \d+ PCUs"),
    "PMUs": ({"grid__pmus_per_tile": 8}, r"needs \d+ PMUs"),
}


@pytest.mark.parametrize("resource", TOO_SMALL)
def test_a_budget_that_is_exceeded_is_named(small: Checkpoint, resource: str) -> None:
    """The resource, how much is needed, how much there is, the difference, and what would help."""
    changes, message = TOO_SMALL[resource]
    with pytest.raises(CompileError, match=message) as caught:
        rdu.compile(small, machine("tiny", **changes))
    text = str(caught.value)
    assert "machine 'tiny' has" in text
    assert "would help" in text
    need, have, over = (int(n) for n in re.search(r"needs (\d+).*?(?:has |=)(\d+): (\d+) too many", text).groups())
    assert need - have == over > 0


def test_hbm_fits_to_the_byte(small: Checkpoint) -> None:
    program = rdu.compile(small, "tiny").program
    need = program.weight_bytes + program.state_bytes
    rdu.compile(small, machine("tiny", hbm__capacity_bytes=need))
    with pytest.raises(CompileError, match=f"hbm.capacity_bytes={need - 1}: 1 too many"):
        rdu.compile(small, machine("tiny", hbm__capacity_bytes=need - 1))


def test_what_the_message_says_helps_does_help(small: Checkpoint) -> None:
    """Few PCUs: a layer does not fit, its operators one by one do."""
    few = machine("tiny", grid__pcus_per_tile=16)
    with pytest.raises(CompileError, match="fusion='op' would help"):
        rdu.compile(small, few, fusion="layer")
    assert rdu.compile(small, few, fusion="op").forward([1, 2, 3]).logits.shape == (3, 64)


def test_nothing_is_read_before_it_fits() -> None:
    g = Graph()

    def read() -> Any:
        pytest.fail("a weight was read, although the program does not fit")

    g.output(g.linear("y", g.input("x", 64), g.weight("w", read, (64, 64))))
    with pytest.raises(CompileError, match="bytes of HBM"):
        rdu.compile(g, machine("tiny", hbm__capacity_bytes=8192))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int4"}, "dtype is 'int4'; choose one of bf16, fp32, int8, w8a8"),
        ({"dtype": None}, "dtype is None"),
        ({"fusion": "everything"}, "fusion is 'everything'; choose one of op, layer, loop"),
        *(({"context": value}, "context is .*whole number of at least 1") for value in (0, -1, 1.5, "9", True)),
        *(({"block": value}, "block is .*whole number of at least 1") for value in (0, -1, 1.5, "9", True)),
    ],
)
def test_options_that_are_not_available(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        rdu.compile(one_linear(8, 8), **({"machine": "tiny"} | options))


def test_graphs_that_make_nothing() -> None:
    g = Graph()
    with pytest.raises(CompileError, match="the graph has no operators"):
        rdu.compile(g, "tiny")
    x = g.input("x", 8)
    y = g.silu("y", x)
    with pytest.raises(CompileError, match="the graph has no outputs"):
        rdu.compile(g, "tiny")
    g.output(y)
    unread = g.silu("unread", x)
    with pytest.raises(CompileError, match="tensor 'unread' is never used"):
        rdu.compile(g, "tiny")
    g.output(unread)
    g.input("z", 8)
    with pytest.raises(CompileError, match="input 'z' is read by no operator"):
        rdu.compile(g, "tiny")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((3, 7)), r"weight 'w': read shape \(3, 7\), the graph has \(3, 8\)"),
        (np.ones((3, 8), complex), "weight 'w': dtype complex128 is not numeric"),
        (np.full((3, 8), "a"), "weight 'w': dtype <U1 is not numeric"),
        (None, r"weight 'w': read shape \(\)"),
    ],
)
def test_weights_that_are_read_wrong(array: Any, message: str) -> None:
    g = Graph()
    g.output(g.linear("y", g.input("x", 8), g.weight("w", lambda: array, (3, 8))))
    with pytest.raises(CompileError, match=message):
        rdu.compile(g, "tiny")


def test_a_table_shorter_than_the_context() -> None:
    g = Graph()
    g.position_table("turns", lambda: np.zeros((16, 4)), (16, 4))
    x = g.input("x", 4)
    g.output(g.attention("y", x, x, x, heads=1, kv_heads=1, head_dim=4))
    assert rdu.compile(g, "tiny").context == 16
    with pytest.raises(CompileError, match="the position table has 16 rows, fewer than the context of 17"):
        rdu.compile(g, "tiny", context=17)


# --- what a run refuses ----------------------------------------------------------------------------------------------


def looked_up() -> Program:
    g = Graph()
    g.output(g.rows("y", g.weight("table", np.ones((5, 8)))))
    return rdu.compile(g, "tiny")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        *((np.ones(s), r"shape .*it must be \(positions, 8\)") for s in [(8,), (2, 9), (0, 8), (1, 2, 8), ()]),
        *((v, "it must be real numbers") for v in ("abc", None, [[None] * 8], np.ones((1, 8), complex))),
        ([[1], [1, 2]], "input 'x' is no array"),
        (np.ones((4097, 8)), "4097 positions are more than the context of 4096"),
    ],
)
def test_inputs_that_cannot_be(x: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        rdu.compile(one_linear(8, 8), "tiny").run(x=x)


def test_inputs_that_are_missing_or_too_many() -> None:
    program = rdu.compile(one_linear(8, 8), "tiny")
    for inputs in ({}, {"z": np.ones((1, 8))}, {"x": np.ones((1, 8)), "z": np.ones((1, 8))}):
        with pytest.raises(RequestError, match=r"the graph's inputs are \['x'\]"):
            program.run(**inputs)
    with pytest.raises(RequestError, match="looks up no rows"):
        program.run(x=np.ones((1, 8)), indices=[0])
    with pytest.raises(RequestError, match="has no output 'logits'; its outputs are"):
        _ = program.run(x=np.ones((1, 8))).logits


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([5], "token id 5 at position 0 is outside the vocabulary of 5"),
        ([0, -1], "token id -1 at position 1 is outside"),
        *((v, "they must be whole numbers") for v in ([1.0], ["a"], [True], [2**70], [None], [float("nan")])),
        *((v, "give one for each position, at least one") for v in ([], 3, [[1]])),
        ([[1], [1, 2]], "are no array"),
        ([2**63], "too large|outside"),
        (None, "looks up rows of 'y'; pass their indices"),
    ],
)
def test_indices_that_cannot_be(indices: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        looked_up().run(indices=indices)


# --- the passes ------------------------------------------------------------------------------------------------------


def test_formats() -> None:
    assert (lanes("bf16"), lanes("f32")) == (32, 16)
    for width, element, tokens in ((1, "bf16", 1), (32, "bf16", 1), (33, "bf16", 2), (16, "f32", 1), (17, "f32", 2)):
        assert chunks(width, element) == tokens
        assert row_bytes(width, element) == tokens * VECTOR_BYTES


def test_fuse_cuts_at_blocks() -> None:
    g = Graph()
    x = g.input("x", 8)
    with g.block("a"):
        y = g.silu("a.y", x)
        z = g.add("a.z", x, y)
    with g.block("b"):
        g.output(g.mul("b.w", z, x))
    layer = fuse(g, "layer")
    assert [(r.name, [op.name for op in r.operators]) for r in layer] == [("a", ["a.y", "a.z"]), ("b", ["b.w"])]
    assert [t.name for t in layer[0].inputs] == ["x"]
    assert [t.name for t in layer[0].outputs] == ["a.z"], "a.y stays on chip"
    assert [t.name for t in layer[1].inputs] == ["a.z", "x"]
    assert [len(r.operators) for r in fuse(g, "op")] == [1, 1, 1]


@pytest.mark.parametrize(("collective", "calls"), [("streamed", 1), ("kernel", 2)])
def test_a_sum_over_sockets_is_part_of_its_operators_call(small: Checkpoint, collective: str, calls: int) -> None:
    sharded = shard(decoder_graph(small, 4), 2)
    regions = fuse(sharded, "op", collective)
    summed = [op.name for region in regions for op in region.operators if op.kind == "all_reduce"]
    assert len(summed) == 2 * small.config.layers
    assert len(regions) == sum(op.kind != "input" for op in sharded.operators) - len(summed) * (2 - calls)
    for region in regions:
        if region.operators[-1].name in summed:
            assert len(region.operators) == 3 - calls


@settings(max_examples=80, deadline=None)
@given(
    outputs=st.integers(1, 700),
    inputs=st.integers(1, 700),
    pcus=st.sampled_from([4, 16, 64]),
    buffer=st.sampled_from([1, 64, 4096]),
    dtype=st.sampled_from(["bf16", "fp32"]),
)
def test_an_allocation_covers_its_weights_within_the_budget(
    outputs: int, inputs: int, pcus: int, buffer: int, dtype: str
) -> None:
    where = machine("tiny", grid__pcus_per_tile=pcus, mapping__weight_buffer_vectors=buffer)
    (region,) = fuse(one_linear(outputs, inputs), "layer")
    form = FORMATS[dtype]
    found = allocate(region, where, form, 1, 1)
    linear = found.linears["y"]
    assert linear.tiles == chunks(outputs, form.operand)
    assert 1 <= linear.units <= linear.tiles
    assert linear.splits in (1, 2, 4, machine("tiny").mapping.most_splits)
    assert linear.splits <= chunks(inputs, form.operand), "a part has at least one chunk"
    assert linear.macs <= where.total_pcus
    assert linear.vectors_per_unit * linear.macs >= linear.tiles * inputs
    assert 1 <= found.buffer_vectors["y"] <= ahead(where, linear.macs)
    assert found.weight_bytes >= linear.tiles * inputs * VECTOR_BYTES


@pytest.mark.parametrize("fusion", ["layer", "op", "loop"])
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_every_unit_has_a_place_and_every_stream_a_way(small: Checkpoint, dtype: str, fusion: str) -> None:
    where = machine("tiny")
    program = rdu.compile(small, where, dtype=dtype, fusion=fusion).program
    for site in program.sites:
        lowered = program.kernel(site.kernel, 3, (3,) * len(site.inputs)).lowered
        names = [unit.name for unit in lowered.units]
        assert len(names) == len(set(names))
        for kind, most in (("pcus", where.total_pcus), ("pmus", where.total_pmus), ("agcus", where.total_agcus)):
            assert sum(unit.copies * getattr(unit, kind) for unit in lowered.units) <= most
        pcus = []
        for unit in lowered.units:
            tiles = [tuple(tile) for tile in unit.tiles.tolist()]
            assert unit.role in ("load", "store") or len(tiles) == unit.copies * (unit.pcus or unit.pmus)
            for row, column in tiles:
                assert 0 <= row < where.grid.rows
                assert 0 <= column < where.grid.columns * where.tiles
                assert unit.pcus == 0 or (row + column) % 2 == 0, "PCUs are the white squares"
            pcus += tiles if unit.pcus else []
        assert len(pcus) == len(set(pcus)), "no PCU serves two units"
        for stream in lowered.streams:
            # Every member has the latency of the longest.
            m, n = len(stream.source.tiles), len(stream.target.tiles)
            pairs = itertools.product(range(m), range(n))
            if max(m, n) % min(m, n) == 0 and not {"load", "store"} & {stream.source.role, stream.target.role}:
                pairs = ((at * m // max(m, n), at * n // max(m, n)) for at in range(max(m, n)))
            hops = max(int(abs(stream.source.tiles[a] - stream.target.tiles[b]).sum()) for a, b in pairs)
            assert stream.latency == max(1, hops) * where.network.hop_cycles
            assert stream.credit == max(1, hops) * where.network.credit_hop_cycles
            assert stream.capacity >= stream.depth


def test_hops_cost_what_the_machine_says(small: Checkpoint) -> None:
    near, far = (
        rdu.compile(small, machine("tiny", network__hop_cycles=hop, network__credit_hop_cycles=hop)).forward([1, 2])
        for hop in (1, 9)
    )
    assert far.cycles > near.cycles
    assert far.logits.tobytes() == near.logits.tobytes()


def test_addresses_do_not_overlap(small: Checkpoint) -> None:
    program = rdu.compile(small, "tiny", fusion="layer").program
    ranges = [(boundary.base, boundary.bytes) for boundary in program.boundaries.values()]
    ranges += [(cache.base, cache.bytes) for site in program.sites for cache in site.caches]
    ranges.sort()
    assert ranges[0][0] >= program.weight_bytes
    for (base, size), (after, _) in pairwise(ranges):
        assert base + size <= after
    assert ranges[-1][0] + ranges[-1][1] <= program.weight_bytes + program.state_bytes
    bases = [site.weights for site in program.sites]
    assert len(bases) == len(set(bases))
    assert max(bases) < program.weight_bytes


def test_a_loop_of_none_leaves_no_phase() -> None:
    unit = Netlist("n", 1, 4, 1).unit("u", "u", "mac", {})
    with unit.loop(0):
        unit.fire(1, produce=[(0, 99)])
        with unit.loop(3):
            unit.fire(1, produce=[(0, 98)])
    unit.fire(0, produce=[(0, 97)])
    unit.fire(2, produce=[(0, 1)])
    assert [phase["produce"] for phase in unit.phases] == [[(0, 1)]]
    assert unit.nest == [{"phase": 0, "times": 2}]


def test_splits_are_a_property_of_the_program_alone(small: Checkpoint) -> None:
    program = rdu.compile(small, "tiny").program
    before = splits(program)
    program.session("values").feed([1, 2, 3, 4, 5])
    assert splits(program) == before

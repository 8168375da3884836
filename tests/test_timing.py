"""Timing from shapes: prompts in waves, what bounds them, and the books of a step."""

from __future__ import annotations

import re

import pytest

from rdu.compiler.compile import compile_graph
from rdu.compiler.timing import time_decode, time_prefill
from rdu.errors import CompileError
from rdu.machine import machine
from test_bundles import SMALL, assert_copies_alike, calls, shapes, timed

WIDE = {"hidden_size": 1024, "intermediate_size": 2048, "head_dim": 64, "num_attention_heads": 16}
# Just enough for some of a prompt of 300 positions at a time.
TIGHT = {"op": 1024, "layer": 2048, "loop": 2048}
ROOM = {"grid__pcus_per_tile": 256, "grid__pmus_per_tile": 256, "grid__rows": 32}


@pytest.mark.parametrize("fusion", ["op", "layer", "loop"])
@pytest.mark.parametrize(("prompt", "batch"), [(7, 1), (40, 1), (33, 2)])
def test_a_bundle_of_a_prompt_stands_for_its_copies(fusion: str, prompt: int, batch: int) -> None:
    """Waves of one size, some with padding, for one sequence or two."""
    where = machine("tiny", **ROOM)
    program = compile_graph(shapes(64), where, fusion=fusion, prompt=prompt, batch=batch, values=False)
    for lowered, arguments in calls(program, program.block, 0):
        one = timed(lowered.description, where, arguments, 256)
        assert_copies_alike(lowered, one, timed(lowered.whole, where, arguments, 256))


def test_a_long_prompt_is_bound_by_compute_and_a_step_by_memory() -> None:
    graph, where = shapes(2048, **WIDE), machine("sn40l")
    prefill = time_prefill(graph, where, prompt=1024)
    step = time_decode(graph, where, context=1024)
    assert prefill.pcu_utilization > prefill.hbm_utilization
    assert prefill.pcu_utilization > 20 * step.pcu_utilization
    assert step.hbm_utilization > 10 * step.pcu_utilization


@pytest.mark.parametrize("fusion", ["op", "layer", "loop"])
def test_a_prompt_takes_the_multiply_adds_of_its_shapes(fusion: str) -> None:
    """Each position once; beyond them scores, and the padding of lanes and of the last wave."""
    prefill = time_prefill(shapes(1024, **WIDE), machine("sn40l"), prompt=512, fusion=fusion)
    c = SMALL | WIDE
    layer = c["hidden_size"] * c["head_dim"] * 2 * (c["num_attention_heads"] + c["num_key_value_heads"])
    layer += 3 * c["hidden_size"] * c["intermediate_size"]
    least = 512 * c["num_hidden_layers"] * layer
    assert least <= prefill.macs <= 1.5 * least


@pytest.mark.parametrize("fusion", TIGHT)
def test_a_prompt_that_does_not_fit_comes_in_blocks(fusion: str) -> None:
    """Each block reads the weights again, and the cached rows of those before it."""
    graph = shapes(512, num_key_value_heads=4)
    whole, parts = (
        time_prefill(graph, machine("tiny", **ROOM, pmu__capacity_bytes=size), prompt=300, fusion=fusion)
        for size in (16384, TIGHT[fusion])
    )
    assert len(parts.run.steps) > len(whole.run.steps) == 1
    assert parts.tier_bytes[0][0] > whole.tier_bytes[0][0]
    assert parts.cycles > whole.cycles


@pytest.mark.parametrize("fusion", TIGHT)
def test_a_bundle_of_a_later_block_stands_for_its_copies(fusion: str) -> None:
    where = machine("tiny", **ROOM, pmu__capacity_bytes=TIGHT[fusion])
    program = compile_graph(shapes(512, num_key_value_heads=4), where, fusion=fusion, prompt=300, values=False)
    (first, _), *_ = calls(program, program.block, 0)
    assert first.wave is not None
    assert first.wave.streamed
    for lowered, arguments in calls(program, program.block, first.wave.block):
        one = timed(lowered.description, where, arguments, 256)
        assert_copies_alike(lowered, one, timed(lowered.whole, where, arguments, 256))


def test_twice_the_prompt_takes_twice_the_time() -> None:
    graph, where = shapes(4096, **WIDE), machine("sn40l")
    # Long enough that to fill the pipeline takes little of the time.
    short, long = (time_prefill(graph, where, prompt=prompt).cycles for prompt in (1920, 3840))
    assert 1.7 * short <= long <= 2.4 * short, "and somewhat more, as later positions see more keys"


def test_a_second_call_compiles_nothing() -> None:
    graph = shapes(64)
    first, again = (time_decode(graph, machine("tiny"), context=20) for _ in range(2))
    assert first.run.program is again.run.program
    assert first.cycles == again.cycles


def test_sockets_share_the_work_and_talk() -> None:
    graph, where = shapes(64, **WIDE), machine("sn40l")
    one, two = (time_decode(graph, where, context=20, sockets=sockets) for sockets in (1, 2))
    assert one.p2p_bytes == 0
    # Two sums over sockets a layer, of fp32 vectors as wide as the model, one to the other socket.
    assert two.p2p_bytes == SMALL["num_hidden_layers"] * 2 * WIDE["hidden_size"] * 4
    assert two.tier_bytes[0][0] < 0.6 * one.tier_bytes[0][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": -1}, "context is -1"),
        ({"context": True}, "context is True"),
        ({"batch": 0}, "batch is 0"),
        ({"sockets": 3}, "3 sockets cannot share evenly"),
        ({"fusion": "all"}, "fusion is 'all'"),
        ({"dtype": "fp8"}, "dtype is 'fp8'"),
    ],
)
def test_what_cannot_be_timed(options: dict[str, object], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        time_decode(shapes(64), machine("tiny"), **options)  # type: ignore[arg-type]


def test_a_prompt_has_a_position() -> None:
    with pytest.raises(CompileError, match="prompt is 0; it must be a whole number of at least 1"):
        time_prefill(shapes(64), machine("tiny"), prompt=0)


def test_a_prompt_whose_weights_do_not_fit_says_what_is_short() -> None:
    message = r"kernel '.*' needs (\d+) PMUs, machine 'tiny' has (\d+): (\d+) too many; more sockets, .* would help"
    where = machine("tiny", pmu__capacity_bytes=512, mapping__weight_buffer_vectors=64)
    with pytest.raises(CompileError, match=message) as caught:
        time_prefill(shapes(64), where, prompt=40)
    found = re.search(message, str(caught.value))
    assert found is not None
    need, have, over = map(int, found.groups())
    assert need - have == over > 0

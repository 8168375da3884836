"""Bundles: one unit that stands for many gives the same cycles and counters as all of them written out.

So do sockets: one that stands for all under tensor parallelism, against all of them joined in one program.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rdu import _core
from rdu.compiler.compile import compile_graph
from rdu.compiler.describe import representatives, unfolded
from rdu.compiler.lower import Kernel
from rdu.graph import Graph
from rdu.machine import Machine, machine
from rdu.memory.tier import describe_tiers
from rdu.models.config import parse_config
from rdu.models.decoder import decoder_graph
from rdu.program import Program, Site
from rdu.run import Session

SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 100,
    "head_dim": 32,
}


def shapes(context: int, **changes: int) -> Graph:
    """A decoder's graph without weights."""
    settings = {"model_type": "llama", "rms_norm_eps": 1e-5, "max_position_embeddings": 4096} | SMALL | changes
    config = parse_config({"architectures": ["LlamaForCausalLM"], "hidden_act": "silu"} | settings, "test")
    weightless = SimpleNamespace(config=config, blocks=lambda name: None)
    return decoder_graph(weightless, context)  # type: ignore[arg-type]


def calls(program: Program, positions: int, past: int) -> list[tuple[Kernel, list[int]]]:
    """The kernels of one pass, each with the arguments of its call."""
    session = Session(program)
    session.past = past
    sites: tuple[Site, ...] = program.sites if program.whole is None else (program.whole,)
    found = []
    for site in sites:
        lowered = program.kernel(site.kernel, positions, (positions,) * len(site.inputs)).lowered
        assert isinstance(lowered, Kernel)
        found.append((lowered, [session._argument(name, site) for name in lowered.arguments]))
    return found


def timed(description: dict[str, Any], where: Machine, arguments: list[int], rows: int, sockets: int = 1) -> Any:
    timer = _core.Timer(describe_tiers(where) * sockets, (0, 0))
    session = _core.Session(_core.Image(), timer, [])
    session.run([(0, _core.Kernel(description), arguments)], [1] * rows, [1] * rows, "split")
    return session.totals()


def assert_copies_alike(lowered: Kernel, one: Any, every: Any, sockets: int = 1) -> None:
    """Cycles, and for each unit and stream the counters of every copy."""
    assert every["cycles"] == one["cycles"]
    few, many = one["kernels"][0], every["kernels"][0]
    firsts, first_streams = representatives(lowered.net)
    copies = len(many["units"]) // sockets
    for at, (unit, first) in enumerate(zip(lowered.units, firsts, strict=True)):
        for socket in range(sockets):
            for copy in range(unit.copies):
                assert many["units"][socket * copies + first + copy] == few["units"][at], f"{unit.name} {socket} {copy}"
    if sockets == 1:
        for at, (stream, first) in enumerate(zip(lowered.streams, first_streams, strict=True)):
            for copy in range(stream.copies):
                assert many["streams"][first + copy] == few["streams"][at], stream.name


@pytest.mark.parametrize("fusion", ["op", "layer", "loop"])
@pytest.mark.parametrize(("positions", "past"), [(1, 0), (1, 37), (3, 5)])
def test_a_bundle_stands_for_its_copies(fusion: str, positions: int, past: int) -> None:
    where = machine("tiny")
    program = compile_graph(shapes(64), where, fusion=fusion, context=64, values=False)
    bundles = 0
    for lowered, arguments in calls(program, positions, past):
        one = timed(lowered.description, where, arguments, positions)
        assert_copies_alike(lowered, one, timed(lowered.whole, where, arguments, positions))
        bundles += sum(unit.copies > 1 for unit in lowered.units)
    assert bundles >= 7, "the macs of seven linear operators"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    hidden=st.sampled_from([16, 48, 64, 80]),
    heads=st.sampled_from([(1, 1), (2, 1), (4, 4), (6, 3)]),
    head_dim=st.sampled_from([8, 34, 64]),
    ffn=st.integers(1, 200),
    vocabulary=st.integers(1, 300),
    past=st.integers(0, 90),
    batch=st.sampled_from([1, 2, 5]),
    buffer=st.sampled_from([1, 40, 1024]),
    channels=st.sampled_from([1, 4]),
    peak_gbps=st.sampled_from([64.0, 1000.0]),
    dtype=st.sampled_from(["bf16", "fp32"]),
)
def test_random_shapes(
    hidden: int,
    heads: tuple[int, int],
    head_dim: int,
    ffn: int,
    vocabulary: int,
    past: int,
    batch: int,
    buffer: int,
    channels: int,
    peak_gbps: float,
    dtype: str,
) -> None:
    """Padding in every dimension, batches, shallow buffers, granules from one channel up, slow and fast memories."""
    where = machine(
        "tiny",
        mapping__weight_buffer_vectors=buffer,
        hbm__channels=channels,
        hbm__peak_gbps=peak_gbps,
        grid__pcus_per_tile=256,
        grid__pmus_per_tile=256,
        grid__rows=32,
    )
    graph = shapes(
        past + 1,
        hidden_size=hidden,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        head_dim=head_dim,
        intermediate_size=ffn,
        vocab_size=vocabulary,
    )
    program = compile_graph(graph, where, fusion="loop", dtype=dtype, batch=batch, context=past + 1, values=False)
    ((lowered, arguments),) = calls(program, batch, past)
    one = timed(lowered.description, where, arguments, batch)
    assert_copies_alike(lowered, one, timed(lowered.whole, where, arguments, batch))


@pytest.mark.parametrize("how", ["exchange", "scatter", "ring"])
@pytest.mark.parametrize("sockets", [2, 4])
def test_a_socket_stands_for_all(how: str, sockets: int) -> None:
    """All sockets in one program, each with its own memory, their streams joined: every one takes the same cycles."""
    where = machine("tiny", sockets=sockets, p2p__all_reduce=how)
    program = compile_graph(shapes(32), where, fusion="loop", context=32, values=False)
    ((lowered, arguments),) = calls(program, 1, 20)
    one = timed(lowered.description, where, arguments, 1)
    assert_copies_alike(lowered, one, timed(unfolded(lowered.net, sockets), where, arguments, 1, sockets), sockets)
    assert any(stream.peers for stream in lowered.streams)

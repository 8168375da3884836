"""However small the buffers, a compiled program never stops: the compiler leaves no cycle of waiting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdu
from rdu.graph import Tensor

# Buffers hold at least what is under way from memory: here, next to nothing.
NEAR = {"hbm.network_ns": 0.0, "hbm.refresh_ns": 1.0}
TIGHT = {"mapping.weight_buffer_vectors": 1, "network.fifo_vectors": 1, "agcu.outstanding": 1, **NEAR}
# A memory so fast that several units share the rows of a head, and the sums of their parts are joined.
WIDE = {**TIGHT, "hbm.peak_gbps": 1000.0, "grid.pcus_per_tile": 256, "grid.pmus_per_tile": 256, "grid.rows": 32}


@st.composite
def wirings(draw: st.DrawFn) -> rdu.Graph:
    """Linears that share inputs, feed each other and meet again: long weights behind short ones."""
    graph = rdu.Graph()
    tensors: list[Tensor] = [graph.input("x", draw(st.sampled_from([40, 96])))]
    random = np.random.default_rng(0)
    for at in range(draw(st.integers(1, 6))):
        x = tensors[draw(st.integers(0, len(tensors) - 1))]
        alike = [tensor for tensor in tensors if tensor.width == x.width]
        kind = draw(st.sampled_from(["linear", "linear", "biased", "norm", "add"]))
        if kind == "add" and len(alike) > 1:
            tensors.append(graph.add(f"t{at}", x, alike[draw(st.integers(0, len(alike) - 1))]))
        elif kind == "norm":
            tensors.append(graph.norm(f"t{at}", x, graph.weight(f"n{at}", np.ones(x.width, np.float32)), 1e-5))
        else:
            width = draw(st.sampled_from([40, 96, 700]))
            weight = graph.weight(f"w{at}", random.standard_normal((width, x.width)).astype(np.float32) / 16)
            bias = (
                graph.weight(f"b{at}", random.standard_normal(width).astype(np.float32)) if kind == "biased" else None
            )
            tensors.append(graph.linear(f"t{at}", x, weight, bias))
    used = {id(tensor) for op in graph.operators for tensor in op.inputs}
    for tensor in tensors[1:]:
        if id(tensor) not in used:
            graph.output(tensor)
    return graph


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
@settings(max_examples=40, deadline=None)
@given(graph=wirings(), positions=st.sampled_from([1, 3]), buffer=st.sampled_from([1, 8]), seed=st.integers(0, 9))
def test_tight_buffers_never_stop_a_program(
    dtype: str, graph: rdu.Graph, positions: int, buffer: int, seed: int
) -> None:
    machine = rdu.machine("tiny").override({**TIGHT, "mapping.weight_buffer_vectors": buffer})
    program = rdu.compile(graph, machine, dtype=dtype, context=4)
    (x,) = (op.output for op in graph.operators if op.kind == "input")
    rows = np.random.default_rng(seed).standard_normal((positions, x.width))
    runs = [program.run(x=rows, mode=mode) for mode in ("split", "step")]
    assert runs[0].cycles == runs[1].cycles
    for name, values in runs[0].outputs.items():
        np.testing.assert_array_equal(values, runs[1].outputs[name])


def test_long_weights_of_one_operator_do_not_stop_another() -> None:
    # The weights of "a" alone fill every buffer, and "b" gets none until they moved: "a" must not need "b" for that.
    graph = rdu.Graph()
    x = graph.input("x", 2048)
    for name in ("a", "b"):
        graph.output(graph.linear(name, x, graph.weight(f"{name}.weight", np.ones((512, 2048), np.float32))))
    program = rdu.compile(graph, rdu.machine("tiny").override(TIGHT), context=1)
    assert program.run(x=np.ones((1, 2048))).outputs["b"][0, 0] == 2048


@pytest.mark.parametrize("overrides", [TIGHT, WIDE], ids=["tight", "wide"])
@pytest.mark.parametrize("variant", ["s02_gqa", "s06_attn_mlp_bias", "s08_odd_sizes", "s13_qwen3"])
def test_tight_buffers_never_stop_a_decoder(variant: str, overrides: dict[str, float], data_dir: Path) -> None:
    decoder = rdu.compile(data_dir / "tiny" / variant, rdu.machine("tiny").override(overrides), context=64)
    session = decoder.program.session("split").feed(list(range(3, 40)))
    assert session.feed([7]).feed([8]).result().cycles > 0

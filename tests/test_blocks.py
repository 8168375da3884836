"""Weights in blocks: against NumPy bit for bit, taken as they are stored, or rounded as ggml rounds."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdu
from decoders import assert_same_bits
from rdu.blocks import BLOCK_BYTES, Blocks
from rdu.errors import CompileError, NumbersWarning

Array = npt.NDArray[Any]
TINY = rdu.machine("tiny")
KINDS = sorted(BLOCK_BYTES)


def stored(weight: Array, kind: str) -> npt.NDArray[np.uint8]:
    """Rows of blocks by the ``gguf`` package."""
    return np.asarray(gguf.quants.quantize(weight, gguf.GGMLQuantizationType[kind.upper()]))


def widened(rows: Array, kind: str) -> Array:
    """What they stand for; the zeros of tiles have no sign."""
    return np.asarray(gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[kind.upper()]), np.float32) + np.float32(0)


def bf16(x: Array) -> Array:
    import ml_dtypes

    return np.asarray(x, ml_dtypes.bfloat16).astype(np.float32)


def linear(
    weight: Array, dtype: str, rows: Array | None = None, bias: Array | None = None, **options: Any
) -> rdu.Program:
    g = rdu.Graph()
    blocks = None if rows is None else Blocks(dtype, lambda: rows)
    own = None if bias is None else g.weight("b", bias)
    g.output(g.linear("y", g.input("x", weight.shape[1]), g.weight("w", weight, blocks=blocks), own))
    return rdu.compile(g, options.pop("machine", TINY), dtype=dtype, **options)


def by_numpy(x: Array, weight: Array, splits: int) -> Array:
    """The declared order once more; see docs/numerics.md."""
    chunks, inputs = -(-weight.shape[1] // 64), weight.shape[1]
    parts = []
    for s in range(splits):
        first, end = s * chunks // splits * 64, min((s + 1) * chunks // splits * 64, inputs)
        sums = np.zeros((len(x), len(weight)), np.float32)
        for k in range(first, end):
            # A product of bf16 and float32 has 32 bits: a float32 of like size is added in float64 without rounding.
            sums = (x[:, k, None].astype(float) * weight[:, k] + sums).astype(np.float32)
        parts.append(sums)
    while len(parts) > 1:
        odd = parts[-1:] if len(parts) % 2 else []
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + odd
    return parts[0]


@given(
    outputs=st.integers(1, 150),
    blocks=st.integers(1, 7),
    positions=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    kept=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_a_linear_operator_is_numpys(
    outputs: int, blocks: int, positions: int, seed: int, kind: str, kept: bool
) -> None:
    random = np.random.default_rng(seed)
    weight, x = (random.standard_normal((rows, 32 * blocks)).astype(np.float32) for rows in (outputs, positions))
    bias, rows = random.standard_normal(outputs).astype(np.float32), stored(weight, kind)
    # Values that differ from the blocks show which of both was taken.
    program = linear(weight + kept, kind, rows if kept else None, bias)
    found = {mode: program.run(x=x, mode=mode) for mode in ("step", "split")}
    assert_same_bits(found["step"].outputs["y"], found["split"].outputs["y"])
    assert found["step"].totals == found["split"].totals
    [plan] = [op for op in program.kernel(0, 1, (1,)).lowered.description["plan"] if op["op"] == "linear"]
    expected = by_numpy(bf16(x), widened(rows, kind), plan["splits"]) + bias
    assert_same_bits(found["split"].outputs["y"], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_machine_holds_and_moves_the_bytes_of_the_file(kind: str) -> None:
    """Of 64 x 256 weights as many bytes as their blocks have; all else is as in bf16."""
    weight, x = np.ones((64, 256), np.float32), np.ones((1, 256), np.float32)
    roomy = rdu.machine("tiny", hbm__capacity_bytes=2**24)
    reads = {}
    for dtype in ("bf16", kind):
        program = linear(weight, dtype, machine=roomy)
        run = program.run(x=x)
        reads[dtype] = run.totals["traffic"][0][0]
        assert run.report.macs >= 64 * 256
        assert run.report.macs == linear(weight, "int8", machine=roomy).run(x=x).report.macs or dtype == "bf16"
    assert reads["bf16"] - reads[kind] == 64 * 256 * 2 - stored(weight, kind).size


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_what_rounding_took_and_nothing_of_what_was_stored(kind: str) -> None:
    weight = np.random.default_rng(1).standard_normal((70, 96)).astype(np.float32)
    rows = stored(weight, kind)
    lost = weight - widened(rows, kind).astype(float)
    found = linear(weight, kind).quantization
    assert found is not None
    assert found.kept == ()
    assert found.worst == ("w", pytest.approx(np.linalg.norm(lost) / np.linalg.norm(weight.astype(float)), rel=1e-9))
    kept = linear(weight, kind, rows).quantization
    assert kept is not None
    assert (kept.kept, kept.worst, kept.relative) == (("w",), None, 0)
    assert kept.to_dict() == {"relative_error": 0.0, "worst": None, "kept": 1, "tensors": {}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", [256, 320])
def test_sockets_share_blocks(kind: str, inputs: int) -> None:
    """Outputs of the first matrix, inputs of the second; each socket sums its own, then both are added."""
    random = np.random.default_rng(inputs)
    up, down = (random.standard_normal(shape).astype(np.float32) for shape in ((inputs, 64), (96, inputs)))
    g = rdu.Graph()
    h = g.silu("h", g.linear("up", g.input("x", 64), g.weight("u", up)))
    g.output(g.linear("y", h, g.weight("d", down, blocks=Blocks(kind, lambda: stored(down, kind)))))
    x = random.standard_normal((2, 64)).astype(np.float32)
    alone = rdu.compile(g, rdu.machine("tiny", sockets=1), dtype=kind)
    both = rdu.compile(g, rdu.machine("tiny", sockets=2), dtype=kind)
    runs = {mode: both.run(x=x, mode=mode) for mode in ("step", "split")}
    assert_same_bits(runs["step"].outputs["y"], runs["split"].outputs["y"])
    # The same products in another order of addition.
    np.testing.assert_allclose(runs["split"].outputs["y"], alone.run(x=x).outputs["y"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_scales_that_are_no_numbers_are_named_and_a_scale_of_zero_gives_zero(kind: str) -> None:
    weight = np.ones((3, 96), np.float32)
    rows = stored(weight, kind)
    rows[1] = 0
    y = linear(weight, kind, rows, np.array([0, 5, 0], np.float32)).run(x=np.ones((1, 96))).outputs["y"][0]
    assert y[1] == 5
    rows[1, :2] = np.frombuffer(np.float16(np.nan).tobytes(), np.uint8)
    with pytest.warns(NumbersWarning, match="weight 'w': 32 of 288 values are NaN or infinite"):
        program = linear(weight, kind, rows)
    for mode in ("step", "split"):
        y = program.run(x=np.ones((1, 96)), mode=mode).outputs["y"][0]
        assert np.isnan(y[1])
        assert np.isfinite(y[[0, 2]]).all()
    weight[2, 40] = np.inf
    with pytest.warns(NumbersWarning, match="weight 'w': 32 of 288 values"):
        linear(weight, kind)


def test_blocks_divide_what_is_summed() -> None:
    with pytest.raises(CompileError, match=r"weight 'w' sums over 40 inputs, which q4_0 .* blocks of 32; dtype='int8'"):
        linear(np.ones((4, 40), np.float32), "q4_0")
    g = rdu.Graph()
    h = g.silu("h", g.linear("up", g.input("x", 32), g.weight("u", np.ones((96, 32), np.float32))))
    g.output(g.linear("y", h, g.weight("d", np.ones((32, 96), np.float32))))
    with pytest.raises(CompileError, match="weight 'd' sums over 48 inputs on each socket"):
        rdu.compile(g, rdu.machine("tiny", sockets=2), dtype="q8_0")


@pytest.mark.parametrize("rows", [np.zeros((4, 33), np.uint8), np.zeros((3, 34), np.uint8), np.zeros((4, 34), np.int8)])
def test_blocks_of_another_shape_are_refused(rows: Array) -> None:
    with pytest.raises(CompileError, match=r"weight 'w': read u?int8 \(., ..\), its blocks are uint8 \(4, 34\)"):
        linear(np.ones((4, 32), np.float32), "q8_0", rows)

"""Weights, and activations, as whole numbers: against NumPy bit for bit, and what is said of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdu
from decoders import assert_same_bits
from rdu.compiler.formats import LONGEST_EXACT_SUM
from rdu.errors import CompileError, NumbersWarning
from rdu.quantization import Loss, Quantization

Array = npt.NDArray[Any]
TINY = rdu.machine("tiny")


def whole_rows(x: Array) -> tuple[Array, Array]:
    """Rows as whole numbers and their scales, in the declared order: numpy rounds ties to even, in float32 as we do."""
    scales = (np.abs(x).max(axis=1) / np.float32(127)).astype(np.float32)
    with np.errstate(invalid="ignore"):
        values = np.clip(np.rint(x / scales[:, None]), -127, 127)
    return np.nan_to_num(values).astype(np.int8), scales


def bf16(x: Array) -> Array:
    import ml_dtypes

    return np.asarray(x, ml_dtypes.bfloat16).astype(np.float32)


def linear(weight: Array, bias: Array | None = None, dtype: str = "w8a8", **options: Any) -> rdu.Program:
    g = rdu.Graph()
    own = None if bias is None else g.weight("b", bias)
    g.output(g.linear("y", g.input("x", weight.shape[1]), g.weight("w", weight), own))
    return rdu.compile(g, options.pop("machine", TINY), dtype=dtype, **options)


def by_numpy(x: Array, weight: Array, bias: Array, splits: int, dtype: str) -> Array:
    """The declared order once more; see docs/numerics.md."""
    q, scales = whole_rows(weight)
    if dtype == "w8a8":
        rows, row_scales = whole_rows(x)
        sums = rows.astype(np.int64) @ q.T.astype(np.int64)
        return sums.astype(np.float32) * (row_scales[:, None] * scales) + bias
    x, chunks = bf16(x), -(-weight.shape[1] // 64)
    parts = []
    for s in range(splits):
        first, end = s * chunks // splits * 64, min((s + 1) * chunks // splits * 64, weight.shape[1])
        sums = np.zeros((len(x), len(weight)), np.float32)
        for k in range(first, end):
            # A product of bf16 and int8 has 15 bits: with a float32 of like size it is exact in float64, rounded once.
            sums = (x[:, k, None].astype(float) * q[:, k] + sums).astype(np.float32)
        parts.append(sums)
    while len(parts) > 1:
        odd = parts[-1:] if len(parts) % 2 else []
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + odd
    return parts[0] * scales + bias


@given(
    outputs=st.integers(1, 150),
    inputs=st.integers(1, 200),
    positions=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(["int8", "w8a8"]),
)
@settings(deadline=None, max_examples=40)
def test_a_linear_operator_is_numpys(outputs: int, inputs: int, positions: int, seed: int, dtype: str) -> None:
    random = np.random.default_rng(seed)
    weight, x = (random.standard_normal((rows, inputs)).astype(np.float32) for rows in (outputs, positions))
    bias = random.standard_normal(outputs).astype(np.float32)
    program = linear(weight, bias, dtype)
    found = {mode: program.run(x=x, mode=mode) for mode in ("step", "split")}
    assert_same_bits(found["step"].outputs["y"], found["split"].outputs["y"])
    assert found["step"].totals == found["split"].totals
    [plan] = [op for op in program.kernel(0, 1, (1,)).lowered.description["plan"] if op["op"] == "linear"]
    assert_same_bits(found["split"].outputs["y"], by_numpy(x, weight, bias, plan["splits"], dtype))


def test_the_machine_holds_and_moves_bytes() -> None:
    """Of 64 x 256 weights a quarter of what fp32 takes, and half of bf16; scales are 64 x 4 bytes on top."""
    weight = np.ones((64, 256), np.float32)
    roomy = rdu.machine("tiny", hbm__capacity_bytes=2**24)
    programs = {dtype: linear(weight, None, dtype, machine=roomy) for dtype in ("fp32", "bf16", "int8", "w8a8")}
    granule = programs["bf16"].granule_bytes
    reads = {
        dtype: program.run(x=np.ones((1, 256), np.float32)).totals["traffic"][0][0]
        for dtype, program in programs.items()
    }
    assert abs(reads["bf16"] - (64 * 256 * 2 + 256 * 4)) <= 2 * granule
    assert reads["fp32"] - reads["bf16"] == 64 * 256 * 2
    for dtype in ("int8", "w8a8"):
        assert abs(reads["bf16"] - reads[dtype] - (64 * 256 - 64 * 4)) <= granule


def test_loss_is_what_rounding_took() -> None:
    weight = np.random.default_rng(1).standard_normal((40, 70)).astype(np.float32)
    q, scales = whole_rows(weight)
    lost = weight - q.astype(float) * scales[:, None]
    found = linear(weight).quantization
    assert found is not None
    assert found.worst == ("w", pytest.approx(np.linalg.norm(lost) / np.linalg.norm(weight.astype(float)), rel=1e-9))
    assert found.relative == found.worst[1]
    assert found.to_dict()["worst"] == {"tensor": "w", "relative_error": found.relative}
    assert linear(weight, dtype="bf16").quantization is None


def test_the_worst_is_named() -> None:
    found = Quantization({"a": Loss(1.0, 100.0), "b": Loss(4.0, 100.0), "zero": Loss(0.0, 0.0)})
    assert found.worst == ("b", 0.2)
    assert found.relative == pytest.approx((5 / 200) ** 0.5)
    assert Quantization({"a": Loss(1.0, 100.0), "nan": Loss(np.nan, 1.0)}).worst[0] == "nan"


@pytest.mark.parametrize("dtype", ["int8", "w8a8"])
def test_a_scale_of_zero_gives_zero(dtype: str) -> None:
    """A row of zeros has no largest magnitude: its outputs are the bias, not NaN; nor does a row of x that is zero."""
    weight = np.ones((3, 70), np.float32)
    weight[1] = 0
    bias = np.array([0, 5, 7], np.float32)
    run = linear(weight, bias, dtype).run(x=np.stack([np.ones(70), np.zeros(70)]))
    np.testing.assert_array_equal(run.outputs["y"][:, 1:], [[5, 77], [5, 7]])


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8", "w8a8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_named_and_seen(dtype: str, value: float) -> None:
    weight = np.ones((3, 70), np.float32)
    weight[1, 2] = value
    with pytest.warns(NumbersWarning, match="weight 'w': 1 of 210 values are NaN or infinite"):
        program = linear(weight, None, dtype)
    for mode in ("step", "split"):
        y = program.run(x=np.ones((1, 70)), mode=mode).outputs["y"][0]
        assert not np.isfinite(y[1])
        assert np.all(np.isfinite(y[[0, 2]]))


def test_a_bias_that_is_no_number_is_named() -> None:
    with pytest.warns(NumbersWarning, match="weight 'b': 2 of 3 values"):
        linear(np.ones((3, 70), np.float32), np.array([np.nan, 1, np.inf], np.float32))


def test_sums_that_might_not_fit_are_refused() -> None:
    def read() -> Array:
        pytest.fail("a weight was read, although its sums might not fit")

    g = rdu.Graph()
    inputs = LONGEST_EXACT_SUM + 1
    g.output(g.linear("y", g.input("x", inputs), g.weight("w", read, (1, inputs))))
    with pytest.raises(CompileError, match=f"'y' sums {inputs} products; in w8a8 at most {LONGEST_EXACT_SUM}"):
        rdu.compile(g, TINY, dtype="w8a8")

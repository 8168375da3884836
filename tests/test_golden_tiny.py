"""Tiny checkpoints against the reference logits: every architecture, every option, on machine tiny."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from decoders import TINY, assert_decode_equals_prefill, assert_same_bits, decoder, splits
from rdu.models.generate import Decoder

Golden = dict[str, npt.NDArray[Any]]
CASES = (0, 1, 2)
DTYPES = ("fp32", "bf16", "int8", "w8a8")

# Six times the worst that was measured (1.6e-5), and far below what mistakes change (0.1 for a rope base 5 % off, see
# golden.json; only the two usual eps cannot be told apart by every variant). The promise is 5e-4.
FP32_BOUND = 1e-4
# Rounded activations: the reference's own distance from its fp32 is up to 0.2, another order of addition moves as much.
BF16_BOUND = 0.2
# int8 weights lose 0.6 % each (see the test): with a deviation of the logits of 2.5 that moves them by up to 0.5; whole
# numbers for activations move them by as much again. Nothing is known of these checkpoints in these schemes.
INT8_BOUND = 0.7
W8A8_BOUND = 1.0
BOUNDS = {"fp32": FP32_BOUND, "bf16": BF16_BOUND, "int8": INT8_BOUND, "w8a8": W8A8_BOUND}
# Below this margin the reference's own noise floor (2.5e-5 on each of two logits) is no longer far away.
LEAST_MARGIN = 1e-3


@pytest.fixture(scope="module", params=TINY, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def golden(folder: Path) -> Golden:
    return dict(np.load(folder / "golden.npz"))


@pytest.fixture(scope="module")
def fp32(folder: Path) -> Decoder:
    return decoder(folder)


@pytest.fixture(scope="module")
def bf16(folder: Path) -> Decoder:
    return decoder(folder, dtype="bf16")


@pytest.fixture(scope="module")
def int8(folder: Path) -> Decoder:
    return decoder(folder, dtype="int8")


@pytest.fixture(scope="module")
def w8a8(folder: Path) -> Decoder:
    return decoder(folder, dtype="w8a8")


def test_all_variants_are_there() -> None:
    assert len(TINY) == 14


@pytest.mark.parametrize("case", CASES)
def test_fp32_logits(fp32: Decoder, golden: Golden, case: int) -> None:
    logits = fp32.forward(golden[f"case{case}_ids"].tolist(), mode="values").logits
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, golden[f"case{case}_logits"], rtol=0, atol=FP32_BOUND)


@pytest.mark.parametrize("case", CASES)
def test_fp32_greedy_tokens(fp32: Decoder, golden: Golden, case: int) -> None:
    """At every step with a margin, fed with the reference's tokens; and alone until the first step without one."""
    prompt, tokens = golden[f"case{case}_ids"].tolist(), golden[f"case{case}_greedy_ids"].tolist()
    sure = golden[f"case{case}_greedy_margin"] >= LEAST_MARGIN
    logits = fp32.forward(prompt + tokens[:-1], mode="values").logits[len(prompt) - 1 :]
    assert sure.any()
    np.testing.assert_array_equal(logits.argmax(axis=1)[sure], np.array(tokens)[sure])

    same = len(tokens) if sure.all() else int(np.argmin(sure))
    run = fp32.generate(prompt, len(tokens), ignore_eos=True, mode="values")
    assert run.tokens[:same] == tokens[:same]


@pytest.mark.parametrize("case", CASES)
def test_bf16_logits(bf16: Decoder, golden: Golden, case: int) -> None:
    logits = bf16.forward(golden[f"case{case}_ids"].tolist(), mode="values").logits
    np.testing.assert_allclose(logits[-1], golden[f"case{case}_logits_bf16mm_last"], rtol=0, atol=BF16_BOUND)
    if f"case{case}_logits_bf16w" in golden:  # stored wider: what the machine holds is rounded
        np.testing.assert_allclose(logits, golden[f"case{case}_logits_bf16w"], rtol=0, atol=BF16_BOUND)


@pytest.mark.parametrize("dtype", ["int8", "w8a8"])
def test_whole_numbers_stay_near(request: pytest.FixtureRequest, golden: Golden, dtype: str) -> None:
    """A random weight of some 100 columns has its largest magnitude near 2.7 deviations: steps of 1/127 of that lose
    2.7 / 127 / sqrt(12) = 0.6 % of it.
    """
    d: Decoder = request.getfixturevalue(dtype)
    logits = d.forward(golden["case1_ids"].tolist(), mode="values").logits
    difference = np.abs(logits - golden["case1_logits"])
    assert 0 < difference.max() < BOUNDS[dtype]
    assert d.quantization is not None
    assert len(d.quantization.tensors) == 7 * d.checkpoint.config.layers + 1
    assert d.quantization.relative == pytest.approx(0.006, rel=0.06)
    assert d.quantization.worst[1] == max(loss.relative for loss in d.quantization.tensors.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_decode_equals_prefill_bit_for_bit(request: pytest.FixtureRequest, golden: Golden, dtype: str) -> None:
    """One position after another, and any cut of the prompt: the order of addition depends on neither."""
    d: Decoder = request.getfixturevalue(dtype)
    ids = golden["case2_ids"].tolist()
    assert_decode_equals_prefill(d, ids, cuts=(1, 7))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block", [1, 5, 64])
def test_any_block_gives_the_same_bits(
    request: pytest.FixtureRequest, folder: Path, golden: Golden, dtype: str, block: int
) -> None:
    reference: Decoder = request.getfixturevalue(dtype)
    ids = golden["case2_ids"].tolist()
    assert reference.program.block == 16
    other = decoder(folder, dtype=dtype, block=block)
    # What is promised holds for equal cuts of the sums; a block that left less room might have changed them.
    assert splits(other.program) == splits(reference.program)
    assert_same_bits(other.forward(ids, mode="values").logits, reference.forward(ids, mode="values").logits)


@pytest.mark.parametrize("fusion", ["layer", "op", "loop"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_modes_agree(request: pytest.FixtureRequest, folder: Path, golden: Golden, dtype: str, fusion: str) -> None:
    """Values on tokens, values in blocks, no time at all: the same bits; and the same cycles where there is time."""
    d: Decoder = request.getfixturevalue(dtype) if fusion == "layer" else decoder(folder, dtype=dtype, fusion=fusion)
    ids, tail = golden["case1_ids"].tolist(), golden["case1_greedy_ids"].tolist()[:2]
    runs = {}
    for mode in ("step", "split", "values"):
        session = d.program.session(mode)
        session.feed(ids)
        for token in tail:
            session.feed([token])
        runs[mode] = session.result()
    assert_same_bits(runs["step"].logits, runs["split"].logits)
    assert_same_bits(runs["values"].logits, runs["split"].logits)
    assert runs["values"].cycles == 0
    assert [step.cycles for step in runs["step"].steps] == [step.cycles for step in runs["split"].steps]
    assert runs["step"].totals == runs["split"].totals
    assert runs["step"].cycles > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_last_only_is_the_last_row(request: pytest.FixtureRequest, golden: Golden, dtype: str) -> None:
    d: Decoder = request.getfixturevalue(dtype)
    ids = golden["case2_ids"].tolist()
    last = d.program.session("values").feed(ids, last_only=True).result().logits
    assert_same_bits(last, d.forward(ids, mode="values").logits[-1:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_fusion_changes_bits_only_where_it_changes_the_cuts(
    request: pytest.FixtureRequest, folder: Path, golden: Golden, dtype: str
) -> None:
    """A kernel of one operator has more PCUs to split its sums over. Equal cuts give equal bits; other cuts add in
    another order, which is within what that does to the reference itself.
    """
    layer: Decoder = request.getfixturevalue(dtype)
    ids = golden["case1_ids"].tolist()
    op = decoder(folder, dtype=dtype, fusion="op")
    assert len(op.program.sites) > len(layer.program.sites)
    a, b = (d.forward(ids, mode="values").logits for d in (layer, op))
    if splits(op.program) == splits(layer.program):
        # Rounding is not moved by the cut: what goes through memory in fp32 is rounded before it is multiplied.
        assert_same_bits(a, b)
    np.testing.assert_allclose(a, b, rtol=0, atol=BOUNDS[dtype])

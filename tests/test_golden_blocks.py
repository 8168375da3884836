"""SmolLM2-135M-Instruct in the blocks of its file (q4_1, the head q8_0) against references of the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import accuracy
from accuracy import prompts
from rdu.compiler.formats import FORMATS, Format
from rdu.models import Checkpoint
from rdu.models.generate import Decoder

pytestmark = pytest.mark.smollm2

PROMPTS = [prompt for prompt in prompts() if prompt["name"] in ("p01_france", "p05_numbers", "p06_french")]


@pytest.fixture(scope="module")
def blocks(smollm2: Checkpoint) -> Decoder:
    return accuracy.smollm2_decoder(smollm2, "q4_1")


def test_the_file_runs_as_it_is(blocks: Decoder) -> None:
    """All 211 matrices: 30 layers of seven in q4_1, and the tied table, which is also the head, in q8_0."""
    lost = blocks.program.quantization
    assert lost is not None
    assert (len(lost.kept), dict(lost.tensors)) == (211, {})
    held = [op.weights[0].held for op in blocks.program.graph.operators if op.kind == "linear" and op.weights[0]]
    assert (held.count("q4_1"), held.count("q8_0")) == (210, 1)


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt["name"])
def test_with_all_else_in_fp32_they_are_the_reference(
    smollm2: Checkpoint, monkeypatch: pytest.MonkeyPatch, prompt: dict[str, Any]
) -> None:
    """The reference widened the file's blocks to fp32; see `test_golden_smollm2` for the bound."""
    monkeypatch.setitem(FORMATS, "blocks in fp32", Format("blocks in fp32", "f32", "q4_1", "f32"))
    d = accuracy.smollm2_decoder(smollm2, "blocks in fp32")
    logits, golden = accuracy.teacher_forced(d, prompt, "fp32_raw"), prompt["modes"]["fp32_raw"]
    top = np.take_along_axis(logits[:16], np.array(golden["top5_ids"]), axis=1)
    np.testing.assert_allclose(top, golden["top5_logits"], rtol=0, atol=1e-3)
    sure = np.array(golden["margin_top1_top2"]) >= 1e-3
    np.testing.assert_array_equal(logits.argmax(axis=1)[sure], np.array(golden["greedy_ids"])[sure])


def test_bf16_takes_more_from_the_file_than_its_own_blocks(smollm2: Checkpoint, blocks: Decoder) -> None:
    """Both round activations to bf16; bf16 rounds the weights too. Mean divergence from fp32, in nats."""
    fp32, bf16 = (accuracy.smollm2_decoder(smollm2, dtype) for dtype in ("fp32", "bf16"))
    found = []
    for prompt in PROMPTS:
        exact, ours, theirs = (accuracy.teacher_forced(d, prompt, "fp32_raw") for d in (fp32, blocks, bf16))
        found.append((accuracy.mean_kl(exact, ours), accuracy.mean_kl(exact, theirs)))
    # Measured: 2.1e-4 and 3.3e-4.
    mine, other = np.mean(found, axis=0)
    assert mine < other

"""SmolLM2-135M-Instruct against its references: logits, greedy tokens, perplexity, divergence, one exact story.

Values only (mode ``values``); `test_golden_tiny.py` holds that the other modes give the same bits. The same figures as
a table: ``make accuracy``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import accuracy
from accuracy import SMOLLM2, prompts
from rdu.models import Checkpoint, load
from rdu.models.generate import Decoder

pytestmark = pytest.mark.smollm2

PROMPTS = prompts()
# The promise. float32 itself is uncertain by 1.1e-4 (reference against float64, over the whole vocabulary), an
# independent engine came within 6.4e-5; measured here: 1.1e-4.
FP32_BOUND = 1e-3
# Tokens may differ where the two best are nearer to each other than this.
LEAST_MARGIN = 1e-3

STORY = (
    ", the city of Nova Haven was a thriving metropolis, with towering skyscrapers and bustling streets. But as the "
    "years went by, the city began to lose its original essence. The once-blue skies of the planet Earth began to "
    "fade, and"
)


@pytest.fixture(scope="module")
def raw(smollm2: Checkpoint) -> Decoder:
    """The file's weights as they are."""
    return accuracy.smollm2_decoder(smollm2, "fp32")


@pytest.fixture(scope="module")
def rounded(smollm2: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The weights that the references were made with, as a Hugging Face folder."""
    return load(accuracy.rounded_folder(smollm2, tmp_path_factory.mktemp("smollm2") / "rounded"))


@pytest.fixture(scope="module")
def fp32(rounded: Checkpoint) -> Decoder:
    return accuracy.smollm2_decoder(rounded, "fp32")


@pytest.fixture(scope="module")
def bf16(rounded: Checkpoint) -> Decoder:
    return accuracy.smollm2_decoder(rounded, "bf16")


@pytest.fixture(scope="module")
def int8(rounded: Checkpoint) -> Decoder:
    return accuracy.smollm2_decoder(rounded, "int8")


@pytest.fixture(scope="module")
def w8a8(rounded: Checkpoint) -> Decoder:
    return accuracy.smollm2_decoder(rounded, "w8a8")


@pytest.fixture(scope="module")
def forced(fp32: Decoder) -> dict[str, npt.NDArray[Any]]:
    """Logits of fp32 at the 64 predicting positions of each prompt, fed with the reference's continuation."""
    return {prompt["name"]: accuracy.teacher_forced(fp32, prompt, "fp32") for prompt in PROMPTS}


def assert_golden(logits: npt.NDArray[Any], golden: dict[str, Any]) -> None:
    top = np.take_along_axis(logits[:16], np.array(golden["top5_ids"]), axis=1)
    np.testing.assert_allclose(top, golden["top5_logits"], rtol=0, atol=FP32_BOUND)
    sure = np.array(golden["margin_top1_top2"]) >= LEAST_MARGIN
    assert sure.sum() >= 60
    np.testing.assert_array_equal(logits.argmax(axis=1)[sure], np.array(golden["greedy_ids"])[sure])


def test_all_prompts_are_there() -> None:
    assert len(PROMPTS) == 12


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt["name"])
def test_the_weights_of_the_file_in_fp32(raw: Decoder, prompt: dict[str, Any]) -> None:
    assert_golden(accuracy.teacher_forced(raw, prompt, "fp32_raw"), prompt["modes"]["fp32_raw"])


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt["name"])
def test_rounded_weights_in_fp32(forced: dict[str, npt.NDArray[Any]], prompt: dict[str, Any]) -> None:
    assert_golden(forced[prompt["name"]], prompt["modes"]["fp32"])


@pytest.mark.parametrize("name", ["p01_france", "p03_chat_gravity"])
def test_the_whole_vocabulary_in_fp32(forced: dict[str, npt.NDArray[Any]], name: str) -> None:
    golden = np.load(SMOLLM2 / f"{name}.logits.npz")["fp32"].reshape(-1)
    assert golden.shape == (49152,)
    # The first predicting position is the last of the prompt.
    np.testing.assert_allclose(forced[name][0], golden, rtol=0, atol=FP32_BOUND)


def test_greedy_decoding_alone_in_fp32(fp32: Decoder) -> None:
    """Unforced, a token at a time through the cache: the reference's whole continuation."""
    prompt = next(prompt for prompt in PROMPTS if prompt["name"] == "p01_france")
    golden = prompt["modes"]["fp32"]
    assert min(golden["margin_top1_top2"]) >= LEAST_MARGIN
    run = fp32.generate(prompt["input_ids"], 24, ignore_eos=True, mode="values")
    assert run.tokens == golden["greedy_ids"][:24]


def test_bf16_diverges_no_more_than_the_reference(bf16: Decoder, forced: dict[str, npt.NDArray[Any]]) -> None:
    """Mean KL to fp32, over 64 positions of each of 12 prompts, against transformers in bfloat16 throughout."""
    ours, theirs = [], []
    for prompt in PROMPTS:
        logits = accuracy.teacher_forced(bf16, prompt, "fp32")
        ours.append(accuracy.mean_kl(forced[prompt["name"]], logits))
        theirs.append(prompt["modes"]["hf_bf16"]["vs_fp32_teacher_forced"]["mean_kl"])
    assert 0 < np.mean(ours) <= np.mean(theirs)
    # On each prompt too: we keep sums, norms and the residual in fp32, which the reference rounds.
    assert np.all(np.array(ours) <= theirs), f"{ours} against {theirs}"


@pytest.mark.timeout(600)
def test_bf16_perplexity(bf16: Decoder) -> None:
    """Within 0.5 % of the reference.

    The reference data have the perplexity of ``bf16mm`` but not that of ``hf_bf16``, so that the range which these two
    span is held at its one known end.
    """
    ids = accuracy.perplexity_ids(bf16.checkpoint)
    assert len(ids) == 8 * accuracy.WINDOW
    golden = accuracy.reference_perplexity("bf16mm")
    assert accuracy.perplexity(bf16, ids) == pytest.approx(golden, rel=0.005)


def test_int8_takes_the_references_tokens(int8: Decoder) -> None:
    """Fed with what the reference made in ``w8``, where the output head is not quantised and all else is fp32.

    Measured: 699 of 704 tokens, and no other one where the margin was above 0.17.
    """
    short = [prompt for prompt in PROMPTS if len(prompt["input_ids"]) < 100]
    assert len(short) > 8
    for prompt in short:
        golden = prompt["modes"]["w8"]
        logits = accuracy.teacher_forced(int8, prompt, "w8")
        sure = np.array(golden["margin_top1_top2"]) >= 0.25
        assert sure.sum() >= 50, prompt["name"]
        np.testing.assert_array_equal(logits.argmax(axis=1)[sure], np.array(golden["greedy_ids"])[sure])


@pytest.mark.timeout(600)
def test_int8_perplexity(int8: Decoder) -> None:
    """Within 0.5 % of the reference, which quantises the head too and keeps the rest in fp32; measured: 0.02 %."""
    found = accuracy.perplexity(int8, accuracy.perplexity_ids(int8.checkpoint))
    assert found == pytest.approx(accuracy.reference_perplexity("w8_head"), rel=0.005)


@pytest.mark.timeout(600)
def test_w8a8_perplexity(w8a8: Decoder) -> None:
    """Measured: 0.41 % from the reference; the promise is 0.5 %.

    Two engines of this scheme differ by 0.33 nats a token in standard deviation, since a flipped rounding grows: a
    standard error of 0.5 % over 4 088 tokens, of which two are allowed, so that no change elsewhere fails by chance.
    """
    found = accuracy.perplexity(w8a8, accuracy.perplexity_ids(w8a8.checkpoint))
    assert found == pytest.approx(accuracy.reference_perplexity("w8a8_head"), rel=0.01)


def test_int8_has_its_story(smollm2: Checkpoint) -> None:
    """The weights of the file as whole numbers tell the same one."""
    d = accuracy.smollm2_decoder(smollm2, "int8")
    run = d.generate("Once upon a time", 48, mode="values")
    assert (run.text, run.stopped_by) == (STORY, "length")
    assert d.quantization is not None
    assert d.quantization.relative == pytest.approx(0.0089, abs=0.0001)
    assert d.quantization.worst[0] == "model.embed_tokens.weight"


def test_one_story(bf16: Decoder) -> None:
    """Temperature 0 on the weights of the file is one text, on any machine, today and tomorrow."""
    run = bf16.generate("Once upon a time", 48, mode="values")
    assert (run.text, run.stopped_by) == (STORY, "length")

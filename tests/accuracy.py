"""How far decoders are from their references: the measures, and a script that prints them all (``make accuracy``)."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from decoders import TINY, decoder
from rdu.models import Checkpoint, load
from rdu.models.generate import Decoder
from rdu.models.tensors import expected_tensors
from rdu.testing.checkpoints import save_safetensors

SMOLLM2 = Path(__file__).parent / "data" / "smollm2"
# Prompt and 64 tokens of the longest (564), and a window of the perplexity (512).
CONTEXT = 640
WINDOW = 512
Array = npt.NDArray[Any]


def prompts() -> list[dict[str, Any]]:
    """The twelve reference prompts."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(SMOLLM2.glob("p??_*.json"))]


def reference_perplexity(mode: str) -> float:
    """Over the eight windows."""
    results = json.loads((SMOLLM2 / "perplexity.json").read_text("utf-8"))["results"]
    return float(results[mode]["ppl_w512"])


def rounded_folder(checkpoint: Checkpoint, folder: Path) -> Path:
    """The checkpoint that the references were made with: weights rounded to bf16, in a Hugging Face folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (SMOLLM2 / "hf").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = {
        name: np.asarray(checkpoint.tensor(name), np.float32).astype(ml_dtypes.bfloat16)
        for name in expected_tensors(checkpoint.config)
    }
    save_safetensors(folder, weights)
    return folder


def smollm2_decoder(checkpoint: Checkpoint | Path, dtype: str) -> Decoder:
    """SmolLM2 on an SN40L socket."""
    return decoder(checkpoint, "sn40l", dtype=dtype, context=CONTEXT)


def teacher_forced(d: Decoder, prompt: dict[str, Any], mode: str) -> Array:
    """Logits at the 64 positions that predict the continuation which the reference made in ``mode``, fed with it."""
    ids, tokens = prompt["input_ids"], prompt["modes"][mode]["greedy_ids"]
    return d.forward(ids + tokens[:-1], mode="values").logits[len(ids) - 1 :]


def log_softmax(logits: Array) -> Array:
    """In float64, over the last axis."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))


def mean_kl(reference: Array, logits: Array) -> float:
    """KL divergence of ``logits`` from ``reference``, nats, mean over positions."""
    p, q = log_softmax(reference), log_softmax(logits)
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def perplexity_ids(checkpoint: Checkpoint) -> list[int]:
    """The tokens of the reference text."""
    tokenizer = checkpoint.tokenizer
    assert tokenizer is not None
    return tokenizer.encode((SMOLLM2 / "perplexity_text.txt").read_text("utf-8"))


def perplexity(d: Decoder, ids: Sequence[int]) -> float:
    """Over windows of 512 tokens, each on its own, its first token not scored."""
    losses = []
    for start in range(0, len(ids), WINDOW):
        window = list(ids[start : start + WINDOW])
        for logits, target in zip(d.forward(window, mode="values").logits[:-1], window[1:], strict=True):
            losses.append(-log_softmax(logits)[target])
    return float(np.exp(np.mean(losses)))


def _tiny_table() -> None:
    print("tiny checkpoints on machine tiny: largest |logit - reference| over all positions of three prompts")
    print(f"{'variant':20} {'fp32':>10} {'bf16 (last position, bf16mm)':>30}")
    for folder in TINY:
        golden = np.load(folder / "golden.npz")
        worst = {}
        for dtype in ("fp32", "bf16"):
            d = decoder(folder, dtype=dtype)
            worst[dtype] = 0.0
            for case in range(3):
                logits = d.forward(golden[f"case{case}_ids"].tolist(), mode="values").logits
                if dtype == "fp32":
                    difference = logits - golden[f"case{case}_logits"]
                else:
                    difference = logits[-1] - golden[f"case{case}_logits_bf16mm_last"]
                worst[dtype] = max(worst[dtype], float(np.abs(difference).max()))
        print(f"{folder.name:20} {worst['fp32']:10.1e} {worst['bf16']:30.3f}")


def _smollm2_table(folder: Path) -> None:
    gguf = load("smollm2")
    raw = smollm2_decoder(gguf, "fp32")
    print("\nSmolLM2-135M-Instruct on an SN40L socket, fed with the reference's continuation (12 x 64 positions)")
    print("fp32 of the file's weights against fp32_raw: top-5 logits of 16 steps, and greedy tokens")
    for prompt in prompts():
        logits, golden = teacher_forced(raw, prompt, "fp32_raw"), prompt["modes"]["fp32_raw"]
        top = np.take_along_axis(logits[:16], np.array(golden["top5_ids"]), axis=1)
        worst = np.abs(top - np.array(golden["top5_logits"])).max()
        equal = int((logits.argmax(axis=1) == np.array(golden["greedy_ids"])).sum())
        print(f"  {prompt['name']:20} {worst:8.1e}   {equal} of 64")
    del raw

    rounded = load(rounded_folder(gguf, folder))
    fp32, bf16 = smollm2_decoder(rounded, "fp32"), smollm2_decoder(rounded, "bf16")
    print("bf16 weights: mean KL to fp32 (nats), and argmax agreement")
    print(f"  {'prompt':20} {'rdu bf16':>10} {'bf16mm':>10} {'hf_bf16':>10} {'agree':>8}")
    ours, theirs = [], []
    for prompt in prompts():
        a, b = teacher_forced(fp32, prompt, "fp32"), teacher_forced(bf16, prompt, "fp32")
        mm, hf = (prompt["modes"][mode]["vs_fp32_teacher_forced"]["mean_kl"] for mode in ("bf16mm", "hf_bf16"))
        ours.append(mean_kl(a, b))
        theirs.append((mm, hf))
        agree = int((a.argmax(axis=1) == b.argmax(axis=1)).sum())
        print(f"  {prompt['name']:20} {ours[-1]:10.2e} {mm:10.2e} {hf:10.2e} {agree:5} /64")
    mm, hf = np.mean(theirs, axis=0)
    print(f"  {'mean':20} {np.mean(ours):10.2e} {mm:10.2e} {hf:10.2e}")

    for name in ("p01_france", "p03_chat_gravity"):
        golden = np.load(SMOLLM2 / f"{name}.logits.npz")
        ids = next(prompt["input_ids"] for prompt in prompts() if prompt["name"] == name)
        difference = fp32.forward(ids, mode="values").logits[-1] - golden["fp32"]
        print(f"  {name}: all logits at the last position, fp32: {np.abs(difference).max():.1e}")

    modes = ("fp32", "bf16mm", "w8_head", "w8a8_head")
    known = ", ".join(f"{mode} {reference_perplexity(mode):.5f}" for mode in modes)
    print(f"perplexity of 8 windows of 512 tokens (references: {known})")
    ids = perplexity_ids(rounded)
    del fp32, bf16
    for dtype in ("fp32", "bf16", "int8", "w8a8"):
        print(f"  {dtype}: {perplexity(smollm2_decoder(rounded, dtype), ids):.5f}")


if __name__ == "__main__":
    started = time.perf_counter()
    _tiny_table()
    if "--tiny" not in sys.argv:
        with tempfile.TemporaryDirectory() as name:
            _smollm2_table(Path(name) / "smollm2")
    print(f"\n{time.perf_counter() - started:.0f} s")

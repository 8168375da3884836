"""Host tokens per second of a real model: with every token timed, and values alone (run with `pytest benches`).

Each benchmark's ``extra_info`` has its rates. A decode step is about 13 million firings; values alone read 270 MB of
weights a token.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import rdu
from rdu import _core
from rdu.models.checkpoint import Checkpoint
from rdu.models.generate import Decoder

if _core.build_profile() != "release":
    pytest.exit("benches/test_decode.py: a debug build says nothing about speed; use maturin develop --release", 1)

pytestmark = pytest.mark.smollm2
CONTEXT, PROMPT = 256, [504, 2365, 282]


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    return rdu.load("smollm2")


@pytest.fixture(scope="module", params=["bf16", "fp32"])
def decoder(request: pytest.FixtureRequest, model: Checkpoint) -> Decoder:
    return rdu.compile(model, "sn40l", dtype=request.param, context=CONTEXT)


@pytest.mark.parametrize(("mode", "steps"), [("split", 2), ("values", 20)])
def test_decode(benchmark: BenchmarkFixture, decoder: Decoder, mode: str, steps: int) -> None:
    """Steps at a time, after a short prompt, through the cache."""
    session = decoder.program.session(mode).feed(PROMPT, last_only=True)

    def decode() -> None:
        for token in range(steps):
            session.feed([token], last_only=True)

    def firings() -> int:
        return int(session.result().totals["firings"])

    decode()
    before = firings()
    benchmark.pedantic(decode, rounds=3)
    best = benchmark.stats.stats.min
    rate, fired = steps / best, (firings() - before) / 3 / best
    benchmark.extra_info["dtype"] = decoder.program.dtype
    benchmark.extra_info["host_tokens_per_second"] = round(rate, 3)
    benchmark.extra_info["mfirings_per_second"] = round(fired / 1e6, 2)
    timed = f", {fired / 1e6:.1f} M firings/s" if fired else ""
    print(f"\ndecode, {decoder.program.dtype}, {mode}: {rate:.2f} host tokens/s, {best / steps:.3f} s a token{timed}")


def test_prefill_values(benchmark: BenchmarkFixture, decoder: Decoder) -> None:
    """A prompt of 64 tokens, values alone."""
    ids = list(range(1, 65))
    benchmark.pedantic(lambda: decoder.forward(ids, mode="values"), rounds=3, warmup_rounds=1)
    rate = len(ids) / benchmark.stats.stats.min
    benchmark.extra_info["host_tokens_per_second"] = round(rate, 1)
    print(f"\nprefill of {len(ids)}, {decoder.program.dtype}, values: {rate:.1f} host tokens/s")


def test_compile(benchmark: BenchmarkFixture, model: Checkpoint) -> None:
    """Mapping the model and loading its weights into the emulated memory."""
    program = benchmark.pedantic(lambda: rdu.compile(model, "sn40l", context=CONTEXT).program, rounds=2)
    seconds = benchmark.stats.stats.min
    rate = program.weight_bytes / seconds / 1e9
    benchmark.extra_info["gb_per_second"] = round(rate, 3)
    print(f"\ncompile: {seconds:.2f} s, {rate:.2f} GB/s of weights")

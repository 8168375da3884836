"""Estimates from shapes: what must hold between their figures, what physics says about changes, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rdu.cli.main import main
from rdu.errors import CheckpointError, CompileError, MachineError, RequestError
from rdu.machine import machine
from rdu.models import load
from rdu.models.shapes import Shape, shape
from rdu.studies import estimate as module
from rdu.studies.estimate import Estimate, estimate

# One of SmolLM2's steps takes a quarter of a second of host time; tests that compare estimates share them.
SMALL = "smollm2"


@pytest.fixture(scope="module")
def small() -> Estimate:
    return estimate(SMALL, context=512)


def test_figures_agree_with_each_other(small: Estimate) -> None:
    assert small.tokens_per_second == pytest.approx(1 / small.step_s)
    assert small.total_tokens_per_second == small.tokens_per_second
    peak = machine("sn40l").hbm.peak_gbps * 1e9
    assert small.hbm_utilization == pytest.approx(small.hbm_bytes / (peak * small.step_s))
    assert (small.machine, small.sockets, small.batch, small.context, small.prompt) == ("sn40l", 1, 1, 512, 512)
    assert small.host_s > 0
    assert small.calls == 1


def test_a_step_moves_what_it_must_and_beats_no_bound(small: Estimate) -> None:
    described = shape(SMALL)
    needed = 2 * described.step_parameters + 512 * described.cache_bytes_per_token()
    # Rows and granules are padded, by less than a sixth for the odd sizes of a small model.
    assert needed <= small.hbm_bytes < 1.17 * needed
    assert small.step_s > small.hbm_bytes / (machine("sn40l").hbm.peak_gbps * 1e9)
    assert 0 < small.pcu_utilization < 1


def test_the_same_shape_in_other_words(small: Estimate, data_dir: Path) -> None:
    folder = data_dir / "smollm2" / "hf"
    for model in (folder, str(folder / "config.json"), shape(SMALL)):
        assert estimate(model, context=512).step_s == small.step_s


def test_a_loaded_model_is_timed_by_its_shape(data_dir: Path) -> None:
    folder = data_dir / "tiny" / "s02_gqa"
    assert estimate(load(folder), "tiny", context=16).step_s == estimate(folder, "tiny", context=16).step_s


def test_output_is_the_mean_over_a_growing_cache() -> None:
    found = estimate(SMALL, context=256, output=512)
    first, middle, last = (estimate(SMALL, context=context).step_s for context in (256, 512, 768))
    assert first < middle < last
    assert found.step_s == pytest.approx((first + 4 * middle + last) / 6)
    assert len(found.steps) == 3


def test_the_time_of_hbm_adds_up(small: Estimate) -> None:
    assert sum(small.hbm_time.values()) == pytest.approx(1.0)
    # The memory counts ticks of its own clock, which meets the peak to a few parts in a million.
    assert small.hbm_time["moving"] == pytest.approx(small.hbm_utilization, rel=1e-4)
    call_s = 1e-6 * machine("sn40l").call_us(program_load=False)
    assert small.hbm_time["calls"] == pytest.approx(call_s / small.step_s, rel=0.01)


def test_fused_is_faster_the_more_is_fused(small: Estimate) -> None:
    layer, op = (estimate(SMALL, context=512, fusion=fusion) for fusion in ("layer", "op"))
    assert small.tokens_per_second > layer.tokens_per_second > op.tokens_per_second
    assert small.calls < layer.calls < op.calls


def test_batching_shares_the_weights(small: Estimate) -> None:
    many = estimate(SMALL, context=512, batch=4)
    assert many.tokens_per_second < small.tokens_per_second
    assert small.total_tokens_per_second < many.total_tokens_per_second < 4 * small.total_tokens_per_second
    # Three more caches, and no more weights; whole granules for each head of each layer pad a small model's caches.
    caches = 3 * 512 * shape(SMALL).cache_bytes_per_token()
    assert caches < many.hbm_bytes - small.hbm_bytes < 1.5 * caches


def test_twice_the_bandwidth_is_at_most_twice_as_fast(small: Estimate) -> None:
    fast = estimate(SMALL, machine("sn40l", hbm__peak_gbps=3600), context=512)
    assert small.tokens_per_second < fast.tokens_per_second <= 2 * small.tokens_per_second


def test_free_calls_save_what_calls_cost() -> None:
    costs = dict.fromkeys(("program_load_us", "argument_load_us", "execute_us"), 0.0)
    free = {f"call__software_{key}": value for key, value in costs.items()}
    paid = estimate(SMALL, context=512, fusion="layer")
    spared = estimate(SMALL, machine("sn40l", **free), context=512, fusion="layer")
    calls_s = sum(kernel.call_cycles for kernel in paid.steps[0].kernels) / 1.6e9
    assert paid.step_s - spared.step_s == pytest.approx(calls_s, rel=0.01)


def test_sockets_share_the_weights(small: Estimate) -> None:
    # Nine heads and three for keys and values: three sockets.
    near, far = (estimate(SMALL, machine("sn40l", p2p__latency_ns=ns), context=512, sockets=3) for ns in (0, 6000))
    # A third of the weights and of the caches, each padded by itself.
    assert near.hbm_bytes == far.hbm_bytes == pytest.approx(small.hbm_bytes / 3, rel=0.05)
    # What each layer waits for beside its weights does not shrink, so that the gain is less than three.
    assert small.step_s / 3 < near.step_s < small.step_s
    # Two sums over sockets in each of 30 layers, each of two steps: so small a model had better stay on one socket.
    assert near.step_s < far.step_s < near.step_s + 2 * 2 * 30 * 6.1e-6
    assert far.step_s > small.step_s


def test_int8_halves_the_weights(small: Estimate) -> None:
    found = estimate(SMALL, context=512, dtype="int8")
    assert found.hbm_bytes < 0.7 * small.hbm_bytes


@pytest.mark.parametrize(("dtype", "bits"), [("q8_0", 8.5), ("q4_0", 4.5), ("q4_1", 5)])
def test_blocks_move_their_bits(small: Estimate, dtype: str, bits: float) -> None:
    described = shape(SMALL)
    found = estimate(SMALL, context=512, dtype=dtype)
    needed = described.step_parameters * bits / 8 + 512 * described.cache_bytes_per_token(dtype)
    # Tiles of 64 outputs leave more of a small model's last rounds empty than those of 32.
    assert needed <= found.hbm_bytes < 1.25 * needed
    assert found.step_s < small.step_s


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"batch": 0}, RequestError, "batch is 0; it must be a whole number of at least 1"),
        ({"context": -1}, RequestError, "context is -1"),
        ({"prompt": 2.5}, RequestError, "prompt is 2.5"),
        ({"output": True}, RequestError, "output is True"),
        ({"sockets": 0}, RequestError, "sockets is 0"),
        ({"dtype": "fp8"}, CompileError, "dtype is 'fp8'"),
        ({"fusion": "all"}, CompileError, "fusion is 'all'"),
        ({"machine": "sn50"}, MachineError, "unknown machine 'sn50'"),
        ({"sockets": 2}, CompileError, "heads"),
        ({"model": "llama-9"}, CheckpointError, "no shape 'llama-9'"),
        ({"model": "llama-3.1-405b"}, CompileError, "hbm.capacity_bytes|PMUs"),
    ],
)
def test_what_cannot_be(settings: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        estimate(**({"model": SMALL} | settings))  # type: ignore[arg-type]


def test_an_estimate_has_no_weights() -> None:
    tiny = Shape("mine", shape(SMALL).config, "made up for this test")
    graph = module._graph(tiny.config, 8)
    with pytest.raises(RequestError, match=r"an estimate has no weights, so no model\.embed_tokens"):
        next(weight for op in graph.operators for weight in op.weights if weight is not None).read()


# The command.


def test_json(capsys: pytest.CaptureFixture[str], small: Estimate) -> None:
    assert main(["estimate", SMALL, "--context", "512", "--prompt", "64", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = {
        "tokens_per_second",
        "total_tokens_per_second",
        "time_to_first_token_s",
        "hbm_utilization",
        "step_s",
        "host_s",
    }
    assert wanted <= set(found)
    assert found["step_s"] == small.step_s
    assert found["prompt"] == 64
    assert found["kernels"][0]["calls"] == 1


def test_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["estimate", SMALL, "--context", "512", "--prompt", "64", "--batch", "2"]) == 0
    shown = capsys.readouterr().out
    assert "smollm2 on one socket of sn40l: bf16, fusion loop, at 512 positions" in shown
    assert "each of 2, " in shown
    assert "kernels of a step" in shown


def test_settings_change_the_machine(capsys: pytest.CaptureFixture[str], small: Estimate) -> None:
    arguments = ["estimate", SMALL, "--context", "512", "--prompt", "64", "--set", "hbm.peak_gbps=900", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["tokens_per_second"] < small.tokens_per_second


@pytest.mark.parametrize("arguments", [["llama-9"], [SMALL, "--batch", "0"], [SMALL, "--set", "hbm.peak=1"]])
def test_bad_input(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["estimate", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_prompt_is_timed_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    real = module.time_prefill

    def spy(*arguments: Any, **settings: Any) -> object:
        asked.append(settings["prompt"])
        return real(*arguments, **settings)

    monkeypatch.setattr(module, "time_prefill", spy)
    found = estimate(SMALL, context=64, prompt=128)
    assert asked == []
    assert found.prefill is not None
    assert found.time_to_first_token_s == found.prefill.seconds > found.step_s
    assert asked == [128]


def test_a_longer_prompt_takes_longer() -> None:
    short, long = (estimate(SMALL, context=64, prompt=prompt).time_to_first_token_s for prompt in (64, 256))
    assert short is not None
    assert long is not None
    assert short < long


def test_prompts_that_are_not_there_or_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert estimate(SMALL, context=2048).prompt == 1024
    none = estimate(SMALL, context=64, prompt=0)
    assert none.time_to_first_token_s is None
    assert none.to_dict()["prompt_refused"] is None

    def refuse(*arguments: Any, **settings: Any) -> object:
        raise CompileError("needs 70 PMUs more")

    monkeypatch.setattr(module, "time_prefill", refuse)
    facts = estimate(SMALL, context=64, prompt=64).to_dict()
    assert (facts["time_to_first_token_s"], facts["prompt_refused"]) == (None, "needs 70 PMUs more")

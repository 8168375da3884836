"""Published results of decoders: each as one or several estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from statistics import geometric_mean, median

from rdu.machine import machine
from rdu.studies.emulated import Emulated
from rdu.studies.estimate import Estimate
from rdu.studies.estimate import estimate as timed

# Several rows ask for the same estimates.
estimate = lru_cache(maxsize=64)(timed)
# "1024 in, 1024 out" is the mean of the decode steps behind the prompt.
CHAT = 1024
LOOPED = ("llama-2-7b", "llama-3-8b", "mistral-7b", "llama-3-70b")
SHARED = (
    ("llama-3.1-8b", 8),
    ("llama-3.1-8b", 16),
    ("llama-3.1-70b", 8),
    ("llama-3.1-70b", 16),
    ("llama-3.1-405b", 16),
)


def decode_rows() -> dict[str, Callable[[], Emulated]]:
    """The rows by id."""
    return {
        "l8b-8": partial(_rate, "llama-3-8b"),
        "l70b-8": partial(_rate, "llama-3-70b"),
        "l8b-16": _long_context,
        "l8b-8-layer": partial(_rate, "llama-3-8b", fusion="layer"),
        "loop-gain": _loop_gain,
        "peak-share": _peak_share,
        "fused-bw": _fused_share,
        "fuse-decode": _fuse_decode,
        "hw-launch": _hardware_launch,
        "calls": _calls,
        "rdu-batch": _batch,
        "gpu-share": _gpu_share,
        "h100-8b": partial(_gpu_rate, 1),
        "h100-8b-batch": partial(_gpu_rate, 16),
    }


def _rate(model: str, fusion: str = "loop") -> Emulated:
    found = estimate(model, sockets=8, fusion=fusion, context=CHAT, output=CHAT)
    return Emulated(found.tokens_per_second, _explained(found))


def _long_context() -> Emulated:
    found = estimate("llama-3.1-8b", sockets=16, context=8192)
    return Emulated(found.tokens_per_second, _explained(found))


def _loop_gain() -> Emulated:
    gains = []
    for model in LOOPED:
        looped, called = (estimate(model, sockets=8, context=1024, fusion=fusion) for fusion in ("loop", "layer"))
        gains.append(looped.tokens_per_second / called.tokens_per_second)
    return Emulated(geometric_mean(gains), _each(zip(LOOPED, (f"{gain:.2f}" for gain in gains), strict=True)))


def _peak_share() -> Emulated:
    shares = [estimate(model, sockets=sockets, context=1024).hbm_utilization for model, sockets in SHARED]
    cases = [f"{model} on {sockets}" for model, sockets in SHARED]
    return Emulated(median(shares), _each(zip(cases, (f"{share:.0%}" for share in shares), strict=True)))


def _fused_share() -> Emulated:
    found = estimate("llama-3-70b", sockets=8, context=1024)
    return Emulated(found.hbm_utilization, f"{_chain(found):.0%} of the time buffers are full while operators wait")


def _fuse_decode() -> Emulated:
    fused, unfused = (estimate("llama-2-7b", sockets=8, context=1024, fusion=fusion) for fusion in ("layer", "op"))
    return Emulated(fused.tokens_per_second / unfused.tokens_per_second, f"{unfused.calls} calls against {fused.calls}")


def _hardware_launch() -> Emulated:
    software, hardware = (
        estimate("llama-2-7b", machine("sn40l", sockets=8, call__ordering=ordering), context=1024, fusion="layer")
        for ordering in ("software", "hardware")
    )
    return Emulated(hardware.tokens_per_second / software.tokens_per_second)


def _calls() -> Emulated:
    asked = {"sockets": 8, "context": 1, "prompt": 4096}
    prompts = [estimate("llama-2-7b", fusion=fusion, **asked).prefill for fusion in ("op", "layer")]
    called = [[kernel.calls for kernel in prompt.kernels] for prompt in prompts if prompt]
    (unfused, fused), layers = map(sum, called), max(called[1])
    # Without fusion, the paper's Monarch FFT has a kernel for each operator; which a decoder has, it does not say.
    note = (
        f"{unfused} calls against {fused}: {unfused // layers} operators a layer, each a call; "
        f"with q, k and v in one it would be {(unfused - 2 * layers) / fused:.1f}"
    )
    return Emulated(unfused / fused, note)


def _batch() -> Emulated:
    one, many = (estimate("llama-3-8b", sockets=8, context=1024, batch=batch) for batch in (1, 16))
    note = (
        f"{many.hbm_bytes / one.hbm_bytes:.2f} times the bytes for 16 times the tokens; buffers are full while "
        f"operators wait for {_chain(one):.0%} of the time with one sequence, {_chain(many):.0%} with 16"
    )
    return Emulated(many.total_tokens_per_second / one.total_tokens_per_second, note)


def _gpu_share() -> Emulated:
    found = estimate("llama-3.1-8b", "h100", sockets=8, context=1024, fusion="op")
    return Emulated(found.hbm_utilization, f"{found.calls} kernels")


def _gpu_rate(batch: int) -> Emulated:
    found = estimate("llama-3-8b", "h100", batch=batch, fusion="op", context=CHAT, output=CHAT)
    return Emulated(found.total_tokens_per_second, _explained(found))


def _chain(found: Estimate) -> float:
    """Share of the time in which HBM has nothing to do because buffers are full, or all is read."""
    return found.hbm_time["space"] + found.hbm_time["drain"]


def _explained(found: Estimate) -> str:
    calls = f"{found.calls} calls" if found.calls > 1 else "one call"
    return f"{1e3 * found.step_s:.3g} ms a step, {calls}, {found.hbm_utilization:.0%} of the peak bandwidth"


def _each(values: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values)

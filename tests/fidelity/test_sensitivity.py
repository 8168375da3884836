"""What changing a number of the machine must do to an estimate: its direction, and the bound that it must respect."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rdu.errors import CompileError
from rdu.machine import machine
from rdu.studies.estimate import Estimate, estimate

TINY = Path(__file__).parent.parent / "data" / "tiny" / "s02_gqa"
CONTEXT = 512


@pytest.fixture(scope="module")
def base() -> Estimate:
    return estimate("smollm2", context=CONTEXT)


def changed(fusion: str = "loop", sockets: int | None = None, **numbers: object) -> Estimate:
    return estimate("smollm2", machine("sn40l", sockets=sockets, **numbers), context=CONTEXT, fusion=fusion)


def test_twice_the_bandwidth(base: Estimate) -> None:
    # Only what waits for HBM gains, and it gains at most half of its time.
    assert base.step_s / 2 <= changed(hbm__peak_gbps=3600).step_s < base.step_s


def test_half_the_bandwidth(base: Estimate) -> None:
    slow = changed(hbm__peak_gbps=900)
    assert base.step_s < slow.step_s <= 2 * base.step_s
    # What is lost to calls, and to the way through the chip, weighs less where the memory is slow.
    assert slow.hbm_utilization > base.hbm_utilization


def test_twice_the_mesh_latency(base: Estimate) -> None:
    slow = changed(network__hop_cycles=2, network__credit_hop_cycles=2)
    assert base.step_s <= slow.step_s < 1.25 * base.step_s


def test_a_quarter_of_the_sram(base: Estimate) -> None:
    small = changed(pmu__capacity_bytes=2**17, mapping__weight_buffer_vectors=2**4)
    # Less may run ahead; the bytes stay the same, and so does their bound. Where nothing waits for room, a refresh
    # (260 ns) may fall in the way of what is waited for, or beside it.
    assert small.step_s >= base.step_s - 0.26e-6
    assert small.hbm_bytes == pytest.approx(base.hbm_bytes, rel=0.05)


def test_four_times_the_latency_between_sockets() -> None:
    near, far = (changed(sockets=3, p2p__latency_ns=latency) for latency in (1500, 6000))
    assert near.step_s <= far.step_s
    # Two sums in each of 30 layers, each of at most two steps that are 4500 ns longer.
    assert far.step_s - near.step_s <= 2 * 2 * 30 * 4.5e-6 * 1.01


def test_free_calls(base: Estimate) -> None:
    steps = ("program_load_us", "argument_load_us", "execute_us")
    free = {f"call__software_{step}": 0.0 for step in steps}
    for fusion in ("loop", "layer", "op"):
        paid, spared = changed(fusion), changed(fusion, **free)
        calls_s = paid.hbm_time["calls"] * paid.step_s
        # Nothing else changes: a call starts from an empty chip whatever it costs. But refreshes fall elsewhere in it,
        # and three of them (260 ns each) in the way of what is waited for are 0.8 us of a step of some 200.
        assert paid.step_s - spared.step_s == pytest.approx(calls_s, rel=0.02, abs=0.8e-6)
    assert base.hbm_utilization < changed(**free).hbm_utilization < 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    peak_gbps=st.sampled_from([16.0, 64.0, 256.0, 1000.0]),
    channels=st.sampled_from([1, 2, 4, 8]),
    interleave_bytes=st.sampled_from([64, 256, 1024]),
    network_ns=st.floats(0, 500),
    issue_cycles=st.integers(1, 4),
    flops=st.sampled_from([16, 64, 384]),
    hop_cycles=st.integers(1, 4),
    weight_buffer=st.sampled_from([64, 512, 1024]),
    fusion=st.sampled_from(["loop", "layer", "op"]),
    batch=st.sampled_from([1, 2, 3]),
    context=st.integers(1, 64),
)
def test_the_roofline_is_never_beaten(
    peak_gbps: float,
    channels: int,
    interleave_bytes: int,
    network_ns: float,
    issue_cycles: int,
    flops: int,
    hop_cycles: int,
    weight_buffer: int,
    fusion: str,
    batch: int,
    context: int,
) -> None:
    described = machine(
        "tiny",
        hbm__peak_gbps=peak_gbps,
        hbm__channels=channels,
        hbm__interleave_bytes=interleave_bytes,
        hbm__network_ns=network_ns,
        agcu__issue_cycles=issue_cycles,
        pcu__bf16_flops_per_cycle=flops,
        network__hop_cycles=hop_cycles,
        mapping__weight_buffer_vectors=weight_buffer,
    )
    try:
        found = estimate(TINY, described, fusion=fusion, batch=batch, context=context)
    except CompileError:
        # Small machines hold small programs; what does not fit is not timed.
        return
    step = found.steps[0]
    memory_s = found.hbm_bytes / (peak_gbps * 1e9)
    compute_s = 2 * step.macs / described.peak_flops("bf16")
    assert found.step_s > max(memory_s, compute_s)
    assert found.hbm_utilization < 1
    assert found.pcu_utilization < 1
    assert sum(found.hbm_time.values()) == pytest.approx(1.0)

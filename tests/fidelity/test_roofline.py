"""Measured time against what no machine could beat: bytes over bandwidth, work over PCUs, tokens over links."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decoders import decoder
from rdu.machine import Machine, machine
from rdu.models import Checkpoint, load
from rdu.models.generate import Decoder
from rdu.program import Loaded
from rdu.run import Run, cache_argument
from rdu.testing.checkpoints import write_folder

PROMPT = [3, 9, 27, 17, 51, 25, 11]
NEXT = [33, 35]
CONTEXT = 32


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A random decoder of one layer."""
    return load(write_folder(tmp_path_factory.mktemp("small") / "model", config={"num_hidden_layers": 1}))


def played(d: Decoder, mode: str = "split") -> Run:
    """A prompt, then two more tokens through the cache."""
    session = d.program.session(mode).feed(PROMPT)
    for token in NEXT:
        session.feed([token])
    return session.result()


# Keys of a machine that change its speed but not whether a small decoder fits.
SPEEDS: dict[str, st.SearchStrategy[Any]] = {
    "clock_ghz": st.sampled_from([0.25, 1.0, 1.7, 4.0]),
    "pcu.pipeline_cycles": st.sampled_from([1, 6, 40]),
    "pcu.bf16_flops_per_cycle": st.sampled_from([32, 128, 1024]),
    "pcu.fp32_flops_per_cycle": st.sampled_from([32, 64, 512]),
    "pmu.latency_cycles": st.sampled_from([1, 2, 30]),
    "pmu.read_bytes_per_cycle": st.sampled_from([16, 64, 256]),
    "network.fifo_vectors": st.sampled_from([1, 4, 64]),
    "network.hop_cycles": st.sampled_from([1, 5]),
    "network.credit_hop_cycles": st.sampled_from([1, 5]),
    "network.vector_bytes_per_cycle": st.sampled_from([32, 64]),
    "agcu.outstanding": st.sampled_from([1, 2, 32, 500]),
    "agcu.issue_cycles": st.sampled_from([1, 3]),
    "agcu.bytes_per_cycle": st.sampled_from([16, 64]),
    "hbm.peak_gbps": st.sampled_from([1.0, 7.3, 64.0, 999.0, 20000.0]),
    "hbm.channels": st.sampled_from([1, 3, 4, 32]),
    "hbm.network_ns": st.sampled_from([1.0, 50.0, 800.0]),
    "hbm.interleave_bytes": st.sampled_from([64, 256, 4096]),
    "hbm.refresh_ns": st.sampled_from([0.0, 50.0, 350.0]),
    "mapping.weight_buffer_vectors": st.sampled_from([1, 2, 17, 1024]),
    "mapping.cache_tile": st.sampled_from([1, 3, 16]),
    "mapping.prefill_block": st.sampled_from([1, 3, 16]),
}


@st.composite
def variations(draw: st.DrawFn) -> dict[str, Any]:
    """Changes to machine tiny, a few at a time."""
    keys = draw(st.lists(st.sampled_from(sorted(SPEEDS)), unique=True, max_size=6))
    changes = {key: draw(SPEEDS[key]) for key in keys}
    if changes.get("hbm.peak_gbps") == 1.0:
        # A burst of a very slow channel would not fit between two refreshes, which is refused.
        changes.pop("hbm.channels", None)
    return changes


def varied(changes: dict[str, Any]) -> Machine:
    return machine("tiny", **{key.replace(".", "__"): value for key, value in changes.items()})


def firings(nest: list[dict[str, Any]], arguments: dict[int, int], times: int = 1) -> Iterator[tuple[int, int]]:
    """(phase, how often it fires) of a loop nest."""
    for node in nest:
        count = node["times"]
        if isinstance(count, dict):
            count = arguments[count["argument"]] * count["scale"]
        if "body" in node:
            yield from firings(node["body"], arguments, times * count)
        else:
            yield node["phase"], times * count


def assert_bounds(run: Run, bytes_per_cycle: float) -> None:
    """What no kernel may beat, from its own counters and its description."""
    kernels = run.program.kernels
    totals = run.totals["kernels"]
    # Kernels that never ran with a clock have no counters, or empty ones.
    for loaded, total in zip(kernels, totals, strict=False):
        if not total["calls"]:
            continue
        name, cycles = loaded.lowered.name, total["run_cycles"]
        read, written = total["traffic"][0]
        assert cycles >= (read + written) / bytes_per_cycle, f"{name}: HBM moved more than its peak"
        for spec, unit, counted in zip(
            loaded.lowered.units, loaded.lowered.description["units"], total["units"], strict=True
        ):
            busy, *_, fired = counted
            assert busy <= cycles, f"{name}: {spec.name} is busy for longer than the call lasts"
            least = min((phase["ii"] for phase in unit["phases"]), default=0)
            assert busy >= fired * least, f"{name}: {spec.name} fires faster than its shortest interval"
            assert sum(counted[:5]) == cycles, (
                f"{name}: the five states of {spec.name} do not sum to the elapsed cycles"
            )
    assert run.cycles == sum(total["run_cycles"] + total["call_cycles"] for total in totals)
    assert run.cycles == sum(step.cycles for step in run.steps)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=variations(), dtype=st.sampled_from(["fp32", "bf16"]), fusion=st.sampled_from(["layer", "op", "loop"]))
@example(changes={"hbm.peak_gbps": 20000.0, "hbm.network_ns": 1.0}, dtype="fp32", fusion="op")
@example(changes={"hbm.peak_gbps": 1.0}, dtype="bf16", fusion="layer")
@example(changes={"mapping.weight_buffer_vectors": 1, "network.fifo_vectors": 1}, dtype="bf16", fusion="layer")
@example(changes={"agcu.outstanding": 1}, dtype="bf16", fusion="layer")
def test_no_machine_beats_its_roofline(small: Checkpoint, changes: dict[str, Any], dtype: str, fusion: str) -> None:
    where = varied(changes)
    d = decoder(small, where, dtype=dtype, context=CONTEXT, fusion=fusion)
    run = played(d)
    assert_bounds(run, where.hbm.peak_gbps / where.clock_ghz)
    # Multiply-adds of the linear operators, from the shapes alone, on all PCUs at their peak.
    c = small.config
    per_layer = c.hidden_size * (2 * c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + 3 * c.ffn_size)
    flops = where.pcu.bf16_flops_per_cycle if dtype == "bf16" else where.pcu.fp32_flops_per_cycle
    macs = len(PROMPT + NEXT) * (c.layers * per_layer + c.hidden_size * c.vocab_size)
    assert run.cycles >= 2 * macs / (flops * where.total_pcus)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=variations(), dtype=st.sampled_from(["fp32", "bf16"]))
def test_every_variation_computes_the_same_in_step_and_split(
    small: Checkpoint, changes: dict[str, Any], dtype: str
) -> None:
    d = decoder(small, varied(changes), dtype=dtype, context=CONTEXT)
    step, split = played(d, "step"), played(d)
    assert step.totals == split.totals
    assert step.logits.tobytes() == split.logits.tobytes()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=variations(), dtype=st.sampled_from(["fp32", "bf16"]), positions=st.sampled_from([1, 3, 16]))
def test_no_phase_moves_more_than_a_link_carries(
    small: Checkpoint, changes: dict[str, Any], dtype: str, positions: int
) -> None:
    where = varied(changes)
    program = decoder(small, where, dtype=dtype, context=CONTEXT, block=16).program
    link_cycles = -(-64 // where.network.vector_bytes_per_cycle)
    for site in program.sites:
        loaded: Loaded = program.kernel(site.kernel, positions, (positions,) * len(site.inputs))
        for unit in loaded.lowered.units:
            for phase in unit.phases:
                # A unit of several PMUs, or all AGCUs, have as many links side by side.
                for end, tokens in itertools.chain(phase["consume"], phase["produce"]):
                    assert -(-tokens // unit.links) * link_cycles <= phase["ii"], (
                        f"{unit.name} moves {tokens} at {end} in {phase['ii']}"
                    )
                # Several tokens leave one after another: the firing is over when the last has left.
                last = max((-(-tokens // unit.links) for _, tokens in phase["produce"]), default=1)
                assert phase["latency"] >= (last - 1) * link_cycles
                if unit.role == "load":
                    continue
                assert unit.links <= max(1, unit.pmus, unit.pcus), "a link for each tile that streams end at"


# Inputs whose tokens a unit multiplies: weights, or rows of keys and values (0 holds queries, or the weights of rows).
MULTIPLIED = {"mac": {0}, "dot": {1, 2}, "mix": {1, 2}}


@pytest.mark.parametrize("flops", [32, 64, 512])
@pytest.mark.parametrize("positions", [1, 3, 16])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_no_pcu_multiplies_faster_than_it_can(small: Checkpoint, dtype: str, positions: int, flops: int) -> None:
    """Of every firing that multiplies: its multiply-adds, two operations each, fit its interval, exactly."""
    where = varied({"pcu.bf16_flops_per_cycle" if dtype == "bf16" else "pcu.fp32_flops_per_cycle": flops})
    program = decoder(small, where, dtype=dtype, context=CONTEXT).program
    lanes = 32 if dtype == "bf16" else 16
    shared = small.config.heads // small.config.kv_heads
    seen = set()
    for site in program.sites:
        lowered = program.kernel(site.kernel, positions, (positions,) * len(site.inputs)).lowered
        for unit, spec in zip(lowered.units, lowered.description["units"], strict=True):
            if unit.role not in MULTIPLIED:
                continue
            # A vector of weights meets every position; a cached row meets every position of every head that shares it.
            macs = lanes * positions * (1 if unit.role == "mac" else shared)
            assert unit.macs == macs
            for phase in spec["phases"]:
                if MULTIPLIED[unit.role] & {end for end, _ in phase["consume"]}:
                    seen.add(unit.role)
                    assert phase["ii"] * flops >= 2 * macs
                    tokens = max(count for _, count in [*phase["consume"], *phase["produce"]])
                    assert phase["ii"] == max(-(-2 * macs // flops), tokens)
    assert seen == set(MULTIPLIED)


@pytest.mark.parametrize("positions", [1, 7])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("fusion", ["layer", "op", "loop"])
def test_both_ends_of_every_stream_agree(small: Checkpoint, positions: int, dtype: str, fusion: str) -> None:
    """What is sent into a stream is taken out of it, counted from the loop nests, with and without cached rows."""
    program = decoder(small, "tiny", dtype=dtype, context=CONTEXT, fusion=fusion).program
    for site in program.sites:
        lowered = program.kernel(site.kernel, positions, (positions,) * len(site.inputs)).lowered
        for past in (0, 5):
            held = program.machine.mapping.held(past)
            arguments = dict.fromkeys(range(len(lowered.arguments)), 0)
            for at, name in enumerate(lowered.arguments):
                kind, _, rest = name.partition(".")
                if kind in ("past", "rounds", "granules", "rest"):
                    arguments[at] = cache_argument(site.caches[int(rest)], kind, "", past, held)
            sent: dict[tuple[int, int], int] = {}
            taken: dict[tuple[int, int], int] = {}
            for at, unit in enumerate(lowered.description["units"]):
                for phase, times in firings(unit["nest"], arguments):
                    for counted, ends in ((taken, "consume"), (sent, "produce")):
                        for end, tokens in unit["phases"][phase][ends]:
                            counted[at, end] = counted.get((at, end), 0) + tokens * times
            for stream in lowered.description["streams"]:
                assert sent.get(stream["from"], 0) == taken.get(stream["to"], 0), f"{site.name}: {stream['name']}"


def test_a_faster_hbm_is_never_slower(small: Checkpoint) -> None:
    """Along a ladder of bandwidths, and of latencies."""
    for changes in (
        [{"hbm.peak_gbps": gbps} for gbps in (0.5, 1.0, 2.0, 4.0, 16.0, 64.0, 256.0, 4096.0)],
        [{"hbm.network_ns": ns} for ns in (2000.0, 500.0, 100.0, 20.0, 4.0)],
        [{"hbm.refresh_ns": ns} for ns in (400.0, 100.0, 0.0)],
    ):
        cycles = [played(decoder(small, varied(change), dtype="bf16", context=CONTEXT)).cycles for change in changes]
        assert cycles == sorted(cycles, reverse=True), dict(zip(map(str, changes), cycles, strict=True))
        assert cycles[0] > cycles[-1]


def test_a_slow_hbm_is_the_bound(small: Checkpoint) -> None:
    """Where HBM is slow enough to be all that counts, time comes near the roofline: it is no idle bound."""
    # One channel, so that a single vector already has all of the bandwidth; refreshes out of the way.
    slow = {"hbm.peak_gbps": 0.5, "hbm.channels": 1, "hbm.network_ns": 1.0, "hbm.refresh_interval_ns": 1e9}
    where = varied(slow | {"hbm.refresh_ns": 0.0})
    run = played(decoder(small, where, dtype="bf16", context=CONTEXT))
    read, written = run.totals["traffic"][0]
    bound = (read + written) / (where.hbm.peak_gbps / where.clock_ghz)
    # Measured 1.07: what is left is calls, and the chain of dependencies behind the last granule of each.
    assert bound <= run.cycles <= 1.09 * bound

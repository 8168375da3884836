"""`rdu.Dram`: what can be described and asked, what is refused and how, and what is always true of a replay."""

from __future__ import annotations

import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdu
from rdu.errors import MachineError, MemoryDescriptionError, TransferError
from rdu.machine.parameter import OVERRIDE, STATUSES
from rdu.memory import COMMANDS, IDLE_CAUSES, Dram, names
from rdu.memory.parameters import PARAMETERS
from rdu.testing import reference_dram, reference_names
from rdu.testing.address_streams import blocks, mix64, mixed, one_bank, scattered, sequential, streams, traffic

PRESETS = ("ddr4-3200", "ddr5-4800", "hbm2-2000", "hbm2e-3200", "hbm2e-3600", "hbm3-6400")
# Small enough to think about: one channel, one rank, four banks.
SMALL = {
    "name": "small",
    "organisation": {
        "channels": 1,
        "bank_groups": 2,
        "banks": 2,
        "rows": 64,
        "columns": 64,
        "bus_bits": 64,
        "burst_length": 8,
    },
    "timings": {
        "tck_fs": 1_000_000,
        "tcl": 10,
        "tcwl": 8,
        "trcd_rd": 10,
        "trcd_wr": 10,
        "trp": 10,
        "tras": 25,
        "trc": 35,
        "trrd_s": 4,
        "trrd_l": 6,
        "tfaw": 20,
        "tccd_s": 4,
        "tccd_l": 6,
        "twtr_s": 3,
        "twtr_l": 8,
        "trtw": 8,
        "twr": 12,
        "trtp": 6,
        "trefi": 4000,
        "trfc": 200,
    },
    "controller": {"scheduler": "frfcfs_row_hit", "refresh": "all_bank", "read_queue": 16, "write_queue": 16},
    "map": {"fields": ["bank_group", "column", "bank", "row"]},
}


@pytest.fixture(scope="module")
def small() -> Dram:
    return rdu.Dram(SMALL)


# --- descriptions ----------------------------------------------------------------------------------------------------


def test_presets() -> None:
    assert tuple(names()) == PRESETS


@pytest.mark.parametrize(
    ("name", "gbps", "gib"),
    [
        ("ddr4-3200", 25.6, 8),
        ("ddr5-4800", 38.4, 16),
        ("hbm2-2000", 256, 8),
        ("hbm2e-3200", 409.6, 8),
        ("hbm2e-3600", 1843.2, 64),
        ("hbm3-6400", 819.2, 16),
    ],
)
def test_a_preset_is_what_its_name_says(name: str, gbps: float, gib: int) -> None:
    dram = rdu.Dram(name)
    # The clock is a whole number of femtoseconds.
    assert dram.peak_gbps == pytest.approx(gbps, rel=2e-6)
    assert dram.capacity_bytes == gib * 2**30


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_a_preset_has_a_source(name: str) -> None:
    for entry in rdu.Dram(name).entries():
        if entry.source != (PARAMETERS[entry.key].meaning or "the default"):
            assert entry.status in STATUSES
            assert len(entry.source) > 5, entry


def test_hbm2e_3600_is_the_memory_of_the_sn40l() -> None:
    dram, machine = rdu.Dram("hbm2e-3600"), rdu.machine("sn40l")
    assert dram.capacity_bytes == machine.hbm.capacity_bytes
    assert dram.organisation.stacks == machine.hbm.stacks
    # 1.8 TB/s is published, 3.6 Gb/s a pin is the grade that reaches it.
    assert machine.hbm.peak_gbps <= dram.peak_gbps <= 1.03 * machine.hbm.peak_gbps


@pytest.mark.parametrize(
    ("preset", "reference"),
    [
        ("ddr4-3200", "DDR4_3200AA"),
        ("ddr5-4800", "DDR5_4800AN"),
        ("hbm2-2000", "HBM2_2000"),
        ("hbm2e-3200", "HBM2E_3200d"),
        ("hbm3-6400", "HBM3_6400"),
    ],
)
def test_a_preset_has_the_timings_of_its_reference(preset: str, reference: str) -> None:
    ours, theirs = dict(rdu.Dram(preset).timings), dict(reference_dram(reference).timings)
    differing = {key: (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]}
    # The reference rounds the clock of 2.4 GHz to 0.416 ns.
    assert differing == ({"tck_fs": (416_667, 416_000)} if preset == "ddr5-4800" else {})


def test_sections_are_read_by_attribute_and_by_key(small: Dram) -> None:
    assert small.timings.trc == small.timings["trc"] == 35
    assert small.controller.page == "open"
    assert small.organisation.commands.activate_ticks == 1
    with pytest.raises(AttributeError, match="trcc"):
        _ = small.timings.trcc


def test_overrides_keep_what_they_replace() -> None:
    dram = rdu.Dram("ddr4-3200", timings__trp=30, trc=82, controller__page="closed")
    assert (dram.timings.trp, dram.timings.trc, dram.controller.page) == (30, 82, "closed")
    entry = next(entry for entry in dram.entries() if entry.key == "timings.trp")
    assert entry.status == OVERRIDE
    assert entry.source.startswith("set by the user; was 22 (published: ")


def test_a_memory_can_be_changed_again(small: Dram) -> None:
    assert rdu.Dram(rdu.Dram(small, trc=40), read_queue=8).timings.trc == 40


@pytest.mark.parametrize("name", PRESETS)
def test_organisation_and_timings_are_enough(name: str) -> None:
    whole = rdu.Dram(name).to_dict()
    dram = rdu.Dram({"organisation": whole["organisation"], "timings": whole["timings"]})
    assert (dram.name, dram.controller.scheduler) == ("custom", "frfcfs_row_hit")
    assert dram.read(0, 2**20).peak_fraction > 0.85
    assert rdu.Dram(name).map.fields[-1] == dram.map.fields[-1] == "row"


def test_a_file_may_extend_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "slow.toml"
    path.write_text('extends = "hbm3-6400"\nname = "slow"\n[timings]\ntck_fs = 1_250_000\n', encoding="utf-8")
    dram = rdu.Dram(path)
    assert dram.name == "slow"
    assert dram.peak_gbps == pytest.approx(rdu.Dram("hbm3-6400").peak_gbps / 2)


@pytest.mark.parametrize("name", [*PRESETS, *reference_names()])
def test_a_description_survives_its_dictionary(name: str) -> None:
    dram = rdu.Dram(name) if name in PRESETS else reference_dram(name)
    tree = json.loads(json.dumps(dram.to_dict()))
    assert rdu.Dram(tree).to_dict() == tree == pickle.loads(pickle.dumps(dram)).to_dict()


def without(section: str, key: str) -> dict[str, object]:
    part = SMALL[section]
    assert isinstance(part, dict)
    return {**SMALL, section: {name: value for name, value in part.items() if name != key}}


DESCRIPTIONS: list[tuple[object, dict[str, object], str]] = [
    ("hbm2e-320", {}, "unknown memory 'hbm2e-320'; the nearest is 'hbm2e-3200'"),
    ("", {}, "unknown memory ''"),
    ("no/such.toml", {}, "memory file 'no/such.toml'"),
    (7, {}, "7 is no memory; give a name"),
    (SMALL, {"timings.trpp": 1}, "unknown key 'timings.trpp'; the nearest is 'timings.trp'"),
    (SMALL, {"trf": 1}, "unknown key 'trf'; the nearest is 'timings.trfc'"),
    (without("timings", "trcd_rd"), {}, "timings.trcd_rd is missing"),
    ({**SMALL, "timing": {}}, {}, "unknown section or key 'timing'; the nearest is 'timings'"),
    ({**SMALL, "timings": 3}, {}, "timings = 3 is not allowed; give a section"),
    (SMALL, {"trc": 34}, "timings.trc is 34; it must be at least tras + trp"),
    (SMALL, {"trp": "10"}, "timings.trp = '10' is not allowed"),
    (SMALL, {"trp": 10.5}, "timings.trp = 10.5 is not allowed"),
    (SMALL, {"trp": float("nan")}, "timings.trp = nan is not allowed"),
    (SMALL, {"trp": -1}, "timings.trp = -1 is not allowed"),
    (SMALL, {"trp": True}, "timings.trp = True is not allowed"),
    (SMALL, {"trp": 2**40}, "timings.trp = 1099511627776 is not allowed"),
    (SMALL, {"trp": 0}, "timings.trp is 0"),
    (SMALL, {"tck_fs": 0}, "timings.tck_fs is 0"),
    (SMALL, {"rows": 0}, "organisation.rows is 0"),
    (SMALL, {"banks": 3}, "organisation.banks is 3; the address map needs a power of two"),
    (SMALL, {"columns": 60}, "organisation.columns is 60"),
    (SMALL, {"burst_length": 6}, "organisation.columns is 64; it must be a multiple of the burst length"),
    (SMALL, {"map.interleave_bytes": 96}, "map.interleave_bytes is 96; the address map needs a power of two"),
    (SMALL, {"map.interleave_bytes": 32}, "map.interleave_bytes is 32; it must be at least a burst"),
    (SMALL, {"fields": ["column", "row"]}, "map.fields places 0 bits of bank_group"),
    (SMALL, {"fields": ["column:2", "bank_group", "bank", "row"]}, "map.fields places 2 bits of column"),
    (SMALL, {"fields": ["colum", "bank_group", "bank", "row"]}, 'map.fields has "colum"'),
    (SMALL, {"fields": "column"}, "map.fields = 'column' is not allowed; give a list of fields"),
    (SMALL, {"xor": [{"field": "bank"}]}, "map.xor = "),
    (SMALL, {"scheduler": "fcfs"}, "controller.scheduler = 'fcfs' is not allowed; give one of 'frfcfs'"),
    (SMALL, {"read_queue": 0}, "controller.read_queue is 0"),
    (SMALL, {"write_high_percent": 10}, "controller.write_low_percent is 20; it must be at most write_high_percent"),
    (SMALL, {"trefi": 100}, "timings.trefi is 100"),
    (SMALL, {"trtw": 2}, "timings.trtw is 2"),
]


@pytest.mark.parametrize(("base", "changes", "message"), DESCRIPTIONS, ids=[line[2][:40] for line in DESCRIPTIONS])
def test_what_cannot_be_described_is_named(base: object, changes: dict[str, object], message: str) -> None:
    with pytest.raises(MemoryDescriptionError) as caught:
        rdu.Dram(base, **changes)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert isinstance(caught.value, MachineError)


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("timings = [", encoding="utf-8")
    with pytest.raises(MemoryDescriptionError, match="is not TOML"):
        rdu.Dram(path)


def test_a_file_that_extends_itself(tmp_path: Path) -> None:
    path = tmp_path / "circle.toml"
    path.write_text('extends = "circle.toml"\n', encoding="utf-8")
    with pytest.raises(MemoryDescriptionError, match="extends itself"):
        rdu.Dram(path)


# --- replays ---------------------------------------------------------------------------------------------------------


def test_a_single_read_takes_what_the_data_sheet_says(small: Dram) -> None:
    replay = small.replay(0)
    # Activate, tRCD, read, tCL, four cycles of data; the request is there at 0, so the activate may be.
    assert replay.mean_latency_ns == pytest.approx(10 + 10 + 4, abs=1.0)
    assert (replay.requests, replay.bytes, replay.commands["activate"], replay.commands["read"]) == (1, 64, 1, 1)


def test_scalars_stand_for_all(small: Dram) -> None:
    where = np.arange(100, dtype=np.uint64) * 64
    spread = small.replay(where, np.full(100, 64), np.ones(100, bool), arrival=np.zeros(100))
    assert small.replay(where, 64, np.ones(100, np.uint8)).to_dict() == small.replay(where, 64, True).to_dict()
    assert spread.to_dict() == small.replay(where, 64, True, arrival=0).to_dict()
    assert small.replay(64, [64, 64, 64]).bytes == 192


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.int32, np.uint8, ">i8"])
def test_any_integers_are_addresses(small: Dram, dtype: object) -> None:
    where = (np.arange(4) * 32).astype(dtype)  # type: ignore[call-overload]
    assert small.replay(where, 32).to_dict() == small.replay([0, 32, 64, 96], 32).to_dict()


def test_strided_views_are_read_right(small: Dram) -> None:
    where = np.arange(200, dtype=np.uint64) * 64
    assert small.replay(where[::-2], 64).to_dict() == small.replay(where[::-2].copy(), 64).to_dict()


def test_a_large_request_is_cut_into_bursts(small: Dram) -> None:
    assert small.replay(0, 4096).commands["read"] == 64
    assert small.replay(32, 64).commands["read"] == 2


def test_latencies_and_completions_by_request(small: Dram) -> None:
    replay = small.replay(np.arange(50) * 64, latencies=True)
    assert replay.latencies_ns is not None
    assert replay.completions_ns is not None
    assert replay.latencies_ns.shape == replay.completions_ns.shape == (50,)
    assert replay.latencies_ns.mean() == pytest.approx(replay.mean_latency_ns)
    assert replay.completions_ns.max() == replay.elapsed_ns
    assert small.replay(0).latencies_ns is None


def test_arrivals_are_waited_for(small: Dram) -> None:
    replay = small.replay([0, 64], arrival=[0, 1000.0], latencies=True)
    assert replay.completions_ns is not None
    assert replay.completions_ns[1] >= 1000 + 10 + 4
    # Nobody asked for anything in between.
    assert replay.idle["no_request"] > 0.9


def test_the_trace_has_the_commands(small: Dram) -> None:
    trace = small.replay(np.arange(16) * 64, trace=1000).trace
    assert trace is not None
    assert list(trace["command"][:1]) == ["ACT"]
    assert (trace["command"] == "RD").sum() == 16
    assert (np.diff(trace["tick"].astype(np.int64)) >= 0).all()
    assert small.replay(np.arange(16) * 64, trace=3).trace.size == 3


def test_a_region_by_itself_equals_its_addresses(small: Dram) -> None:
    by_array = small.replay(64 + np.arange(1000, dtype=np.uint64) * 64)
    assert small.read(64, 64_000).to_dict() == by_array.to_dict()
    strided = small.replay(np.arange(100, dtype=np.uint64) * 256, 128, True)
    assert small.write(0, 100 * 256, stride=256, request_bytes=128).to_dict() == strided.to_dict()


def test_skipping_changes_nothing() -> None:
    dram = rdu.Dram("hbm2e-3200")
    assert dram.read(0, 2**24).to_dict() == dram.read(0, 2**24, skip=False).to_dict()


def test_regions_take_turns(small: Dram) -> None:
    together = small.stream([(0, 128), (4096, 320, True)], latencies=True)
    assert (together.bytes_read, together.bytes_written) == (128, 320)
    order = np.array([0, 4096, 64, 4160, 4224, 4288, 4352])
    writes = np.array([False, True, False, True, True, True, True])
    assert together.to_dict() == small.replay(order, 64, writes).to_dict()


def test_a_result_has_the_same_shape_whatever_the_traffic(small: Dram) -> None:
    wide = rdu.Dram("hbm3-6400")
    read, written = small.replay(0).to_dict(), wide.replay(0, is_write=True).to_dict()

    def shape(tree: object) -> object:
        return {key: shape(value) for key, value in tree.items()} if isinstance(tree, dict) else None

    assert shape(read) == shape(written)
    assert tuple(read["commands"]) == COMMANDS  # type: ignore[arg-type]
    assert tuple(read["idle"]) == IDLE_CAUSES  # type: ignore[arg-type]
    assert written["mean_latency_ns"] is None
    json.dumps(written)


def test_a_result_prints_a_table(small: Dram) -> None:
    shown = repr(small.replay(np.arange(100) * 64))
    assert shown.startswith("small\n")
    assert "100 reads" in shown
    assert "row hits" in shown
    assert len(shown.splitlines()) < 10


REQUESTS: list[tuple[Callable[[Dram], object], str]] = [
    (lambda d: d.replay(d.capacity_bytes), "do not lie in small"),
    (lambda d: d.replay(d.capacity_bytes - 32, 64), "do not lie in small"),
    (lambda d: d.replay(2**64 - 1, 64), "do not lie in small"),
    (lambda d: d.replay(0, 2**63), "do not lie in small"),
    (lambda d: d.replay([0, 64], [64, 0]), "request 1 at 0x40 asks for no bytes"),
    (lambda d: d.replay([64, -64]), "addresses[1] is -64; it must not be negative"),
    (lambda d: d.replay(0, -1), "nbytes is -1; it must not be negative"),
    (lambda d: d.replay([0.0, float("nan")]), "addresses[1] is nan"),
    (lambda d: d.replay([0.5]), "addresses has dtype float64"),
    (lambda d: d.replay(["0"]), "addresses has dtype"),
    (lambda d: d.replay([2**70]), "addresses = [1180591620717411303424] holds what is no 64-bit integer"),
    (lambda d: d.replay([[0, 64]]), "addresses has shape (1, 2)"),
    (lambda d: d.replay([[0], [0, 1]]), "addresses is no array of numbers"),
    (lambda d: d.replay([]), "addresses is empty"),
    (lambda d: d.replay([0, 1, 2], [64, 64]), "lengths do not fit together: addresses 3, nbytes 2"),
    (lambda d: d.replay([0], is_write=[2]), "is_write has dtype int64"),
    (lambda d: d.replay([0], is_write=["w"]), "is_write has dtype"),
    (lambda d: d.replay([0, 64], arrival=[10, 5]), "sort them"),
    (lambda d: d.replay(0, arrival=float("nan")), "arrival is nan"),
    (lambda d: d.replay(0, arrival=[-1.0]), "arrival[0] is -1.0"),
    (lambda d: d.replay(0, arrival="now"), "arrival has dtype"),
    (lambda d: d.replay(0, outstanding=0), "outstanding is 0"),
    (lambda d: d.replay(0, outstanding=1.5), "outstanding is 1.5"),
    (lambda d: d.replay([0, 64], warmup=2), "warmup is 2: it leaves no burst"),
    (lambda d: d.replay(0, trace=-1), "trace is -1"),
    (lambda d: d.read(d.capacity_bytes), "start is "),
    (lambda d: d.read(0, 0), "nbytes is 0"),
    (lambda d: d.read(64, d.capacity_bytes), "nbytes is "),
    (lambda d: d.read(0, 64, request_bytes=128), "request_bytes=128 is more"),
    (lambda d: d.read(stride=0), "stride is 0"),
    (lambda d: d.stream([]), "no regions"),
    (lambda d: d.stream([(0, 0)]), "regions[0].nbytes is 0"),
    (lambda d: d.stream([(0, 64), (d.capacity_bytes, 64)]), "regions[1].start is"),
    (lambda d: d.stream([(4096, 64), (0, 4097)]), "regions[1] (bytes 0 to 4097) overlaps regions[0] (from 4096)"),
    (lambda d: d.stream([(0,)]), "regions[0] is (0,)"),
]


@pytest.mark.parametrize(("ask", "message"), REQUESTS, ids=[line[1][:40] for line in REQUESTS])
def test_what_cannot_be_asked_is_named(small: Dram, ask: Callable[[Dram], object], message: str) -> None:
    with pytest.raises(TransferError) as caught:
        ask(small)
    assert message in str(caught.value)


def test_ctrl_c_stops_a_replay() -> None:
    dram = rdu.Dram("hbm2e-3600")
    where = mix64(np.arange(8_000_000)) % np.uint64(dram.capacity_bytes // 64) * np.uint64(64)
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.1, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        dram.replay(where, 64)
    # 0.1 s is what is promised; the rest is for a busy host.
    assert time.perf_counter() - pressed[0] < 0.5


def test_other_threads_run_during_a_replay() -> None:
    dram = rdu.Dram("hbm2e-3200")
    where = scattered(300_000, 32, dram.capacity_bytes)
    beats: list[float] = []
    done = threading.Event()

    def beat() -> None:
        while not done.is_set():
            beats.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=beat)
    thread.start()
    began = time.perf_counter()
    dram.replay(where)
    ended = time.perf_counter()
    done.set()
    thread.join()
    assert sum(began < at < ended for at in beats) >= 3


# --- always true -----------------------------------------------------------------------------------------------------

memories = st.sampled_from(
    [
        *("ddr4-3200", "hbm2-2000", "hbm3-6400", "HBM2_2000-REFpb", "HBM3_6400-MOP4CLXOR", "DDR4_3200AA-FRFCFS"),
        *("DDR4_8Gb_x8_3200-2r", "HBM2_8Gb_x128-1ch"),
    ]
)


def known(name: str) -> Dram:
    return rdu.Dram(name) if name in PRESETS else reference_dram(name)


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[Dram, np.ndarray, np.ndarray, np.ndarray, int | None]:
    dram = known(draw(memories))
    count = draw(st.integers(1, 300))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    span = draw(st.sampled_from([2**12, 2**16, 2**22, dram.capacity_bytes - 1024]))
    sizes = seed.integers(1, draw(st.sampled_from([32, 64, 700])), count, endpoint=True)
    writes = seed.random(count) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    outstanding = draw(st.sampled_from([None, 1, 7]))
    return dram, seed.integers(0, span, count), sizes, writes, outstanding


@settings(deadline=None)
@given(mixtures())
def test_a_replay_keeps_the_books(mixture: tuple[Dram, np.ndarray, np.ndarray, np.ndarray, int | None]) -> None:
    dram, where, sizes, writes, outstanding = mixture
    replay = dram.replay(where, sizes, writes, outstanding=outstanding, latencies=True)
    assert replay.bytes_read == sizes[~writes].sum()
    assert replay.bytes_written == sizes[writes].sum()
    bursts = (where + sizes - 1) // dram.burst_bytes - where // dram.burst_bytes + 1
    assert (replay.reads, replay.writes) == (bursts[~writes].sum(), bursts[writes].sum())
    # A write over one that still waits goes over no bus, nor does a read of it.
    moved = replay.commands["read"] + replay.commands["write"]
    assert moved <= replay.bursts
    assert moved == replay.bursts or writes.any()
    assert replay.peak_fraction == pytest.approx(moved * dram.burst_bytes / dram.peak_gbps / replay.elapsed_ns)
    # Every share of every data bus's time is either busy or idle for a cause.
    assert replay.peak_fraction + sum(replay.idle.values()) == pytest.approx(1, abs=1e-6)
    assert replay.latencies_ns is not None
    clock_ns = dram.timings.tck_fs * 1e-6
    burst = dram.organisation.burst_length / dram.organisation.beats_per_clock
    least = (dram.timings.tcl + burst) * clock_ns
    # A read of what still waits to be written is answered by the controller.
    if not writes.any():
        assert (replay.latencies_ns >= least * (1 - 1e-9)).all()
    assert replay.latency_histogram.counts.sum() == replay.reads
    assert replay == dram.replay(where, sizes, writes, outstanding=outstanding, latencies=True)


@settings(deadline=None)
@given(memories, st.integers(0, 2**20), st.integers(1, 5000), st.sampled_from([1, 2, 3, 17, 256]), st.booleans())
def test_patterns_equal_their_addresses_and_skip_nothing(
    name: str, first: int, count: int, stride: int, writes: bool
) -> None:
    dram = known(name)
    step = stride * dram.burst_bytes
    ask = dram.write if writes else dram.read
    length = (count - 1) * step + dram.burst_bytes
    replay = ask(first, length, stride=step, request_bytes=dram.burst_bytes)
    assert replay.to_dict() == ask(first, length, stride=step, request_bytes=dram.burst_bytes, skip=False).to_dict()
    where = first + np.arange(count, dtype=np.uint64) * np.uint64(step)
    assert replay.to_dict() == dram.replay(where, dram.burst_bytes, writes).to_dict()


@pytest.mark.parametrize("name", PRESETS)
def test_streaming_stays_below_what_refresh_leaves(name: str) -> None:
    dram = rdu.Dram(name)
    # Several refresh intervals of every channel.
    replay = dram.read(0, int(dram.peak_gbps * 100_000))
    assert 0.85 < replay.peak_fraction <= 1 - dram.timings.trfc / dram.timings.trefi + 0.002


def test_more_channels_never_slow_a_stream_that_spreads() -> None:
    rates = [rdu.Dram("hbm3-6400", channels=count).read(0, 2**22).gbps for count in (1, 2, 4, 8, 16)]
    assert rates == sorted(rates)
    assert rates[-1] > 14 * rates[0]


# --- the streams of the references -----------------------------------------------------------------------------------


def test_the_hash_is_splitmix64() -> None:
    # The first outputs of SplitMix64 with seed 0, from its reference implementation.
    assert [int(x) for x in mix64(np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_the_streams_by_hand() -> None:
    size, capacity = 64, 2**20
    assert sequential(3, size, 128).tolist() == [0, 64, 0]
    assert one_bank(3, 4, capacity).tolist() == [0, 2**18, 2**19]
    blocky = blocks(8, size, capacity, 256)
    assert (np.diff(blocky)[[0, 1, 2, 4, 5, 6]] == 64).all()
    assert (blocky[::4] % 256 == 0).all()
    turns = streams(8, size, capacity, 2, chunk_bytes=128, base="aligned")
    assert turns.tolist() == [0, 64, 2**19, 2**19 + 64, 128, 192, 2**19 + 128, 2**19 + 192]
    where, writes = mixed(8, size, capacity, reads=3, writes=1, base="aligned")
    assert writes.tolist() == [False, False, False, True] * 2
    assert where.tolist() == [0, 64, 128, 2**19, 192, 256, 320, 2**19 + 64]


def test_an_unknown_stream_is_named() -> None:
    with pytest.raises(TransferError, match="no address stream is called 'zigzag'"):
        traffic("zigzag", "", 1, 64, 2**20, 4)
    with pytest.raises(TransferError, match="base 'odd'"):
        streams(1, 64, 2**20, 2, base="odd")
    with pytest.raises(TransferError, match="block_bytes is 100"):
        blocks(1, 64, 2**20, 100)


@pytest.mark.parametrize("name", ["HBM9", "DDR4_3200AA-8chan", ""])
def test_an_unknown_reference_is_named(name: str) -> None:
    with pytest.raises(MemoryDescriptionError, match="no reference configuration is called"):
        reference_dram(name)

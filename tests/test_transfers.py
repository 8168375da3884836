"""Load and store units of a built program, and what the memory of a machine did in its run."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdu
from census import examples, program
from rdu.builder import StreamProgram, StreamRun
from rdu.errors import DeadlockError, GraphError, MachineError, RduError, RunError, TransferError
from rdu.interchange import to_dot, to_mermaid, write_sdf3
from rdu.testing.transfers import asked_bytes, loading, transfers

TINY = rdu.machine("tiny")
MODES = [("step", True), ("fast", False), ("fast", True)]
# Of the random programs: chains and trees, loop nests, values, and values that decide or depend on time.
FAMILIES = ("any", "nested", "operators", "routed", "merged")
# Cycles of the network to a controller of `tiny`'s HBM and back.
HBM_WAY = 20


def loads(
    firings: int = 100, ii: int = 1, machine: str | rdu.Machine = TINY, mode: str = "fast", **transfer: object
) -> StreamRun:
    """A run of one load unit and one that takes what it sends."""
    b = rdu.Builder()
    tier = transfer.pop("tier", "hbm")
    b.unit("load", firings=firings, ii=ii, transfer=rdu.Transfer(tier, **transfer))  # type: ignore[arg-type]
    b.unit("use", firings=firings)
    b.stream("load", "use", capacity=1024)
    return b.build().run(mode, machine=machine)


# --- time ---


def test_a_token_leaves_a_load_when_its_bytes_are_there() -> None:
    b = rdu.Builder()
    b.unit("load", firings=1, latency=3, transfer=rdu.Transfer("hbm", nbytes=64))
    b.unit("use", firings=1)
    b.stream("load", "use", latency=5)
    run = b.build().run(machine=TINY)
    device = rdu.memory.tier.device(TINY.hbm).values
    tck_ns = float(device["timings.tck_fs"]) * 1e-6
    # A row is opened, read, and the last of two bursts of 32 bytes has gone over the bus, each edge on its clock.
    least = (int(device["timings.trcd_rd"]) + int(device["timings.tcl"])) * tck_ns
    arrival = run.units["load"].end_cycle - 3 - HBM_WAY
    assert least < arrival < least + 8 * tck_ns + 2
    assert run.units["use"].first_cycle == run.units["load"].end_cycle + 5
    assert run.units["use"].memory == run.units["use"].first_cycle


def test_one_request_in_flight_is_a_round_trip_each() -> None:
    alone, together = loads(nbytes=64, outstanding=1), loads(nbytes=64, outstanding=64)
    trip = loads(firings=1, nbytes=64).units["load"].end_cycle
    # Never shorter than the network; as long as the first trip, or shorter where the row is open, and in each of the
    # seven refreshes a request waits.
    assert 100 * HBM_WAY < alone.units["load"].end_cycle < 100 * trip + 7 * (50 + trip)
    assert together.cycles * 5 < alone.cycles
    assert alone.units["load"].memory > 0.9 * alone.cycles


def test_tokens_leave_in_the_order_of_their_requests() -> None:
    # Every other request hits an open row, the others open one of their own.
    b = rdu.Builder()
    transfer = rdu.Transfer("hbm", nbytes=32, run=2, stride=1 << 20, outstanding=16)
    b.unit("load", firings=64, transfer=transfer)
    b.unit("use", firings=64)
    b.stream("load", "use", capacity=64)
    run = b.build().run(machine=TINY, firing_times={"use": list(range(64))})
    assert all(one < other for one, other in pairwise(run.firing_times["use"].tolist()))


def test_a_store_has_ended_when_memory_has_its_bytes() -> None:
    b = rdu.Builder()
    b.unit("make", firings=10)
    b.unit("store", firings=10, transfer=rdu.Transfer("hbm", nbytes=64, write=True))
    b.unit("told", firings=10)
    b.stream("make", "store")
    b.stream("store", "told")
    run = b.build().run(machine=TINY)
    assert run.memory["hbm"].written_bytes == 640
    assert run.units["told"].first_cycle > HBM_WAY
    assert run.cycles == run.units["told"].end_cycle


def test_a_tier_is_as_fast_as_the_machine_says() -> None:
    # Half of the peak, asked for at an even pace, comes through; twice the peak does not.
    half, twice = (loads(firings=4000, ii=ii, nbytes=1024, outstanding=32) for ii in (32, 8))
    # Within 1 %: beside 32 cycles a request there is one trip.
    assert half.memory["hbm"].gbps == pytest.approx(TINY.hbm.peak_gbps / 2, rel=0.01)
    # A refresh of 50 ns every 1000, for which rows are closed before and opened after.
    assert 0.05 < twice.memory["hbm"].shares["refresh"] < 0.1
    assert 0.85 < twice.memory["hbm"].peak_fraction < 0.95


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("name", ["hbm", "ddr"])
def test_a_tier_streams_as_its_device_does_and_the_network_adds_its_time(name: str, write: bool) -> None:
    machine = rdu.machine("sn40l")
    tier = machine.hbm if name == "hbm" else machine.ddr
    round_bytes = tier.channels * tier.interleave_bytes
    b = rdu.Builder()
    b.unit("stream", firings=1000, transfer=rdu.Transfer(name, nbytes=round_bytes, write=write, outstanding=64))
    run = b.build().run(machine=machine)
    device = rdu.Dram(rdu.memory.tier.device(tier))
    alone = (device.write if write else device.read)(0, 1000 * round_bytes)
    # 0.2 %: a saturated channel has a queue in front of it that never runs dry, a unit has 64 requests.
    assert run.cycles / machine.clock_ghz == pytest.approx(alone.elapsed_ns + tier.network_ns, rel=2e-3)


def test_another_machine_is_another_timing_of_the_same_values() -> None:
    b = rdu.Builder()
    b.source("x", np.arange(64.0), transfer=rdu.Transfer("ddr", nbytes=4096))
    b.unit("neg", op="neg")
    b.sink("y", transfer=rdu.Transfer("hbm", address=1 << 20, nbytes=4096, write=True))
    b.stream("x", "neg")
    b.stream("neg", "y")
    program = b.build()
    run = program.run(machine="tiny", record=True)
    fast = TINY.override({"ddr.peak_gbps": 64.0})
    again = program.run(machine=fast, values=run)
    assert again.cycles < run.cycles
    assert again.outputs["y"].tolist() == run.outputs["y"].tolist() == [[-value] for value in range(64)]
    assert again.to_dict() == program.run(machine=fast).to_dict()
    slower = program.retimed(units={"neg": {"ii": 1000}}).run(machine="tiny", values=run)
    assert slower.cycles > 64_000


def test_equal_transfers_of_phases_go_on_with_each_other() -> None:
    shared, own = rdu.Transfer("hbm", nbytes=64), rdu.Transfer("hbm", address=1 << 14, nbytes=64)
    b = rdu.Builder()
    phases = {"a": rdu.phase(transfer=shared), "b": rdu.phase(ii=2, transfer=shared), "c": rdu.phase(transfer=own)}
    b.unit("load", phases=phases, nest=rdu.loop(1000, "a", "b", "c"))
    described = b.build().describe()["units"][0]
    assert described["transfer"] == {"tier": "hbm", "write": False, "outstanding": 64}
    assert [phase["transfer"]["address"] for phase in described["phases"]] == [0, 0, 1 << 14]  # type: ignore[attr-defined]
    # 2000 requests of the shared one end at 128000: in a tier that ends before, they do not fit.
    small = TINY.override({"hbm.capacity_bytes": 2000 * 64})
    b.build().run(machine=small)
    with pytest.raises(
        TransferError, match=r"end at byte 128000 of hbm, but hbm.capacity_bytes of machine .* is 127936"
    ):
        b.build().run(machine=TINY.override({"hbm.capacity_bytes": 2000 * 64 - 64}))


# --- what memory did ---


def test_the_ticks_of_all_data_buses_add_up() -> None:
    run = loads(firings=999, nbytes=320, run=3, stride=4096)
    for name, peak in (("hbm", 64.0), ("ddr", 16.0)):
        tier = run.memory[name]
        device = rdu.memory.tier.device(getattr(TINY, name)).values
        buses = int(device["organisation.channels"]) * int(device["organisation.pseudo_channels"])
        tick_ns = float(device["timings.tck_fs"]) * 1e-6 / int(device["organisation.commands.ticks_per_clock"])
        # The last tick may have begun before the last cycle ended.
        assert tier.ticks % buses == 0
        assert tier.ticks / buses == pytest.approx(run.cycles / TINY.clock_ghz / tick_ns, abs=1)
        assert sum(tier.shares.values()) == pytest.approx(1)
        assert tier.peak_gbps == peak
    assert (run.memory["hbm"].read_bytes, run.memory["ddr"].read_bytes) == (999 * 320, 0)
    assert run.memory["ddr"].shares["no_request"] == 1


def test_the_page_and_the_dictionary_say_what_memory_did() -> None:
    run = loads(nbytes=1024)
    found = run.to_dict()["memory"]
    assert json.loads(json.dumps(found)) == found
    assert list(found) == ["hbm", "ddr"]  # type: ignore[call-overload]
    hbm = run.memory["hbm"]
    page = str(run).splitlines()
    assert page[-2].split()[:4] == ["tier", "read", "written", "GB/s"]
    assert page[-1].split()[:5] == ["hbm", "102400", "0", f"{hbm.gbps:.1f}", f"{hbm.peak_fraction:.1%}"]
    without = rdu.Builder()
    without.unit("a", firings=1)
    assert without.build().run(machine="tiny").memory == {}


def test_pictures_show_the_tier_and_sdf3_refuses() -> None:
    b = rdu.Builder()
    b.unit("load", firings=4, transfer=rdu.Transfer("ddr", nbytes=512))
    b.unit("store", firings=4, transfer=rdu.Transfer("hbm", nbytes=64, write=True))
    b.stream("load", "store")
    program = b.build()
    for text in (to_mermaid(program), to_dot(program), to_mermaid(program, program.run(machine="tiny"))):
        assert "loads from ddr, 512 B" in text
        assert "stores to hbm, 64 B" in text
    with pytest.raises(GraphError, match="'load' transfers to ddr; SDF3 knows no memory"):
        write_sdf3(program)


# --- what cannot be ---


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"tier": "hmb", "nbytes": 64}, "tier 'hmb' does not exist; did you mean 'hbm'"),
        ({"tier": 3, "nbytes": 64}, "transfer: tier: the name is 3"),
        ({"tier": "hbm", "nbytes": 0}, "nbytes is 0; it must be at least 1"),
        ({"tier": "hbm", "nbytes": 2**33}, "nbytes is 8589934592; it must be at most"),
        ({"tier": "hbm", "nbytes": 64.0}, "nbytes is 64.0; it must be a whole number"),
        ({"tier": "hbm", "nbytes": 64, "address": -1}, "address is -1; it must be at least 0"),
        ({"tier": "hbm", "nbytes": 64, "outstanding": 0}, "outstanding is 0; it must be at least 1"),
        ({"tier": "hbm", "nbytes": 64, "run": 0}, "run is 0; it must be at least 1"),
        ({"tier": "hbm", "nbytes": 64, "stride": -64}, "stride is -64; it must be at least 0"),
        ({"tier": "hbm", "nbytes": 64, "write": 1}, "write is 1; it must be True or False"),
    ],
)
def test_a_transfer_that_cannot_be(arguments: dict[str, object], what: str) -> None:
    with pytest.raises(GraphError, match=what):
        rdu.Transfer(**arguments)  # type: ignore[arg-type]


def test_units_whose_transfers_cannot_be() -> None:
    hbm, ddr = rdu.Transfer("hbm", nbytes=64), rdu.Transfer("ddr", nbytes=64)
    b = rdu.Builder()
    with pytest.raises(GraphError, match=r"unit 'a': transfer is 'hbm'; make it with rdu.Transfer"):
        b.unit("a", firings=1, transfer="hbm")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="unit 'a' has phases; say transfer in each of them"):
        b.unit("a", phases={"p": rdu.phase()}, nest="p", transfer=hbm)
    for phases, what in [
        ({"p": rdu.phase(transfer=hbm), "q": rdu.phase()}, "unit 'a': some of its phases transfer and some do not"),
        ({"p": rdu.phase(transfer=hbm), "q": rdu.phase(transfer=ddr)}, "tier of its transfers is 'hbm' and 'ddr'"),
    ]:
        b = rdu.Builder()
        b.unit("a", phases=phases, nest=rdu.loop(2, "p", "q"))
        with pytest.raises(GraphError, match=what):
            b.build()
    b = rdu.Builder()
    b.unit("a", firings=2, transfer=rdu.Transfer("hbm", address=2**61, nbytes=1, stride=2**61))
    with pytest.raises(GraphError, match=r"unit 'a': its transfers end at byte 4611686018427387905; at most"):
        b.build()
    b = rdu.Builder()
    b.source("x", [0, 1])
    b.gate("some", control="control")
    b.source("control", [0, 1])
    b.stream("control", "some")
    b.stream("x", "some")
    b.sink("y", transfer=hbm)
    b.stream("some", "y")
    with pytest.raises(GraphError, match=r"'y' fires as long as 'some' sends, which data decide, .* cannot transfer"):
        b.build()


def test_runs_whose_memory_cannot_be() -> None:
    with pytest.raises(GraphError, match=r"unit 'load' transfers to hbm, .*run\(machine="):
        loads(nbytes=64, machine=None)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"machine is 5; it must be a rdu.Machine or the name of one"):
        loads(nbytes=64, machine=5)  # type: ignore[arg-type]
    with pytest.raises(MachineError, match="sn41l"):
        loads(nbytes=64, machine="sn41l")
    capacity = TINY.hbm.capacity_bytes
    loads(firings=2, nbytes=64, address=capacity - 128)
    with pytest.raises(
        TransferError, match=f"unit 'load': .* address {capacity - 127} end at byte {capacity + 1} of hbm"
    ):
        loads(firings=2, nbytes=64, address=capacity - 127)


# --- always ---


def outcome(built: StreamProgram, mode: str = "fast", skip: bool = True, **asked: object) -> dict[str, object]:
    """All that a run says, or how it failed."""
    try:
        run = built.run(mode, skip, machine=TINY, **asked)  # type: ignore[arg-type]
    except RunError as error:
        return {"error": type(error).__name__, "what": str(error)}
    found = run.to_dict()
    del found["mode"]
    found["outputs"] = {name: (values.shape, values.tobytes()) for name, values in run.outputs.items()}
    if run.trace is not None:
        found["trace"] = run.trace.to_dict()
    return found


@pytest.mark.parametrize("family", FAMILIES)
@examples(0.4)
@given(data=st.data())
def test_fast_equals_step_with_memory(family: str, data: st.DataObject) -> None:
    graph = data.draw(loading(data.draw(program(family))))
    built = graph.builder().build()
    runs = [outcome(built, mode, skip) for mode, skip in MODES]
    assert runs[1] == runs[0]
    assert runs[2] == runs[0]
    if "error" in runs[0]:
        return
    assert outcome(built, trace=True) == outcome(built, "step", trace=True)
    for tier in built.run(machine=TINY).memory.values():
        assert tier.busy_ticks >= 0
        assert min(tier.idle_ticks.values()) >= 0


@pytest.mark.parametrize("family", ["any", "operators"])
@examples(0.4)
@given(data=st.data())
def test_the_order_of_description_means_nothing_and_bytes_asked_are_bytes_counted(
    family: str, data: st.DataObject
) -> None:
    graph = data.draw(loading(data.draw(program(family))))
    order = data.draw(st.permutations(range(len(graph.units))))
    one, other = graph.builder().build(), graph.reordered(order).builder().build()
    try:
        run = one.run(machine=TINY)
    except DeadlockError:
        with pytest.raises(DeadlockError):
            other.run(machine=TINY)
        return
    assert other.run(machine=TINY).to_dict() == run.to_dict()
    for name, asked in asked_bytes(graph).items():
        assert (run.memory[name].read_bytes, run.memory[name].written_bytes) == (asked[False], asked[True])


@examples(1)
@given(transfer=transfers(), requests=st.integers(0, 40))
def test_the_end_of_a_pattern_is_where_its_furthest_request_ends(transfer: rdu.Transfer, requests: int) -> None:
    starts = [at // transfer.run * transfer.stride + at % transfer.run * transfer.nbytes for at in range(requests)]
    assert transfer.end(requests) == transfer.address + max((start + transfer.nbytes for start in starts), default=0)


# --- stopping ---


@pytest.mark.parametrize(
    ("firings", "ii", "nbytes", "stride"), [(10**6, 1, 64, 1 << 14), (10**6, 1, 1 << 24, 0), (2, 10**14, 64, 64)]
)
@pytest.mark.parametrize("mode", ["fast", "step"])
def test_ctrl_c_stops_a_run_that_waits_for_memory(mode: str, firings: int, ii: int, nbytes: int, stride: int) -> None:
    """Also where the first few firings alone take minutes, or a refresh after another until the next firing."""
    transfer = f'rdu.Transfer("hbm", nbytes={nbytes}, stride={stride})'
    code = f"""
        import os, signal, threading, time
        import rdu
        b = rdu.Builder()
        b.unit("load", firings={firings}, ii={ii}, transfer={transfer})
        program = b.build()
        pressed = []
        def press():
            pressed.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.3, press).start()
        try:
            program.run({mode!r}, machine="sn40l")
        except KeyboardInterrupt:
            print(time.perf_counter() - pressed[0])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    # 0.1 s, and as much again for a busy host.
    assert float(done.stdout) < 0.2, done.stderr


def test_what_progress_raises_comes_out_of_a_run_that_waits_for_memory() -> None:
    def stop(firings: int) -> None:
        raise RduError(f"after {firings}")

    b = rdu.Builder()
    b.unit("load", firings=10**6, transfer=rdu.Transfer("hbm", nbytes=1 << 24, stride=0))
    with pytest.raises(RduError, match="after"):
        b.build().run(machine="sn40l", progress=stop)

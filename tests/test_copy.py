"""Copies between tiers: as fast as the slowest of what they go through, and beside other work."""

from __future__ import annotations

import json

import pytest

import rdu
from rdu.cli import main
from rdu.errors import GraphError, TransferError
from rdu.memory import add_copy, copy

SN40L = rdu.machine("sn40l")
TINY = rdu.machine("tiny")
# Long enough that the first and the last trip are below a thousandth of the time.
LONG = 50_000_000


def streamed_gbps(machine: rdu.Machine, tier: str, write: bool = False) -> float:
    """What a tier gives or takes when it is asked for as much as it can, without a copy engine."""
    b = rdu.Builder()
    size = machine[f"{tier}.channels"] * machine[f"{tier}.interleave_bytes"]  # type: ignore[operator]
    b.unit("stream", firings=LONG // size, transfer=rdu.Transfer(tier, nbytes=size, write=write, outstanding=64))
    return b.build().run(machine=machine).memory[tier].gbps


@pytest.mark.parametrize(
    ("source", "target", "key"),
    [
        ("ddr", "hbm", "ddr.to_hbm_gbps"),
        ("hbm", "ddr", "ddr.to_hbm_gbps"),
        ("host", "ddr", "host.gbps"),
        ("host", "hbm", "host.gbps"),
        ("ddr", "host", "host.gbps"),
        ("hbm", "host", "host.gbps"),
    ],
)
def test_a_copy_is_paced_by_the_rate_of_the_machine(source: str, target: str, key: str) -> None:
    done = copy(SN40L, LONG, source, target)
    # 2 %: a trip at both ends, and cycles per request rounded up.
    assert 0.98 * SN40L[key] < done.gbps <= SN40L[key]  # type: ignore[operator]
    assert done.bound == key
    read, written = (done.run.memory.get(place) for place in (source, target))
    assert read is None or read.read_bytes == LONG
    assert written is None or written.written_bytes == LONG


@pytest.mark.parametrize(("source", "target", "bound"), [("ddr", "hbm", "ddr"), ("hbm", "ddr", "ddr")])
@pytest.mark.parametrize("peak_gbps", [100.0, 200.0])
def test_a_copy_is_bound_by_a_tier_that_streams_less(source: str, target: str, bound: str, peak_gbps: float) -> None:
    machine = SN40L.override({"ddr.to_hbm_gbps": 10 * peak_gbps, "ddr.peak_gbps": peak_gbps})
    done = copy(machine, LONG, source, target)
    # Within 2 % of what DDR streams by itself.
    assert done.gbps == pytest.approx(streamed_gbps(machine, "ddr", write=target == "ddr"), rel=0.02)
    assert done.bound == bound


def test_a_slow_target_holds_the_source_back() -> None:
    machine = SN40L.override({"hbm.peak_gbps": 50.0, "hbm.channels": 8})
    done = copy(machine, LONG)
    assert done.bound == "hbm"
    assert done.gbps == pytest.approx(streamed_gbps(machine, "hbm", write=True), rel=0.02)


def test_within_hbm_every_byte_goes_over_the_buses_twice() -> None:
    done = copy(SN40L, 400_000_000, "hbm", "hbm")
    hbm = done.run.memory["hbm"]
    assert done.bound == "hbm"
    assert hbm.read_bytes == hbm.written_bytes == done.nbytes
    assert 2 * done.gbps == pytest.approx(hbm.gbps)
    # Reads and writes share the time, and turning the buses round costs more than either alone.
    assert done.gbps < streamed_gbps(SN40L, "hbm") / 2
    assert hbm.shares["turnaround"] > 0


def test_a_model_s_weights_come_from_ddr_in_the_published_time() -> None:
    """13.48 GB over the eight sockets of a node, whose over 1 TB/s are 125 GB/s a socket."""
    done = copy(SN40L, 1_685_000_000)
    assert done.seconds == pytest.approx(13.48e9 / 1e12, rel=0.02)
    assert done.seconds > 13.48e9 / 1e12


@pytest.mark.parametrize("nbytes", [1, 63, 1024, 1025, 100_001])
def test_any_number_of_bytes_is_copied(nbytes: int) -> None:
    for source, target in (("ddr", "hbm"), ("hbm", "hbm"), ("host", "ddr")):
        done = copy("tiny", nbytes, source, target)
        assert done.run.memory[target].written_bytes == nbytes
        assert json.loads(json.dumps(done.to_dict()))["nbytes"] == nbytes
    assert copy("tiny", 1).bound == "latency"
    assert copy(TINY, 1, "host", "hbm").seconds > TINY.host.latency_ns * 1e-9


def test_lanes_take_turns_and_one_takes_the_rest() -> None:
    b = rdu.Builder()
    engine = add_copy(b, SN40L, 5 * 24576 + 7, name="weights", source_address=1 << 20)
    # A granule in each of 12 and of 32 channels of 256 bytes; 125 GB/s are more than one AGCU's 102.4.
    assert engine.request_bytes == 24576
    assert engine.loads == ("weights.load.0", "weights.load.1")
    assert engine.requests == (3, 3)
    assert (engine.limit, engine.gbps) == ("ddr.to_hbm_gbps", 125)
    units = {unit["name"]: unit for unit in b.build().describe()["units"]}
    found = [phase["transfer"] for phase in units["weights.load.1"]["phases"]]  # type: ignore[attr-defined]
    assert found[0] == {"address": (1 << 20) + 24576, "nbytes": 24576, "run": 1, "stride": 2 * 24576}
    assert found[-1]["address"] == (1 << 20) + 5 * 24576
    assert found[-1]["nbytes"] == 7


def compute(b: rdu.Builder, firings: int, ii: int) -> None:
    """A kernel that takes a KiB of HBM every ``ii`` cycles."""
    b.unit("read", firings=firings, transfer=rdu.Transfer("hbm", address=1 << 26, nbytes=1024, outstanding=16))
    b.unit("work", firings=firings, ii=ii)
    b.stream("read", "work", capacity=16)


def cycles(firings: int, nbytes: int, ii: int) -> int:
    b = rdu.Builder()
    if firings:
        compute(b, firings, ii)
    if nbytes:
        add_copy(b, TINY, nbytes)
    return b.build().run(machine=TINY).cycles


def test_a_copy_beside_a_kernel_costs_the_longer_of_the_two_not_the_sum() -> None:
    # A request in 1000 cycles leaves HBM free: 1 of 64 GB/s, and the copy takes 16.
    kernel, alone, both = cycles(200, 0, 1000), cycles(0, 2_000_000, 1000), cycles(200, 2_000_000, 1000)
    assert 0.5 < kernel / alone < 2
    # Within 3 %: now and then a request of one waits for one of the other.
    assert both == pytest.approx(max(kernel, alone), rel=0.03)


def test_a_copy_and_a_kernel_that_both_want_hbm_share_it() -> None:
    # The kernel alone keeps HBM busy.
    kernel, alone, both = cycles(8000, 0, 1), cycles(0, 2_000_000, 1), cycles(8000, 2_000_000, 1)
    assert both > 1.1 * max(kernel, alone)
    assert both < 1.1 * (kernel + alone)
    peak = TINY.hbm.peak_gbps / TINY.clock_ghz
    assert both > (8000 * 1024 + 2_000_000) / peak


def test_others_can_wait_for_what_was_copied() -> None:
    b = rdu.Builder()
    engine = add_copy(b, TINY, 64 * 1024)
    for store, requests in zip(engine.stores, engine.requests, strict=True):
        b.unit(f"after {store}", firings=1)
        b.stream(store, f"after {store}", capacity=requests, consume=requests)
    run = b.build().run(machine=TINY)
    copied = max(run.units[store].end_cycle for store in engine.stores)
    assert max(run.units[f"after {store}"].first_cycle for store in engine.stores) == copied + 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"nbytes": 0}, "nbytes is 0; it must be a whole number from 1 to"),
        ({"nbytes": 1.5}, r"nbytes is 1.5; it must be a whole number"),
        ({"nbytes": 1, "source": "sram"}, "source is 'sram'; choose from ddr, hbm, host"),
        ({"nbytes": 1, "target": "flash"}, "target is 'flash'; choose from ddr, hbm, host"),
        ({"nbytes": 1, "source": "host", "target": "host"}, "source and target are both the host"),
        (
            {"nbytes": 1 << 29},
            "it ends at byte 536870912 of hbm, but hbm.capacity_bytes of machine 'tiny' is 268435456",
        ),
        ({"nbytes": 1 << 28, "source": "hbm"}, "it ends at byte 536870912 of hbm"),
    ],
)
def test_a_copy_that_cannot_be(arguments: dict[str, object], what: str) -> None:
    with pytest.raises(TransferError, match=what):
        copy("tiny", **arguments)  # type: ignore[arg-type]


def test_two_copies_of_one_name_cannot_be() -> None:
    b = rdu.Builder()
    add_copy(b, TINY, 10)
    with pytest.raises(GraphError, match=r"two units are called 'copy.load.0'"):
        add_copy(b, TINY, 10)


def test_one_agcu_that_is_slower_than_the_rate_paces_the_engine() -> None:
    machine = TINY.override({"agcu.bytes_per_cycle": 2, "grid.agcus_per_tile": 2})
    done = copy(machine, 100_000)
    assert done.bound == "agcu.bytes_per_cycle"
    # Within 2 %: two trips.
    assert done.gbps == pytest.approx(2 * machine.clock_ghz, rel=0.02)


def test_the_command_prints_every_direction(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "copies", "tiny", "--bytes", "1000000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"] == "tiny"
    assert (found["copies"][0]["source"], found["copies"][0]["target"]) == ("ddr", "hbm")
    assert all(row["nbytes"] == 1_000_000 and row["gbps"] > 0 for row in found["copies"])
    assert main(["bench", "copies", "tiny", "--bytes", "1000000"]) == 0
    assert "ddr -> hbm" in capsys.readouterr().out
    assert main(["bench", "copies", "tiny", "--bytes", "0"]) == 2
    assert "nbytes is 0" in capsys.readouterr().err

"""rdu.report: every figure against an independent sum, shapes that never change, and a ledger that fails loudly."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rdu
from rdu.errors import LedgerError, RequestError
from rdu.models.generate import Decoder
from rdu.report.idle import CAUSES
from rdu.report.report import PAGE_COLUMNS, Report
from rdu.report.tally import STATES, Tally
from rdu.report.units import percent, quantity, seconds
from rdu.run import Run

PROMPT, NEW = [3, 9, 27, 17, 51], 4
# Layers, hidden and feed-forward sizes, key-value heads and head size, vocabulary of s02_gqa.
LAYERS, HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 2, 64, 160, 8, 2, 8, 256


@pytest.fixture(scope="module")
def decoder(data_dir: Path) -> Decoder:
    return rdu.compile(data_dir / "tiny" / "s02_gqa", "tiny", fusion="layer")


@pytest.fixture(scope="module")
def run(decoder: Decoder) -> Run:
    return decoder.generate(PROMPT, NEW, ignore_eos=True)


@pytest.fixture(scope="module")
def graph() -> rdu.Graph:
    g = rdu.Graph()
    x = g.input("x", 48)
    g.output(g.linear("y", x, g.weight("w", np.ones((40, 48), np.float32))))
    return g


def kernel(report: Report, name: str, positions: int) -> tuple[Tally, dict[str, Any]]:
    """One kernel of a report, and its figures."""
    (at,) = [at for at, tally in enumerate(report.kernels) if (tally.name, tally.positions) == (name, positions)]
    return report.kernels[at], report.to_dict()["kernels"][at]


# --- the figures -----------------------------------------------------------------------------------------------------


def test_weights_are_read_once_a_pass_and_cache_rows_once_a_step(run: Run) -> None:
    tally, figures = kernel(run.report, "layers", 1)
    steps = NEW - 1
    assert tally.calls == steps * LAYERS
    read = {(row["operator"], row["kind"]): row["read_bytes"] for row in figures["moved"]}
    bf16 = 2
    for operator, outputs, inputs in (
        ("q", HIDDEN, HIDDEN),
        ("k", KV_HEADS * HEAD_DIM, HIDDEN),
        ("gate", FFN, HIDDEN),
        ("down", HIDDEN, FFN),
    ):
        # Rows come in tiles of 32; k's 16 rows are padded to one. Where tiles do not go round the lanes evenly, some
        # lanes have nothing in the last round.
        padded = -(-outputs // 32) * 32
        lanes = next(unit.copies for unit in tally.units if (unit.operator, unit.role) == (operator, "mac"))
        least = tally.calls * padded * inputs * bf16
        assert least <= read[operator, "weights"] < least + tally.calls * lanes * inputs * 32 * bf16
        assert read[operator, "weights"] % least == 0 or padded % (32 * lanes)
    # A head's row of 8 values takes a whole vector of 64 bytes, keys and values alike; each step sees one row more.
    # What moves is whole granules: one round over the four channels, eight rows.
    granule, row = 4 * 256, KV_HEADS * 64
    granules = sum(-(-(len(PROMPT) + step) * row // granule) for step in range(steps))
    assert read["attention", "cache"] == LAYERS * granules * 2 * granule
    written = {(row["operator"], row["kind"]): row["written_bytes"] for row in figures["moved"]}
    assert written["attention", "cache"] == LAYERS * steps * 2 * granule


def test_multiply_adds_are_those_of_the_shapes(run: Run) -> None:
    steps, vector = NEW - 1, 32
    # Each step scores and mixes all rows so far, in whole tiles, and its own, for all heads; a row is padded to a
    # vector. One unit each scores and mixes the rows of a head: two heads take more than this HBM gives.
    cached = sum(run.program.machine.mapping.held(len(PROMPT) + step) for step in range(steps))
    rows = 2 * (cached + steps)
    layers, figures = kernel(run.report, "layers", 1)
    # Every weight that comes is multiplied once.
    weights = {row["operator"]: row["read_bytes"] for row in figures["moved"] if row["kind"] == "weights"}
    linear = sum(weights[operator] // 2 for operator in ("q", "k", "v", "o", "gate", "up", "down"))
    assert linear >= LAYERS * steps * (HIDDEN * HIDDEN * 2 + 2 * vector * HIDDEN + 3 * HIDDEN * FFN)
    assert layers.macs == linear + LAYERS * rows * HEADS * vector
    # The head after the prompt reads the last of several rows: a kernel of its own.
    heads = [tally for tally in run.report.kernels if tally.name == "head"]
    assert sum(tally.macs for tally in heads) == NEW * VOCABULARY * HIDDEN


def test_utilisation_is_bytes_and_macs_over_peak_and_time(run: Run) -> None:
    figures, machine = run.report.to_dict(), run.program.machine
    elapsed_s = run.cycles / (machine.clock_ghz * 1e9)
    hbm = figures["tiers"][0]
    moved = hbm["read_bytes"] + hbm["written_bytes"]
    assert figures["machine"]["hbm_utilization"] == pytest.approx(moved / (machine.hbm.peak_gbps * 1e9 * elapsed_s))
    peak = machine.peak_flops("bf16")
    assert figures["machine"]["pcu_utilization"] == pytest.approx(2 * run.report.macs / (peak * elapsed_s))
    assert figures["machine"]["ddr_utilization"] == 0
    assert 0 < figures["machine"]["pcu_utilization"] < figures["machine"]["hbm_utilization"] < 1


def test_machine_rates_come_from_steps(run: Run) -> None:
    figures, clock_hz = run.report.to_dict(), run.program.machine.clock_ghz * 1e9
    assert run.prompt_steps == 1
    assert len(run.steps) == NEW
    decode = sum(step.cycles for step in run.steps[1:])
    assert figures["machine"]["time_to_first_token_s"] == pytest.approx(run.steps[0].cycles / clock_hz)
    assert figures["machine"]["decode_tokens_per_second"] == pytest.approx((NEW - 1) * clock_hz / decode)
    host_s = sum(step.host_s for step in run.steps[1:])
    assert figures["host"]["decode_tokens_per_second"] == pytest.approx((NEW - 1) / host_s)
    assert figures["host"]["seconds_per_token"] == pytest.approx(host_s / (NEW - 1))
    assert figures["host"]["firings"] == run.totals["firings"]


def test_measured_time_is_not_below_the_roofline(run: Run) -> None:
    figures = run.report.to_dict()
    for roofline in (figures["roofline"], *(kernel["roofline"] for kernel in figures["kernels"])):
        assert roofline["bound_s"] == max(roofline["memory_s"], roofline["compute_s"])
        assert roofline["measured_s"] >= roofline["bound_s"] > 0
    # A slower memory moves the bound, and which side it is on.
    assert figures["roofline"]["limit"] == "memory"


def test_hbm_time_adds_up_and_its_exact_parts_are_exact(run: Run) -> None:
    shares, machine = run.report.to_dict()["hbm_time"], run.program.machine
    assert list(shares) == list(CAUSES)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-12)
    assert min(shares.values()) >= 0
    # The device's clock is a whole number of femtoseconds, rounded up: a part in a million of the bandwidth.
    assert shares["moving"] == pytest.approx(run.report.utilization(0), rel=2e-6)
    calls = sum(totals["call_cycles"] for totals in run.totals["kernels"])
    assert shares["calls"] == pytest.approx(calls / run.cycles)
    # A refresh that is due holds its bus a little longer: rows are closed before and opened after.
    assert 0 < shares["refresh"] <= 1.3 * machine.hbm.refresh_ns / machine.hbm.refresh_interval_ns


def test_shallow_buffers_show_as_waiting_for_space(data_dir: Path) -> None:
    """What the split is for: the same model with almost no SRAM for weights loses its time to full buffers."""
    shares = {}
    # With a memory so near that nothing is under way, for which there is always room.
    near = rdu.machine("tiny", hbm__network_ns=0.0, hbm__refresh_ns=1.0, network__fifo_vectors=1)
    for vectors in (1, 1024):
        machine = near.override({"mapping.weight_buffer_vectors": vectors})
        run = rdu.compile(data_dir / "tiny" / "s02_gqa", machine).generate(PROMPT, 2, ignore_eos=True)
        shares[vectors] = run.report.to_dict()["hbm_time"]["space"]
    assert shares[1] > 0.05 > shares[1024]


def test_states_of_every_row_add_up(run: Run) -> None:
    for tally, figures in zip(run.report.kernels, run.report.to_dict()["kernels"], strict=True):
        assert sum(row["units"] for row in figures["splits"]) == sum(unit.copies for unit in tally.units)
        assert sum(row["firings"] for row in figures["splits"]) == tally.firings
        for row in figures["splits"]:
            assert list(row["shares"]) == list(STATES)
            assert sum(row["shares"].values()) == pytest.approx(1)
            # Nothing runs while the kernel is being called.
            assert row["shares"]["idle"] >= tally.call_cycles / tally.cycles - 1e-12


def test_kernels_stay_within_the_machine(run: Run) -> None:
    machine, figures = run.program.machine, run.report.to_dict()
    for used in figures["kernels"]:
        assert 0 < used["pcus"] <= machine.total_pcus
        assert 0 < used["pmus"] <= machine.total_pmus
        assert 0 < used["agcus"] <= machine.total_agcus
    marks = [used["sram_high_water_bytes"] for used in figures["kernels"]]
    assert figures["sram"]["high_water_bytes"] == max(marks)
    assert 0 < max(marks) <= machine.sram_bytes == figures["sram"]["capacity_bytes"]


# --- the shape -------------------------------------------------------------------------------------------------------


def shape(value: object, path: str = "") -> set[str]:
    """Every key path; lists count by their first entry."""
    if isinstance(value, dict):
        return {path}.union(*(shape(inner, f"{path}.{key}") for key, inner in value.items()))
    if isinstance(value, list) and value:
        return {path} | shape(value[0], f"{path}[]")
    return {path}


def test_the_shape_never_changes(decoder: Decoder, run: Run, graph: rdu.Graph, data_dir: Path) -> None:
    expected = shape(run.report.to_dict())
    model = data_dir / "tiny" / "s02_gqa"
    others = {
        "no decode step": decoder.generate(PROMPT, 1),
        "no generation": decoder.forward(PROMPT),
        "step": decoder.generate(PROMPT, 2, mode="step"),
        "op, fp32": rdu.compile(model, "tiny", fusion="op", dtype="fp32").generate(PROMPT, 2),
        "no decoder": rdu.compile(graph, "tiny").run(x=np.ones((3, 48))),
    }
    for name, other in others.items():
        assert shape(other.report.to_dict()) == expected, name
        json.dumps(other.report.to_dict(), allow_nan=False)


def test_what_did_not_happen_is_none(decoder: Decoder, graph: rdu.Graph) -> None:
    once = decoder.generate(PROMPT, 1).report.to_dict()
    assert once["machine"]["decode_tokens_per_second"] is None
    assert once["host"]["seconds_per_token"] is None
    assert once["machine"]["time_to_first_token_s"] == once["machine"]["elapsed_s"]
    plain = rdu.compile(graph, "tiny").run(x=np.ones((3, 48))).report.to_dict()
    assert plain["machine"]["time_to_first_token_s"] is None
    assert plain["machine"]["decode_steps"] == 0


def test_two_runs_of_one_program_report_the_same_but_for_the_host(decoder: Decoder, run: Run) -> None:
    """Kernels lowered by an earlier run of the program do not show in a later one's report."""
    decoder.forward([1, 2])
    again = decoder.generate(PROMPT, NEW, ignore_eos=True).report.to_dict()
    first = run.report.to_dict()
    del again["host"], first["host"]
    assert again == first


def test_no_report_without_machine_time(decoder: Decoder) -> None:
    with pytest.raises(RequestError, match="mode 'values'"):
        _ = decoder.forward(PROMPT, mode="values").report


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_fits_and_says_the_main_things(run: Run) -> None:
    page = str(run.report)
    assert max(map(len, page.splitlines())) <= PAGE_COLUMNS
    assert "\x1b" not in page
    for text in ("machine time", "host time", "roofline bound", "HBM", "why not 100 %", "ledger: ", "down · mac"):
        assert text in page
    assert f"{run.report.checks} checks hold" in page


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (quantity(None), "–"),
        (quantity(0, "B"), "0 B"),
        (quantity(999, "B"), "999 B"),
        (quantity(999.6, "B"), "1.00 kB"),
        (quantity(1234567, "B"), "1.23 MB"),
        (quantity(45.6e9, "B/s"), "45.6 GB/s"),
        (quantity(1.8e12, "B/s"), "1.80 TB/s"),
        (seconds(None), "–"),
        (seconds(0.0), "0 ns"),
        (seconds(1.5), "1.50 s"),
        (seconds(0.00123), "1.23 ms"),
        (seconds(45.6e-6), "45.6 us"),
        (seconds(2e-10), "0.20 ns"),
        (percent(None), "–"),
        (percent(0.0), "0 %"),
        (percent(0.456), "45.6 %"),
        (percent(1.0), "100.0 %"),
        (percent(0.00123), "0.12 %"),
    ],
)
def test_numbers_for_people(shown: str, expected: str) -> None:
    assert shown == expected


# --- the ledger ------------------------------------------------------------------------------------------------------


def unit_of(totals: dict[str, Any], run: Run, role: str) -> list[int]:
    """The row of the first unit of a role in the kernel `layers` at 1 position."""
    (loaded,) = [k for k in run.program.kernels if (k.lowered.name, k.positions) == ("layers", 1)]
    at = [unit.role for unit in loaded.lowered.units].index(role)
    row: list[int] = totals["kernels"][loaded.number]["units"][at]
    return row


def last(totals: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = totals["kernels"][-1]
    return found


def add(row: list[int], at: int, amount: int) -> None:
    row[at] += amount


def set_to(where: dict[str, Any], key: str, amount: int) -> None:
    where[key] += amount


TAMPERED: dict[str, tuple[Callable[[dict[str, Any], Run], None], str]] = {
    "a unit's cycle is lost": (lambda t, r: add(unit_of(t, r, "mac"), 0, -1), r"states of unit 'q\.mac'"),
    "a unit is idle too long": (lambda t, r: add(unit_of(t, r, "norm"), 4, 7), r"states of unit 'norm1'.*\+7"),
    "a firing too many": (lambda t, r: add(unit_of(t, r, "mac"), 5, 1), "firings of units"),
    "bytes from nowhere": (lambda t, r: add(last(t)["traffic"][0], 0, 64), "load units and read from HBM"),
    "bytes not written": (lambda t, r: add(last(t)["traffic"][0], 1, -64), "store units and written to HBM"),
    "DDR out of nothing": (lambda t, r: add(t["traffic"][1], 0, 64), "read from DDR"),
    "a cycle of the run is lost": (lambda t, r: set_to(t, "cycles", -1), "cycles of all kernels"),
    "a call's cycle is lost": (lambda t, r: set_to(last(t), "call_cycles", -1), "cycles of all kernels"),
    "firings of the run": (lambda t, r: set_to(t, "firings", 1), "firings of all kernels"),
    "a token of an operator": (lambda t, r: add(last(t)["streams"][-1], 0, 1), "bytes read by operators"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_ledger_that_does_not_close_is_found(run: Run, name: str) -> None:
    tamper, said = TAMPERED[name]
    totals = copy.deepcopy(run.totals)
    tamper(totals, run)
    with pytest.raises(LedgerError, match=said):
        Report(Run(run.program, run.outputs, run.steps, totals, True, run.prompt_steps))


def test_a_step_that_is_missing_is_found(run: Run) -> None:
    with pytest.raises(LedgerError, match="cycles of all steps"):
        Report(Run(run.program, run.outputs, run.steps[1:], run.totals, True))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("hbm__peak_gbps", 40.0, "HBM: bytes x clock"), ("pcu__bf16_flops_per_cycle", 1, "against the PCUs' peak")],
)
def test_more_than_the_machine_can_do_is_found(run: Run, key: str, value: float, said: str) -> None:
    """The counters of a fast machine, held against a slow one: no report may show 212 %."""
    slow = copy.copy(run.program)
    slow.machine = rdu.machine(run.program.machine, **{key: value})
    with pytest.raises(LedgerError, match=said):
        Report(Run(slow, run.outputs, run.steps, run.totals, True, run.prompt_steps))


def test_a_ledger_error_is_a_failed_run_and_not_bad_input() -> None:
    assert issubclass(LedgerError, rdu.errors.RunError)


# --- the examples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("tensor_graph", r"largest difference from NumPy: \S+e-0[678]\n"),
        ("slow_buffers", r"1024 vectors: .* HBM waits for space 0%[^%]*\n(.*\n)+ +1 vectors: .* space [1-9]\d%"),
        pytest.param("decode", r"as described: (.*)\n.*3600.*\n.*hardware.*\n", marks=pytest.mark.smollm2),
    ],
)
def test_an_example_runs(name: str, shown: str) -> None:
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": str(Path(rdu.__file__).parent.parent)}
    command = [sys.executable, str(root / "examples" / f"{name}.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert re.search(shown, done.stdout), done.stdout

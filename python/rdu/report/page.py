"""The page that ``print(run.report)`` and ``rdu run`` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rdu.report.idle import CAUSES
from rdu.report.roofline import HBM
from rdu.report.tally import STATES
from rdu.report.units import percent, quantity, seconds

if TYPE_CHECKING:
    from rdu.report.report import Report

BAR = 20
CAUSE_STYLES = {"moving": "green", "refresh": "yellow", "calls": "red"}
STATE_STYLES = {"busy": "green", "data": "yellow", "space": "cyan", "memory": "magenta", "idle": "dim"}


def page(report: Report) -> RenderableType:
    """Everything that a reader needs to see first, top down: times, traffic, why not faster, where the cycles went."""
    return Group(
        _clocks(report),
        _roofline(report),
        _memory(report),
        _hbm_time(report),
        _kernels(report),
        _tiles(report),
        _splits(report),
        _bytes(report),
        _waits(report),
        Text(f"ledger: {report.checks} checks hold", style="dim"),
    )


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _clocks(report: Report) -> RenderableType:
    c, program = report.clocks, report.run.program
    sockets = f" x {report.machine.sockets} sockets (figures of one)" if report.machine.sockets > 1 else ""
    title = f"{report.machine.name}{sockets}, {program.dtype}, fusion {program.fusion!r}"
    table = _table(title, "", "machine time", "host time")
    rate, none = "tokens/s", "–"
    rows = (
        ("whole run", seconds(c.machine_elapsed_s), seconds(c.host_elapsed_s)),
        (
            f"first token ({c.prompt_tokens} of prompt)",
            seconds(c.machine_time_to_first_token_s),
            seconds(c.host_prefill_s),
        ),
        (
            f"decode ({c.decode_steps} steps)",
            quantity(c.machine_decode_tokens_per_second, rate),
            quantity(c.host_decode_tokens_per_second, rate),
        ),
        (
            "per decoded token",
            seconds(1 / c.machine_decode_tokens_per_second if c.machine_decode_tokens_per_second else None),
            seconds(c.host_seconds_per_token),
        ),
        ("cycles", quantity(report.cycles), none),
        (
            "firings",
            quantity(report.run.totals["firings"]),
            quantity(c.host_firings_per_second, "firings/s"),
        ),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _roofline(report: Report) -> RenderableType:
    roof, seen = report.bound, report.cycles
    times = (
        f"{seconds(report.peaks.seconds(roof.cycles))} ({roof.limit}), measured {seconds(report.peaks.seconds(seen))}"
    )
    return Text(f"roofline bound {times}: {seen / roof.cycles if roof.cycles else 0:.2f} x the bound\n")


def _memory(report: Report) -> RenderableType:
    table = _table("What was used", "", "read", "written", "peak", "used")
    names = ("HBM", "DDR")
    for tier, (read, written) in enumerate(report.traffic):
        peak = quantity(report.peaks.bytes_per_second[tier], "B/s")
        table.add_row(names[tier], quantity(read, "B"), quantity(written, "B"), peak, percent(report.utilization(tier)))
    peak = quantity(report.peaks.flops_per_cycle * report.peaks.clock_hz, "FLOP/s")
    macs = quantity(report.macs, "MAC")
    table.add_row("PCUs", macs, "", peak, percent(report.pcu_utilization))
    fullest, sram = report.fullest, report.machine.sram_bytes
    high = quantity(fullest.high_water_bytes, "B")
    table.add_row("SRAM, high water", high, "", quantity(sram, "B"), percent(fullest.high_water_bytes / sram))
    return table


def _hbm_time(report: Report) -> RenderableType:
    table = _table("Where HBM's time went (why not 100 %)", "cause", "share")
    table.add_column("", no_wrap=True)
    for cause, meaning in CAUSES.items():
        share = report.hbm_cycles[cause] / report.cycles if report.cycles else 0.0
        bar = Text("█" * round(BAR * share), style=CAUSE_STYLES.get(cause, "blue"))
        table.add_row(meaning, percent(share), bar)
    return table


def _kernels(report: Report) -> RenderableType:
    columns = ("rows", "calls", "run/call", "bound", "call cost", "HBM", "PCU")
    table = _table("Kernels (rows: positions of a call; HBM, PCU: of peak inside calls)", "kernel", *columns)
    for tally in report.kernels:
        per = report.peaks.clock_hz * tally.calls
        table.add_row(
            tally.name,
            str(tally.positions),
            str(tally.calls),
            seconds(tally.run_cycles / per),
            seconds(report.bound_of(tally).cycles / per),
            seconds(tally.call_cycles / per),
            percent(report.tier_share(sum(tally.traffic[HBM]), HBM, tally.run_cycles)),
            percent(report.pcu_share(tally.macs, tally.run_cycles)),
        )
    return table


def _tiles(report: Report) -> RenderableType:
    machine = report.machine
    table = _table("Tiles that each kernel takes", "kernel", "rows", "PCUs", "PMUs", "AGCUs", "SRAM, high water")
    for tally in report.kernels:
        tiles = (tally.pcus, tally.pmus, tally.agcus)
        row = (str(tally.positions), *map(str, tiles), quantity(tally.high_water_bytes, "B"))
        table.add_row(tally.name, *row)
    have = (machine.total_pcus, machine.total_pmus, machine.total_agcus)
    table.add_row("machine has", "", *map(str, have), quantity(machine.sram_bytes, "B"), style="dim")
    return table


def _splits(report: Report) -> RenderableType:
    at = report.busiest
    tally = report.kernels[at]
    title = f"Where the units' cycles went: kernel {tally.name!r} at {tally.positions} positions, {tally.calls} calls"
    table = _table(title, "operator · role", "units", *STATES)
    for row in report.splits[at]:
        shares = [
            Text(percent(row.shares[state]) if row.shares[state] else "·", STATE_STYLES[state]) for state in STATES
        ]
        table.add_row(f"{row.operator} · {row.role}", str(row.units), *shares)
    return table


def _bytes(report: Report) -> RenderableType:
    at = report.busiest
    table = _table(f"Bytes between HBM and kernel {report.kernels[at].name!r}", "operator · what", "read", "written")
    for entry in report.moved[at]:
        name = f"{entry.operator} · {entry.kind}"
        table.add_row(name, quantity(entry.read_bytes, "B"), quantity(entry.written_bytes, "B"))
    return table


def _waits(report: Report) -> RenderableType:
    names = {tally.number: f"{tally.name} @ {tally.positions}" for tally in report.kernels}
    table = _table("Longest waits", "kernel · operator · role", "waits for", "of its time")
    for row in report.waits:
        name = f"{names[row.kernel]} · {row.operator} · {row.role}"
        table.add_row(name, row.wait[0], percent(row.shares[row.wait[0]]))
    return table

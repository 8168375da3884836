"""``rdu bench``: how fast the emulated parts are, and how fast the host emulates them."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import TYPE_CHECKING

import click

from rdu.cli import options
from rdu.cli.bench_copies import copies
from rdu.cli.bench_decode import decode
from rdu.cli.progress import waiting
from rdu.errors import TransferError

if TYPE_CHECKING:
    from rdu.memory import Dram
    from rdu.memory.bench import Measured

DEFAULT = ("HBM2_2000", "HBM3_6400", "DDR4_3200AA", "hbm2e-3600")
MOST_BURSTS = 10**8


@click.group("bench")
def command() -> None:
    """Measure a part of the emulated machine by itself, or what the host makes of the whole."""


command.add_command(copies)
command.add_command(decode)


@command.command("memory")
@click.argument("names", nargs=-1, metavar="[MEMORY]...")
@click.option("-n", "--bursts", default=1_000_000, show_default=True, help="Bursts of each traffic.")
@options.settings
@options.as_json
def memory(names: tuple[str, ...], bursts: int, settings: tuple[str, ...], as_json: bool) -> None:
    """Serve standard traffic with MEMORY: a preset, a TOML file, or a reference configuration such as HBM3_6400.

    Columns: bandwidth, its part of the peak, mean latency of reads in ns, row hits; on the host, million bursts a
    CPU second of one thread, and how many times what Ramulator 2.1 or DRAMsim3 do on the same memory and stream, where
    that is known (CPU seconds of one thread of another host).
    """
    from rdu.memory.bench import measure

    if not 1 <= bursts <= MOST_BURSTS:
        raise TransferError(f"--bursts is {bursts}; give 1 to {MOST_BURSTS}")
    drams = [_dram(name, settings) for name in names or DEFAULT]
    found: list[Measured] = []
    with waiting() as shown:
        for at, dram in enumerate(drams):
            shown.show(f"serving with {dram.name}", at, len(drams))
            for measured in measure(dram, bursts):
                found.append(measured)
                shown.show(f"serving with {dram.name}", at, len(drams), note=measured.pattern)
    peers = _peers()
    if as_json:
        rows = [{**row.to_dict(), "times_peer": _times(row, peers)} for row in found]
        options.print_json({"measured": rows})
        return
    _print(found, peers)


def _dram(name: str, settings: tuple[str, ...]) -> Dram:
    from rdu.memory import Dram
    from rdu.memory import names as presets
    from rdu.testing import reference_dram, reference_names

    changes = {key: _value(value) for key, value in options.changes_of(settings).items()}
    given = reference_dram(name) if name in reference_names() and name not in presets() else name
    return Dram(given, **changes)


def _value(text: object) -> object:
    """A setting as a TOML value; a bare word as it is."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def _peers() -> dict[tuple[str, str], float]:
    """Requests a CPU second of the reference simulators, by memory and pattern."""
    text = files("rdu").joinpath("testing", "dram", "speed.csv").read_text(encoding="utf-8")
    lines = csv.DictReader(text.splitlines())
    return {(line["config"], line["pattern"]): float(line["requests_per_cpu_s"]) for line in lines}


def _times(row: Measured, peers: dict[tuple[str, str], float]) -> float | None:
    peer = peers.get((row.memory, row.pattern))
    return None if peer is None else row.bursts_per_second / peer


def _print(found: list[Measured], peers: dict[tuple[str, str], float]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in ("memory", "traffic"):
        table.add_column(heading, no_wrap=True)
    for heading in ("GB/s", "peak", "ns", "hits", "host M/s", "x peer"):
        table.add_column(heading, justify="right", no_wrap=True)
    last = ""
    for row in found:
        if row.memory != last:
            table.add_section()
        said, times = row.replay, _times(row, peers)
        table.add_row(
            row.memory if row.memory != last else "",
            row.pattern.replace("_", " "),
            f"{said.gbps:.1f}",
            f"{said.peak_fraction:.1%}",
            "" if said.mean_latency_ns is None else f"{said.mean_latency_ns:.0f}",
            f"{said.row_hit_rate:.1%}",
            f"{row.bursts_per_second / 1e6:.2f}",
            "" if times is None else f"{times:.0f}",
        )
        last = row.memory
    Console().print(table)

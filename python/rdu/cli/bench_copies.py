"""``rdu bench copies``: how long copies between the tiers of a machine take, and what holds them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rdu.cli import options
from rdu.cli.progress import waiting

if TYPE_CHECKING:
    from rdu.memory import Copy

# What the machine does between calls, by source and target.
DIRECTIONS = (
    *(("ddr", "hbm"), ("hbm", "ddr"), ("host", "ddr"), ("host", "hbm"), ("ddr", "host"), ("hbm", "host")),
    *(("hbm", "hbm"), ("ddr", "ddr")),
)
# A socket's part of seven thousand million weights in bf16, over the eight sockets of a node.
DEFAULT_BYTES = 1_685_000_000


@click.command("copies")
@click.argument("machine", default="sn40l")
@click.option("--bytes", "nbytes", default=DEFAULT_BYTES, show_default=True, help="Bytes of each copy, on one socket.")
@options.settings
@options.as_json
def copies(machine: str, nbytes: int, settings: tuple[str, ...], as_json: bool) -> None:
    """Copy between the tiers of MACHINE, one direction after another, every burst timed.

    Columns: machine time, bandwidth, what bounds it (a number of the machine, a tier, or latency), and how busy the
    data buses of HBM and DDR are.
    """
    from rdu.memory import copy

    found, done = options.machine_of(machine, settings), []
    with waiting() as shown:
        for at, (source, target) in enumerate(DIRECTIONS):
            shown.show(f"copying {source} -> {target}", at, len(DIRECTIONS))
            done.append(copy(found, nbytes, source, target))
    if as_json:
        options.print_json({"machine": found.name, "copies": [row.to_dict() for row in done]})
        return
    _print(done)


def _print(done: list[Copy]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("copy", no_wrap=True)
    for heading in ("ms", "GB/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("bound by", no_wrap=True)
    for heading in ("HBM busy", "DDR busy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in done:
        busy = (f"{row.run.memory[tier].peak_fraction:.1%}" for tier in ("hbm", "ddr"))
        table.add_row(f"{row.source} -> {row.target}", f"{row.seconds * 1e3:.3f}", f"{row.gbps:.1f}", row.bound, *busy)
    Console().print(table)

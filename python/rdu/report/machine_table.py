"""The table that ``rdu describe`` prints for a machine."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rdu.machine import Machine

BINARY_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
STATUS_STYLES = {
    "published": "green",
    "measured": "green",
    "derived": "cyan",
    "calibrated": "yellow",
    "override": "bold red",
}


def describe(machine: Machine) -> Table:
    """Every number of a machine with its unit, status and source, grouped by section, and what follows from them.

    Parameters
    ----------
    machine : Machine
        What to describe; nothing of it is hidden, so two tables show all that two machines differ in.

    Returns
    -------
    rich.table.Table
        One row per parameter; print it with a rich console. The JSON form is ``machine.to_dict()``.
    """
    # Text, not strings: a user's title or source may hold what rich takes for markup.
    table = Table(title=Text(f"{machine.name}: {machine.title}"), title_justify="left", box=SIMPLE_HEAD)
    # The value keeps its unit beside it, so that the whole table still fits a terminal of 80 columns.
    for heading in ("parameter", "value", "status"):
        table.add_column(heading, no_wrap=True)
    table.add_column("meaning · source", overflow="fold")
    section = ""
    for entry in machine.parameters():
        owner, _, name = entry.key.rpartition(".")
        if owner != section:
            section = owner
            table.add_section()
            table.add_row(Text(section, style="bold"))
        status = Text(entry.status, style=STATUS_STYLES.get(entry.status, ""))
        meaning = Text(entry.doc).append(f" · {entry.source}", style="dim")
        indent = "  " if owner else ""
        table.add_row(Text(indent + name), Text(_shown(entry.value, entry.unit)), status, meaning)
    table.add_section()
    table.add_row(Text("per socket", style="bold"))
    for name, value, formula in _consequences(machine):
        table.add_row(Text(f"  {name}"), Text(value), Text("derived", style="cyan"), Text(formula))
    return table


def _consequences(machine: Machine) -> list[tuple[str, str, str]]:
    """What the numbers add up to: name, value with unit, formula."""
    peaks = {"bf16": "bf16_flops_per_cycle", "fp32": "fp32_flops_per_cycle", "int8": "int8_ops_per_cycle"}
    return [
        ("total_pcus", f"{machine.total_pcus} PCUs", "tiles x grid.pcus_per_tile"),
        ("total_pmus", f"{machine.total_pmus} PMUs", "tiles x grid.pmus_per_tile"),
        ("total_agcus", f"{machine.total_agcus} AGCUs", "tiles x grid.agcus_per_tile"),
        ("sram_bytes", _shown(machine.sram_bytes, "bytes"), "total_pmus x pmu.capacity_bytes"),
        *(
            (
                f"peak_flops({dtype})",
                f"{machine.peak_flops(dtype) / 1e12:.5g} TFLOP/s",
                f"total_pcus x pcu.{key} x clock_ghz",
            )
            for dtype, key in peaks.items()
        ),
        ("call_us", f"{machine.call_us(program_load=False):g} us", "argument load + execute under call.ordering"),
    ]


def _shown(value: int | float | str, unit: str) -> str:
    """A value with its unit; bytes in the largest binary unit that says them exactly in four digits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if unit == "bytes" and isinstance(value, int) and value >= 1024:
        power = min((value.bit_length() - 1) // 10, len(BINARY_UNITS) - 1)
        short = f"{value / 1024**power:.4g}"
        if float(short) * 1024**power == value:
            return f"{short} {BINARY_UNITS[power]}"
    return f"{value} {unit}".strip()

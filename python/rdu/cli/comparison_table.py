"""The table of ``rdu compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rdu.report.units import NONE
from rdu.studies.comparison import GROUPS, Compared, grouped

EXPLAINED = (
    "HBM: % of its peak; stream: % of what the same memory reaches when it only streams reads. HBM's other time in %: "
    "refresh; rows: closed and opened, and turns between reads and writes; kernel calls; chain: nothing to ask for, "
    "as buffers are full or all is read, while the chain of operators runs on; waits: for answers under way."
)


def _model(row: Compared) -> str:
    return row.choice.model


def _machine(row: Compared) -> str:
    return row.choice.machine.name


def _sockets(row: Compared) -> str:
    return str(row.choice.machine.sockets)


def _batch(row: Compared) -> str:
    return str(row.choice.batch)


def _dtype(row: Compared) -> str:
    return row.choice.dtype


def _fusion(row: Compared) -> str:
    return row.choice.fusion


# What a combination is made of; the model is always shown, the others where they vary.
CHOICES: dict[str, Callable[[Compared], str]] = {
    "model": _model,
    "machine": _machine,
    "sockets": _sockets,
    "batch": _batch,
    "dtype": _dtype,
    "fusion": _fusion,
}


def table(rows: Sequence[Compared]) -> RenderableType:
    """A row for each combination."""
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    varied = {name: of for name, of in CHOICES.items() if name == "model" or len({of(row) for row in rows}) > 1}
    for name in varied:
        shown.add_column(name, no_wrap=True)
    for heading in ("tokens/s", "gain", "HBM", "stream", *list(GROUPS)[1:]):
        shown.add_column(heading, justify="right", no_wrap=True)
    refused = []
    for row in rows:
        names = [of(row) for of in varied.values()]
        if row.found is None:
            shown.add_row(*map(Text, names), Text(NONE))
            refused.append(Text(f"{', '.join(names)}: {row.reason}"))
            continue
        # The first group is what moves: the share of the peak.
        shares = (row.found.hbm_utilization, row.streaming_share, *list(grouped(row.found.hbm_time).values())[1:])
        figures = (f"{row.found.total_tokens_per_second:.4g}", f"{row.gain:.3g}", *map(_percent, shares))
        shown.add_row(*map(Text, names), *map(Text, figures))
    return Group(shown, *refused, Text(EXPLAINED, style="dim"))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"

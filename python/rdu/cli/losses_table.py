"""The table of ``rdu losses``."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rdu.report.units import seconds
from rdu.studies.losses import Losses


def table(losses: Losses) -> RenderableType:
    """A row for each cause, and their sum."""
    found = losses.found
    shown = Table(box=SIMPLE_HEAD, show_footer=True)
    shown.add_column("taken away, one after another", "a step", no_wrap=True)
    for heading, footer in (
        ("of a step", seconds(found.step_s)),
        ("us a layer", f"{1e6 * found.step_s / losses.layers:.2f}"),
        ("share", ""),
    ):
        shown.add_column(heading, footer, justify="right", no_wrap=True)
    for loss in losses.losses:
        shares = f"{1e6 * loss.seconds / losses.layers:.2f}", f"{100 * loss.seconds / found.step_s:.1f} %"
        shown.add_row(Text(loss.cause), seconds(loss.seconds), *shares)
    title = (
        f"{found.model} on {found.sockets} x {found.machine}, {found.fusion}, batch {found.batch}, "
        f"{found.context} positions: {found.tokens_per_second:.4g} tokens/s, {losses.layers} layers"
    )
    return Group(Text(title, style="italic"), shown)

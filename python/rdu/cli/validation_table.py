"""The table of ``rdu validate``."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rdu.studies.validation import NOT_MODELLED, Validation
from rdu.studies.validation_page import error_text, note_text, published_text, value_text


def table(validation: Validation) -> RenderableType:
    """Rows with their errors, what was calibrated, and what is not modelled."""
    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("id", no_wrap=True)
    for heading in ("published", "emulated", "error"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("workload · note", overflow="fold")
    for row in validation.rows:
        wanted = row.published
        what = Text(f"{wanted.workload}, {wanted.config} [{wanted.metric}]")
        if row.note:
            what.append(f" · {note_text(row)}", style="dim")
        numbers = (published_text(wanted), value_text(row.emulated), error_text(row.error))
        shown.add_row(Text(wanted.id), *map(Text, numbers), what)
    lines = [Text(f"calibrated: {entry.key} of {name}: {entry.source}") for name, entry in validation.calibrated]
    lines = lines or [Text("calibrated: nothing")]
    lines += [Text(f"not modelled: {line}", style="dim") for line in NOT_MODELLED]
    return Group(shown, *lines)

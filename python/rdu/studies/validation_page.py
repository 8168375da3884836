"""The page ``docs/validation.md``, made from a validation."""

from __future__ import annotations

from rdu.studies.published import Published
from rdu.studies.validation import EMULATED, NOT_MODELLED, Row, Validation

HEAD = """# Validation

Written by `rdu validate --markdown`; a test checks that it is current. Each row is a result that others published,
beside what rdu emulates. The error is (emulated − published) ÷ published; where only a range was published, it is 0
inside the range and counts from its nearer end outside. A row without a value says why there is none.

ANL is LLM-Inference-Bench of Argonne (arXiv 2411.00136), MICRO the SN40L paper (MICRO 2024, arXiv 2405.07518), KL is
Kernel Looping (arXiv 2410.23668), STeP Streaming Tensor Programs (ASPLOS 2026, arXiv 2511.07776).

"""
COLUMNS = "| id | workload | on | metric | published | emulated | error | |"
NONE = "–"


def page(validation: Validation) -> str:
    """The whole page, as Markdown."""
    rows = [COLUMNS, "|---" * COLUMNS.count(" |") + "|", *map(row_line, validation.rows)]
    lines = [*rows, "", *_sums(validation), "", *calibrated_lines(validation), "", *_rest()]
    return HEAD + "\n".join(lines) + "\n"


def value_text(value: float | None) -> str:
    """Four significant digits, so that small changes of the model do not rewrite the page."""
    if value is None:
        return NONE
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def published_text(row: Published) -> str:
    """The published value, or its range."""
    return value_text(row.value) if row.value is not None else f"{value_text(row.low)} to {value_text(row.high)}"


def error_text(error: float | None) -> str:
    """In per cent, with its sign."""
    return NONE if error is None else f"{100 * error:+.1f} %" if error else "0"


def note_text(row: Row) -> str:
    """The note, after the status where that is not "emulated"."""
    return row.note if row.status == EMULATED else f"*{row.status}*: {row.note}"


def row_line(row: Row) -> str:
    """A row of the table."""
    wanted = row.published
    cells = (
        f"`{wanted.id}`",
        f"{wanted.workload} ({wanted.source})",
        wanted.config,
        wanted.metric,
        published_text(wanted),
        value_text(row.emulated),
        error_text(row.error),
        note_text(row),
    )
    return f"| {' | '.join(cells)} |"


def _sums(validation: Validation) -> list[str]:
    steps = Validation(tuple(row for row in validation.rows if row.published.id.startswith("step-")), ())
    others = Validation(tuple(row for row in validation.rows if not row.published.id.startswith("step-")), ())
    lines = []
    for what, part in (("published results of machines", others), ("cycles of the hardware description", steps)):
        if part.errors:
            mean = sum(part.errors) / len(part.errors)
            lines.append(
                f"- {len(part.errors)} {what}: median error {100 * (part.median_error or 0):.1f} %, "
                f"mean {100 * mean:.1f} %, worst {100 * (part.worst_error or 0):.1f} %"
            )
    return lines


def calibrated_lines(validation: Validation) -> list[str]:
    """The section on what was fitted."""
    lines = ["## Calibrated constants", ""]
    if not validation.calibrated:
        return [*lines, "None: no number of these machine files was fitted to a published result."]
    lines += ["Fitted so that published results come out; all other numbers are as their sources say.", ""]
    return lines + [
        f"- `{entry.key}` of `{name}` = {value_text(float(entry.value))} {entry.unit}: {entry.source}"
        for name, entry in validation.calibrated
    ]


def _rest() -> list[str]:
    return ["## What is not modelled", "", *(f"- {line}" for line in NOT_MODELLED)]

"""rdu beside published results: every row with its error, what was calibrated, and what is not modelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from statistics import median
from textwrap import shorten

from rdu.errors import RduError, RequestError
from rdu.machine import Entry, machine
from rdu.studies.emulations import NOT_YET, emulations
from rdu.studies.published import Published, published

EMULATED, NOT_EMULATED, FAILED = "emulated", "not yet", "failed"
# Machines whose files the rows use.
MACHINES = ("sn40l", "h100", "step")
# Characters of an error that a row shows.
MOST_REASON = 160
NOT_MODELLED = (
    "What a client sees beside the machine: sampling, tokenizers, the server and the network (the rows of ANL are "
    "measured at the client).",
    "Speculative decoding, switching of checkpoints and experts: rows that need them say *not yet*.",
    "On GPUs: caches, occupancy and overlap of one kernel's end with the next one's start.",
    "Thermal and power limits: clocks are constant.",
    "In the rows of STeP: banks and rows of the DRAM, and turns that a port loses while another's answers wait.",
)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Row:
    """A published result and what rdu makes of it; ``emulated`` and ``error`` are None where ``status`` says why."""

    published: Published
    emulated: float | None
    status: str
    note: str

    @property
    def error(self) -> float | None:
        """As a part of what was published; 0 anywhere inside a published range."""
        return None if self.emulated is None else self.published.error(self.emulated)

    def to_dict(self) -> dict[str, object]:
        """Plain types."""
        row = self.published
        return {
            "id": row.id,
            "workload": row.workload,
            "config": row.config,
            "metric": row.metric,
            "published": [row.low, row.high] if row.value is None else row.value,
            "emulated": self.emulated,
            "error": self.error,
            "status": self.status,
            "note": self.note,
            "source": row.source,
        }


@dataclass(frozen=True)
class Validation:
    """All rows, and the constants that were fitted to some of them."""

    rows: tuple[Row, ...]
    calibrated: tuple[tuple[str, Entry], ...]

    @property
    def errors(self) -> list[float]:
        """Sizes of the errors of the rows that were emulated."""
        return [abs(row.error) for row in self.rows if row.error is not None]

    @property
    def median_error(self) -> float | None:
        """None if nothing was emulated."""
        return median(self.errors) if self.errors else None

    @property
    def worst_error(self) -> float | None:
        """None if nothing was emulated."""
        return max(self.errors, default=None)

    def to_dict(self) -> dict[str, object]:
        """Plain types."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "median_error": self.median_error,
            "worst_error": self.worst_error,
            "calibrated": [{"machine": name, **entry._asdict()} for name, entry in self.calibrated],
            "not_modelled": list(NOT_MODELLED),
        }


def validate(ids: Sequence[str] = (), *, progress: Progress | None = None) -> Validation:
    """Emulate published rows.

    Parameters
    ----------
    ids : sequence of str
        Which rows, in this order; all if empty. ``step-16`` stands for all rows whose ids begin with ``step-16-``.
    progress : function of (id, done, total), optional

    Raises
    ------
    RequestError
        No row of that id.
    """
    rows = published()
    chosen: dict[str, Published] = {}
    for name in ids or rows:
        found = {key: row for key, row in rows.items() if key == name or key.startswith(f"{name}-")}
        if not found:
            near = get_close_matches(name, rows, 1, 0.0)[0]
            raise RequestError(f"no row {name!r}; the nearest is {near!r} of {', '.join(rows)}")
        chosen |= {name: rows[name]} if name in rows else found
    done = []
    for at, (name, row) in enumerate(chosen.items()):
        if progress is not None:
            progress(name, at, len(chosen))
        done.append(_emulate(name, row))
    return Validation(tuple(done), calibrated())


def calibrated() -> tuple[tuple[str, Entry], ...]:
    """The numbers of the machine files that were fitted to published results: machine and entry."""
    return tuple(
        (name, entry) for name in MACHINES for entry in machine(name).parameters() if entry.status == "calibrated"
    )


def _emulate(name: str, row: Published) -> Row:
    if name in NOT_YET:
        return Row(row, None, NOT_EMULATED, NOT_YET[name])
    try:
        found = emulations()[name]()
    except RduError as error:
        return Row(row, None, FAILED, shorten(str(error), MOST_REASON, placeholder=" ..."))
    return Row(row, found.value, EMULATED, found.note)

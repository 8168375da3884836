"""What others published, as data: ``published.toml`` beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One published result.

    Attributes
    ----------
    id, workload, config, metric, source : str
        What it is called here, what was run and how, the unit of the value, and where it stands.
    low, high : float
        The published range; both are the value where a single one was published.
    """

    id: str
    workload: str
    config: str
    metric: str
    source: str
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The published value; None where a range was published."""
        return self.low if self.low == self.high else None

    def error(self, emulated: float) -> float:
        """How far a value is from what was published, as a part of it: 0 anywhere inside a range, else from its end."""
        nearest = min(max(emulated, self.low), self.high)
        return emulated / nearest - 1.0


@cache
def published() -> dict[str, Published]:
    """All rows by id, in the order of the file."""
    rows = tomllib.loads(files("rdu.studies").joinpath("published.toml").read_text(encoding="utf-8"))
    return {name: _row(name, row) for name, row in rows.items()}


def _row(name: str, row: dict[str, str | float]) -> Published:
    low, high = (float(row.get(end, row.get("value", 0.0))) for end in ("low", "high"))
    texts = {key: str(row[key]) for key in ("workload", "config", "metric", "source")}
    return Published(id=name, low=low, high=high, **texts)

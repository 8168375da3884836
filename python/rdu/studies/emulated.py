"""What rdu makes of a published row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Emulated:
    """A value in the row's metric, and what there is to say about it."""

    value: float
    note: str = ""

"""What the numbers of a built program are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Labels:
    """Names in the order in which they were described; shared by all programs of one structure.

    Attributes
    ----------
    units, streams
        Names by index.
    sinks
        Unit index of each sink, with the values in one of its tokens.
    phases
        Names of phases by unit index, where they have names.
    kinds
        Kind of the data-dependent units, by unit index.
    """

    units: tuple[str, ...]
    streams: tuple[str, ...]
    sinks: Mapping[int, int]
    phases: Mapping[int, tuple[str, ...]]
    kinds: Mapping[int, str]

    @cached_property
    def unit_numbers(self) -> dict[str, int]:
        """Unit index by name."""
        return {name: at for at, name in enumerate(self.units)}

    @cached_property
    def stream_numbers(self) -> dict[str, int]:
        """Stream index by name."""
        return {name: at for at, name in enumerate(self.streams)}

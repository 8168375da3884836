"""What a builder keeps of each unit and each stream until the program is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .nest import Loop, Phase

SOURCE = "source"
SINK = "sink"
# What a data-dependent unit does with the tokens that are not control: it hands them on.
ROUTE = "route"

Array = npt.NDArray[np.float32]
# A prototype operator: one array (tokens, lanes) for each input; one for each output, or one for all of them.
Function = Callable[..., Array | Sequence[Array]]


@dataclass(slots=True, eq=False)
class Stream:
    """A stream as described; rates are tuples, one entry for each firing in turn, or None where the unit says them."""

    name: str
    at: int
    source: Unit
    target: Unit
    # Which output of `source` and which input of `target`: the order in which the streams were described.
    output: int
    input: int
    capacity: int
    latency: int
    credit: int
    initial: int
    produce: tuple[int, ...] | None
    consume: tuple[int, ...] | None


@dataclass(slots=True, eq=False)
class Choice:
    """What makes a unit data-dependent: its kind, the end that decides, and the decisions where they are given."""

    kind: str
    control: str | None = None
    decisions: npt.NDArray[np.uint32] | None = None


@dataclass(slots=True, eq=False)
class Unit:
    """A unit as described; ``firings`` is None where it follows from the streams, ``role`` None without values."""

    name: str
    at: int
    firings: int | None
    ii: tuple[int, ...]
    latency: tuple[int, ...]
    role: str | Function | None = None
    values: Array | None = None
    lanes: int | None = None
    phases: dict[str, Phase] | None = None
    nest: tuple[str | Loop, ...] = ()
    choice: Choice | None = None
    inputs: list[Stream] = field(default_factory=list)
    outputs: list[Stream] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Unit({self.name!r})"

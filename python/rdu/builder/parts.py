"""What a builder keeps of each unit and each stream until the program is built."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SOURCE = "source"
SINK = "sink"

# What the engine is told of a unit with values: operator (or the above), values in one token, a source's values.
Role = tuple[str, int, npt.NDArray[np.float32] | None]


@dataclass(eq=False)
class Stream:
    """A stream as described; rates are tuples, one entry per phase."""

    name: str
    source: Unit
    target: Unit
    # Which output of `source` and which input of `target`: the order in which the streams were described.
    output: int
    input: int
    capacity: int
    latency: int
    credit: int
    initial: int
    produce: tuple[int, ...]
    consume: tuple[int, ...]


@dataclass(eq=False)
class Unit:
    """A unit as described; ``firings`` is None where it follows from the streams, ``role`` None without values."""

    name: str
    at: int
    firings: int | None
    ii: tuple[int, ...]
    latency: tuple[int, ...]
    role: str | None = None
    values: npt.NDArray[np.float32] | None = None
    inputs: list[Stream] = field(default_factory=list)
    outputs: list[Stream] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Unit({self.name!r})"

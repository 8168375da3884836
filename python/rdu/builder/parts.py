"""What a builder keeps of each unit and each stream until the program is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .nest import Loop, Phase
from .transfer import Transfer

SOURCE = "source"
SINK = "sink"
# What a data-dependent unit does with the tokens that are not control: it hands them on.
ROUTE = "route"

Array = npt.NDArray[np.float32]
# A prototype operator: one array (tokens, lanes) for each input; one for each output, or one for all of them.
Function = Callable[..., Array | Sequence[Array]]


# Rates of one end: one entry for each firing in turn, or None where the unit says them.
Rates = tuple[int, ...] | None
# What a builder keeps of a plain unit: firings, ii and latency; and of a stream: numbers of its units, capacity,
# latency, credit, initial, produce and consume. They are tuples because Python's garbage collector leaves tuples of
# numbers alone, while objects of which there are 100 000 cost it as much as making them.
UnitRow = tuple[int | None, int, int]
StreamRow = tuple[int, int, int, int, int, int, Rates, Rates]


@dataclass(slots=True, eq=False)
class Stream:
    """A stream as described."""

    name: str
    at: int
    source: Unit
    target: Unit
    capacity: int
    latency: int
    credit: int
    initial: int
    produce: Rates
    consume: Rates
    # Which output of the source and which input of the target, once `attach` has counted.
    output: int = 0
    input: int = 0


@dataclass(slots=True, eq=False)
class Choice:
    """What makes a unit data-dependent: its kind, the end that decides, and the decisions where they are given."""

    kind: str
    control: str | None = None
    decisions: npt.NDArray[np.uint32] | None = None


class Unit:
    """A unit as described; ``firings`` is None where it follows from the streams, ``role`` None without values.

    Most units keep the defaults below.
    """

    values: Array | None = None
    lanes: int | None = None
    phases: dict[str, Phase] | None = None
    nest: tuple[str | Loop, ...] = ()
    choice: Choice | None = None
    transfer: Transfer | None = None
    # Some number of it or of its streams is a list.
    cyclic = False
    # Its streams in the order in which they were described, once `attach` has found them.
    inputs: Sequence[Stream] = ()
    outputs: Sequence[Stream] = ()

    def __init__(
        self,
        name: str,
        at: int,
        firings: int | None,
        ii: int | tuple[int, ...],
        latency: int | tuple[int, ...],
        role: str | Function | None,
    ) -> None:
        self.name = name
        self.at = at
        self.firings = firings
        self.ii = ii
        self.latency = latency
        self.role = role

    @property
    def transfers(self) -> bool:
        """Whether it is a load or store unit."""
        return self.transfer is not None or any(phase.transfer for phase in (self.phases or {}).values())

    @property
    def is_special(self) -> bool:
        """Whether single numbers cannot say what it does."""
        return self.cyclic or any(part is not None for part in (self.phases, self.choice, self.transfer))

    def __repr__(self) -> str:
        return f"Unit({self.name!r})"


def attach(units: Iterable[Unit], streams: Iterable[Stream]) -> None:
    """Tell units their streams; only programs in which some unit is not plain need it."""
    inputs: dict[int, list[Stream]] = {}
    outputs: dict[int, list[Stream]] = {}
    for stream in streams:
        others, before = outputs.setdefault(stream.source.at, []), inputs.setdefault(stream.target.at, [])
        stream.output, stream.input = len(others), len(before)
        others.append(stream)
        before.append(stream)
    for unit in units:
        unit.inputs, unit.outputs = inputs.get(unit.at, ()), outputs.get(unit.at, ())

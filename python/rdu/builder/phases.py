"""From cyclo-static lists to a loop nest of phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

from ..errors import GraphError
from .parts import Unit

# Phases of one unit before equal neighbours are joined; more comes from lists whose lengths share no divisor.
MOST_PHASES = 1 << 20

Description = dict[str, object]


@dataclass(frozen=True)
class Phase:
    """One firing: cycles, and tokens on each input and each output."""

    ii: int
    latency: int
    consume: tuple[int, ...]
    produce: tuple[int, ...]

    @property
    def description(self) -> Description:
        """The engine's form: only the ends that this firing touches."""
        return {
            "ii": self.ii,
            "latency": self.latency,
            "consume": [end for end in enumerate(self.consume) if end[1]],
            "produce": [end for end in enumerate(self.produce) if end[1]],
        }


@dataclass(frozen=True)
class Cycle:
    """The distinct phases of a unit, and the order in which its firings run through them, over and over."""

    phases: list[Phase]
    order: list[int]

    def nest(self, firings: int) -> list[Description]:
        """The loop nest that runs through the order so that there are ``firings`` firings in all."""
        if len(self.phases) == 1:
            return [{"phase": 0, "times": firings}]
        full, rest = divmod(firings, len(self.order))
        whole: list[Description] = [{"body": _fires(self.order), "times": full}] if full else []
        return whole + _fires(self.order[:rest])


def _fires(order: list[int]) -> list[Description]:
    """Equal neighbours joined, so that a long list with few changes is a short nest."""
    return [{"phase": phase, "times": len(list(run))} for phase, run in groupby(order)]


def cycle(unit: Unit) -> Cycle:
    """One full cycle of a unit: all its lists, each repeated up to their common length."""
    ends = [*(stream.consume for stream in unit.inputs), *(stream.produce for stream in unit.outputs)]
    lists = [unit.ii, unit.latency, *ends]
    length = math.lcm(*map(len, lists))
    if length > MOST_PHASES:
        lengths = ", ".join(str(n) for n in sorted(set(map(len, lists))))
        raise GraphError(
            f"unit {unit.name!r}: lists of {lengths} entries repeat together only after {length} firings; "
            f"rdu keeps at most {MOST_PHASES} phases: give the lists lengths that divide each other"
        )
    distinct: dict[tuple[int, ...], int] = {}
    rows = zip(*(entries * (length // len(entries)) for entries in lists), strict=True)
    order = [distinct.setdefault(row, len(distinct)) for row in rows]
    inputs = 2 + len(unit.inputs)
    return Cycle([Phase(row[0], row[1], row[2:inputs], row[inputs:]) for row in distinct], order)


def moved(rates: tuple[int, ...], firings: int) -> int:
    """Tokens that ``firings`` firings move."""
    full, rest = divmod(firings, len(rates))
    return full * sum(rates) + sum(rates[:rest])


def firings_for(rates: tuple[int, ...], tokens: int) -> int | None:
    """The firings that move exactly ``tokens``, whole cycles if possible; None where no number of them does."""
    full, rest = divmod(tokens, sum(rates))
    if rest == 0:
        return full * len(rates)
    for at, rate in enumerate(rates):
        rest -= rate
        if rest <= 0:
            return full * len(rates) + at + 1 if rest == 0 else None
    return None

"""From cyclo-static lists to a loop nest of phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
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

    @cached_property
    def description(self) -> Description:
        """The engine's form: only the ends that this firing touches."""
        return {
            "ii": self.ii,
            "latency": self.latency,
            "consume": [end for end in enumerate(self.consume) if end[1]],
            "produce": [end for end in enumerate(self.produce) if end[1]],
        }


def cycle(unit: Unit) -> list[Phase]:
    """The phases of one full cycle of a unit: all its lists, each repeated up to their common length."""
    consume = [stream.consume for stream in unit.inputs]
    produce = [stream.produce for stream in unit.outputs]
    lists = [unit.ii, unit.latency, *consume, *produce]
    length = math.lcm(*map(len, lists))
    if length > MOST_PHASES:
        lengths = ", ".join(str(n) for n in sorted(set(map(len, lists))))
        raise GraphError(
            f"unit {unit.name!r}: lists of {lengths} entries repeat together only after {length} firings; "
            f"rdu keeps at most {MOST_PHASES} phases: give the lists lengths that divide each other"
        )
    return [
        Phase(
            unit.ii[at % len(unit.ii)],
            unit.latency[at % len(unit.latency)],
            tuple(rates[at % len(rates)] for rates in consume),
            tuple(rates[at % len(rates)] for rates in produce),
        )
        for at in range(length)
    ]


def nest(phases: list[Phase], firings: int) -> tuple[list[Phase], list[Description]]:
    """The distinct phases, and the nest that fires the cycle over and over, ``firings`` times in all."""
    distinct: dict[Phase, int] = {}
    order = [distinct.setdefault(phase, len(distinct)) for phase in phases]

    def fires(part: list[int]) -> list[Description]:
        return [{"phase": phase, "times": len(list(run))} for phase, run in groupby(part)]

    full, rest = divmod(firings, len(order))
    if len(distinct) == 1:
        return list(distinct), [{"phase": 0, "times": firings}]
    whole: list[Description] = [{"body": fires(order), "times": full}] if full else []
    return list(distinct), whole + fires(order[:rest])


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

"""From what was described of a unit to its phases: cyclo-static lists, loop nests, and data-dependent firings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ..errors import GraphError
from . import checks
from .nest import Loop
from .parts import Stream, Unit
from .transfer import Transfer

# Phases of one unit before equal neighbours are joined; more comes from lists whose lengths share no divisor.
MOST_PHASES = 1 << 20

# Entries (phase or body, times); None is a count that only a run tells.
Nest = list["tuple[int | Nest, int | None]"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of firing: cycles, tokens on each input and each output, and what it asks of memory."""

    ii: int
    latency: int
    consume: tuple[int, ...]
    produce: tuple[int, ...]
    transfer: Transfer | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The distinct phases of a unit, and how its firings run through them."""

    rows: list[Row]
    # Names of the phases where they were given.
    names: tuple[str, ...] = ()
    # Cyclo-static: the row of each firing, over and over.
    order: list[int] | None = None
    # Phased: the nest as given.
    fixed: Nest | None = None
    # Data-dependent: the input whose tokens decide; -1 takes what comes first.
    control: int | None = None

    def nest(self, firings: int | None) -> Nest:
        """The loop nest with ``firings`` firings in all."""
        if self.fixed is not None:
            return self.fixed
        if self.order is None or firings is None or len(self.rows) == 1:
            return [(0, firings)]
        full, rest = divmod(firings, len(self.order))
        whole: Nest = [(_fires(self.order), full)] if full else []
        return whole + _fires(self.order[:rest])


def row(unit: Unit) -> Row:
    """The one phase of a plain unit."""
    consume = tuple(rate(stream.consume) for stream in unit.inputs)
    return Row(first(unit.ii), first(unit.latency), consume, tuple(rate(stream.produce) for stream in unit.outputs))


def cyclic(unit: Unit) -> Plan:
    """One full cycle of a unit: all its lists, each repeated up to their common length."""
    ends = [*(stream.consume or checks.ONE for stream in unit.inputs)]
    ends += [stream.produce or checks.ONE for stream in unit.outputs]
    lists = [_several(unit.ii), _several(unit.latency), *ends]
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
    found = [Row(row[0], row[1], row[2:inputs], row[inputs:], unit.transfer) for row in distinct]
    return Plan(found, order=order)


def phased(unit: Unit) -> Plan:
    """The phases of a loop nest, with their rates at the unit's streams."""
    phases = unit.phases or {}
    consumed = _resolved(unit, "consume", unit.inputs)
    produced = _resolved(unit, "produce", unit.outputs)
    rows = [
        Row(phase.ii, phase.latency, consume, produce, phase.transfer)
        for phase, consume, produce in zip(phases.values(), consumed, produced, strict=True)
    ]
    numbers = {name: at for at, name in enumerate(phases)}
    return Plan(rows, names=tuple(phases), fixed=_numbered(unit.nest, numbers))


def counts(plan: Plan, firings: int | None) -> list[int] | None:
    """Firings of each phase; None where only a run tells."""
    if firings is None or plan.control is not None:
        return None
    found: Counter[int] = Counter()
    _count(plan.nest(firings), 1, found)
    return [found[at] for at in range(len(plan.rows))]


def total(nest: Nest) -> int:
    """Firings of a nest whose counts are all given."""
    return sum((1 if isinstance(body, int) else total(body)) * (times or 0) for body, times in nest)


def first(numbers: int | tuple[int, ...]) -> int:
    """The number of a plain unit."""
    return numbers if isinstance(numbers, int) else numbers[0]


def rate(rates: tuple[int, ...] | None) -> int:
    """Tokens of each firing where they are always the same."""
    return 1 if rates is None else rates[0]


def moved(rates: tuple[int, ...] | None, firings: int) -> int:
    """Tokens that ``firings`` firings move."""
    if rates is None or len(rates) == 1:
        return firings * rate(rates)
    full, rest = divmod(firings, len(rates))
    return full * sum(rates) + sum(rates[:rest])


def firings_for(rates: tuple[int, ...] | None, tokens: int) -> int | None:
    """The firings that move exactly ``tokens``, whole cycles if possible; None where no number of them does."""
    rates = rates or checks.ONE
    full, rest = divmod(tokens, sum(rates))
    if rest == 0:
        return full * len(rates)
    for at, tokens_now in enumerate(rates):
        rest -= tokens_now
        if rest <= 0:
            return full * len(rates) + at + 1 if rest == 0 else None
    return None


def end(unit: Unit, streams: Sequence[Stream], key: str, what: str) -> int:
    """The index of the end that ``key`` names: by its stream, or by the unit at the other side."""
    side = streams is unit.inputs
    for at, stream in enumerate(streams):
        if stream.name == key:
            return at
    others = [(stream.source if side else stream.target).name for stream in streams]
    found = [at for at, other in enumerate(others) if other == key]
    if len(found) > 1:
        joined = ", ".join(repr(streams[at].name) for at in found)
        raise GraphError(f"{what} names {key!r}, which {joined} join to {unit.name!r}; name one of the streams")
    if not found:
        ends = "inputs" if side else "outputs"
        checks.known(key, [*others, *(stream.name for stream in streams)], f"{what}: among its {ends}")
    return found[0]


def _several(numbers: int | tuple[int, ...]) -> tuple[int, ...]:
    return (numbers,) if isinstance(numbers, int) else numbers


def _resolved(unit: Unit, key: str, streams: Sequence[Stream]) -> list[tuple[int, ...]]:
    """Tokens at each of ``streams``, phase by phase."""
    given = [stream.consume if key == "consume" else stream.produce for stream in streams]
    for stream, rates in zip(streams, given, strict=True):
        if rates is not None and len(rates) > 1:
            raise GraphError(
                f"stream {stream.name!r}: {key} is a list, but unit {unit.name!r} has phases; "
                f"leave {key} out and say it in the phases"
            )
    resolved = []
    for name, phase in (unit.phases or {}).items():
        said = phase.consume if key == "consume" else phase.produce
        if isinstance(said, int):
            tokens = [said if rates is None else rates[0] for rates in given]
        else:
            tokens = [0 if rates is None else rates[0] for rates in given]
            for other, count in said.items():
                at = end(unit, streams, other, f"unit {unit.name!r}, phase {name!r}: {key}")
                if given[at] is not None:
                    raise GraphError(
                        f"unit {unit.name!r}, phase {name!r}: {key} says {count} on {streams[at].name!r}, "
                        f"but the stream says {tokens[at]} itself; leave out one of the two"
                    )
                tokens[at] = count
        for stream, count in zip(streams, tokens, strict=True):
            if count > stream.capacity:
                raise GraphError(
                    f"stream {stream.name!r}: capacity is {stream.capacity}, below {key} of {count} in phase {name!r} "
                    f"of unit {unit.name!r}; make it at least {count}"
                )
        resolved.append(tuple(tokens))
    return resolved


def _numbered(body: tuple[str | Loop, ...], numbers: dict[str, int]) -> Nest:
    """A nest by number; a loop of nothing but one phase is so many firings of it."""
    nest: Nest = []
    for entry in body:
        if isinstance(entry, str):
            nest.append((numbers[entry], 1))
        elif len(entry.body) == 1 and isinstance(entry.body[0], str):
            nest.append((numbers[entry.body[0]], entry.times))
        else:
            nest.append((_numbered(entry.body, numbers), entry.times))
    return nest


def _fires(order: list[int]) -> Nest:
    """Equal neighbours joined, so that a long list with few changes is a short nest."""
    return [(phase, len(list(run))) for phase, run in groupby(order)]


def _count(nest: Nest, outer: int, found: Counter[int]) -> None:
    for body, times in nest:
        if isinstance(body, int):
            found[body] += outer * (times or 0)
        else:
            _count(body, outer * (times or 0), found)

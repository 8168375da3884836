"""Firings that were not given: as many as take all that the producer of an input sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import GraphError
from . import checks, choices
from .parts import SOURCE, Stream, StreamRow, Unit, UnitRow
from .phases import Plan, counts, firings_for, moved, rate, row, total


def plain(units: Iterable[UnitRow], streams: Iterable[StreamRow]) -> list[int] | None:
    """Firings of plain units that follow from one another in the order of the streams; None where some do not."""
    found = [row[0] for row in units]
    for source, target, _, _, _, _, produce, consume in streams:
        if found[target] is None:
            count = found[source]
            if count is None:
                return None
            if produce is not None or consume is not None:
                count, rest = divmod(count * rate(produce), rate(consume))
                if rest or not count:
                    return None
            found[target] = count
    return None if None in found else [count or 0 for count in found]


def firings(units: list[Unit], streams: list[Stream], plans: Mapping[int, Plan]) -> list[int | None]:
    """Firings of every unit; None is open: as long as tokens come, behind a unit whose firings data decide.

    Initial tokens are taken first, so that as many tokens stay behind at the end.
    """
    found: dict[int, int | None] = {}
    for unit in units:
        if unit.firings is not None:
            found[unit.at] = unit.firings
        elif unit.role is None and unit.at not in plans:
            continue
        elif unit.role == SOURCE:
            found[unit.at] = _firings_of_source(unit, plans.get(unit.at))
        elif unit.phases is not None:
            found[unit.at] = _firings_of_nest(unit, plans[unit.at])
        elif unit.choice is not None:
            found[unit.at] = None if unit.choice.decisions is None else len(unit.choice.decisions)
    if len(found) < len(units):
        _open(units, plans, found)
        _follow(streams, plans, found)
    if len(found) < len(units):
        name = next(unit.name for unit in units if unit.at not in found)
        raise GraphError(f"unit {name!r}: its firings follow from no input; give firings=...")
    return [found[unit.at] for unit in units]


def _open(units: list[Unit], plans: Mapping[int, Plan], found: dict[int, int | None]) -> None:
    """Opens every unit without a count of its own behind one of which nobody knows how much it sends."""
    ready = [at for at in found if units[at].choice is not None]
    while ready:
        for stream in units[ready.pop()].outputs:
            target = stream.target
            if target.at in found or _sent(stream, plans, found) is not None:
                continue
            if target.at in plans:
                what = "transfer" if target.transfers else "have lists of numbers"
                raise GraphError(
                    f"unit {target.name!r} fires as long as {stream.source.name!r} sends, which data decide, and such "
                    f"a unit cannot {what}; give firings=..."
                )
            found[target.at] = None
            ready.append(target.at)


def _follow(streams: list[Stream], plans: Mapping[int, Plan], found: dict[int, int | None]) -> None:
    """From producers with a count to consumers without; most programs are described in that order already."""
    waiting: dict[int, list[Stream]] = {}
    for first in streams:
        if first.source.at not in found:
            waiting.setdefault(first.source.at, []).append(first)
            continue
        if first.target.at in found:
            continue
        ready = [first]
        while ready:
            stream = ready.pop()
            target = stream.target.at
            if target in found:
                continue
            if stream.produce is stream.consume is None and stream.source.at not in plans:
                found[target] = found[stream.source.at]
            elif (tokens := _sent(stream, plans, found)) is not None:
                found[target] = _firings_of_consumer(stream, tokens)
            else:
                continue
            if target in waiting:
                ready += waiting.pop(target)


def _sent(stream: Stream, plans: Mapping[int, Plan], found: Mapping[int, int | None]) -> int | None:
    """Tokens that a stream carries in the whole run; None where only a run tells."""
    unit = stream.source
    count, plan = found[unit.at], plans.get(unit.at)
    if plan is None and count is not None:
        return moved(stream.produce, count)
    if unit.choice is not None and plan is not None:
        return choices.sent(unit.choice, plan, stream.output, count)
    if count is None:
        return None
    if unit.phases is not None and plan is not None:
        each = counts(plan, count) or []
        return sum(times * row.produce[stream.output] for times, row in zip(each, plan.rows, strict=True))
    return moved(stream.produce, count)


def _firings_of_nest(unit: Unit, plan: Plan) -> int:
    count = total(plan.fixed or [])
    if count < 1:
        raise GraphError(f"unit {unit.name!r}: its nest fires no phase; give a loop with at least 1 time")
    if count > checks.MOST:
        raise GraphError(f"unit {unit.name!r}: its nest has {checks.shown(count)} firings; at most {checks.MOST} fit")
    return count


def _firings_of_source(unit: Unit, plan: Plan | None) -> int:
    tokens = 0 if unit.values is None else len(unit.values)
    if not unit.outputs:
        raise GraphError(f"source {unit.name!r} has no stream; connect it with stream({unit.name!r}, ...)")
    if plan is None or plan.order is None:
        drawn: tuple[int, ...] = (max(row(unit).produce),)
    else:
        drawn = tuple(max(plan.rows[at].produce) for at in plan.order)
    count = firings_for(drawn, tokens)
    if count is None:
        raise GraphError(
            f"source {unit.name!r} has {tokens} tokens, which no number of its firings sends "
            f"({sum(drawn)} tokens in {len(drawn)} firings); change the rows or produce="
        )
    return count


def _firings_of_consumer(stream: Stream, tokens: int) -> int:
    count = firings_for(stream.consume, tokens)
    if not count:
        raise GraphError(
            f"unit {stream.target.name!r}: no number of its firings takes the {tokens} tokens that "
            f"{stream.source.name!r} sends on {stream.name!r}; change consume= or give firings=..."
        )
    return count

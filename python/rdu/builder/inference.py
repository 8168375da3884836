"""What follows from the rest of a program: firings that were not given, and the number of values in each token."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..errors import GraphError
from .parts import SINK, SOURCE, Stream, Unit
from .phases import Cycle, Phase, firings_for, moved


def firings(units: list[Unit], cycles: list[Cycle]) -> list[int]:
    """Firings of every unit: as given, or as many as take all that the producer of an input makes.

    Initial tokens are taken first, so that as many tokens stay behind at the end.
    """
    found: dict[int, int] = {unit.at: unit.firings for unit in units if unit.firings is not None}
    for unit in units:
        if unit.role == SOURCE:
            found[unit.at] = _firings_of_source(unit, cycles[unit.at])
    ready = deque(found)
    while ready:
        at = ready.popleft()
        for stream in units[at].outputs:
            if stream.target.at not in found:
                found[stream.target.at] = _firings_of_consumer(stream, moved(stream.produce, found[at]))
                ready.append(stream.target.at)
    for unit in units:
        if unit.at not in found:
            raise GraphError(f"unit {unit.name!r}: its firings follow from no input; give firings=...")
    return [found[unit.at] for unit in units]


def _firings_of_source(unit: Unit, cycle: Cycle) -> int:
    tokens = 0 if unit.values is None else len(unit.values)
    if not unit.outputs:
        raise GraphError(f"source {unit.name!r} has no stream; connect it with stream({unit.name!r}, ...)")
    drawn = tuple(max(cycle.phases[at].produce) for at in cycle.order)
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


def check_values(units: list[Unit], cycles: list[Cycle], arity: Callable[[str], int | None]) -> None:
    """Every unit of a program with values has a role, and its rates fit what the role computes.

    ``arity`` says how many inputs an operator takes (None: one or more).
    """
    for unit in units:
        if unit.role is None:
            raise GraphError(f"unit {unit.name!r} has no op, but the program has values; give every unit an op")
        if unit.role == SINK:
            if len(unit.inputs) != 1 or unit.outputs:
                ends = f"{len(unit.inputs)} inputs and {len(unit.outputs)} outputs"
                raise GraphError(f"sink {unit.name!r} has {ends}; it must have one input and no output")
        elif unit.role == SOURCE:
            if unit.inputs:
                raise GraphError(f"source {unit.name!r} has an input, stream {unit.inputs[0].name!r}; it can have none")
        else:
            wanted = arity(unit.role)
            if (wanted is not None and len(unit.inputs) != wanted) or not unit.inputs:
                raise GraphError(
                    f"unit {unit.name!r}: op {unit.role!r} takes {'at least 1' if wanted is None else wanted} "
                    f"inputs, the unit has {len(unit.inputs)}"
                )
        for at, phase in enumerate(cycles[unit.at].phases):
            _check_rates(unit, cycles[unit.at].order.index(at), phase)


# Operators that take any number of tokens and make one.
FOLDS = frozenset({"sum", "prod"})


def _check_rates(unit: Unit, at: int, phase: Phase) -> None:
    made = {rate for rate in phase.produce if rate}
    if not made:
        return
    where = f"unit {unit.name!r}, firing {at} of its cycle"
    if len(made) > 1:
        raise GraphError(f"{where}: it sends {phase.produce} tokens; all streams carry the same values, so equal rates")
    if unit.role == SOURCE:
        return
    if unit.role in FOLDS:
        if made != {1}:
            raise GraphError(f"{where}: op {unit.role!r} makes one token, but produce is {made.pop()}")
    elif set(phase.consume) != made:
        raise GraphError(
            f"{where}: op {unit.role!r} makes one token of one token of each input, but takes {phase.consume} and "
            f"makes {phase.produce}"
        )


def lanes(units: list[Unit]) -> dict[str, int]:
    """Values in one token of each stream, by name: as many as the rows of the source that it hangs together with.

    Operators work lane by lane, so all that hangs together has the same width; without a source it is 1.
    """
    found: dict[str, int] = {}
    reached: dict[str, tuple[Unit, int]] = {}
    for source in units:
        if source.values is None:
            continue
        width = source.values.shape[1]
        if source.name in reached and reached[source.name][1] != width:
            other, there = reached[source.name]
            raise GraphError(
                f"source {source.name!r} sends tokens of {width} values, but hangs together with source "
                f"{other.name!r}, whose tokens have {there}"
            )
        ready = [source]
        while ready:
            unit = ready.pop()
            if unit.name in reached:
                continue
            reached[unit.name] = (source, width)
            found.update({stream.name: width for stream in unit.inputs + unit.outputs})
            ready += [stream.source for stream in unit.inputs] + [stream.target for stream in unit.outputs]
    return found

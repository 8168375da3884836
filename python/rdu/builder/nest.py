"""Loop nests of phases: what a unit does in turns, said once and never unrolled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import GraphError
from . import checks
from .transfer import Transfer
from .transfer import checked as checked_transfer

# Loops inside loops; a nest is walked by recursion on both sides of the language border.
MOST_DEPTH = 64

# Tokens of one firing: the same number at every end, or by end; what is left out is 0.
Ends = int | Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of firing of a unit; made by :func:`rdu.phase`."""

    ii: int
    latency: int
    consume: int | dict[str, int]
    produce: int | dict[str, int]
    transfer: Transfer | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """A body of phases and loops, run ``times`` times; made by :func:`rdu.loop`."""

    times: int
    body: tuple[str | Loop, ...]


def phase(
    ii: int = 1, latency: int = 0, consume: Ends = 0, produce: Ends = 0, transfer: Transfer | None = None
) -> Phase:
    """One kind of firing of a unit: what it costs and what it moves.

    Parameters
    ----------
    ii
        Initiation interval in cycles, at least 1.
    latency
        Cycles from the start of the firing to its results leaving the unit.
    consume, produce
        Tokens: a number for every input (output), or a dictionary by end. An end is named by its stream, or by the unit
        at the other side if only one stream joins the two. Ends that are left out are left alone.
    transfer
        What the firing asks of memory. Either all phases of a unit transfer, to one tier and in one direction, or none
        does; phases with an equal transfer go on where the other one's last request ended.

    Raises
    ------
    rdu.errors.GraphError
        A number that is no whole number or out of range.

    Examples
    --------
    >>> phase(ii=2, consume={"weights": 4})
    Phase(ii=2, latency=0, consume={'weights': 4}, produce=0, transfer=None)
    """
    return Phase(
        checks.integer(ii, "phase: ii", 1),
        checks.integer(latency, "phase: latency", 0),
        _ends(consume, "consume"),
        _ends(produce, "produce"),
        checked_transfer(transfer, "phase"),
    )


def loop(times: int, *body: str | Loop) -> Loop:
    """Phases and loops, one after another, all of it ``times`` times (0 leaves it out).

    Parameters
    ----------
    times
        At least 0.
    body
        Names of phases, each one firing, and further loops.

    Raises
    ------
    rdu.errors.GraphError
        ``times`` is no whole number, or the body is empty or has something else in it.

    Examples
    --------
    >>> loop(100, "load", loop(8, "fire"))
    Loop(times=100, body=('load', Loop(times=8, body=('fire',))))
    """
    count = checks.integer(times, "loop: times", 0)
    if not body:
        raise GraphError("loop: the body is empty; name at least one phase, as in loop(8, 'fire')")
    found = Loop(count, checked(body, "loop"))
    if depth(found.body) >= MOST_DEPTH:
        raise GraphError(f"loop: more than {MOST_DEPTH} loops are inside each other")
    return found


def phases(described: object, unit: str) -> dict[str, Phase]:
    """The phases of a unit by name."""
    if not isinstance(described, Mapping) or not described:
        raise GraphError(
            f"unit {unit!r}: phases is {checks.shown(described)}; it must be a dictionary of rdu.phase(...)"
        )
    for key, entry in described.items():
        checks.name(key, f"unit {unit!r}: a phase")
        if not isinstance(entry, Phase):
            raise GraphError(f"unit {unit!r}: phase {key!r} is {checks.shown(entry)}; make it with rdu.phase(...)")
    return dict(described)


def checked(body: object, what: str) -> tuple[str | Loop, ...]:
    """A nest as a tuple: one name, one loop, or a list of them."""
    entries = tuple(body) if isinstance(body, list | tuple) else (body,)
    for entry in entries:
        if not isinstance(entry, Loop):
            if not isinstance(entry, str):
                raise GraphError(f"{what}: {checks.shown(entry)} is neither the name of a phase nor a loop")
            checks.name(entry, f"{what}: a phase")
    return entries


def depth(body: tuple[str | Loop, ...]) -> int:
    """Loops inside each other."""
    return max((1 + depth(entry.body) for entry in body if isinstance(entry, Loop)), default=0)


def names(body: tuple[str | Loop, ...]) -> Iterator[str]:
    """The phases that a nest names."""
    for entry in body:
        if isinstance(entry, str):
            yield entry
        else:
            yield from names(entry.body)


def _ends(value: object, key: str) -> int | dict[str, int]:
    if not isinstance(value, Mapping):
        return checks.integer(value, f"phase: {key}", 0, checks.MOST_RATE)
    return {
        checks.name(end, f"phase: {key}"): checks.integer(rate, f"phase: {key}[{end!r}]", 0, checks.MOST_RATE)
        for end, rate in value.items()
    }

"""The repetition vector: how often each actor goes through its list until every channel holds what it held before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..errors import GraphError

# Bits of a number of rounds on the way to the vector: no program fires so often, and numbers could grow without end.
MOST_BITS = 4096


@dataclass(frozen=True, slots=True)
class Edge:
    """What one round of the source sends and one round of the target takes, in tokens; ``place`` is for messages."""

    source: str
    target: str
    produced: int
    consumed: int
    place: str


def repetitions(actors: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The smallest whole numbers that balance every edge, each weakly connected component by itself.

    Raises
    ------
    rdu.errors.GraphError
        No numbers do; the message has the equation that fails.
    """
    joined: dict[str, list[Edge]] = {actor: [] for actor in actors}
    for edge in edges:
        joined[edge.source].append(edge)
        joined[edge.target].append(edge)
    found: dict[str, int] = {}
    for root in actors:
        if root not in found:
            rounds = _component(root, joined)
            scale = math.lcm(*(part.denominator for part in rounds.values()))
            whole = {actor: int(part * scale) for actor, part in rounds.items()}
            divisor = math.gcd(*whole.values())
            found |= {actor: number // divisor for actor, number in whole.items()}
    return {actor: found[actor] for actor in actors}


def _component(root: str, joined: dict[str, list[Edge]]) -> dict[str, Fraction]:
    """Rounds of all actors that hang together with one, which goes round once."""
    rounds = {root: Fraction(1)}
    ready = [root]
    while ready:
        at = ready.pop()
        for edge in joined[at]:
            forward = edge.source == at
            other = edge.target if forward else edge.source
            ratio = Fraction(edge.produced, edge.consumed)
            there = rounds[at] * ratio if forward else rounds[at] / ratio
            if other not in rounds:
                if max(there.numerator, there.denominator).bit_length() > MOST_BITS:
                    raise GraphError(f"{edge.place}: the rates balance only after more than 2^{MOST_BITS} rounds")
                rounds[other] = there
                ready.append(other)
            elif rounds[other] != there:
                raise GraphError(_unbalanced(edge, rounds))
    return rounds


def _unbalanced(edge: Edge, rounds: dict[str, Fraction]) -> str:
    source, target = rounds[edge.source], rounds[edge.target]
    return (
        f"{edge.place}: the rates do not balance: {edge.source!r} sends {edge.produced} tokens a round and "
        f"{edge.target!r} takes {edge.consumed}, so {edge.produced} x q({edge.source!r}) = "
        f"{edge.consumed} x q({edge.target!r}), but the other channels make q({edge.source!r}) : q({edge.target!r}) = "
        f"{(source / target).numerator} : {(source / target).denominator}; change a rate"
    )

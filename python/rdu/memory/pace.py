"""A pace between whole numbers of cycles: which firings wait a cycle more than others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdu.builder.nest import Loop

# Paces are kept in parts of a cycle; what is left over slows a copy by less than a millionth.
PARTS = 1024

Nest = list["str | Loop"]


def paced(cycles: float, count: int, short: str, long: str) -> tuple[int, Nest]:
    """Spread ``count`` firings that follow each other ``cycles`` apart on average, at least 1, and never sooner.

    Parameters
    ----------
    cycles
        Rounded up to a 1024th.
    count
        At least 1.
    short, long
        Names of two phases, the second a cycle longer than the first.

    Returns
    -------
    int
        Cycles of the short phase.
    list
        A nest of the two: the k-th firing starts at ``k * cycles``, rounded up. The pattern is that of the upper
        Christoffel word, built by Euclid's algorithm (Berstel et al., Combinatorics on Words, 2008), so that few loops
        hold any number of firings.

    Examples
    --------
    >>> paced(2.5, 5, "short", "long")
    (2, [Loop(times=2, body=('long', 'short')), 'long'])
    """
    parts = math.ceil(cycles * PARTS - 1e-6)
    least, over = divmod(parts, PARTS)
    share = math.gcd(over, PARTS)
    word = _word(over // share, PARTS // share, short, long)
    times, rest = divmod(count, PARTS // share)
    return least, _repeated(times, word) + _first(word, rest)


def _word(over: int, parts: int, short: str, long: str) -> Nest:
    """``parts`` firings of which ``over`` are long, as evenly as can be, none too soon."""
    if over == 0:
        return [short]
    # Two words between whose shares of long firings the wanted one lies: how many are long, of how many, and the word.
    upper_over, upper_parts, lower_over, lower_parts = 1, 1, 0, 1
    upper: Nest = [long]
    lower: Nest = [short]
    while upper_parts + lower_parts < parts:
        # As often as the share stays on its side, the one word grows by the other.
        if over * (upper_parts + lower_parts) < parts * (upper_over + lower_over):
            gap, slope = parts * upper_over - over * upper_parts, over * lower_parts - parts * lower_over
            times = (gap - 1) // slope
            upper = [*upper, *_repeated(times, lower)]
            upper_over, upper_parts = upper_over + times * lower_over, upper_parts + times * lower_parts
        else:
            gap, slope = over * lower_parts - parts * lower_over, parts * upper_over - over * upper_parts
            times = (gap - 1) // slope
            lower = [*_repeated(times, upper), *lower]
            lower_over, lower_parts = lower_over + times * upper_over, lower_parts + times * upper_parts
    return [*upper, *lower]


def _repeated(times: int, word: Nest) -> Nest:
    from rdu.builder import loop

    return [loop(times, *word)] if times > 1 else word * times


def _first(word: Nest, count: int) -> Nest:
    """The first ``count`` firings of a nest."""
    first: Nest = []
    for entry in word:
        if count == 0:
            break
        if isinstance(entry, str):
            first.append(entry)
            count -= 1
            continue
        each = _firings(list(entry.body))
        times = min(entry.times, count // each)
        if times:
            first += _repeated(times, list(entry.body))
        count -= times * each
        if times < entry.times:
            return [*first, *_first(list(entry.body), count)]
    return first


def _firings(nest: Nest) -> int:
    return sum(1 if isinstance(entry, str) else entry.times * _firings(list(entry.body)) for entry in nest)

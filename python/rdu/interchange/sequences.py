"""Numbers and lists of numbers as SDF3 writes them: ``5``, ``1,2,0``, and ``3*1,2`` for ``1,1,1,2``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from ..errors import GraphError

# As many as the builder takes for one unit; and for all lists of a file together.
MOST_ENTRIES = 1 << 20
MOST_ENTRIES_OF_A_FILE = 1 << 23
# Larger ones are refused by the builder; more digits than this are not even converted.
MOST_DIGITS = 19

_NUMBER = re.compile(r"[0-9]+", re.ASCII)


class Budget:
    """How many list entries a file may still ask for: a short ``1000000*1`` must not fill the memory."""

    def __init__(self) -> None:
        self.left = MOST_ENTRIES_OF_A_FILE

    def take(self, entries: int, place: str) -> None:
        """Use some of it."""
        if entries > MOST_ENTRIES:
            raise GraphError(f"{place} has {entries} entries or more; a list may have {MOST_ENTRIES}")
        self.left -= entries
        if self.left < 0:
            raise GraphError(f"{place}: the lists of this file have more than {MOST_ENTRIES_OF_A_FILE} entries in all")


def number(text: str, place: str) -> int:
    """A whole number of at least 0."""
    digits = text.strip()
    if not _NUMBER.fullmatch(digits):
        raise GraphError(f"{place} is {shown(text)}; it must be a whole number of at least 0")
    if len(digits.lstrip("0")) > MOST_DIGITS:
        raise GraphError(f"{place} is {shown(text)}; a number may have at most {MOST_DIGITS} digits")
    return int(digits)


def numbers(text: str, place: str, budget: Budget) -> list[int]:
    """A list, its repeated entries written out."""
    found: list[int] = []
    for at, part in enumerate(text.split(",")):
        count, star, value = part.rpartition("*")
        times = number(count, f"{place}, the count of entry {at + 1},") if star else 1
        if times < 1:
            raise GraphError(f"{place}, entry {at + 1}: its count is {shown(count)}; it must be at least 1")
        entry = number(value, f"{place}, entry {at + 1}," if "," in text or star else place)
        if len(found) + times > MOST_ENTRIES:
            budget.take(len(found) + times, place)
        found += [entry] * times
    budget.take(len(found), place)
    return found


def written(values: Sequence[int]) -> str:
    """A list as SDF3 writes it; all lists of an actor have to have as many entries, so none is cut short."""
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    return ",".join(str(value) if count == 1 else f"{count}*{value}" for value, count in runs)


def shown(text: str) -> str:
    """A text for a message, cut where it is long."""
    return repr(text) if len(text) <= 40 else repr(text[:37] + "...")

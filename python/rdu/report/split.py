"""Where the units' cycles went: busy, data, space, memory, idle, by operator and role."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rdu.report.tally import STATES, Tally

WAITS = ("data", "space", "memory")


@dataclass(frozen=True)
class Split:
    """Cycles by state (in the order of `STATES`), summed over the units of one role of one operator."""

    kernel: int
    operator: str
    role: str
    units: int
    firings: int
    cycles: tuple[int, ...]

    @property
    def shares(self) -> dict[str, float]:
        """The five shares; they sum to 1."""
        whole = sum(self.cycles)
        return {state: cycles / whole if whole else 0.0 for state, cycles in zip(STATES, self.cycles, strict=True)}

    @property
    def wait(self) -> tuple[str, int]:
        """The state in which most cycles were lost to waiting, and how many."""
        by_state = dict(zip(STATES, self.cycles, strict=True))
        worst = max(WAITS, key=by_state.__getitem__)
        return worst, by_state[worst]


def splits(tally: Tally) -> list[Split]:
    """One row per operator and role, in the order of the kernel's units; the time of kernel calls counts as idle."""
    groups: dict[tuple[str, str], list[tuple[int, tuple[int, ...]]]] = {}
    for unit, row in zip(tally.units, tally.unit_rows, strict=True):
        groups.setdefault((unit.operator, unit.role), []).append((unit.copies, row))
    found = []
    for (operator, role), rows in groups.items():
        units = sum(copies for copies, _ in rows)
        sums = [sum(column) for column in zip(*([copies * n for n in row] for copies, row in rows), strict=True)]
        firings = sums.pop()
        sums[STATES.index("idle")] += units * tally.call_cycles
        found.append(Split(tally.number, operator, role, units, firings, tuple(sums)))
    return found


def top_waits(rows: Iterable[Split], most: int = 6) -> list[Split]:
    """The rows that lost most cycles per unit to one kind of waiting, worst first."""
    waiting = [row for row in rows if row.wait[1] > 0]
    return sorted(waiting, key=lambda row: (-row.wait[1] / row.units, row.kernel, row.operator, row.role))[:most]

"""What a static program says before it runs: how fast it can be, what holds it back, and the room its streams need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Literal

from .. import _core

# Edges of the graph of firings that an exact search for capacities may look at: some seconds.
WORK = 100_000_000
# Steps of a critical cycle that are printed.
SHOWN = 24


@dataclass(frozen=True)
class Step:
    """One step of a cycle of waiting: a firing of ``target`` waits for one of ``source``.

    Attributes
    ----------
    kind
        What it waits for: ``"busy"``, the unit itself (``source`` is ``target``); ``"token"``, a token that ``source``
        sends on ``stream``; ``"slot"``, a slot of ``stream`` that ``source`` frees.
    source, target
        Names of the units.
    stream
        Its name; None for ``"busy"``.
    source_firing, target_firing
        Which firings, numbered from 0 within an iteration. A busy step may go over several firings at once.
    cycles
        From the start of the one to the start of the other, at least.
    iterations
        So many iterations lie between the two: those that initial tokens and free slots let a unit run ahead.
    """

    kind: Literal["busy", "token", "slot"]
    source: str
    target: str
    stream: str | None
    source_firing: int
    target_firing: int
    cycles: int
    iterations: int

    def __str__(self) -> str:
        if self.kind == "busy":
            return f"{self.target} is busy: {self.cycles} cycles"
        what = f"a {self.kind} of {self.stream} from {self.source}"
        return f"{self.target} waits for {what}: {self.cycles} cycles"


@dataclass(frozen=True)
class Part:
    """Units that hang together by streams, in their steady state.

    Attributes
    ----------
    repetitions
        Cycles of each unit in one iteration, by name: the smallest whole numbers after which every stream holds what it
        held before. A unit's cycle is what its phases repeat: one firing of a unit with plain rates, one round of a
        cyclo-static list or of a loop.
    firings
        Firings of each unit in one iteration.
    iteration_cycles
        Cycles that an iteration takes in the long run, exact; None if the part deadlocks.
    critical
        The cycle of waiting that no schedule can beat: its ``cycles`` over its ``iterations`` are
        ``iteration_cycles``. In a deadlock, firings of one iteration that wait for each other.
    """

    repetitions: Mapping[str, int]
    firings: Mapping[str, int]
    iteration_cycles: Fraction | None
    critical: tuple[Step, ...]

    @property
    def throughput(self) -> Fraction:
        """Iterations per cycle; 0 in a deadlock."""
        return Fraction(0) if self.iteration_cycles is None else 1 / self.iteration_cycles

    def to_dict(self) -> dict[str, object]:
        """All of it as plain dictionaries and lists that ``json`` can write; fractions as text."""
        return {
            "repetitions": dict(self.repetitions),
            "firings": dict(self.firings),
            "iteration_cycles": None if self.iteration_cycles is None else str(self.iteration_cycles),
            "throughput": str(self.throughput),
            "critical": [asdict(step) for step in self.critical],
        }

    def __str__(self) -> str:
        if self.iteration_cycles is None:
            lines = ["deadlock: these firings wait for each other"]
        else:
            lines = [f"an iteration takes {self.iteration_cycles} cycles; what it waits for:"]
        lines += [f"  {step}" for step in self.critical[:SHOWN]]
        if len(self.critical) > SHOWN:
            lines.append(f"  and {len(self.critical) - SHOWN} steps more")
        width = max(4, *map(len, self.firings))
        lines.append(f"{'unit':<{width}}  firings in an iteration")
        lines += [f"{name:<{width}}  {count}" for name, count in self.firings.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Capacities:
    """The smallest capacities that a program needs, by stream; sizes in tokens.

    Attributes
    ----------
    iteration_cycles
        Cycles of an iteration (of the slowest part) with streams that are never full.
    full
        Capacities that keep this, of the smallest possible sum.
    exact
        False where the search ran out of work: these are enough, but smaller ones may do.
    deadlock_free
        Capacities of the smallest possible sum with which the program runs for ever, at whatever speed.
    deadlock_free_exact
        As ``exact``.
    """

    iteration_cycles: Fraction
    full: Mapping[str, int]
    exact: bool
    deadlock_free: Mapping[str, int]
    deadlock_free_exact: bool

    def to_dict(self) -> dict[str, object]:
        """All of it as plain dictionaries that ``json`` can write; fractions as text."""
        return {
            "iteration_cycles": str(self.iteration_cycles),
            "full": dict(self.full),
            "exact": self.exact,
            "deadlock_free": dict(self.deadlock_free),
            "deadlock_free_exact": self.deadlock_free_exact,
        }

    def __str__(self) -> str:
        width = max([6, *map(len, self.full)])
        lines = [f"{'stream':<{width}}  full throughput  deadlock-free"]
        lines += [f"{name:<{width}}  {size:>15}  {self.deadlock_free[name]:>13}" for name, size in self.full.items()]
        sums = (sum(self.full.values()), sum(self.deadlock_free.values()))
        marks = tuple("" if exact else "≤ " for exact in (self.exact, self.deadlock_free_exact))
        return "\n".join([*lines, f"{'sum':<{width}}  {marks[0] + str(sums[0]):>15}  {marks[1] + str(sums[1]):>13}"])


class Analysis:
    """The steady state of a static program, as if it went on for ever; ``print(analysis)`` shows it.

    Exact: cycles are fractions of whole numbers. For a program whose units do not all hang together, the numbers are
    those of its slowest part, and :attr:`parts` has each.
    """

    def __init__(self, core: _core.StreamProgram, units: tuple[str, ...], streams: tuple[str, ...]) -> None:
        self._core = core
        self._streams = streams
        self._parts = tuple(_part(row, units, streams) for row in _core.analyse(core))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The connected parts, in the order of their first units."""
        return self._parts

    @property
    def slowest(self) -> Part:
        """The part with the longest iteration, or the first that deadlocks."""
        return min(self._parts, key=lambda part: part.throughput)

    @property
    def repetitions(self) -> dict[str, int]:
        """Cycles of each unit in one iteration (of its part); see :class:`Part`."""
        return {name: count for part in self._parts for name, count in part.repetitions.items()}

    @property
    def firings(self) -> dict[str, int]:
        """Firings of each unit in one iteration (of its part)."""
        return {name: count for part in self._parts for name, count in part.firings.items()}

    @property
    def iteration_cycles(self) -> Fraction | None:
        """Cycles that an iteration of the slowest part takes in the long run; None if a part deadlocks."""
        return self.slowest.iteration_cycles

    @property
    def throughput(self) -> Fraction:
        """Iterations per cycle of the slowest part; 0 if a part deadlocks. No run is faster in the long run."""
        return self.slowest.throughput

    @property
    def critical(self) -> tuple[Step, ...]:
        """The cycle of waiting that no schedule can beat, in the slowest part."""
        return self.slowest.critical

    def capacities(self, work: int = WORK) -> Capacities:
        """Find the smallest capacities for full throughput, and the smallest that do not deadlock.

        Exact: only streams whose slots a cycle of waiting waits for need to grow (Stuijk, Geilen and Basten, IEEE
        Transactions on Computers 57, 2008). Latencies and credits of the streams stay as they are.

        Parameters
        ----------
        work
            Edges of the graph of firings that each of the two exact searches may look at. When it runs out, at most
            twice as much goes into something small that is enough, and the result says so: ``exact`` is False.

        Raises
        ------
        rdu.errors.GraphError
            The program deadlocks whatever the capacities: it needs initial tokens.
        """
        periods, (full, exact), (live, live_exact) = _core.capacities(self._core, work)
        return Capacities(
            iteration_cycles=max(Fraction(*period) for period in periods),
            full=dict(zip(self._streams, full, strict=True)),
            exact=exact,
            deadlock_free=dict(zip(self._streams, live, strict=True)),
            deadlock_free_exact=live_exact,
        )

    def to_dict(self) -> dict[str, object]:
        """All parts as plain dictionaries and lists that ``json`` can write."""
        return {"parts": [part.to_dict() for part in self._parts]}

    def __repr__(self) -> str:
        return f"Analysis(iteration_cycles={self.iteration_cycles!r}, {len(self._parts)} parts)"

    def __str__(self) -> str:
        return "\n\n".join(str(part) for part in self._parts)


def _part(row: _core._PartRow, units: tuple[str, ...], streams: tuple[str, ...]) -> Part:
    members, repetitions, firings, period, critical = row
    names = [units[at] for at in members]
    return Part(
        repetitions=dict(zip(names, repetitions, strict=True)),
        firings=dict(zip(names, firings, strict=True)),
        iteration_cycles=None if period is None else Fraction(*period),
        critical=tuple(
            Step(
                kind=kind,
                source=units[source],
                target=units[target],
                stream=None if stream is None else streams[stream],
                source_firing=source_firing,
                target_firing=target_firing,
                cycles=cycles,
                iterations=iterations,
            )
            for kind, stream, source, source_firing, target, target_firing, cycles, iterations in critical
        ),
    )

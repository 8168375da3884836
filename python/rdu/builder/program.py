"""A built stream program: immutable, and run any number of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .. import _core
from ..errors import GraphError
from ..machine import Machine, read
from ..memory.tier import describe_tiers
from . import checks, retiming, transfer
from .analysis import Analysis
from .labels import Labels
from .result import StreamRun, collect
from .trace import TraceWindow, window

FAST, STEP = "fast", "step"


class StreamProgram:
    """What :meth:`rdu.Builder.build` returns; two runs of one program are equal in every number.

    A unit with one stream takes about 1 kB of memory, and as long as the builder is kept 0.4 kB more there
    (``benches/test_dataflow.py`` measures it: what the process uses after a pipeline of 100 000 less what it used
    before). While it runs, each slot that a stream can fill takes 8 to 24 bytes more, and the values of its token.
    """

    def __init__(self, core: _core.StreamProgram, labels: Labels, reaches: tuple[transfer.Reach, ...] = ()) -> None:
        self._core = core
        self._labels = labels
        # Of the units that transfer.
        self._reaches = reaches

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, in the order in which they were described."""
        return self._labels.units

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in the order in which they were described."""
        return self._labels.streams

    def describe(self) -> dict[str, list[dict[str, object]]]:
        """The program as plain dictionaries and lists that ``json`` can write: what pictures and formats are made from.

        Returns
        -------
        dict
            ``"units"``: for each its ``name``; ``op`` (``"source"``, ``"sink"``, an operator, ``"function"``,
            ``"route"`` for a data-dependent unit, or None without values); ``firings`` (None where only a run tells);
            ``phases`` and ``nest``; and ``choice``, None or what makes it data-dependent: ``{"kind": "switch",
            "control": stream name}`` (None for a merge). A phase has ``ii`` and ``latency`` in cycles, ``consume`` and
            ``produce``: tokens by stream name, and a ``name`` where it was given one. A nest is a list of ``{"phase":
            index, "times": count}`` and ``{"body": nest, "times": count}``, run from front to back. In a data-dependent
            unit each phase is one way that a firing can go. ``transfer`` of a unit is None or its door to memory,
            ``tier``, ``write`` and ``outstanding``; each of its phases then has a ``transfer`` of its own: ``address``,
            ``nbytes``, ``run`` and ``stride``, as :class:`rdu.Transfer` says.

            ``"streams"``: for each its ``name``, ``source``, ``target`` (unit names), ``capacity`` (tokens),
            ``latency``, ``credit`` (cycles), ``initial`` (tokens), ``lanes`` (values in one token), and ``produce`` and
            ``consume``: tokens by phase of the source and of the target.
        """
        return self._core.describe(dict(self._labels.phases), dict(self._labels.kinds), list(transfer.TIERS))

    def run(
        self,
        mode: str = FAST,
        skip: bool = True,
        progress: Callable[[int], object] | None = None,
        *,
        values: StreamRun | None = None,
        record: bool = False,
        trace: TraceWindow | Mapping[str, object] | bool | None = None,
        intervals: int | None = None,
        firing_times: Mapping[str, Sequence[int]] | None = None,
        machine: str | Machine | None = None,
    ) -> StreamRun:
        """Run the program from cycle 0 until every unit has finished.

        Parameters
        ----------
        mode
            ``"fast"``, or ``"step"``, the reference: firing by firing. All results are identical. A program with a
            merge always runs in ``step``; ``run.mode`` says what ran.
        skip
            In ``fast``, whether periods that repeat are jumped over where no values are computed.
        progress
            Called every 20 ms or so with the number of firings so far. What it raises stops the run and comes out, as
            Ctrl-C does.
        values
            A run that was recorded with ``record=True``, of this program or of one that it was :meth:`retimed` from or
            to. Its decisions and outputs stand for those of this run, so that no value is computed again.
        record
            Keep what is needed to time the program again; see ``values`` and :meth:`retimed`.
        trace
            Which firings to keep in ``run.trace``; True keeps all of them.
        intervals
            Length in cycles: ``run.intervals`` then has the five counters of every unit in every interval. Nothing is
            skipped.
        firing_times
            By unit the numbers of firings whose start is wanted in ``run.firing_times``.
        machine
            Whose memory answers the transfers of a program that has some: a :class:`rdu.Machine`, or the name of one.
            ``run.memory`` then says what it did.

        Raises
        ------
        rdu.errors.DeadlockError
            No unit can ever fire again; the error names the units and streams that wait for each other.
        rdu.errors.RunError
            A control token that is no decision, or a retimed run that ends early.
        rdu.errors.GraphError
            An unknown mode; a unit or number that does not exist; a recording that does not fit; transfers without a
            machine.
        rdu.errors.TransferError
            A transfer that leaves its tier.
        rdu.errors.MachineError
            A machine that does not exist.
        """
        if mode not in (FAST, STEP):
            raise GraphError(f'mode is {mode!r}; it must be "fast" or "step"')
        if not isinstance(skip, bool):
            raise GraphError(f"skip is {checks.shown(skip)}; it must be True or False")
        if progress is not None and not callable(progress):
            raise GraphError(f"progress is {progress!r}; it must be a function of the number of firings")
        if record and self._core.merges:
            raise GraphError("record: the program has a merge, whose choices follow from one timing and fit no other")
        found_machine = read(machine) if isinstance(machine, str) else machine
        wanted = None if firing_times is None else self._firing_times(firing_times)
        asked: _core._RunAsked = {
            "fast": mode == FAST,
            "skip": skip,
            "progress": progress,
            "record": bool(record),
            "recording": None if values is None else retiming.recording(values),
            "trace": None if trace is None or trace is False else window(trace).asked(self._labels),
            "intervals": None if intervals is None else checks.integer(intervals, "intervals", 1),
            "firing_times": wanted,
            "tiers": self._tiers(found_machine),
        }
        found = self._core.run(asked)
        numbers = None if wanted is None else [list(entry[1]) for entry in wanted]
        return collect(self._labels, found, numbers, list(firing_times or ()), values, found_machine)

    def retimed(
        self,
        units: Mapping[str, Mapping[str, object]] | None = None,
        streams: Mapping[str, Mapping[str, object]] | None = None,
    ) -> StreamProgram:
        """The same units and streams with other times and capacities.

        Parameters
        ----------
        units
            By name, any of ``ii`` and ``latency`` (cycles): a number for all phases of the unit, or a dictionary by
            phase for a unit that has named ones.
        streams
            By name, any of ``capacity`` (tokens), ``latency`` and ``credit`` (cycles).

        Raises
        ------
        rdu.errors.GraphError
            A name or key that does not exist, or a number that the builder would refuse.

        Examples
        --------
        >>> import rdu
        >>> b = rdu.Builder()
        >>> b.source("x", range(1000))
        >>> b.unit("mac", op="sum", ii=2)
        >>> b.sink("y")
        >>> b.stream("x", "mac", consume=10)
        >>> b.stream("mac", "y")
        >>> program = b.build()
        >>> run = program.run(record=True)
        >>> for ii in (2, 20, 200):
        ...     print(program.retimed(units={"mac": {"ii": ii}}).run(values=run).cycles)
        1002
        2406
        20406
        """
        core = self._core.retimed(
            retiming.units(units or {}, self._labels), retiming.streams(streams or {}, self._labels)
        )
        return StreamProgram(core, self._labels, self._reaches)

    def analyse(self) -> Analysis:
        """How fast the program can be, what holds it back, and how much room its streams need, before it runs.

        Every unit's nest is taken as one cycle of phases that goes on for ever, and memory as one that answers at once.

        Raises
        ------
        rdu.errors.GraphError
            A unit's rates depend on data, no numbers of cycles balance the rates, or an iteration has more than 2^20
            firings.

        Examples
        --------
        >>> import rdu
        >>> b = rdu.Builder()
        >>> b.unit("a", firings=30)
        >>> b.unit("b", firings=20, ii=4)
        >>> b.stream("a", "b", produce=2, consume=3)
        >>> analysis = b.build().analyse()
        >>> analysis.firings, analysis.iteration_cycles, analysis.critical[0].source
        ({'a': 3, 'b': 2}, Fraction(8, 1), 'b')
        """
        return Analysis(self._core, self.units, self.streams)

    def _tiers(self, machine: Machine | None) -> list[dict[str, object]] | None:
        """The tiers that answer transfers, where there are any."""
        if machine is not None and not isinstance(machine, Machine):
            raise GraphError(f"machine is {checks.shown(machine)}; it must be a rdu.Machine or the name of one")
        if not self._reaches:
            return None
        if machine is None:
            first = self._reaches[0]
            raise GraphError(
                f"unit {first.unit!r} transfers to {first.transfer.tier}, whose memory belongs to a machine; "
                'name one, as in run(machine="sn40l")'
            )
        transfer.check_fits(self._reaches, machine)
        return describe_tiers(machine)

    def _firing_times(self, wanted: object) -> list[tuple[int, list[int]]]:
        if not isinstance(wanted, Mapping):
            raise GraphError(f"firing_times is {checks.shown(wanted)}; it must be a dictionary of lists by unit")
        found = []
        for name, numbers in wanted.items():
            checks.known(checks.name(name, "firing_times"), self._labels.unit_numbers, "firing_times: unit")
            listed = checks.integers(numbers, f"firing_times of unit {name!r}", 0)
            found.append((self._labels.unit_numbers[name], list(listed)))
        return found

    def __repr__(self) -> str:
        return f"StreamProgram({len(self.units)} units, {len(self.streams)} streams)"

"""The builder: units and streams by name, checked as they are described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy.typing as npt

from ..errors import GraphError
from . import assembly, checks, choices, columns, inference, operators
from . import nest as nests
from . import transfer as transfers
from .labels import Labels
from .nest import Loop, Phase
from .parts import ROUTE, SINK, SOURCE, Choice, Function, Stream, StreamRow, Unit, UnitRow
from .program import StreamProgram
from .transfer import Transfer

Rates = int | list[int] | tuple[int, ...]

# A unit or stream whose numbers are whole and below this needs no closer look; programs may have 100 000 of them.
_FEW = 1 << 32
_TARGET = "a stream's target: unit"


class Builder:
    """Describes a stream program unit by unit, stream by stream.

    Every number may be given as a list; such a *cyclo-static* list is indexed by the unit's own firing number modulo
    its length. Every error is a :class:`rdu.errors.GraphError` that names the unit or stream and the value.

    Examples
    --------
    >>> b = Builder()
    >>> b.unit("src", firings=1000, ii=1, latency=2)
    >>> b.unit("mac", firings=1000, ii=3, latency=6)
    >>> b.stream("src", "mac", capacity=16, latency=3)
    >>> b.build().run().cycles
    3008
    """

    def __init__(self) -> None:
        # Units by name, as numbers; what all of them have; and those that have more.
        self._numbers: dict[str, int] = {}
        self._rows: list[UnitRow] = []
        self._units: dict[int, Unit] = {}
        self._streams: dict[str, StreamRow] = {}

    def unit(
        self,
        name: str,
        firings: int | None = None,
        ii: Rates = 1,
        latency: Rates = 0,
        op: str | Function | None = None,
        *,
        phases: Mapping[str, Phase] | None = None,
        nest: str | Loop | Sequence[str | Loop] | None = None,
        lanes: int | None = None,
        transfer: Transfer | None = None,
    ) -> None:
        """Add a unit.

        Parameters
        ----------
        name
            Unique among the units.
        firings
            How often it fires, at least 1. Left out, it follows from an input: as often as it takes to consume all
            tokens that the producer sends. Behind a data-dependent unit it fires as long as tokens come.
        ii
            Initiation interval: cycles from the start of a firing to the earliest start of the next, at least 1.
        latency
            Cycles from the start of a firing to its results leaving the unit.
        op
            What it computes, one of ``rdu._core.operators()``; in a program with values every unit needs one. The
            operands are the unit's inputs in the order in which their streams were described.

            For prototypes it may be a function. Each firing calls it with one float32 array (tokens, lanes) for each
            input, and it returns one such array for each output, or one for all of them. What it raises comes out of
            :meth:`StreamProgram.run`. A call costs about 1 µs of host time beside its own work, an operator of
            the table some nanoseconds; ``benches/test_dataflow.py`` measures it.
        phases, nest
            What it does in turns, instead of ``firings``, ``ii`` and ``latency``: phases by name (:func:`rdu.phase`)
            and the loops that run through them (:func:`rdu.loop`, the name of a phase, or a list of both). Nothing is
            unrolled. Rates that a stream leaves out are as the phases say.
        lanes
            Values in one token that a function makes, where that is not as many as in the tokens of its first input.
        transfer
            What every firing asks of memory: the unit is then a load or a store unit, and the program runs with a
            machine. A unit with phases says it in each of them.

        Examples
        --------
        >>> b = Builder()
        >>> b.unit("weights", firings=400)
        >>> b.unit("inputs", firings=800)
        >>> load, fire = nests.phase(latency=2, consume={"weights": 4}), nests.phase(latency=6, consume={"inputs": 1})
        >>> b.unit("mac", phases={"load": load, "fire": fire}, nest=nests.loop(100, "load", nests.loop(8, "fire")))
        >>> b.stream("weights", "mac")
        >>> b.stream("inputs", "mac")
        >>> b.build().run().units["mac"].firings
        900
        """
        plain = op is None and phases is None and nest is None and lanes is None and transfer is None
        if (
            plain
            and type(name) is str
            and type(ii) is type(latency) is int
            and (firings is None or type(firings) is int)
        ):
            common = 0 < ii < _FEW and 0 <= latency < _FEW and (firings is None or 0 < firings < _FEW)
            if common and name and name not in self._numbers and name.isascii():
                self._numbers[name] = len(self._rows)
                self._rows.append((firings, ii, latency))
                return
        self._check_new(name)
        count = None if firings is None else checks.number(firings, "unit", name, "firings", 1)
        if op is not None and not callable(op):
            what = f"unit {name!r}: op"
            op = checks.known(checks.name(op, what), operators.RULES, what)
        width = None
        if lanes is not None:
            if not callable(op):
                raise GraphError(f"unit {name!r}: lanes says what a function makes, but op is {op!r}")
            width = checks.number(lanes, "unit", name, "lanes", 1, checks.MOST_RATE)
        if phases is None and nest is None:
            unit = self._add(name, count, ii, latency, op, transfer)
            if width is not None:
                unit.lanes = width
            return
        if phases is None or nest is None:
            given, missing = ("phases", "nest") if nest is None else ("nest", "phases")
            raise GraphError(f"unit {name!r} has {given} but no {missing}; give both")
        if count is not None or (type(ii), type(latency), ii, latency) != (int, int, 1, 0):
            raise GraphError(f"unit {name!r} has phases, which say firings, ii and latency; leave these out")
        if transfer is not None:
            raise GraphError(f"unit {name!r} has phases; say transfer in each of them")
        described, body = nests.phases(phases, name), nests.checked(nest, f"unit {name!r}: nest")
        for entry in nests.names(body):
            checks.known(entry, described, f"unit {name!r}: nest: phase")
        unit = self._add(name, None, 1, 0, op)
        unit.phases, unit.nest, unit.lanes = described, body, width

    def source(
        self,
        name: str,
        values: npt.ArrayLike,
        ii: Rates = 1,
        latency: Rates = 0,
        *,
        transfer: Transfer | None = None,
    ) -> None:
        """Add a unit that sends the rows of an array, one token a row, in order.

        Parameters
        ----------
        name
            Unique among the units.
        values
            Shape (tokens, lanes) or (tokens,), which is one lane. A C-contiguous float32 array is borrowed, not copied
            (a memory-mapped file is read as the run goes): what is changed in it before a run is what the run sends.
            Anything else is converted to float32, which copies. Each of the source's streams carries every row (or,
            with rates of 0 in turns, its share of them).
        ii, latency, transfer
            As for :meth:`unit`, in cycles; the values are those of the array, whatever a transfer's address.
        """
        self._check_new(name)
        rows = checks.rows(values, f"source {name!r}: values")
        self._add(name, None, ii, latency, SOURCE, transfer).values = rows

    def sink(
        self,
        name: str,
        firings: int | None = None,
        ii: Rates = 1,
        latency: Rates = 0,
        *,
        transfer: Transfer | None = None,
    ) -> None:
        """Add a unit that keeps every token it takes: ``run.outputs[name]``, float32, shape (tokens, lanes).

        Its ``firings``, if left out, take as many tokens as its producer sends. Initial tokens of the stream come first
        (they are zeros), and as many tokens stay behind.
        """
        self._check_new(name)
        count = None if firings is None else checks.number(firings, "sink", name, "firings", 1)
        self._add(name, count, ii, latency, SINK, transfer)

    def switch(
        self,
        name: str,
        control: str,
        ii: int = 1,
        latency: int = 0,
        firings: int | None = None,
        decisions: npt.ArrayLike | None = None,
    ) -> None:
        """Add a unit that sends what it takes to one of its outputs: control value 0 to the first, 1 to the second.

        Outputs count in the order in which their streams were described. Each firing takes one token of control and
        ``consume`` tokens of the one data input, and sends ``produce`` of the chosen output.

        Parameters
        ----------
        name
            Unique among the units.
        control
            The input whose tokens decide, named by its stream, or by the unit that sends them. The first value of a
            token must be a whole number from 0 on.
        ii, latency
            Cycles, as for :meth:`unit`, of every firing.
        firings
            How often it fires; left out, as long as tokens come.
        decisions
            In a program without values: what the control would say, one whole number for each firing.

        Examples
        --------
        >>> b = Builder()
        >>> b.source("x", [1, 2, 3])
        >>> b.source("which", [0, 1, 0])
        >>> b.switch("route", control="which")
        >>> b.sink("even")
        >>> b.sink("odd")
        >>> for source, target in [("which", "route"), ("x", "route"), ("route", "even"), ("route", "odd")]:
        ...     b.stream(source, target)
        >>> b.build().run().outputs["even"].tolist()
        [[1.0], [3.0]]
        """
        self._choice(choices.SWITCH, name, control, ii, latency, firings, decisions)

    def select(
        self,
        name: str,
        control: str,
        ii: int = 1,
        latency: int = 0,
        firings: int | None = None,
        decisions: npt.ArrayLike | None = None,
    ) -> None:
        """Add a unit that takes from one of its inputs: control value 0 from the first, 1 from the second.

        Data inputs count in the order in which their streams were described, control left out. What is taken goes to
        all outputs. Parameters are those of :meth:`switch`.
        """
        self._choice(choices.SELECT, name, control, ii, latency, firings, decisions)

    def gate(
        self,
        name: str,
        control: str,
        ii: int = 1,
        latency: int = 0,
        firings: int | None = None,
        decisions: npt.ArrayLike | None = None,
    ) -> None:
        """Add a unit that drops what it takes where control says 0, and sends it to all outputs where it says 1.

        Parameters are those of :meth:`switch`.
        """
        self._choice(choices.GATE, name, control, ii, latency, firings, decisions)

    def merge(self, name: str, ii: int = 1, latency: int = 0, firings: int | None = None) -> None:
        """Add a unit that takes from whichever input has its tokens first, the earlier described one in a tie.

        Values then depend on time, which nothing else in a program does: such a program always runs in ``step``.

        Parameters
        ----------
        name, ii, latency, firings
            As for :meth:`switch`.
        """
        self._choice(choices.MERGE, name, None, ii, latency, firings, None)

    def stream(
        self,
        source: str,
        target: str | Sequence[str],
        capacity: int = 16,
        latency: int = 1,
        credit: int = 0,
        produce: Rates | None = None,
        consume: Rates | None = None,
        initial: int = 0,
        name: str | None = None,
    ) -> None:
        """Join two units by a bounded first-in first-out stream.

        Parameters
        ----------
        source, target
            Names of units that were added before. Several targets make a multicast: one stream to each, all alike; the
            source fires when all of them have room.
        capacity
            Slots for tokens, at least 1 and at least what one firing of either unit moves.
        latency
            Cycles from a token leaving the source to being visible at the target, at least 1.
        credit
            Cycles from a slot being freed to the source knowing it.
        produce, consume
            Tokens that one firing of the source sends, and that one of the target takes. Left out, it is as the unit's
            phases say, and 1 for a unit without phases.
        initial
            Tokens there at cycle 0; they take up capacity. In a program with values they are zeros.
        name
            Unique among the streams; ``"source->target"`` if left out, with ``#2`` and so on for the next ones. The
            streams of a multicast are always named so.
        """
        try:
            start, end = self._numbers[source], self._numbers[target]  # type: ignore[index]
        except (KeyError, TypeError):
            # All are checked before the first is added, so that a refused call changes nothing.
            for one in self._targets(source, target, name):
                self.stream(source, one, capacity, latency, credit, produce, consume, initial)
            return
        plain = f"{source}->{target}"
        name = plain if name is None and plain not in self._streams else self._new_stream(plain, name)
        common = type(capacity) is type(latency) is type(credit) is type(initial) is int
        if (
            not common
            or capacity < 1
            or latency < 1
            or min(credit, initial) < 0
            or max(capacity, latency, credit, initial) > _FEW
        ):
            capacity = checks.number(capacity, "stream", name, "capacity", 1)
            latency = checks.number(latency, "stream", name, "latency", 1)
            credit = checks.number(credit, "stream", name, "credit", 0)
            initial = checks.number(initial, "stream", name, "initial", 0)
        sends = None if produce is None else checks.rates(produce, name, "produce")
        takes = None if consume is None else checks.rates(consume, name, "consume")
        if initial or sends is not None or takes is not None:
            checks.capacity(name, capacity, initial, sends, takes)
            for at, rates in ((start, sends), (end, takes)):
                if rates is not None and len(rates) > 1:
                    self._unit(at).cyclic = True
        self._streams[name] = (start, end, capacity, latency, credit, initial, sends, takes)

    def build(self) -> StreamProgram:
        """Check the whole and return the program, which later changes of the builder leave alone.

        Raises
        ------
        rdu.errors.GraphError
            A stream does not balance (the target takes more than there is, or leaves more behind than fits), firings
            follow from nothing, or operators, rates and lanes do not fit together.
        """
        if not self._numbers:
            raise GraphError("the program has no units; add at least one with unit(...)")
        if not self._units and (counts := inference.plain(self._rows, self._streams.values())) is not None:
            core = columns.plain(self._numbers, self._rows, counts, self._streams)
            return StreamProgram(core, Labels(tuple(self._numbers), tuple(self._streams), {}, {}, {}))
        units = [self._units.get(at) or Unit(name, at, *self._rows[at], None) for name, at in self._numbers.items()]
        streams = [
            Stream(name, at, units[row[0]], units[row[1]], *row[2:])
            for at, (name, row) in enumerate(self._streams.items())
        ]
        return assembly.program(units, streams)

    def _check_new(self, name: str) -> None:
        if type(name) is not str or not name or not name.isascii():
            checks.name(name, "unit")
        if name in self._numbers:
            raise GraphError(f"two units are called {name!r}; names must be unique")

    def _targets(self, source: object, target: object, name: object) -> list[str]:
        """The targets of a multicast, checked."""
        checks.known(checks.name(source, "a stream's source"), self._numbers, "a stream's source: unit")
        targets = list(target) if isinstance(target, list | tuple) else [target]
        found = [checks.known(checks.name(one, "a stream's target"), self._numbers, _TARGET) for one in targets]
        if not found or len(set(found)) < len(found):
            raise GraphError(f"a stream's targets are {checks.shown(target)}; name at least one, and none twice")
        if name is not None:
            raise GraphError(f"stream {name!r} has several targets; only a stream with one can be named")
        return found

    def _new_stream(self, plain: str, name: object) -> str:
        if name is None:
            new, count = plain, 1
            while new in self._streams:
                count += 1
                new = f"{plain}#{count}"
            return new
        found = checks.name(name, "stream")
        if found in self._streams:
            raise GraphError(f"two streams are called {found!r}; names must be unique")
        return found

    def _choice(
        self,
        kind: str,
        name: str,
        control: str | None,
        ii: int,
        latency: int,
        firings: int | None,
        decisions: npt.ArrayLike | None,
    ) -> None:
        self._check_new(name)
        if kind != choices.MERGE:
            checks.name(control, f"{kind} {name!r}: control")
        interval = checks.number(ii, kind, name, "ii", 1)
        delay = checks.number(latency, kind, name, "latency", 0)
        count = None if firings is None else checks.number(firings, kind, name, "firings", 1)
        given = None
        if decisions is not None:
            given = choices.decisions(decisions, f"{kind} {name!r}: decisions")
            if count is not None and count != len(given):
                raise GraphError(f"{kind} {name!r} has {len(given)} decisions, but firings is {count}; leave it out")
        self._add(name, count, interval, delay, ROUTE).choice = Choice(kind, control, given)

    def _add(
        self,
        name: str,
        firings: int | None,
        ii: Rates,
        latency: Rates,
        role: str | Function | None,
        transfer: Transfer | None = None,
    ) -> Unit:
        intervals = checks.numbers(ii, "unit", name, "ii", 1)
        latencies = checks.numbers(latency, "unit", name, "latency", 0)
        unit = Unit(name, len(self._rows), firings, intervals, latencies, role)
        unit.transfer = transfers.checked(transfer, f"unit {name!r}")
        if not type(intervals) is type(latencies) is int:
            unit.cyclic = True
        self._numbers[name] = unit.at
        self._units[unit.at] = unit
        # Its place among the others; what it says is in the unit.
        self._rows.append((None, 1, 0))
        return unit

    def _unit(self, at: int) -> Unit:
        """A unit that gets to have more than its row says."""
        if at not in self._units:
            name = next(islice(self._numbers, at, None))
            self._units[at] = Unit(name, at, *self._rows[at], None)
        return self._units[at]

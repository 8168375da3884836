"""The builder: units and streams by name, checked as they are described."""

from __future__ import annotations

import numpy.typing as npt

from .. import _core
from ..errors import GraphError
from . import checks, inference, phases
from .parts import SINK, SOURCE, Role, Stream, Unit
from .program import StreamProgram

Rates = int | list[int] | tuple[int, ...]


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
        self._units: dict[str, Unit] = {}
        self._streams: dict[str, Stream] = {}

    def unit(
        self,
        name: str,
        firings: int | None = None,
        ii: Rates = 1,
        latency: Rates = 0,
        op: str | None = None,
    ) -> None:
        """Add a unit.

        Parameters
        ----------
        name
            Unique among the units.
        firings
            How often it fires, at least 1. Left out, it follows from an input: as often as it takes to consume all
            tokens that the producer sends.
        ii
            Initiation interval: cycles from the start of a firing to the earliest start of the next, at least 1.
        latency
            Cycles from the start of a firing to its results leaving the unit.
        op
            What it computes, one of ``rdu._core.operators()``; in a program with values every unit needs one. The
            operands are the unit's inputs in the order in which their streams were described.
        """
        name = self._new_unit(name)
        count = None if firings is None else checks.integer(firings, f"unit {name!r}: firings", 1)
        if op is not None:
            op = checks.known(checks.name(op, f"unit {name!r}: op"), _ARITY, f"unit {name!r}: op")
        self._add(name, count, ii, latency, op)

    def source(self, name: str, values: npt.ArrayLike, ii: Rates = 1, latency: Rates = 0) -> None:
        """Add a unit that sends the rows of an array, one token a row, in order.

        Parameters
        ----------
        name
            Unique among the units.
        values
            Shape (tokens, lanes) or (tokens,), which is one lane; converted to float32 and copied. Each of the
            source's streams carries every row (or, with rates of 0 in turns, its share of them).
        ii, latency
            As for :meth:`unit`, in cycles.
        """
        name = self._new_unit(name)
        self._add(name, None, ii, latency, SOURCE).values = checks.rows(values, f"source {name!r}: values")

    def sink(self, name: str, firings: int | None = None, ii: Rates = 1, latency: Rates = 0) -> None:
        """Add a unit that keeps every token it takes: ``run.outputs[name]``, float32, shape (tokens, lanes).

        Its ``firings``, if left out, take as many tokens as its producer sends. Initial tokens of the stream come first
        (they are zeros), and as many tokens stay behind.
        """
        name = self._new_unit(name)
        count = None if firings is None else checks.integer(firings, f"sink {name!r}: firings", 1)
        self._add(name, count, ii, latency, SINK)

    def stream(
        self,
        source: str,
        target: str,
        capacity: int = 16,
        latency: int = 1,
        credit: int = 0,
        produce: Rates = 1,
        consume: Rates = 1,
        initial: int = 0,
        name: str | None = None,
    ) -> None:
        """Join two units by a bounded first-in first-out stream.

        Parameters
        ----------
        source, target
            Names of units that were added before.
        capacity
            Slots for tokens, at least 1 and at least what one firing of either unit moves.
        latency
            Cycles from a token leaving the source to being visible at the target, at least 1.
        credit
            Cycles from a slot being freed to the source knowing it.
        produce, consume
            Tokens that one firing of the source sends, and that one of the target takes.
        initial
            Tokens there at cycle 0; they take up capacity. In a program with values they are zeros.
        name
            Unique among the streams; ``"source->target"`` if left out, with ``#2`` and so on for the next ones.
        """
        for end, role in ((source, "source"), (target, "target")):
            checks.known(checks.name(end, f"a stream's {role}"), self._units, f"a stream's {role}: unit")
        name = self._new_stream(source, target, name)
        what = f"stream {name!r}:"
        start, end_unit = self._units[source], self._units[target]
        slots = checks.integer(capacity, f"{what} capacity", 1)
        stream = Stream(
            name=name,
            source=start,
            target=end_unit,
            output=len(start.outputs),
            input=len(end_unit.inputs),
            capacity=slots,
            latency=checks.integer(latency, f"{what} latency", 1),
            credit=checks.integer(credit, f"{what} credit", 0),
            initial=checks.integer(initial, f"{what} initial", 0),
            produce=checks.rates(produce, f"{what} produce"),
            consume=checks.rates(consume, f"{what} consume"),
        )
        needs = ((max(stream.produce), "produce"), (max(stream.consume), "consume"), (stream.initial, "initial"))
        for need, key in needs:
            if slots < need:
                raise GraphError(f"{what} capacity is {slots}, below {key} of {need}; make it at least {need}")
        self._streams[name] = stream
        start.outputs.append(stream)
        end_unit.inputs.append(stream)

    def build(self) -> StreamProgram:
        """Check the whole and return the program, which later changes of the builder leave alone.

        Raises
        ------
        rdu.errors.GraphError
            A stream does not balance (the target takes more than there is, or leaves more behind than fits), firings
            follow from nothing, or operators, rates and lanes do not fit together.
        """
        if not self._units:
            raise GraphError("the program has no units; add at least one with unit(...)")
        units, streams = list(self._units.values()), list(self._streams.values())
        cycles = [phases.cycle(unit) for unit in units]
        firings = inference.firings(units, cycles)
        lanes = inference.lanes(units)
        roles = None
        if any(unit.role is not None for unit in units):
            inference.check_values(units, cycles, _ARITY.__getitem__)
            roles = [_role(unit, _width(unit, lanes)) for unit in units]
        described = [
            {
                "name": unit.name,
                "phases": [phase.description for phase in cycle.phases],
                "nest": cycle.nest(count),
            }
            for unit, cycle, count in zip(units, cycles, firings, strict=True)
        ]
        core = _core.StreamProgram(
            described,
            [_description(stream, lanes.get(stream.name, 1)) for stream in streams],
            roles,
        )
        sinks = {unit.at: _width(unit, lanes) for unit in units if unit.role == SINK}
        return StreamProgram(core, tuple(self._units), tuple(self._streams), sinks)

    def _new_unit(self, name: object) -> str:
        name = checks.name(name, "unit")
        if name in self._units:
            raise GraphError(f"two units are called {name!r}; names must be unique")
        return name

    def _new_stream(self, source: str, target: str, name: object) -> str:
        if name is None:
            plain = f"{source}->{target}"
            name, count = plain, 1
            while name in self._streams:
                count += 1
                name = f"{plain}#{count}"
        found = checks.name(name, "stream")
        if found in self._streams:
            raise GraphError(f"two streams are called {found!r}; names must be unique")
        return found

    def _add(self, name: str, firings: int | None, ii: Rates, latency: Rates, role: str | None) -> Unit:
        intervals = checks.integers(ii, f"unit {name!r}: ii", 1)
        latencies = checks.integers(latency, f"unit {name!r}: latency", 0)
        unit = Unit(name, len(self._units), firings, intervals, latencies, role)
        self._units[name] = unit
        return unit


# Inputs that each operator takes; None is one or more.
_ARITY = {name: inputs for name, _, inputs in _core.operators()}


def _width(unit: Unit, lanes: dict[str, int]) -> int:
    return lanes.get(unit.inputs[0].name, 1) if unit.inputs else 1


def _role(unit: Unit, lanes: int) -> Role:
    return (unit.role or "", lanes, None if unit.values is None else unit.values.reshape(-1))


def _description(stream: Stream, lanes: int) -> dict[str, object]:
    return {
        "name": stream.name,
        "from": (stream.source.at, stream.output),
        "to": (stream.target.at, stream.input),
        "capacity": stream.capacity,
        "latency": stream.latency,
        "credit": stream.credit,
        "initial": stream.initial,
        "lanes": lanes,
    }

"""A built stream program: immutable, and run any number of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .. import _core
from ..errors import GraphError
from .analysis import Analysis
from .result import StreamRun, StreamTotals, UnitTotals


class StreamProgram:
    """What :meth:`rdu.Builder.build` returns; two runs of one program are equal in every number."""

    def __init__(
        self, core: _core.StreamProgram, units: tuple[str, ...], streams: tuple[str, ...], sinks: Mapping[int, int]
    ) -> None:
        self._core = core
        self._units = units
        self._streams = streams
        # Unit index of each sink -> values in one of its tokens.
        self._sinks = dict(sinks)

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, in the order in which they were described."""
        return self._units

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in the order in which they were described."""
        return self._streams

    def describe(self) -> dict[str, list[dict[str, object]]]:
        """The program as plain dictionaries and lists that ``json`` can write: what pictures and formats are made from.

        Returns
        -------
        dict
            ``"units"``: for each its ``name``, ``op`` (``"source"``, ``"sink"``, an operator, or None without values),
            ``firings`` (None where only a run tells), ``phases`` and ``nest``. A phase has ``ii`` and ``latency`` in
            cycles, and ``consume`` and ``produce``: tokens by stream name. A nest is a list of
            ``{"phase": index, "times": count}`` and ``{"body": nest, "times": count}``, run from front to back.

            ``"streams"``: for each its ``name``, ``source``, ``target`` (unit names), ``capacity`` (tokens),
            ``latency``, ``credit`` (cycles), ``initial`` (tokens), ``lanes`` (values in one token), and ``produce`` and
            ``consume``: tokens by phase of the source and of the target.
        """
        return self._core.describe()

    def run(self, mode: str = "step", progress: Callable[[int], object] | None = None) -> StreamRun:
        """Run the program from cycle 0 until every unit has finished.

        Parameters
        ----------
        mode
            ``"step"``, the reference: firing by firing.
        progress
            Called every 20 ms or so with the number of firings so far. What it raises stops the run and comes out, as
            Ctrl-C does.

        Raises
        ------
        rdu.errors.DeadlockError
            No unit can ever fire again; the error names the units and streams that wait for each other.
        rdu.errors.GraphError
            An unknown mode.
        """
        if mode == "fast":
            raise GraphError('mode "fast" is not available yet; use mode="step"')
        if mode != "step":
            raise GraphError(f'mode is {mode!r}; it must be "step"')
        if progress is not None and not callable(progress):
            raise GraphError(f"progress is {progress!r}; it must be a function of the number of firings")
        cycles, firings, units, streams, outputs = self._core.run(progress)
        return StreamRun(
            cycles=cycles,
            firings=firings,
            units={name: UnitTotals(*row) for name, row in zip(self._units, units, strict=True)},
            streams={name: StreamTotals(*row) for name, row in zip(self._streams, streams, strict=True)},
            outputs={self._units[at]: values.reshape(-1, self._sinks[at]) for at, values in outputs},
        )

    def analyse(self) -> Analysis:
        """How fast the program can be, what holds it back, and how much room its streams need, before it runs.

        Every unit's nest is taken as one cycle of phases that goes on for ever.

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
        return Analysis(self._core, self._units, self._streams)

    def __repr__(self) -> str:
        return f"StreamProgram({len(self._units)} units, {len(self._streams)} streams)"

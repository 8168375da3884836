"""One machine with one program, and several sequences that take their steps together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy.typing as npt

from rdu.errors import RequestError
from rdu.run import Array, Session, row_indices

if TYPE_CHECKING:
    from rdu.program import Cache, Program, Site


class BatchSession(Session):
    """As many sequences as the program's batch, each with a cache of its own; weights are read once for all of them.

    Prompts come one after the other; then every step adds a position to each sequence. The sequences may differ in
    length, and have the values that each would have alone. On the machine they move in lockstep: a step takes as long
    as if all were as long as the longest.

    Parameters
    ----------
    program : Program
    mode : {"split", "values"}
    progress : function of the number of firings, optional

    Attributes
    ----------
    pasts : list of int
        Positions of each sequence.
    """

    def __init__(self, program: Program, mode: str = "split", progress: Callable[[int], None] | None = None) -> None:
        if mode == "step":
            raise RequestError("mode 'step' runs one sequence at a time; for a batch choose 'split' or 'values'")
        super().__init__(program, mode, progress)
        self.pasts = [0] * program.batch
        self._sequence = 0
        self._joined = False

    def prompt(self, sequence: int, rows: npt.ArrayLike) -> BatchSession:
        """Append positions to one sequence; `last` then has its newest outputs.

        Raises
        ------
        RequestError
            See `Session.feed`; or a sequence that the batch does not have.
        """
        if not 0 <= sequence < len(self.pasts):
            raise RequestError(f"sequence {sequence} is none of the {len(self.pasts)} of the batch")
        self._sequence, self.past = sequence, self.pasts[sequence]
        self.feed(rows, last_only=True)
        self.pasts[sequence] = self.past
        return self

    def step(self, rows: Sequence[int], wanted: Sequence[bool]) -> dict[str, Array]:
        """One more position of each sequence that is wanted; the others stay as they are, and give padding.

        Parameters
        ----------
        rows : sequence of int
            The row index (token id) of each sequence.
        wanted : sequence of bool

        Returns
        -------
        dict of float32 arrays, shape (batch, width)

        Raises
        ------
        RequestError
            A number of rows that is not the batch's, a row outside its table, or a full context.
        """
        batch = len(self.pasts)
        if len(rows) != batch or len(wanted) != batch or not any(wanted):
            raise RequestError(
                f"{len(rows)} rows, {sum(wanted)} wanted: a step takes one for each of {batch} sequences"
            )
        indices = row_indices(rows)
        self._check_rows(indices)
        self.past = max(past for past, want in zip(self.pasts, wanted, strict=True) if want)
        if self.past == self.program.context:
            raise RequestError(f"a sequence has all {self.past} positions of the context; compile with a larger one")
        written: dict[str, int] = {}
        self._joined = True
        try:
            self.advance(batch, indices.tolist(), written, joined=True)
        finally:
            self._joined = False
        self.pasts = [past + want for past, want in zip(self.pasts, wanted, strict=True)]
        self.steps[-1] = replace(self.steps[-1], positions=sum(wanted))
        return {name: self._read(self.program.boundaries[name], written[name]) for name in self.outputs}

    def _cache(self, cache: Cache) -> Cache:
        return cache.together() if self._joined else cache.of(self._sequence)

    def _argument(self, name: str, site: Site) -> int:
        """Arguments that a sequence has of its own begin with its number: ``3/past.0``."""
        number, own, rest = name.partition("/")
        if not own:
            return super()._argument(name, site)
        joined = self.past, self._sequence, self._joined
        # A sequence that is not wanted may be full: what it leaves behind must not be another's.
        self._sequence, self._joined = int(number), False
        self.past = min(self.pasts[self._sequence], self.program.context - 1)
        found = super()._argument(rest, site)
        self.past, self._sequence, self._joined = joined
        return found

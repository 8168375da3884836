"""A machine running a program, and what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rdu import _core
from rdu.errors import RequestError

if TYPE_CHECKING:
    from rdu.program import Boundary, Cache, Loaded, Program, Site

Array = npt.NDArray[Any]
MODES = ("split", "step", "values")
LANES = 16  # fp32 values in a 64-byte token
TIERS = 2  # memories of a socket


@dataclass(frozen=True)
class Step:
    """One stretch of positions that went through the whole program.

    ``cycles`` is machine time, ``host_s`` what the host took; the two never mix.
    """

    positions: int
    past: int
    cycles: int
    host_s: float


@dataclass(eq=False)
class Run:
    """What a run returns: values, counters, and (when asked) a report.

    Attributes
    ----------
    outputs : dict of float32 arrays, shape (positions, width)
    tokens, text : generated token ids and their text, where the run generated any
    prompt_tokens : the ids that the run was given
    steps : one `Step` for each pass through the program; generated tokens come from the last one of the prompt and all
        after it
    totals : the engine's counters
    """

    program: Program
    outputs: dict[str, Array]
    steps: list[Step]
    totals: dict[str, Any]
    clock: bool
    prompt_steps: int = 0
    prompt_tokens: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    stopped_by: str = ""
    _report: Any = None

    @property
    def logits(self) -> Array:
        """float32, (positions, vocabulary): the graph's output called ``logits``."""
        if "logits" not in self.outputs:
            raise RequestError(f"the run has no output 'logits'; its outputs are {sorted(self.outputs)}")
        return self.outputs["logits"]

    @property
    def cycles(self) -> int:
        """Machine time of the whole run, in clock cycles."""
        return int(self.totals["cycles"])

    @property
    def report(self) -> Any:
        """What the machine did: ``print(run.report)``, or ``run.report.to_dict()``."""
        if self._report is None:
            if self.program.reporter is None:
                raise RequestError("this program was compiled without a reporter; use rdu.compile")
            if not self.clock:
                raise RequestError("this run had no machine time (mode 'values'); run in mode 'split' or 'step'")
            self._report = self.program.reporter(self)
        return self._report


class Session:
    """One machine with one program in its memory, and the sequence fed to it so far."""

    def __init__(self, program: Program, mode: str = "split", progress: Callable[[int], None] | None = None) -> None:
        if mode not in MODES:
            raise RequestError(f"mode is {mode!r}; choose one of {', '.join(MODES)}")
        self.program = program
        self.mode = mode
        self.progress = progress
        self.past = 0
        self.steps: list[Step] = []
        self.outputs: dict[str, list[Array]] = {tensor.name: [] for tensor in program.graph.outputs}
        regions = []
        if program.values:
            boundaries = program.boundaries.values()
            regions += [(boundary.base + bank, boundary.bytes) for boundary in boundaries for bank in boundary.banks]
            caches = [cache for site in program.sites for cache in site.caches]
            regions += [(cache.base + bank, cache.bytes) for cache in caches for bank in cache.banks]
        timer = program.step_timer if mode == "step" else program.timer
        self._core = _core.Session(program.image, timer, regions)

    @property
    def cycles(self) -> int:
        """Machine time so far, in clock cycles."""
        return self._core.cycles

    def feed(
        self, rows: npt.ArrayLike | None, inputs: Mapping[str, Array] | None = None, *, last_only: bool = False
    ) -> Session:
        """Run the program over more positions, in blocks of at most ``program.block``.

        Parameters
        ----------
        rows : array_like of int, or None
            Row indices (token ids), one per position.
        inputs : mapping of name to float32 array (positions, width), optional
        last_only : bool
            Compute outputs of the last position only.

        Raises
        ------
        RequestError
            No positions, rows that are no whole numbers or outside their table, or more than the context.
        """
        indices = None if rows is None else row_indices(rows)
        inputs = inputs or {}
        count = len(indices) if indices is not None else len(next(iter(inputs.values())))
        if self.past + count > self.program.context:
            raise RequestError(
                f"{self.past} + {count} positions are more than the context of {self.program.context}; "
                f"compile with a larger context, or give a shorter prompt"
            )
        self._check_rows(indices)
        for start in range(0, count, self.program.block):
            end = min(start + self.program.block, count)
            block = [] if indices is None else indices[start:end].tolist()
            part = {name: array[start:end] for name, array in inputs.items()}
            self._block(end - start, block, part, last_only, wanted=end == count)
        return self

    def last(self, name: str) -> Array:
        """The newest row of an output."""
        row: Array = self.outputs[name][-1][-1]
        return row

    def result(self) -> Run:
        """The run so far."""
        joined = {name: np.concatenate(parts) for name, parts in self.outputs.items() if parts}
        totals = per_copy(self._core.totals(), self.program.kernels, self.mode == "step")
        return Run(self.program, joined, list(self.steps), totals, self.mode != "values")

    def _check_rows(self, indices: Array | None) -> None:
        for op in self.program.lookups:
            if indices is None:
                raise RequestError(f"the graph looks up rows of {op.name!r}; pass their indices")
            table = op.weights[0]
            most = table.shape[0] if table else 0
            bad = np.flatnonzero((indices < 0) | (indices >= most))
            if len(bad):
                at = int(bad[0])
                raise RequestError(f"token id {int(indices[at])} at position {at} is outside the vocabulary of {most}")

    def _block(self, count: int, rows: list[int], inputs: Mapping[str, Array], tail: bool, *, wanted: bool) -> None:
        """One pass of ``count`` positions; with ``tail`` the last calls see one position, or none if not ``wanted``."""
        written: dict[str, int] = {}
        for name, array in inputs.items():
            boundary = self.program.boundaries[name]
            self._core.write(boundary.base, _to_tokens(array))
            written[name] = count
        self.advance(count, rows, written, tail=tail, wanted=wanted)
        for name, parts in self.outputs.items():
            if name in written:
                parts.append(self._read(self.program.boundaries[name], written[name]))

    def advance(
        self,
        count: int,
        rows: list[int],
        written: dict[str, int],
        *,
        tail: bool = False,
        wanted: bool = True,
        joined: bool = False,
    ) -> None:
        """One pass of ``count`` positions whose inputs are in memory; ``written`` tells and is told how many rows each
        tensor there has. ``joined``: a row of each sequence of the batch.
        """
        started, cycles = time.perf_counter(), self._core.cycles
        sites = self.program.sites
        if self.program.whole is not None and (count == 1 or not tail) and (wanted or not tail):
            sites = (self.program.whole,)
        calls: list[tuple[int, _core.Kernel, list[int]]] = []
        for site in sites:
            if tail and site.tail and not wanted:
                continue
            positions = 1 if tail and site.tail else count
            sources = tuple(written[name] for name in site.inputs)
            kernel = self.program.kernel(site.kernel, positions, sources, joined)
            arguments = [self._argument(name, site) for name in kernel.lowered.arguments]
            core = kernel.whole if self.mode == "step" else kernel.core
            calls.append((kernel.number, core, arguments))
            written.update(dict.fromkeys(site.outputs, positions))
        self._core.run(calls, rows, self.program.timed_rows(len(rows)), self.mode, self.progress)
        self.steps.append(Step(count, self.past, self._core.cycles - cycles, time.perf_counter() - started))
        self.past += count

    def _argument(self, name: str, site: Site) -> int:
        """The value that a call passes for the argument called ``name``."""
        boundaries, past = self.program.boundaries, self.past
        held = self.program.machine.mapping.held(past)
        kind, _, rest = name.partition(".")
        if kind == "weights":
            return site.weights
        if kind in ("turn", "turns"):
            assert self.program.turns is not None
            base, row_bytes = self.program.turns
            if kind == "turn":
                return base + past * row_bytes
            # The table is read in whole granules.
            address = base + held * row_bytes
            return address - address % self.program.granule_bytes
        if kind in ("in", "out"):
            names = site.inputs if kind == "in" else site.outputs
            return boundaries[names[int(rest)]].base
        number, _, use = rest.partition(".")
        return cache_argument(self._cache(site.caches[int(number)]), kind, use, past, held)

    def _cache(self, cache: Cache) -> Cache:
        """As the next call sees it."""
        return cache

    def _read(self, boundary: Boundary, positions: int) -> Array:
        parts: list[Array] = [
            self._core.read(boundary.base + bank, positions, boundary.width) for bank in boundary.banks
        ]
        # Logits are large: in one part, these are what was read, without a copy.
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return whole[:, : boundary.columns]


def per_copy(totals: dict[str, Any], kernels: list[Loaded], whole: bool) -> dict[str, Any]:
    """Counters with one row for each bundle (of one copy: all are alike), and the firings of all copies.

    ``whole``: the engine ran every copy, and counted them one by one.
    """
    loaded = {kernel.number: kernel for kernel in kernels}
    for number, kernel in enumerate(totals["kernels"]):
        if kernel["calls"] == 0:
            continue
        lowered = loaded[number].lowered
        if whole:
            units, streams = lowered.representatives
            kernel["units"] = [kernel["units"][at] for at in units]
            kernel["streams"] = [kernel["streams"][at] for at in streams]
            _of_one_socket(kernel)
        kernel["firings"] = sum(unit.copies * row[-1] for unit, row in zip(lowered.units, kernel["units"], strict=True))
    totals["firings"] = sum(kernel["firings"] for kernel in totals["kernels"])
    if whole:
        _of_one_socket(totals)
    return totals


def _of_one_socket(counted: dict[str, Any]) -> None:
    """Keep the tiers of the first socket, which stands for all."""
    for key in ("traffic", "memory"):
        counted[key] = counted[key][:TIERS]


def cache_argument(cache: Cache, kind: str, use: str, past: int, held: int) -> int:
    """What a call passes about a cache: counts of rows, or addresses of keys or values.

    Values are those of ``past`` rows; the machine moves ``held``, which are whole tiles, and always whole granules.
    """
    seen, streamed, layout = cache.seen(past), cache.seen(held), cache.layout
    counts = {
        "past": lambda: seen,
        "rounds": lambda: layout.key_rounds(streamed),
        "granules": lambda: layout.granules(streamed),
        "rest": lambda: layout.rest(streamed),
    }
    if kind in counts:
        return counts[kind]()
    base = cache.base + (layout.keys_bytes if kind == "v" else 0)
    if use in ("read", "write"):
        return base + (past if use == "write" else past - seen) * layout.row_bytes
    offset = (held if use == "store" else held - streamed) * layout.padded_bytes
    return base + offset - offset % layout.granule_bytes


def row_indices(rows: npt.ArrayLike) -> Array:
    """Row indices as int64, one per position, at least one; `RequestError` says what they are instead."""
    try:
        given = np.asarray(rows)
    except ValueError as error:
        raise RequestError(f"row indices (token ids) are no array: {error}") from None
    if given.ndim != 1 or given.size == 0:
        raise RequestError(
            f"row indices (token ids) have shape {given.shape}; give one for each position, at least one"
        )
    if given.dtype.kind not in "iu":
        raise RequestError(f"row indices (token ids) are {given.dtype}; they must be whole numbers below 2^63")
    if given.dtype.kind == "u" and given.max() > np.iinfo(np.int64).max:
        raise RequestError(f"row index (token id) {given.max()} is too large; they must be whole numbers below 2^63")
    return given.astype(np.int64)


def _to_tokens(array: Array) -> Array:
    """Rows as they lie in memory: chunk by chunk, within a chunk position by position."""
    positions, width = array.shape
    padded = np.zeros((positions, -(-width // LANES) * LANES), np.float32)
    padded[:, :width] = array
    return np.ascontiguousarray(padded.reshape(positions, -1, LANES).transpose(1, 0, 2)).reshape(-1)

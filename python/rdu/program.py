"""A program: mapped, validated, immutable. Runs are made from it; it never changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rdu import _core
from rdu._core import Image, build_profile, dequantize, read_seconds
from rdu.errors import RequestError
from rdu.graph import Array, Graph, Operator
from rdu.machine import Machine
from rdu.memory.tier import describe_tiers
from rdu.quantization import Quantization
from rdu.run import Run, Session, row_indices

__all__ = [
    "Boundary",
    "Cache",
    "Image",
    "Layout",
    "Loaded",
    "Lowered",
    "Program",
    "Reporter",
    "Site",
    "build_profile",
    "dequantize",
    "engine_file",
    "read_seconds",
]


def engine_file() -> Path:
    """The file that the engine is in; another build of it may lay out weights differently."""
    return Path(_core.__file__)


class Layout(Protocol):
    """How cached rows lie in memory."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        ...

    @property
    def padded_bytes(self) -> int:
        """The same in the emulated memory."""
        ...

    @property
    def granule_bytes(self) -> int:
        """Bytes of a transfer."""
        ...

    @property
    def keys_bytes(self) -> int:
        """From the keys of a layer to its values."""
        ...

    @property
    def layer_bytes(self) -> int:
        """From one layer to the next."""
        ...

    def key_rounds(self, seen: int) -> int:
        """Firings that take ``seen`` rows."""
        ...

    def granules(self, seen: int) -> int:
        """Transfers that bring them."""
        ...

    def rest(self, seen: int) -> int:
        """Rows in those transfers beyond them."""
        ...


@dataclass(frozen=True)
class Cache:
    """Where the rows of one attention operator lie: of each layer the keys, and after them the values.

    Each of ``sequences`` has a cache of its own, one behind the other. Those who work on all of them at a time see the
    same memory as ``joint`` says.
    """

    base: int
    layout: Layout
    layers: int
    window: int | None
    sequences: int
    joint: Layout
    # From ``base`` to the same in each socket that keeps heads of its own.
    banks: tuple[int, ...] = (0,)

    @property
    def sequence_bytes(self) -> int:
        """Of one sequence, layer after layer."""
        return self.layers * self.layout.layer_bytes

    @property
    def bytes(self) -> int:
        """All of it."""
        return max(self.sequences * self.sequence_bytes, self.layers * self.joint.layer_bytes)

    def of(self, sequence: int) -> Cache:
        """What one sequence sees."""
        return replace(self, base=self.base + sequence * self.sequence_bytes)

    def together(self) -> Cache:
        """What all of them see when they take a step together."""
        return replace(self, layout=self.joint)

    def seen(self, past: int) -> int:
        """Cached rows that the next call reads: all, or as many as the window lets its first position see."""
        return past if self.window is None else min(past, self.window - 1)


@dataclass(frozen=True)
class Site:
    """One kernel call of the program: which kernel, and the addresses that the call passes as arguments.

    ``tail``: nothing after this call needs more than the last position.
    """

    name: str
    kernel: int
    weights: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    caches: tuple[Cache, ...]
    tail: bool


@dataclass(frozen=True)
class Boundary:
    """A tensor that crosses kernel calls: its address and width; rows lie chunk by chunk.

    Of a tensor that sockets share, each has a part of that width and size: ``banks`` says how far behind ``base`` each
    lies, and ``columns`` how wide all of it is without padding.
    """

    base: int
    width: int
    bytes: int
    columns: int
    banks: tuple[int, ...] = (0,)


class Lowered(Protocol):
    """What the compiler makes of a kernel at a number of positions."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def description(self) -> dict[str, Any]:
        """The engine's form, one unit for each bundle."""
        ...

    @property
    def whole(self) -> dict[str, Any]:
        """The engine's form with every copy of a bundle."""
        ...

    @property
    def representatives(self) -> tuple[list[int], list[int]]:
        """Where in ``whole`` the first copy of each unit, and of each stream, stands."""
        ...

    @property
    def arguments(self) -> tuple[str, ...]:
        """What a call passes, in order."""
        ...

    @property
    def units(self) -> tuple[Any, ...]:
        """The mapped units, in the engine's order."""
        ...

    @property
    def streams(self) -> tuple[Any, ...]:
        """The mapped streams, in the engine's order."""
        ...


@dataclass(frozen=True)
class Loaded:
    """A lowered kernel that the engine has checked; ``number`` is its place in the counters."""

    number: int
    lowered: Lowered
    core: _core.Kernel
    positions: int

    @cached_property
    def whole(self) -> _core.Kernel:
        """The same with every copy of a bundle: for values on tokens."""
        return _core.Kernel(self.lowered.whole)


Reporter = Callable[[Run], Any]
# Spreads neighbours far apart: 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4).
_STRIDE = 2654435769


@dataclass(eq=False)
class Program:
    """A graph on a machine. Made by `rdu.compile`.

    Attributes
    ----------
    graph, machine, dtype, fusion : what was compiled, onto what, and how
    context : int
        Most positions of a sequence; the cache has room for them.
    block : int
        Most positions of one kernel call; longer inputs take several.
    sites : tuple of Site
        The kernel calls of a pass.
    whole : Site or None
        One call in their place, where all of them have the same positions.
    weight_bytes, state_bytes : int
        What the program keeps in HBM.
    batch : int
        Sequences that can take a step together: `rdu.batch.BatchSession`.
    quantization : Quantization or None
        What rounding its weights to whole numbers took from them.
    """

    graph: Graph
    machine: Machine
    dtype: str
    fusion: str
    context: int
    block: int
    sites: tuple[Site, ...]
    whole: Site | None
    boundaries: Mapping[str, Boundary]
    turns: tuple[int, int] | None
    granule_bytes: int
    weight_bytes: int
    state_bytes: int
    image: Image
    lower: Callable[[int, int, tuple[int, ...], bool], Lowered]
    reporter: Reporter | None = None
    # Without values the program can only be timed: `Session.advance`.
    values: bool = True
    quantization: Quantization | None = None
    batch: int = 1
    explainer: Callable[[Program, int, int], Any] | None = None
    _kernels: dict[tuple[int, int, tuple[int, ...], bool], Loaded] = field(default_factory=dict)

    def kernel(self, index: int, positions: int, sources: tuple[int, ...], joined: bool = False) -> Loaded:
        """The kernel for calls of ``positions`` rows of one sequence, or with ``joined`` of one row of each sequence of
        the batch; lowered when first asked for.
        """
        key = (index, positions, sources, joined)
        if key not in self._kernels:
            lowered = self.lower(index, positions, sources, joined)
            core = _core.Kernel(lowered.description)
            self._kernels[key] = Loaded(len(self._kernels), lowered, core, positions)
        return self._kernels[key]

    @property
    def kernels(self) -> list[Loaded]:
        """Every kernel lowered so far, by number."""
        return list(self._kernels.values())

    @cached_property
    def timer(self) -> _core.Timer:
        """Times passes through the program, each from a machine at rest, and keeps what they took."""
        return self._timer(1)

    @cached_property
    def step_timer(self) -> _core.Timer:
        """The same for tokens that carry values, on all sockets, each with memories of its own."""
        return self.timer if self.machine.sockets == 1 else self._timer(self.machine.sockets)

    def _timer(self, sockets: int) -> _core.Timer:
        machine = self.machine
        costs = (
            machine.cycles(1e3 * (machine.call_us(program_load=True) - machine.call_us(program_load=False))),
            machine.cycles(1e3 * machine.call_us(program_load=False)),
        )
        return _core.Timer(describe_tiers(machine) * sockets, costs)

    def timed_rows(self, count: int) -> list[int]:
        """Rows of tables that machine time looks up for ``count`` positions.

        They are spread over the table like those of any text: which ones a text looks up changes its values alone.
        """
        least = min((table.shape[0] for table in (op.weights[0] for op in self.lookups) if table), default=1)
        return [at * _STRIDE % least for at in range(count)]

    @cached_property
    def lookups(self) -> list[Operator]:
        """Operators that look up rows of tables; a step of decoding asks for them several times."""
        return [op for op in self.graph.operators if op.kind == "rows"]

    def explain(self, positions: int = 1, past: int = 0) -> Any:
        """How the program is mapped: units, rates and balance of every operator in calls of so many positions.

        ``print`` it, or take it apart: ``to_dict()``, ``kernels``. Nothing is run.

        Parameters
        ----------
        positions, past : int
            Positions of a call, and those that the caches hold before it.

        Raises
        ------
        RequestError
            No positions, or more than the program has room for.
        """
        if positions < 1 or past < 0 or past + positions > self.context:
            raise RequestError(
                f"{positions} positions after {past}: at least one, and at most the context of {self.context}"
            )
        if self.explainer is None:
            raise RequestError("this program was not made by rdu.compile, so nothing explains it")
        return self.explainer(self, positions, past)

    def session(self, mode: str = "split", progress: Callable[[int], None] | None = None) -> Session:
        """A machine that holds the program and has not run anything yet.

        Parameters
        ----------
        mode : {"split", "step", "values"}
            ``step``: values travel on every token (the reference). ``split``: the same values in blocked kernels, the
            same cycles from the tokens alone. ``values``: values only; machine time stands still.
        progress : function of the number of firings, optional
            Called every few milliseconds of a call.
        """
        return Session(self, mode, progress)

    def run(self, *, mode: str = "split", indices: npt.ArrayLike | None = None, **inputs: npt.ArrayLike) -> Run:
        """Run the graph once on NumPy arrays.

        Parameters
        ----------
        mode : {"split", "step", "values"}
            See `session`.
        indices : array_like of int, optional
            Row indices, one per position, for a graph with ``rows`` operators.
        **inputs : array_like, shape (positions, width)
            One array for each input of the graph, all of the same number of rows.

        Returns
        -------
        Run
            ``run.outputs[name]`` has shape ``(positions, width)``, float32.

        Raises
        ------
        RequestError
            Missing, unknown or misshapen inputs.
        """
        names = [op.name for op in self.graph.operators if op.kind == "input"]
        if set(inputs) != set(names):
            raise RequestError(f"the graph's inputs are {names}; given were {sorted(inputs)}")
        arrays: dict[str, Array] = {}
        for name in names:
            width = self.boundaries[name].width
            array = _numbers(name, inputs[name])
            if array.ndim != 2 or array.shape[1] != width or array.shape[0] < 1:
                raise RequestError(f"input {name!r} has shape {array.shape}; it must be (positions, {width})")
            arrays[name] = array
        looked_up = [op.name for op in self.lookups]
        if indices is not None and not looked_up:
            raise RequestError("the graph looks up no rows; run it without indices")
        if indices is None and looked_up:
            raise RequestError(f"the graph looks up rows of {looked_up[0]!r}; pass their indices")
        rows = None if indices is None else row_indices(indices)
        counts = {len(array) for array in arrays.values()} | (set() if rows is None else {len(rows)})
        if len(counts) != 1:
            raise RequestError(f"inputs disagree on the number of positions: {sorted(counts)}")
        return self.session(mode).feed(rows, arrays).result()


def _numbers(name: str, values: npt.ArrayLike) -> Array:
    """An input as float32."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise RequestError(f"input {name!r} is no array: {error}") from None
    # ml_dtypes registers bfloat16 as kind "V".
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise RequestError(f"input {name!r} is of type {array.dtype}; it must be real numbers")
    return np.ascontiguousarray(array, dtype=np.float32)

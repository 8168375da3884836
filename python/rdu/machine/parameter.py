"""One parameter of a machine: its type, unit, bound and meaning, declared once and read by everything else."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real

from rdu.errors import MachineError

STATUSES = ("published", "measured", "derived", "assumed", "calibrated")
OVERRIDE = "override"

type_names = {int: "an integer", float: "a number", str: "a word"}


@dataclass(frozen=True)
class Number:
    """Bounds of a numeric parameter, written in the annotation of its field.

    ``engine`` is False for a number that ``describe`` shows and no run uses yet.
    """

    unit: str
    doc: str
    minimum: float = 1
    maximum: float = 2**20
    multiple: int = 1
    engine: bool = True


@dataclass(frozen=True)
class Word:
    """The allowed values of a parameter that is a choice."""

    choices: tuple[str, ...]
    doc: str
    engine: bool = True


@dataclass(frozen=True)
class Provenance:
    """Where a value comes from: its status (one of `STATUSES`, or ``override``) and its source in words."""

    status: str
    source: str


@dataclass(frozen=True)
class Parameter:
    """A declared parameter: dotted key, Python type, and its `Number` or `Word`."""

    key: str
    kind: type[int] | type[float] | type[str]
    bound: Number | Word

    @property
    def unit(self) -> str:
        """Unit of the value; empty for a word."""
        return self.bound.unit if isinstance(self.bound, Number) else ""

    @property
    def doc(self) -> str:
        """One line of meaning."""
        return self.bound.doc if self.bound.engine else f"{self.bound.doc} (not yet used by the engine)"

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        if isinstance(self.bound, Word):
            return "one of " + ", ".join(repr(choice) for choice in self.bound.choices)
        low, high = self.bound.minimum, self.bound.maximum
        limits = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        step = f", a multiple of {self.bound.multiple}" if self.bound.multiple > 1 else ""
        return f"{type_names[self.kind]}, {limits}{step} [{self.unit}]"

    def check(self, value: object, machine: str) -> int | float | str:
        """The value in the declared type.

        An integral float (``6.4e10`` bytes) is taken for an integer, and any real number, NumPy's too, for a float.

        Raises
        ------
        MachineError
            Wrong type, not finite, or outside the bound; names the machine, the key, the value and what is allowed.
        """
        if isinstance(self.bound, Word):
            if isinstance(value, str) and value in self.bound.choices:
                return value
            raise self._refusal(value, machine)
        number = _number(value, self.kind)
        # NaN compares false with everything, so it falls out here as well.
        if number is None or not self.bound.minimum <= number <= self.bound.maximum:
            raise self._refusal(value, machine)
        if self.bound.multiple > 1 and number % self.bound.multiple:
            raise self._refusal(value, machine)
        return number

    def _refusal(self, value: object, machine: str) -> MachineError:
        return MachineError(f"machine {machine!r}: {self.key} = {shown(value)} is not allowed; give {self.allowed}")


def _number(value: object, kind: type[int] | type[float] | type[str]) -> int | float | None:
    """The value as an int or float, None if it is not such a number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        if kind is float:
            return float(value)
        if isinstance(value, Integral):
            return int(value)
        real = float(value)
    except OverflowError:
        return None
    return int(real) if math.isfinite(real) and real.is_integer() else None


def shown(value: object) -> str:
    """A short repr for a message; an integer beyond Python's printing limit does not break it."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too long to print"
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(key: str, known: Iterable[str]) -> str:
    """The known dotted key nearest to ``key``, compared in full and by its last part."""
    scores = {
        candidate: max(
            difflib.SequenceMatcher(None, key, candidate).ratio(),
            # A bare "peak_gbps" should find "hbm.peak_gbps"; slightly less than the full key, so that this one wins.
            0.95 * difflib.SequenceMatcher(None, key.rpartition(".")[2], candidate.rpartition(".")[2]).ratio(),
        )
        for candidate in known
    }
    return max(scores, key=lambda candidate: scores[candidate])

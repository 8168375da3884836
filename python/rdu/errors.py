"""Every error that rdu raises on purpose.

A bad input names the offending thing, its value and its place; ``RunError`` is the only branch that is not an input
error (the command line exits with 1 there and with 2 everywhere else).
"""

from __future__ import annotations


class RduError(Exception):
    """The root of the tree: catch this to catch everything rdu raises on purpose."""


class MachineError(RduError, ValueError):
    """A machine name, key or size that cannot be."""


class MemoryDescriptionError(MachineError):
    """A memory preset, key, timing or address map that cannot be."""


class TransferError(RduError, ValueError):
    """Addresses, sizes or regions that a memory cannot serve."""


class CheckpointError(RduError, ValueError):
    """A model folder or file that is damaged, incomplete or of an architecture rdu does not know."""


class TokenizerError(CheckpointError):
    """A checkpoint without a usable tokenizer or chat template, where one is needed."""


class CacheError(RduError, OSError):
    """The download cache cannot be read or written (no space, no permission)."""


class GraphError(RduError, ValueError):
    """A graph or stream program that cannot be built: names, shapes, rates, capacities."""


class CompileError(RduError, ValueError):
    """A graph that does not fit the machine, or that no pass can map."""


class SramFullError(CompileError):
    """Buffers that do not fit into tile SRAM.

    Attributes
    ----------
    buffer : str
        The buffer that found no place.
    needed_bytes, free_bytes, step : int
        Its bytes, the bytes free in all PMUs at the step of its life at which least is free, and that step.
    holders : list of (str, int)
        The buffers that hold the rest at that step, and their bytes, most first.
    fits : dict
        What would fit, each tried: ``capacity_bytes`` of a PMU, ``pmus``, ``split`` (True), ``shrink_bytes`` (the
        most this buffer may have), ``shorten`` (a holder and its last use then). A key is missing where nothing helps.
    """

    def __init__(
        self,
        message: str,
        buffer: str,
        needed_bytes: int,
        free_bytes: int,
        step: int,
        holders: list[tuple[str, int]],
        fits: dict[str, int | bool | tuple[str, int]],
    ) -> None:
        super().__init__(message)
        self.buffer = buffer
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        self.step = step
        self.holders = holders
        self.fits = fits


class RequestError(RduError, ValueError):
    """A prompt, token or sampling parameter that the model cannot take."""


class RunError(RduError, RuntimeError):
    """A run that could not finish."""


class DeadlockError(RunError):
    """No unit can ever fire again.

    Attributes
    ----------
    units, streams : list of str
        The circle of waiting: ``units[i]`` waits on ``streams[i]`` for ``units[i + 1]`` (the last for the first). Where
        a unit waits for one that has finished there is no circle but a chain, and the last waits for that one.
    capacities : dict of str to int, or None
        Capacities of streams, by name, that would free it: the smallest in sum, or where finding these would take too
        long, some that are enough. Empty where no capacity does: then one of ``streams`` needs tokens. None where that
        is not known: data decide what fires, or the search was given up.
    """

    def __init__(
        self, message: str, units: list[str], streams: list[str], capacities: dict[str, int] | None = None
    ) -> None:
        super().__init__(message)
        self.units = units
        self.streams = streams
        self.capacities = capacities


class LedgerError(RunError):
    """A report whose books do not close: a bug in rdu or in a machine description, never to be ignored."""


class MissingExtraError(RduError, ImportError):
    """An optional part is not installed; the message is the exact ``pip install`` line."""


class NumbersWarning(UserWarning):
    """Weights that hold NaN or infinities: nothing is hidden, but nothing can be computed from them either."""

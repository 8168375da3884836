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

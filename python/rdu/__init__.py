"""rdu: emulates a reconfigurable dataflow unit; exact values, exact time.

Everything is imported when first asked for, so that ``import rdu`` and ``rdu --help`` stay quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdu import errors as errors
    from rdu import studies as studies
    from rdu.api import compile as compile
    from rdu.api import load as load
    from rdu.builder import Builder as Builder
    from rdu.builder import TraceWindow as TraceWindow
    from rdu.builder import Transfer as Transfer
    from rdu.builder import loop as loop
    from rdu.builder import phase as phase
    from rdu.errors import RduError as RduError
    from rdu.graph import Graph as Graph
    from rdu.machine import Machine as Machine
    from rdu.machine import machine as machine
    from rdu.memory import Dram as Dram
    from rdu.memory import Sram as Sram
    from rdu.models.pull import pull as pull
    from rdu.program import Program as Program
    from rdu.run import Run as Run
    from rdu.studies.estimate import estimate as estimate

__all__ = [
    "Builder",
    "Dram",
    "Graph",
    "Machine",
    "Program",
    "RduError",
    "Run",
    "Sram",
    "TraceWindow",
    "Transfer",
    "__version__",
    "compile",
    "errors",
    "estimate",
    "load",
    "loop",
    "machine",
    "phase",
    "pull",
    "studies",
]
__version__ = "0.1.0"

_HOMES = {
    "Builder": "builder",
    "Dram": "memory",
    "Graph": "graph",
    "Machine": "machine",
    "Program": "program",
    "RduError": "errors",
    "Run": "run",
    "Sram": "memory",
    "TraceWindow": "builder",
    "Transfer": "builder",
    "compile": "api",
    "estimate": "studies.estimate",
    "load": "api",
    "loop": "builder",
    "machine": "machine",
    "phase": "builder",
    "pull": "models",
}
_MODULES = ("errors", "studies")


class _Facade(ModuleType):
    """Python binds a submodule to its package when it is imported; ``rdu.machine`` stays the function of that name."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "machine" and isinstance(value, ModuleType):
            value = value.machine
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Facade


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"rdu.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'rdu' has no attribute {name!r}")
    return getattr(import_module(f"rdu.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

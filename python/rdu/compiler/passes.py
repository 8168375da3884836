"""The passes of the compiler, any of which a user may replace: `rdu.compile` with ``passes={"place": mine}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from rdu.compiler.allocate import allocate
from rdu.compiler.allocation import Allocation
from rdu.compiler.fuse import Region, fuse
from rdu.compiler.lower import Kernel, lower
from rdu.compiler.netlist import Netlist
from rdu.compiler.place import place
from rdu.compiler.route import route
from rdu.errors import CompileError
from rdu.graph import Graph
from rdu.machine import Machine


@dataclass(frozen=True)
class Passes:
    """What each pass is called with, and returns.

    Attributes
    ----------
    fuse : (graph, fusion, collective) -> regions in the order of their calls
        ``collective`` is the machine's `p2p.collective`.
    allocate : (region, machine, form, positions, context, batch, like) -> Allocation
        How each operator is spread, and where its weights lie; ``like``: an allocation whose sums must be cut alike, or
        absent. Prompts that are timed in waves have an allocation of their own (`rdu.compiler.prompt`).
    lower : see `rdu.compiler.lower.lower` -> Kernel
        Units and streams; calls the next two.
    place : (netlist, machine) -> None
        Sets ``tiles`` of every unit: (row, column) of each PCU, or of each PMU where it has no PCU.
    route : (netlist, machine) -> None
        Sets ``latency``, ``credit`` and ``capacity`` of every stream.
    """

    fuse: Callable[[Graph, str, str], list[Region]] = fuse
    allocate: Callable[..., Allocation] = allocate
    lower: Callable[..., Kernel] = lower
    place: Callable[[Netlist, Machine], None] = place
    route: Callable[[Netlist, Machine], None] = route


def chosen(given: Mapping[str, Callable[..., Any]] | None) -> Passes:
    """The compiler's own passes, those ``given`` in their place.

    Raises
    ------
    CompileError
        No such pass, or it cannot be called.
    """
    names = [field.name for field in fields(Passes)]
    for name, function in (given or {}).items():
        if name not in names:
            near = get_close_matches(str(name), names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise CompileError(f"there is no pass {name!r}; there are {', '.join(names)}{hint}")
        if not callable(function):
            raise CompileError(f"pass {name!r} is {function!r}; it must be a function")
    return replace(Passes(), **(given or {}))

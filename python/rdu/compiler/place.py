"""Pass 3, place: tile positions for every unit; a bundle gets a compact group."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from rdu.compiler.netlist import Netlist, Tiles
from rdu.errors import CompileError
from rdu.machine import Machine


def _slots(machine: Machine) -> Iterator[tuple[int, int]]:
    """Positions of a socket in snake order, tile beside tile, so that neighbours in order are neighbours in place."""
    for tile in range(machine.tiles):
        for row in range(machine.grid.rows):
            columns = range(machine.grid.columns)
            for column in columns if row % 2 == 0 else reversed(columns):
                yield row, tile * machine.grid.columns + column


@lru_cache(maxsize=16)
def _floor(machine: Machine) -> tuple[Tiles, Tiles, Tiles]:
    """Where the PCUs, the PMUs and the AGCUs are: PCUs and PMUs alternate like a chessboard; AGCUs sit along the left
    and right edges of their tiles.
    """
    pcus: list[tuple[int, int]] = []
    pmus: list[tuple[int, int]] = []
    for row, column in _slots(machine):
        tile = column // machine.grid.columns
        kind, most = (
            (pcus, machine.grid.pcus_per_tile) if (row + column) % 2 == 0 else (pmus, machine.grid.pmus_per_tile)
        )
        if len(kind) < (tile + 1) * most:
            kind.append((row, column))
    agcus = []
    for at in range(machine.total_agcus):
        tile, rank = divmod(at, machine.grid.agcus_per_tile)
        row = rank // 2 * machine.grid.rows // max(1, (machine.grid.agcus_per_tile + 1) // 2)
        edge = 0 if rank % 2 == 0 else machine.grid.columns - 1
        agcus.append((row, tile * machine.grid.columns + edge))
    return np.array(pcus), np.array(pmus), np.array(agcus)


def place(netlist: Netlist, machine: Machine) -> None:
    """Give units positions in the order of the netlist, which follows the data.

    Raises
    ------
    CompileError
        If the kernel takes more units of a kind than the machine has.
    """
    pcus, pmus, agcus = _floor(machine)
    used = {"PCUs": 0, "PMUs": 0, "AGCUs": 0}
    have = {"PCUs": machine.total_pcus, "PMUs": machine.total_pmus, "AGCUs": machine.total_agcus}

    def some(slots: Tiles, first: int, count: int) -> Tiles:
        # A kernel that does not fit is told so below, with all that it needs.
        return slots[np.minimum(np.arange(first, first + count), len(slots) - 1)]

    before = agcus
    for unit in netlist.units:
        if unit.role in ("load", "store", "peers"):
            # An AGCU reads and writes at once: stores, and what goes to other sockets, share the AGCUs of the loads.
            unit.tiles = agcus
        elif not unit.pcus and not unit.pmus:
            # A part of what the unit before holds.
            unit.tiles = before
        elif unit.pcus:
            unit.tiles = some(pcus, used["PCUs"], unit.copies * unit.pcus)[:: unit.pcus]
        else:
            unit.tiles = some(pmus, used["PMUs"], unit.copies * unit.pmus)
        before = unit.tiles
        used["PCUs"] += unit.copies * unit.pcus
        used["PMUs"] += unit.copies * unit.pmus
        used["AGCUs"] += unit.copies * unit.agcus
    for what, need in used.items():
        if need > have[what]:
            raise CompileError(
                f"kernel {netlist.name!r} places {need} {what}, machine {machine.name!r} has {have[what]}: "
                f"{need - have[what]} too many; fewer positions per call (mapping.prefill_block) or "
                f"fusion='op' would help"
            )

"""Pass 3, place: tile positions for every unit.

Bundles are dealt over all tiles of the socket, the same part of each to every tile: the AGCUs of a tile bring only
their share of what HBM gives. Units that stand alone, which all members of a bundle talk to, are in the middle.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np

from rdu.compiler.netlist import Netlist, Tiles, Unit
from rdu.errors import CompileError
from rdu.machine import Machine

Slot = tuple[int, int]
# Farther than anything on a socket.
TAKEN = 1 << 30


class Floor(NamedTuple):
    """(row, column) of PCUs and of PMUs by tile, in snake order: neighbours in order are neighbours in place; AGCUs."""

    pcus: list[list[Slot]]
    pmus: list[list[Slot]]
    agcus: Tiles


@lru_cache(maxsize=16)
def floor(machine: Machine) -> Floor:
    """PCUs and PMUs alternate like a chessboard; AGCUs sit along the left and right edges of their tiles."""
    grid = machine.grid
    found = Floor([], [], np.zeros((machine.total_agcus, 2), int))
    for tile in range(machine.tiles):
        first, last = tile * grid.columns, (tile + 1) * grid.columns - 1
        snake = [
            (row, first + column if row % 2 == 0 else last - column)
            for row in range(grid.rows)
            for column in range(grid.columns)
        ]
        found.pcus.append([slot for slot in snake if sum(slot) % 2 == 0][: grid.pcus_per_tile])
        found.pmus.append([slot for slot in snake if sum(slot) % 2][: grid.pmus_per_tile])
        for rank in range(grid.agcus_per_tile):
            row = rank // 2 * grid.rows // max(1, (grid.agcus_per_tile + 1) // 2)
            found.agcus[tile * grid.agcus_per_tile + rank] = row, first if rank % 2 == 0 else last
    return found


class _Kind:
    """Places of one kind. More than there are can be taken: what that makes too many is told in the end."""

    def __init__(self, machine: Machine, slots: list[list[Slot]], alone: int) -> None:
        self.have, self.used = sum(map(len, slots)), 0
        last = machine.tiles * machine.grid.columns - 1
        # For the units that stand alone the columns in the middle, dealt row by row: what comes to a wide one from all
        # over the chip comes down as many columns.
        order = sorted(chain.from_iterable(slots), key=lambda slot: (abs(2 * slot[1] - last), slot[1], slot[0]))
        self.middle = sorted(order[:alone], reverse=True)
        taken = set(self.middle)
        self.tiles = [np.array([slot for slot in tile if slot not in taken] or [(0, 0)]) for tile in slots]
        self.free = [len([slot for slot in tile if slot not in taken]) for tile in slots]
        self.busy = [np.zeros(len(tile), int) for tile in self.tiles]

    def alone(self, count: int) -> list[Slot]:
        """Places side by side in the middle."""
        self.used += count
        return [self.middle.pop() for _ in range(min(count, len(self.middle)))]

    def dealt(self, count: int, ends: list[float], beside: Tiles | None) -> list[Slot]:
        """Of each tile the part up to its end (cumulative), as far as the tile has them; each as near as possible to
        the one of ``beside`` that it works with.
        """
        self.used += count
        found = []
        for at in range(min(count, sum(self.free))):
            tile = next(tile for tile, end in enumerate(ends) if at < end * count)
            if not self.free[tile]:
                tile = self.free.index(max(self.free))
            slots, busy = self.tiles[tile], self.busy[tile]
            if beside is None:
                nearest = int(busy.argmin())
            else:
                far = np.abs(slots - beside[at * len(beside) // count]).sum(axis=1)
                nearest = int((far + busy).argmin())
            busy[nearest] = TAKEN
            self.free[tile] -= 1
            found.append((int(slots[nearest, 0]), int(slots[nearest, 1])))
        return found


def place(netlist: Netlist, machine: Machine) -> None:
    """Give units positions in the order of the netlist, which follows the data.

    Raises
    ------
    CompileError
        If the kernel takes more units of a kind than the machine has.
    """
    where = floor(machine)
    units = [unit for unit in netlist.units if unit.role not in ("load", "store", "peers")]
    alone = [unit for unit in units if not _dealt(unit, machine)]
    pcus = _Kind(machine, where.pcus, sum(unit.copies * unit.pcus for unit in alone))
    pmus = _Kind(machine, where.pmus, sum(unit.copies * unit.pmus for unit in alone))
    # The same parts for PCUs and PMUs, so that those that belong together are in one tile.
    free = list(accumulate(pmus.free))
    ends = [*(count / max(1, free[-1]) for count in free[:-1]), 1.0]
    before = where.agcus
    partners = _partners(netlist, machine)
    placed: set[int] = set()
    for unit in netlist.units:
        if unit.role in ("load", "store", "peers"):
            # An AGCU reads and writes at once: stores, and what goes to other sockets, share the AGCUs of the loads.
            unit.tiles = where.agcus
        else:
            taken: list[Slot] = []
            # The PMUs that a unit holds beside its PCUs are there, but streams end at the PCUs.
            for kind, each in ((pmus, unit.pmus), (pcus, unit.pcus)):
                if each:
                    count = unit.copies * each
                    near = next((other for other in partners.get(id(unit), ()) if id(other) in placed), None)
                    beside = np.array(taken) if taken else None if near is None else near.tiles
                    taken = kind.dealt(count, ends, beside) if _dealt(unit, machine) else kind.alone(count)
            # A unit without either is a part of what the one before holds.
            unit.tiles = np.array(taken) if taken else before
        before = unit.tiles
        placed.add(id(unit))
    agcus = sum(unit.copies * unit.agcus for unit in netlist.units)
    for what, need, have in (
        ("PCUs", pcus.used, pcus.have),
        ("PMUs", pmus.used, pmus.have),
        ("AGCUs", agcus, machine.total_agcus),
    ):
        if need > have:
            raise CompileError(
                f"kernel {netlist.name!r} places {need} {what}, machine {machine.name!r} has {have}: "
                f"{need - have} too many; fewer positions per call (mapping.prefill_block) or "
                f"fusion='op' would help"
            )


def check_places(netlist: Netlist, machine: Machine) -> None:
    """Hold that every unit is on the socket, whoever placed it."""
    rows, columns = machine.grid.rows, machine.grid.columns * machine.tiles
    for unit in netlist.units:
        tiles = np.asarray(unit.tiles)
        if tiles.ndim != 2 or tiles.shape[1] != 2 or not len(tiles):
            raise CompileError(f"unit {unit.name!r} is at {unit.tiles!r}; give a (row, column) for each of its parts")
        outside = ((tiles < 0) | (tiles >= (rows, columns))).any(axis=1)
        if outside.any():
            row, column = tiles[outside.argmax()].tolist()
            raise CompileError(
                f"unit {unit.name!r} is at row {row}, column {column}, outside of the {rows} x {columns} switches of "
                f"machine {machine.name!r}"
            )


def _partners(netlist: Netlist, machine: Machine) -> dict[int, list[Unit]]:
    """The other end of streams from a buffer that is dealt to a bundle: what flows there is different for each."""
    found: dict[int, list[Unit]] = {}
    for stream in netlist.streams:
        ends = stream.source, stream.target
        if stream.source.role == "buffer" and all(_dealt(unit, machine) for unit in ends):
            for one, other in (ends, ends[::-1]):
                found.setdefault(id(one), []).append(other)
    return found


def _dealt(unit: Unit, machine: Machine) -> bool:
    """Whether the unit is so large that each tile gets a part of it."""
    return unit.copies > 1 or (unit.role == "buffer" and not unit.pcus and unit.pmus >= machine.tiles)

"""Pass 3, place: a tile position for every unit."""

from __future__ import annotations

from collections.abc import Iterator

from rdu.compiler.netlist import Netlist
from rdu.errors import CompileError
from rdu.machine import Machine


def _slots(machine: Machine) -> Iterator[tuple[int, int]]:
    """Positions of a socket in snake order, tile beside tile, so that neighbours in order are neighbours in place."""
    for tile in range(machine.tiles):
        for row in range(machine.grid.rows):
            columns = range(machine.grid.columns)
            for column in columns if row % 2 == 0 else reversed(columns):
                yield row, tile * machine.grid.columns + column


def place(netlist: Netlist, machine: Machine) -> None:
    """Give units positions in the order of the netlist, which follows the data; PCUs and PMUs alternate like a
    chessboard, and AGCUs sit along the left and right edges of their tiles.

    Raises
    ------
    CompileError
        If the kernel takes more units of a kind than the machine has.
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
    stores = 0
    used = {"PCUs": 0, "PMUs": 0, "AGCUs": 0}
    have = {"PCUs": machine.total_pcus, "PMUs": machine.total_pmus, "AGCUs": machine.total_agcus}
    for unit in netlist.units:
        if unit.role in ("load", "store"):
            # An AGCU reads and writes at once: a store shares the AGCU of a load.
            at = (used["AGCUs"] if unit.role == "load" else stores) % machine.total_agcus
            stores += unit.role == "store"
            tile, rank = divmod(at, machine.grid.agcus_per_tile)
            row = rank // 2 * machine.grid.rows // max(1, (machine.grid.agcus_per_tile + 1) // 2)
            edge = 0 if rank % 2 == 0 else machine.grid.columns - 1
            unit.tile = (row, tile * machine.grid.columns + edge)
        elif unit.pcus:
            unit.tile = pcus[min(used["PCUs"], len(pcus) - 1)]
        else:
            unit.tile = pmus[min(used["PMUs"], len(pmus) - 1)]
        used["PCUs"] += unit.pcus
        used["PMUs"] += unit.pmus
        used["AGCUs"] += unit.agcus
    for what, need in used.items():
        if need > have[what]:
            raise CompileError(
                f"kernel {netlist.name!r} places {need} {what}, machine {machine.name!r} has {have[what]}: "
                f"{need - have[what]} too many; fewer positions per call (mapping.prefill_block) or "
                f"fusion='op' would help"
            )

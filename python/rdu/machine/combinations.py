"""Numbers that are each possible and together are not: one rule, one function."""

from __future__ import annotations

from collections.abc import Callable

from rdu.errors import MachineError
from rdu.machine.description import Machine

# A rule gives (key, what is allowed) of what it refuses, or None.
Rule = Callable[[Machine], tuple[str, str] | None]


def mesh_holds_units(machine: Machine) -> tuple[str, str] | None:
    """Each PCU and PMU of a tile sits at a switch of its own."""
    grid = machine.grid
    switches, units = grid.rows * grid.columns, grid.pcus_per_tile + grid.pmus_per_tile
    if switches >= units:
        return None
    return (
        "grid.rows",
        f"at least {units} switches (grid.rows x grid.columns; {grid.rows} x {grid.columns} are {switches})",
    )


def hbm_refresh_ends(machine: Machine) -> tuple[str, str] | None:
    """A refresh ends before the next begins, else HBM never serves."""
    if machine.hbm.refresh_ns < machine.hbm.refresh_interval_ns:
        return None
    return "hbm.refresh_ns", f"less than hbm.refresh_interval_ns = {machine.hbm.refresh_interval_ns:g}"


def ddr_refresh_ends(machine: Machine) -> tuple[str, str] | None:
    """A refresh ends before the next begins, else DDR never serves."""
    if machine.ddr.refresh_ns < machine.ddr.refresh_interval_ns:
        return None
    return "ddr.refresh_ns", f"less than ddr.refresh_interval_ns = {machine.ddr.refresh_interval_ns:g}"


def hbm_channels_hold_data(machine: Machine) -> tuple[str, str] | None:
    """Each HBM channel holds at least one interleave block."""
    least = machine.hbm.channels * machine.hbm.interleave_bytes
    if machine.hbm.capacity_bytes >= least:
        return None
    return "hbm.capacity_bytes", f"at least {least} (hbm.channels x hbm.interleave_bytes)"


def ddr_channels_hold_data(machine: Machine) -> tuple[str, str] | None:
    """Each DDR channel holds at least one interleave block."""
    least = machine.ddr.channels * machine.ddr.interleave_bytes
    if machine.ddr.capacity_bytes >= least:
        return None
    return "ddr.capacity_bytes", f"at least {least} (ddr.channels x ddr.interleave_bytes)"


def buffer_fits_sram(machine: Machine) -> tuple[str, str] | None:
    """One weight buffer fits the SRAM of a socket."""
    most = machine.sram_bytes // machine.pcu.vector_bytes
    if machine.mapping.weight_buffer_vectors <= most:
        return None
    return "mapping.weight_buffer_vectors", f"at most {most}, the SRAM of a socket"


RULES: tuple[Rule, ...] = (
    mesh_holds_units,
    hbm_refresh_ends,
    ddr_refresh_ends,
    hbm_channels_hold_data,
    ddr_channels_hold_data,
    buffer_fits_sram,
)


def check_combinations(machine: Machine) -> Machine:
    """The machine itself, if every rule holds; else a MachineError naming machine, key, value and what is allowed."""
    for rule in RULES:
        refused = rule(machine)
        if refused is not None:
            key, allowed = refused
            raise MachineError(f"machine {machine.name!r}: {key} = {machine[key]} is not possible; give {allowed}")
    return machine

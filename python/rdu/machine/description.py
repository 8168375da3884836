"""The machine: every number of one RDU with where it comes from, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from typing import Annotated, NamedTuple, get_args, get_origin, get_type_hints

from rdu.errors import MachineError
from rdu.machine.parameter import Number, Parameter, Provenance, Word, nearest, shown
from rdu.machine.sections import Agcu, Call, Ddr, DieToDie, Grid, Hbm, Host, Mapping, Network, P2p, Pcu, Pmu, Rack

Record = dict[str, int | float | str]


class Entry(NamedTuple):
    """One row of `Machine.parameters`."""

    key: str
    value: int | float | str
    unit: str
    status: str
    source: str
    doc: str


@dataclass(frozen=True)
class Machine:
    """A described machine. Immutable, hashable, picklable; all numbers are per socket except ``sockets``.

    Made by `rdu.machine.machine`; changed by `override`, which returns a new one.
    """

    name: str
    title: str
    sockets: Annotated[int, Number("sockets", "sockets that work as one machine", maximum=4096)]
    clock_ghz: Annotated[float, Number("GHz", "clock of tiles and switches", minimum=0.001, maximum=1000)]
    grid: Grid
    pcu: Pcu
    pmu: Pmu
    network: Network
    agcu: Agcu
    hbm: Hbm
    ddr: Ddr
    call: Call
    p2p: P2p
    die_to_die: DieToDie
    host: Host
    rack: Rack
    mapping: Mapping
    # One for each of PARAMETERS, in that order: a tuple, so that a machine can be hashed and pickled.
    provenance: tuple[Provenance, ...] = field(repr=False)

    def __getitem__(self, key: str) -> int | float | str:
        """The value of a dotted key: ``machine["hbm.peak_gbps"]``."""
        if key not in PARAMETERS:
            raise unknown_key(key, self.name)
        section, _, last = key.rpartition(".")
        value = getattr(getattr(self, section) if section else self, last)
        assert isinstance(value, int | float | str)
        return value

    def parameters(self) -> Iterator[Entry]:
        """Every parameter as `Entry` (key, value, unit, status, source, doc), in the order of the data sheet."""
        for parameter, origin in zip(PARAMETERS.values(), self.provenance, strict=True):
            key = parameter.key
            yield Entry(key, self[key], parameter.unit, origin.status, origin.source, parameter.doc)

    def to_dict(self) -> dict[str, object]:
        """The resolved machine with provenance, of plain types, in the shape of a machine file."""
        tree: dict[str, object] = {"name": self.name, "title": self.title}
        sections: dict[str, dict[str, Record]] = {}
        for entry in self.parameters():
            record: Record = {
                "value": entry.value,
                "unit": entry.unit,
                "status": entry.status,
                "source": entry.source,
            }
            section, _, last = entry.key.rpartition(".")
            if section:
                if section not in sections:
                    tree[section] = sections[section] = {}
                sections[section][last] = record
            else:
                tree[last] = record
        return tree

    @classmethod
    def from_dict(cls, tree: MappingType[str, object]) -> Machine:
        """The machine that `to_dict` wrote.

        Raises
        ------
        MachineError
            If the tree is not a whole, possible machine.
        """
        from rdu.machine.build import build

        return build(tree, overridden=True)

    def override(self, settings: MappingType[str, object]) -> Machine:
        """A machine with some values replaced; their status becomes ``override``.

        Parameters
        ----------
        settings : mapping of dotted key to value
            A string given for a number is read as a TOML value (``{"hbm.peak_gbps": "3000"}``), as ``--set`` needs.

        Raises
        ------
        MachineError
            Unknown key (names the nearest), a value outside its range, or an impossible combination.
        """
        from rdu.machine.build import override

        return override(self, settings)

    @property
    def tiles(self) -> int:
        """Tiles of a socket."""
        return self.grid.dies * self.grid.tiles_per_die

    @property
    def total_pcus(self) -> int:
        """PCUs of a socket."""
        return self.tiles * self.grid.pcus_per_tile

    @property
    def total_pmus(self) -> int:
        """PMUs of a socket."""
        return self.tiles * self.grid.pmus_per_tile

    @property
    def total_agcus(self) -> int:
        """AGCUs of a socket."""
        return self.tiles * self.grid.agcus_per_tile

    @property
    def sram_bytes(self) -> int:
        """SRAM of a socket, in bytes."""
        return self.total_pmus * self.pmu.capacity_bytes

    def peak_flops(self, dtype: str) -> float:
        """Peak of a socket in operations per second, a multiply-add counting two.

        Parameters
        ----------
        dtype : {"bf16", "fp32", "int8"}
            Type of the multiplications (weights stored as int8 and multiplied as bf16 run at the bf16 peak).
        """
        rates = self.pcu.flops_per_cycle
        if dtype not in rates:
            raise MachineError(
                f"machine {self.name!r}: no peak for dtype {shown(dtype)}; give one of {', '.join(rates)}"
            )
        return self.total_pcus * rates[dtype] * self.clock_ghz * 1e9

    def cycles(self, ns: float) -> int:
        """The whole clock cycles that cover a time in ns (rounded up; 3900 ns at 1.6 GHz are 6240 cycles)."""
        if not (math.isfinite(ns) and ns >= 0):
            raise MachineError(
                f"machine {self.name!r}: a time of {shown(ns)} ns has no cycles; give a finite time >= 0"
            )
        # In decimal, as the numbers were written: 0.7 ns at 10 GHz are 7 cycles, not 8 from a binary rounding error.
        return math.ceil(Fraction(str(float(ns))) * Fraction(str(self.clock_ghz)))

    def call_us(self, *, program_load: bool) -> float:
        """Cost of one kernel call in us under ``call.ordering``; ``program_load`` if the configuration changes."""
        call = self.call
        if call.ordering == "software":
            load, steps = call.software_program_load_us, call.software_argument_load_us + call.software_execute_us
        else:
            load, steps = call.hardware_program_load_us, call.hardware_argument_load_us + call.hardware_execute_us
        return steps + (load if program_load else 0.0)


def _declared(owner: type, prefix: str) -> Iterator[Parameter]:
    hints = get_type_hints(owner, include_extras=True)
    for item in fields(owner):
        hint = hints[item.name]
        if get_origin(hint) is Annotated:
            kind, bound = get_args(hint)
            assert isinstance(bound, Number | Word)
            yield Parameter(prefix + item.name, kind, bound)
        elif isinstance(hint, type) and is_dataclass(hint):
            yield from _declared(hint, f"{item.name}.")


def unknown_key(key: str, machine: str) -> MachineError:
    """The error for a key that no machine has."""
    return MachineError(f"machine {machine!r}: unknown key {shown(key)}; the nearest is {nearest(key, PARAMETERS)!r}")


PARAMETERS: dict[str, Parameter] = {parameter.key: parameter for parameter in _declared(Machine, "")}
SECTIONS: dict[str, type] = {
    name: hint for name, hint in get_type_hints(Machine).items() if isinstance(hint, type) and is_dataclass(hint)
}

"""What describes a DRAM device, in data-sheet order: each key with its unit, its meaning and its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

from rdu.errors import MemoryDescriptionError
from rdu.machine.parameter import nearest, shown

Xor = dict[str, str | int]
Value = int | bool | str | None | list[str] | list[Xor]

MAX_U32 = 2**32 - 1
MAX_U64 = 2**63 - 1
SCHEDULERS = ("frfcfs", "frfcfs_row_hit", "bank_queues")
PAGES = ("open", "closed")
REFRESHES = ("none", "all_bank", "all_bank_staggered", "per_bank", "per_bank_paired")
XOR_KEYS = ("field", "with", "from")


class Required:
    """Stands for the default of a key that has none."""


REQUIRED = Required()


@dataclass(frozen=True)
class Parameter:
    """One key of a memory description.

    ``default`` is what holds where the key is absent, and ``meaning`` says it in words where that is not the value.
    """

    key: str
    unit: str
    doc: str
    default: Value | Required = REQUIRED
    choices: tuple[str, ...] = ()
    maximum: int = MAX_U32
    meaning: str = ""

    @property
    def kind(self) -> str:
        """Type of the value, in words."""
        if self.key == "map.fields":
            return "a list of fields, such as ['column', 'bank', 'row']"
        if self.key == "map.xor":
            return "a list of { field = .., with = .., from = .. }"
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        if isinstance(self.default, bool):
            return "true or false"
        return f"a whole number from 0 to {self.maximum}" + (f" [{self.unit}]" if self.unit else "")

    def check(self, value: object, name: str) -> Value:
        """The value in the declared type.

        Raises
        ------
        MemoryDescriptionError
            Names the memory, the key, the value and what is allowed.
        """
        checked = self._converted(value)
        if isinstance(checked, Required):
            raise MemoryDescriptionError(
                f"memory {name!r}: {self.key} = {shown(value)} is not allowed; give {self.kind}"
            )
        return checked

    def _converted(self, value: object) -> Value | Required:
        if value is None:
            return None if self.default is None else REQUIRED
        if self.key == "map.fields":
            strings = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
            return [str(item) for item in value] if strings and isinstance(value, list | tuple) else REQUIRED
        if self.key == "map.xor":
            return _xors(value)
        if self.choices:
            return value if isinstance(value, str) and value in self.choices else REQUIRED
        if isinstance(self.default, bool):
            return value if isinstance(value, bool) else REQUIRED
        return _whole(value, self.maximum)


def _whole(value: object, maximum: int) -> Value | Required:
    """An integer; an integral float (``6.4e4``) is taken for one."""
    if isinstance(value, bool):
        return REQUIRED
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return int(value) if isinstance(value, Integral) and 0 <= int(value) <= maximum else REQUIRED


def _xors(value: object) -> list[Xor] | Required:
    if not isinstance(value, list | tuple):
        return REQUIRED
    found: list[Xor] = []
    for item in value:
        if not isinstance(item, Mapping) or not {"field", "with"} <= item.keys() <= set(XOR_KEYS):
            return REQUIRED
        low = _whole(item.get("from", 0), MAX_U32)
        if not isinstance(item["field"], str) or not isinstance(item["with"], str) or not isinstance(low, int):
            return REQUIRED
        found.append({"field": item["field"], "with": item["with"], "from": low})
    return found


_SHEET = (
    Parameter("organisation.stacks", "stacks", "stacks or modules", 1),
    Parameter("organisation.channels", "channels", "channels of a stack"),
    Parameter("organisation.pseudo_channels", "pseudo channels", "of a channel: own data bus, shared command buses", 1),
    Parameter("organisation.ranks", "ranks", "ranks, or stack levels of HBM, of a pseudo channel", 1),
    Parameter("organisation.ranks_stacked", "", "ranks are levels of one stack and share windows and refresh", False),
    Parameter("organisation.bank_groups", "bank groups", "of a rank"),
    Parameter("organisation.banks", "banks", "of a bank group"),
    Parameter("organisation.rows", "rows", "of a bank"),
    Parameter("organisation.columns", "columns", "of a row, each as wide as the data bus"),
    Parameter("organisation.bus_bits", "bits", "data bus of a pseudo channel"),
    Parameter("organisation.burst_length", "beats", "beats of a burst"),
    Parameter("organisation.beats_per_clock", "beats/CK", "beats of a CK: 4 where data run at twice the rate", 2),
    Parameter("organisation.commands.row_bus", "", "row and column commands have a bus each", False),
    Parameter("organisation.commands.ticks_per_clock", "ticks/CK", "controller ticks of a CK", 1),
    Parameter("organisation.commands.activate_ticks", "ticks", "an activate holds its command bus", 1),
    Parameter("organisation.commands.precharge_ticks", "ticks", "a precharge holds its command bus", 1),
    Parameter("organisation.commands.column_ticks", "ticks", "a read or write holds its command bus", 1),
    Parameter("organisation.commands.refresh_ticks", "ticks", "a refresh holds its command bus", 1),
    Parameter("timings.tck_fs", "fs", "clock period", maximum=MAX_U64),
    Parameter("timings.tcl", "CK", "read to first data"),
    Parameter("timings.tcwl", "CK", "write to first data"),
    Parameter("timings.trcd_rd", "CK", "activate to read"),
    Parameter("timings.trcd_wr", "CK", "activate to write"),
    Parameter("timings.trp", "CK", "precharge to activate"),
    Parameter("timings.tras", "CK", "activate to precharge"),
    Parameter("timings.trc", "CK", "activate to activate of a bank"),
    Parameter("timings.trrd_s", "CK", "activate to activate, other bank group"),
    Parameter("timings.trrd_l", "CK", "activate to activate, same bank group"),
    Parameter("timings.tfaw", "CK", "window of at most four activates of a rank"),
    Parameter("timings.tccd_s", "CK", "column command to column command, other bank group"),
    Parameter("timings.tccd_l", "CK", "column command to column command, same bank group"),
    Parameter("timings.tccd_l_wr", "CK", "write to write, same bank group", None, meaning="as tccd_l"),
    Parameter("timings.tccd_r", "CK", "read to read of another rank", None, meaning="the burst"),
    Parameter("timings.twtr_s", "CK", "end of write data to read, other bank group"),
    Parameter("timings.twtr_l", "CK", "end of write data to read, same bank group"),
    Parameter("timings.twtr_r", "CK", "write to read of another rank", None, meaning="as twtr_s in the rank"),
    Parameter("timings.trtw", "CK", "read to write"),
    Parameter("timings.trtw_r", "CK", "read to write of another rank", None, meaning="as trtw"),
    Parameter("timings.twr", "CK", "end of write data to precharge"),
    Parameter("timings.trtp", "CK", "read to precharge"),
    Parameter("timings.tppd", "CK", "precharge to precharge of a rank", 0),
    Parameter("timings.trefi", "CK", "between two all-bank refreshes"),
    Parameter("timings.trfc", "CK", "an all-bank refresh"),
    Parameter("timings.trefi_pb", "CK", "between two per-bank refreshes", 0),
    Parameter("timings.trfc_pb", "CK", "a per-bank refresh", 0),
    Parameter("timings.trrefd", "CK", "per-bank refresh to an activate or refresh of another bank", 0),
    Parameter("controller.scheduler", "", "who picks the next command", "frfcfs_row_hit", SCHEDULERS),
    Parameter("controller.page", "", "a row after its last queued access", "open", PAGES),
    Parameter("controller.refresh", "", "what is refreshed when", "all_bank", REFRESHES),
    Parameter("controller.read_queue", "requests", "reads queued in a channel", 32),
    Parameter("controller.write_queue", "requests", "writes queued in a channel", 32),
    Parameter("controller.write_high_percent", "%", "writes drain when their queue is fuller than this", 80),
    Parameter("controller.write_low_percent", "%", "reads go again when it is emptier than this", 20),
    Parameter("controller.bank_queue", "requests", "queued at each bank (bank_queues)", 8),
    Parameter("controller.row_hit_cap", "accesses", "of a row before an older request may close it (bank_queues)", 4),
    Parameter(
        "controller.idle_writes", "requests", "more than these go when all bank queues are empty (bank_queues)", 8
    ),
    Parameter(
        "map.interleave_bytes",
        "bytes",
        "granules that go round the channels",
        None,
        maximum=MAX_U64,
        meaning="by fields",
    ),
    Parameter("map.hashed", "", "each round of granules is turned by a hash of its number", False),
    Parameter(
        "map.fields",
        "",
        "fields of an address, least significant first; name:bits places a part",
        [],
        meaning="neighbouring bursts in other pseudo channels and bank groups, rows above all",
    ),
    Parameter("map.xor", "", "exclusive-or of a field with bits of another", []),
)
PARAMETERS: dict[str, Parameter] = {parameter.key: parameter for parameter in _SHEET}
SECTIONS = tuple(dict.fromkeys(key.rpartition(".")[0] for key in PARAMETERS))


def unknown_key(key: str, name: str) -> MemoryDescriptionError:
    """The error for a key that no memory has."""
    return MemoryDescriptionError(
        f"memory {name!r}: unknown key {shown(key)}; the nearest is {nearest(key, PARAMETERS)!r}"
    )

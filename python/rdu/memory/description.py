"""From a tree of numbers, with or without their sources, to a whole description of a memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from rdu.errors import MemoryDescriptionError
from rdu.machine.parameter import OVERRIDE, STATUSES, Provenance, nearest, shown
from rdu.memory.parameters import PARAMETERS, SECTIONS, Required, Value, unknown_key

Tree = dict[str, object]
RECORD_FIELDS = ("value", "unit", "status", "source")
# `status` and `source` at the top stand for every value that has none of its own.
TITLES = ("name", "title", "extends", "status", "source")
# Of a channel at a time, where a description with several channels does not say.
GRANULE_BYTES = 256
GIVEN = Provenance(OVERRIDE, "given by the user")


class Entry(NamedTuple):
    """One row of `Description.entries`."""

    key: str
    value: Value
    unit: str
    status: str
    source: str
    doc: str


@dataclass(frozen=True)
class Description:
    """A whole memory: a value and a provenance for each of `PARAMETERS`."""

    name: str
    title: str
    values: Mapping[str, Value]
    origins: Mapping[str, Provenance]

    def entries(self) -> Iterator[Entry]:
        """Every parameter, in the order of the data sheet."""
        for key, parameter in PARAMETERS.items():
            origin = self.origins[key]
            yield Entry(key, self.values[key], parameter.unit, origin.status, origin.source, parameter.doc)

    def config(self) -> Tree:
        """What the engine takes: plain values, nested by section."""
        return {"name": self.name, **_nested({key: self.values[key] for key in PARAMETERS})}

    def to_dict(self) -> Tree:
        """Plain types in the shape of a preset's file, each value with unit, status and source."""
        records: dict[str, object] = {}
        for entry in self.entries():
            unit = {"unit": entry.unit} if entry.unit else {}
            records[entry.key] = {"value": entry.value, **unit, "status": entry.status, "source": entry.source}
        return {"name": self.name, "title": self.title, **_nested(records)}

    def override(self, settings: Mapping[str, object]) -> Description:
        """With some values replaced; the first value that was replaced stays named in the source."""
        values, origins = dict(self.values), dict(self.origins)
        for key, value in settings.items():
            if key not in PARAMETERS:
                raise unknown_key(key, self.name)
            values[key] = PARAMETERS[key].check(value, self.name)
            before = origins[key]
            if before.status != OVERRIDE:
                source = f"set by the user; was {shown(self.values[key])} ({before.status}: {before.source})"
                origins[key] = Provenance(OVERRIDE, source)
        return replace(self, values=values, origins=origins)


def describe(tree: Mapping[str, object], base: Description | None = None) -> Description:
    """The memory that a tree describes, or that it makes of another.

    Parameters
    ----------
    tree : mapping
        ``name``, ``title`` and, nested by section, for each key a value or ``{value, unit, status, source}``.
    base : Description, optional
        Where the values come from that the tree does not give. Default: the defaults of `PARAMETERS`.

    Raises
    ------
    MemoryDescriptionError
        Names the key, its value and what is allowed.
    """
    name = _text(tree.get("name", base.name if base else "custom"), "name")
    title = _text(tree.get("title", base.title if base else "described by the user"), "title")
    origin = GIVEN
    if "source" in tree:
        origin = Provenance(_status(tree.get("status", OVERRIDE), f"memory {name!r}"), _text(tree["source"], "source"))
    given = dict(_flat(tree, name))
    values: dict[str, Value] = {}
    origins: dict[str, Provenance] = {}
    for key, parameter in PARAMETERS.items():
        if key in given:
            values[key], origins[key] = _entry(key, given[key], name, origin)
        elif base is not None:
            values[key], origins[key] = base.values[key], base.origins[key]
        elif isinstance(parameter.default, Required):
            raise MemoryDescriptionError(f"memory {name!r}: {key} is missing; give {parameter.kind}")
        else:
            values[key] = parameter.default
            origins[key] = Provenance("derived", parameter.meaning or "the default")
    if base is None and "map.fields" not in given:
        _spread(values, spread="map.interleave_bytes" not in given)
    return Description(name, title, values, origins)


def _spread(values: dict[str, Value], spread: bool) -> None:
    """The address map of a memory that has none of its own: sequential bursts never wait for a bank group."""
    pairs = values["organisation.pseudo_channels"] != 1
    low = ["column:1", "pseudo_channel"] if pairs and values["organisation.columns"] != 1 else ["pseudo_channel"]
    values["map.fields"] = [*low, "bank_group", "column", "bank", "rank", "row"]
    if spread and (values["organisation.stacks"], values["organisation.channels"]) != (1, 1):
        values["map.interleave_bytes"] = GRANULE_BYTES


def _flat(tree: Mapping[str, object], name: str, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Values by dotted key; an unknown section or key is an error that names the nearest."""
    for last, value in tree.items():
        key = f"{prefix}{last}"
        if key in SECTIONS:
            if not isinstance(value, Mapping):
                raise MemoryDescriptionError(f"memory {name!r}: {key} = {shown(value)} is not allowed; give a section")
            yield from _flat(value, name, f"{key}.")
        elif key in PARAMETERS:
            yield key, value
        elif key not in TITLES:
            known = [*TITLES, *SECTIONS, *PARAMETERS]
            raise MemoryDescriptionError(
                f"memory {name!r}: unknown section or key {shown(key)}; the nearest is {nearest(key, known)!r}"
            )


def _entry(key: str, given: object, name: str, origin: Provenance) -> tuple[Value, Provenance]:
    """A value and where it comes from: ``origin`` where it does not say so itself."""
    parameter = PARAMETERS[key]
    if not isinstance(given, Mapping):
        return parameter.check(given, name), origin
    place = f"memory {name!r}: {key}"
    for item in given:
        if item not in RECORD_FIELDS:
            raise MemoryDescriptionError(
                f"{place}: unknown field {shown(item)}; the nearest is {nearest(str(item), RECORD_FIELDS)!r}"
            )
    if "value" not in given:
        raise MemoryDescriptionError(f"{place}: 'value' is missing; give {parameter.kind}")
    unit, status = given.get("unit", parameter.unit), given.get("status", origin.status)
    source = given.get("source", origin.source)
    if unit != parameter.unit:
        raise MemoryDescriptionError(f"{place}: unit {shown(unit)} is not allowed; give {parameter.unit!r}")
    checked = parameter.check(given["value"], name)
    return checked, Provenance(_status(status, place), _text(source, f"{place}: source"))


def _status(value: object, place: str) -> str:
    if isinstance(value, str) and value in (*STATUSES, OVERRIDE):
        return value
    raise MemoryDescriptionError(f"{place}: status {shown(value)} is not allowed; give one of {', '.join(STATUSES)}")


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise MemoryDescriptionError(f"{key} = {shown(value)} is not allowed in a memory description; give a text")
    return value


def _nested(flat: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for key, value in flat.items():
        *sections, last = key.split(".")
        owner = tree
        for section in sections:
            inner = owner.setdefault(section, {})
            assert isinstance(inner, dict)
            owner = inner
        owner[last] = value
    return tree

"""From a tree of records to a checked machine."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from rdu.errors import MachineError
from rdu.machine.combinations import check_combinations
from rdu.machine.description import PARAMETERS, SECTIONS, Machine, unknown_key
from rdu.machine.parameter import OVERRIDE, STATUSES, Number, Parameter, Provenance, nearest, shown

RECORD_FIELDS = ("value", "unit", "status", "source")
TITLES = ("name", "title")


def build(tree: Mapping[str, object], *, overridden: bool = False) -> Machine:
    """A machine from a whole tree of records.

    Parameters
    ----------
    tree : mapping
        ``name``, ``title``, and for each key, nested by section, ``{value, unit, status, source}``.
    overridden : bool
        Whether the status ``override`` is allowed: in a saved machine it is, in a machine file it is not.
    """
    if not isinstance(tree, Mapping):
        raise MachineError(f"a machine is a mapping of sections, not {shown(tree)}")
    name = _text(tree, "name", "a machine description without a name")
    title = _text(tree, "title", f"machine {name!r}: no title")
    records = flatten(tree, name)
    statuses = (*STATUSES, OVERRIDE) if overridden else STATUSES
    values: dict[str, int | float | str] = {}
    provenance: list[Provenance] = []
    for key, parameter in PARAMETERS.items():
        if key not in records:
            raise MachineError(f"machine {name!r}: {key} is missing; give {parameter.allowed}")
        value, origin = _entry(records[key], parameter, name, statuses)
        values[key] = value
        provenance.append(origin)
    return _assemble(name, title, values, tuple(provenance))


def override(machine: Machine, settings: Mapping[str, object]) -> Machine:
    """`Machine.override`: all settings together, so that two may be impossible alone and possible together."""
    values = {key: machine[key] for key in PARAMETERS}
    origins = dict(zip(PARAMETERS, machine.provenance, strict=True))
    for key, setting in settings.items():
        if key not in PARAMETERS:
            raise unknown_key(key, machine.name)
        parameter = PARAMETERS[key]
        values[key] = parameter.check(_parsed(setting, parameter), machine.name)
        before = origins[key]
        # The first replaced value stays named, however often it is replaced again.
        if before.status != OVERRIDE:
            source = f"set by the user; was {shown(machine[key])} ({before.status}: {before.source})"
            origins[key] = Provenance(OVERRIDE, source)
    return _assemble(machine.name, machine.title, values, tuple(origins.values()))


def flatten(tree: Mapping[str, object], name: str) -> dict[str, object]:
    """Records by dotted key; an unknown section or key is an error that names the nearest one."""
    records: dict[str, object] = {}
    for key, value in tree.items():
        if key in SECTIONS:
            if not isinstance(value, Mapping):
                raise MachineError(f"machine {name!r}: {key} = {shown(value)} is not allowed; give a section [{key}]")
            for last, record in value.items():
                if f"{key}.{last}" not in PARAMETERS:
                    raise unknown_key(f"{key}.{last}", name)
                records[f"{key}.{last}"] = record
        elif key in PARAMETERS:
            # A quoted dotted key at the top ("hbm.channels") is the same key as the nested one.
            records[key] = value
        elif key not in TITLES:
            known = [*TITLES, *SECTIONS, *(known for known in PARAMETERS if "." not in known)]
            raise MachineError(
                f"machine {name!r}: unknown section or key {shown(key)}; the nearest is {nearest(str(key), known)!r}"
            )
    return records


def _assemble(
    name: str, title: str, values: Mapping[str, int | float | str], provenance: tuple[Provenance, ...]
) -> Machine:
    sections: dict[str, object] = {}
    for section, kind in SECTIONS.items():
        start = f"{section}."
        sections[section] = kind(**{k.removeprefix(start): v for k, v in values.items() if k.startswith(start)})
    tops = {key: value for key, value in values.items() if "." not in key}
    # The types were checked parameter by parameter; mypy cannot follow them through the declaration.
    machine = Machine(name=name, title=title, provenance=provenance, **tops, **sections)  # type: ignore[arg-type]
    return check_combinations(machine)


def _entry(
    record: object, parameter: Parameter, name: str, statuses: tuple[str, ...]
) -> tuple[int | float | str, Provenance]:
    place = f"machine {name!r}: {parameter.key}"
    if not isinstance(record, Mapping):
        fields = ", ".join(f"{item} = .." for item in RECORD_FIELDS)
        raise MachineError(f"{place} = {shown(record)} says nothing of its source; give {{ {fields} }}")
    for item in record:
        if item not in RECORD_FIELDS:
            raise MachineError(
                f"{place}: unknown field {shown(item)}; the nearest is {nearest(str(item), RECORD_FIELDS)!r}"
            )
    for item in RECORD_FIELDS:
        # A word has no unit.
        if item not in record and (item != "unit" or parameter.unit):
            raise MachineError(f"{place}: {item!r} is missing")
    unit, status, source = record.get("unit", ""), record["status"], record["source"]
    if unit != parameter.unit:
        raise MachineError(f"{place}: unit {shown(unit)} is not allowed; give {parameter.unit!r}")
    if not isinstance(status, str) or status not in statuses:
        raise MachineError(f"{place}: status {shown(status)} is not allowed; give one of {', '.join(statuses)}")
    if not isinstance(source, str) or not source.strip():
        raise MachineError(f"{place}: source {shown(source)} is not allowed; say where the value comes from")
    return parameter.check(record["value"], name), Provenance(status, source)


def _parsed(setting: object, parameter: Parameter) -> object:
    """A setting given as a string, read as a TOML value; any other as it is."""
    if not isinstance(setting, str):
        return setting
    try:
        document = tomllib.loads(f"value = {setting}")
    except (ValueError, RecursionError):
        # A bare word (call.ordering=hardware) is no TOML value; for a number the check refuses the string.
        return setting
    if isinstance(parameter.bound, Number) or isinstance(document["value"], str):
        # A line break in the setting could smuggle in a second key.
        return document["value"] if len(document) == 1 else setting
    return setting


def _text(tree: Mapping[str, object], key: str, missing: str) -> str:
    value = tree.get(key)
    if value is None:
        raise MachineError(f'{missing}; give {key} = ".."')
    if not isinstance(value, str) or not value.strip():
        raise MachineError(f"{key} = {shown(value)} is not allowed in a machine description; give a text")
    return value

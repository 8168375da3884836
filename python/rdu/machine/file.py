"""Machine files: the shipped ones by name, a user's by path, and those that extend another."""

from __future__ import annotations

import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import cast

from rdu.errors import MachineError
from rdu.machine.build import build, flatten
from rdu.machine.description import Machine
from rdu.machine.parameter import nearest, shown

SHIPPED = files("rdu").joinpath("machines")


def names() -> list[str]:
    """Names of the shipped machines, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


def read(name_or_path: str | os.PathLike[str]) -> Machine:
    """The machine of a shipped name or of a TOML file.

    Raises
    ------
    MachineError
        Unknown name (names the nearest), unreadable file, broken TOML, or not a whole, possible machine.
    """
    return _read(name_or_path, Path(), ())


def machine(
    name_or_path: str | os.PathLike[str] | Machine = "sn40l", *, sockets: int | None = None, **overrides: object
) -> Machine:
    """A machine description, with some numbers changed.

    Parameters
    ----------
    name_or_path : str, path or Machine
        A shipped name (`names`), a TOML file, or a machine to change.
    sockets : int, optional
        Sockets that work as one machine.
    **overrides
        Dotted keys with ``__`` for the dot: ``hbm__peak_gbps=3000``.

    Raises
    ------
    MachineError
        Unknown machine or key, a value outside its range, an impossible combination.

    Examples
    --------
    >>> from rdu.machine import machine
    >>> machine("sn40l", hbm__peak_gbps=3000).hbm.peak_gbps
    3000.0
    """
    described = name_or_path if isinstance(name_or_path, Machine) else read(name_or_path)
    settings: dict[str, object] = {key.replace("__", "."): value for key, value in overrides.items()}
    if sockets is not None:
        settings["sockets"] = sockets
    return described.override(settings) if settings else described


def _read(name_or_path: str | os.PathLike[str], folder: Path, visited: tuple[str, ...]) -> Machine:
    try:
        given = os.fspath(name_or_path)
    except TypeError:
        given = None
    if not isinstance(given, str):
        raise MachineError(f"{shown(name_or_path)} is no machine; give a name ({', '.join(names())}) or a TOML file")
    if given in names():
        text, place = SHIPPED.joinpath(f"{given}.toml").read_text(encoding="utf-8"), given
    else:
        text, place = _text(given, folder)
        folder = Path(place).parent
    if place in visited:
        raise MachineError(f"machine file {place}: extends itself ({' -> '.join((*visited, place))})")
    tree = _tree(text, place)
    extends = tree.pop("extends", None)
    if extends is None:
        return build(tree)
    if not isinstance(extends, str):
        raise MachineError(f"machine file {place}: extends = {shown(extends)} is not allowed; give a name or a path")
    parent = _read(extends, folder, (*visited, place))
    return build(_extended(parent, tree, place))


def _extended(parent: Machine, tree: dict[str, object], place: str) -> dict[str, object]:
    """The parent's records with the child's in their place."""
    name = tree.get("name")
    if name is None:
        raise MachineError(f"machine file {place}: no name; a machine that extends another needs its own")
    whole = parent.to_dict()
    whole.update({key: tree[key] for key in ("name", "title") if key in tree})
    for key, record in flatten(tree, str(name)).items():
        section, _, last = key.rpartition(".")
        owner = cast(dict[str, object], whole[section]) if section else whole
        owner[last] = record
    return whole


def _text(given: str, folder: Path) -> tuple[str, str]:
    """Text of a file and its resolved path."""
    path = folder / given
    try:
        # A name without a suffix or a folder is more likely a misspelt machine than a file.
        if not given or (not path.exists() and os.sep not in given and not given.endswith(".toml")):
            known = names()
            raise MachineError(
                f"unknown machine {shown(given)}; the nearest is {nearest(given, known)!r} of {', '.join(known)}"
            )
        resolved = path.resolve()
        return resolved.read_text(encoding="utf-8"), str(resolved)
    except OSError as error:
        raise MachineError(f"machine file {shown(given)}: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:
        if isinstance(error, MachineError):
            raise
        raise MachineError(f"machine file {shown(given)} is no readable UTF-8 file: {error}") from error


def _tree(text: str, place: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise MachineError(f"machine file {place}: nested too deeply") from error
    except ValueError as error:
        raise MachineError(f"machine file {place} is not TOML: {error}") from error

"""Memory descriptions by name or from a file: pages of data in data-sheet order."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from rdu.errors import MemoryDescriptionError
from rdu.machine.parameter import nearest, shown
from rdu.memory.description import Description, describe

SHIPPED = files("rdu").joinpath("machines", "dram")

Given = str | os.PathLike[str] | Mapping[str, object] | Description


def names() -> list[str]:
    """Names of the shipped presets, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


def read(given: Given, folder: Path = Path(), visited: tuple[str, ...] = ()) -> Description:
    """The memory of a shipped name, a TOML file or a mapping; any of them may extend another.

    Raises
    ------
    MemoryDescriptionError
        Unknown name (names the nearest), unreadable file, broken TOML, or not a whole memory.
    """
    if isinstance(given, Description):
        return given
    if isinstance(given, Mapping):
        return _extended(given, folder, visited)
    path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(path, str):
        raise MemoryDescriptionError(
            f"{shown(given)} is no memory; give a name ({', '.join(names())}), a TOML file or a mapping"
        )
    if path in names():
        text, place = SHIPPED.joinpath(f"{path}.toml").read_text(encoding="utf-8"), path
    else:
        text, place = _text(path, folder)
        folder = Path(place).parent
    if place in visited:
        raise MemoryDescriptionError(f"memory file {place}: extends itself ({' -> '.join((*visited, place))})")
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MemoryDescriptionError(f"memory file {place} is not TOML: {error}") from error
    return _extended(tree, folder, (*visited, place))


def _extended(tree: Mapping[str, object], folder: Path, visited: tuple[str, ...]) -> Description:
    base = tree.get("extends")
    if base is None:
        return describe(tree)
    if not isinstance(base, str):
        raise MemoryDescriptionError(f"extends = {shown(base)} is not allowed; give the name of a memory or a path")
    return describe(tree, read(base, folder, visited))


def _text(given: str, folder: Path) -> tuple[str, str]:
    """Text of a file and its resolved path."""
    path = folder / given
    try:
        # A name without a suffix or a folder is more likely a misspelt preset than a file.
        if not given or (not path.exists() and os.sep not in given and not given.endswith(".toml")):
            known = names()
            raise MemoryDescriptionError(
                f"unknown memory {shown(given)}; the nearest is {nearest(given, known)!r} of {', '.join(known)}"
            )
        resolved = path.resolve()
        return resolved.read_text(encoding="utf-8"), str(resolved)
    except OSError as error:
        raise MemoryDescriptionError(f"memory file {shown(given)}: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:
        if isinstance(error, MemoryDescriptionError):
            raise
        raise MemoryDescriptionError(f"memory file {shown(given)} is no readable UTF-8 file: {error}") from error

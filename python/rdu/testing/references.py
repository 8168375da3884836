"""The memories behind the reference rows of two DRAM simulators, by the names that those rows use.

A name is a page of data (``dram/HBM3_6400.toml``) and what a run changed of it: ``HBM3_6400-rq16``,
``DDR4_8Gb_x8_3200-1r-bglow``.
"""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

from rdu.errors import MemoryDescriptionError
from rdu.machine.parameter import nearest, shown
from rdu.memory.description import Description, describe
from rdu.memory.dram import Dram

PAGES = files("rdu").joinpath("testing", "dram")
# Each simulator's own names for a page, and what its runs changed of it.
RAMULATOR = {
    "DDR4_3200AA": ("", "RoBaRaCoCh", "MOP4CLXOR", "FRFCFS", "NoRef", "rq16", "rq32", "rq64", "rq128"),
    "DDR5_4800AN": ("", "RoBaRaCoCh", "MOP4CLXOR"),
    "HBM2E_3200d": ("",),
    "HBM2_2000": ("", "RoBaRaCoCh", "MOP4CLXOR", "BGI256", "FRFCFS", "NoRef", "REFpb", "8ch"),
    "HBM3_6400": ("", "RoBaRaCoCh", "MOP4CLXOR", "FRFCFS", "NoRef", "REFpb", "16ch", "rq16", "rq32", "rq64", "rq128"),
    "HBM4_8000": ("",),
}
DRAMSIM = {
    "DDR4_8Gb_x8_3200": ("1r", "1r-bglow", "2r"),
    "HBM2_8Gb_x128": ("1ch", "1ch-bglow", "8ch"),
}
# Ramulator's driver sends granules of this many bytes round the channels.
GRANULE_BYTES = 256


def reference_names() -> list[str]:
    """Names that `reference_dram` takes, sorted."""
    return sorted("-".join(filter(None, (page, way))) for page, ways in (RAMULATOR | DRAMSIM).items() for way in ways)


def reference_dram(name: str) -> Dram:
    """A memory set to a reference configuration: timings, address map, queues, scheduler and refresh.

    Parameters
    ----------
    name : str
        As in ``tests/fidelity/data/dram/configs.csv``: ``HBM3_6400``, ``DDR4_8Gb_x8_3200-1r-bglow`` ... It has one
        channel, unless the name ends in the number of them (``HBM2_2000-8ch``).

    Returns
    -------
    Dram
        Readable: ``capacity_bytes``, ``peak_gbps``, ``timings``, ``organisation``, ``controller``, ``map``.

    Raises
    ------
    MemoryDescriptionError
        An unknown name; the message has the nearest.

    Examples
    --------
    >>> from rdu.testing import reference_dram
    >>> dram = reference_dram("HBM3_6400")
    >>> dram.peak_gbps, dram.capacity_bytes // 2**20, dram.timings.trcd_rd
    (51.2, 1024, 31)
    """
    pages = [page for page in RAMULATOR | DRAMSIM if f"{name}-".startswith(f"{page}-")]
    if not pages:
        raise _unknown(name)
    page = max(pages, key=len)
    described = describe(tomllib.loads(PAGES.joinpath(f"{page}.toml").read_text(encoding="utf-8")))
    settings: dict[str, object] = {}
    for way in filter(None, name.removeprefix(page).split("-")):
        settings |= _changed(name, described, way)
    return Dram(describe({"name": name}, described.override(settings)))


def _changed(name: str, described: Description, way: str) -> dict[str, object]:
    """What one part of a name changes."""
    found = _dramsim(described, way) if described.name in DRAMSIM else _ramulator(described, way)
    if found is None:
        raise _unknown(name)
    return found


def _ramulator(described: Description, way: str) -> dict[str, object] | None:
    bits = _bits(described)
    hbm = described.name.startswith("HBM")
    inner = (["pseudo_channel"] if hbm else []) + ["rank", "bank_group", "bank"]
    queue, channels = re.fullmatch(r"rq(\d+)", way), re.fullmatch(r"(\d+)ch", way)
    if queue:
        return {"controller.read_queue": int(queue[1]), "controller.write_queue": int(queue[1])}
    if channels:
        return {"organisation.channels": int(channels[1]), "map.interleave_bytes": GRANULE_BYTES}
    if way == "MOP4CLXOR":
        # Each field is turned by the next bits of the column, the row by those that are left.
        low = [sum(bits[field] for field in inner[:at]) for at in range(len(inner) + 1)]
        turned = zip([*inner, "row"], low, strict=True)
        return {
            "map.fields": ["column:2", *inner, "column", "row"],
            "map.xor": [{"field": field, "with": "column", "from": start} for field, start in turned],
        }
    changes: dict[str, dict[str, object]] = {
        "RoBaRaCoCh": {"map.fields": ["column", *inner, "row"]},
        "FRFCFS": {"controller.scheduler": "frfcfs"},
        "NoRef": {"controller.refresh": "none"},
    }
    if hbm:
        changes["BGI256"] = {
            "map.fields": ["column:3", "pseudo_channel", "bank_group", "column", "bank", "rank", "row"]
        }
        # HBM3 and HBM4 refresh the same bank of both pseudo channels at once.
        pairs = described.values["organisation.beats_per_clock"] == 4
        changes["REFpb"] = {"controller.refresh": "per_bank_paired" if pairs else "per_bank"}
    return changes.get(way)


def _dramsim(described: Description, way: str) -> dict[str, object] | None:
    hbm = described.name.startswith("HBM")
    if way == "bglow":
        order = ["bank_group", "column", "channel", "bank", "rank", "row"]
        return {"map.fields": order if hbm else ["bank_group", "column", "bank", "rank", "channel", "row"]}
    count = re.fullmatch(r"(\d+)ch" if hbm else r"(\d+)r", way)
    return {"organisation.channels" if hbm else "organisation.ranks": int(count[1])} if count else None


def _bits(described: Description) -> dict[str, int]:
    """Address bits of each field within a channel."""
    sizes = {
        name: described.values[f"organisation.{name}s"] for name in ("pseudo_channel", "rank", "bank_group", "bank")
    }
    return {name: size.bit_length() - 1 for name, size in sizes.items() if isinstance(size, int)}


def _unknown(name: object) -> MemoryDescriptionError:
    known = reference_names()
    return MemoryDescriptionError(
        f"no reference configuration is called {shown(name)}; the nearest is {nearest(str(name), known)!r}"
    )

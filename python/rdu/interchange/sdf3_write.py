"""A stream program as SDF3 XML."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from ..builder import StreamProgram
from ..errors import GraphError
from .rounds import Round, of
from .sequences import written
from .xml_tree import NAMESPACE

# Characters that no XML 1.0 document can hold, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# The stream at a port, which way it goes, and what the unit's phases call it.
Port = tuple[str, str, str]


def write_sdf3(
    program: StreamProgram,
    path: str | os.PathLike[str] | None = None,
    *,
    extras: bool = True,
    drop_values: bool = False,
) -> str:
    """Write a program in the XML of SDF3, as ``sdf`` or, where a unit has lists or loops, as ``csdf``.

    Parameters
    ----------
    program
        A program without data-dependent units.
    path
        Where to write; left out, nothing is written.
    extras
        SDF3 knows one time of an actor, its execution time, and gets ``ii`` for it. Where ``latency`` is not
        ``ii - 1``, or a stream's latency is not 1 or its credit not 0, these stand in attributes of rdu's own
        namespace, and so do the firings; :func:`read_sdf3` reads them and SDF3 tools pass them over. False writes plain
        SDF3 and refuses a program whose times it cannot say.
    drop_values
        SDF3 has no values. A program with values (sources, sinks, operators) is refused, unless this is True: then its
        units, streams and times are written.

    Returns
    -------
    str
        The XML.

    Raises
    ------
    rdu.errors.GraphError
        Something that SDF3 cannot say; the message names the unit or stream. Loops are written out firing by firing,
        one round of the unit, up to 2^20 firings.
    """
    described: dict[str, Any] = program.describe()
    for unit in described["units"]:
        if unit["op"] is not None and not drop_values:
            raise GraphError(
                f"unit {unit['name']!r} computes values ({unit['op']!r}); SDF3 has none: pass drop_values=True "
                "to write its times alone"
            )
        if unit["transfer"] is not None:
            raise GraphError(f"unit {unit['name']!r} transfers to {unit['transfer']['tier']}; SDF3 knows no memory")
    rounds = {unit["name"]: of(unit) for unit in described["units"]}
    kind = "csdf" if any(len(round.order) > 1 for round in rounds.values()) else "sdf"
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<sdf3 type="{kind}" version="1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        f' xsi:noNamespaceSchemaLocation="http://www.es.ele.tue.nl/sdf3/xsd/sdf3-{kind}.xsd"'
        + (f' xmlns:rdu="{NAMESPACE}">' if extras else ">"),
        '  <applicationGraph name="program">',
        f'    <{kind} name="program" type="program">',
    ]
    ports: dict[str, list[Port]] = {unit["name"]: [] for unit in described["units"]}
    for stream in described["streams"]:
        ports[stream["target"]].append((stream["name"], "in", "consume"))
        ports[stream["source"]].append((stream["name"], "out", "produce"))
    for unit in described["units"]:
        lines += _actor(unit, rounds[unit["name"]], ports[unit["name"]], extras)
    lines += [_channel(stream, extras) for stream in described["streams"]]
    lines += [f"    </{kind}>", f"    <{kind}Properties>"]
    for unit in described["units"]:
        times = written([unit["phases"][phase]["ii"] for phase in rounds[unit["name"]].order])
        lines += [
            f"      <actorProperties{_attributes(actor=unit['name'])}>",
            '        <processor type="unit" default="true">',
            f'          <executionTime time="{times}"/>',
            "        </processor>",
            "      </actorProperties>",
        ]
    for stream in described["streams"]:
        slots = stream["capacity"]
        lines += [
            f"      <channelProperties{_attributes(channel=stream['name'])}>",
            # On one tile or on two, the buffer is the same.
            f"        <bufferSize{_attributes(sz=slots, src=slots, dst=slots, mem=slots)}/>",
            "      </channelProperties>",
        ]
    lines += [f"    </{kind}Properties>", "  </applicationGraph>", "</sdf3>", ""]
    text = "\n".join(lines)
    if path is not None:
        try:
            Path(path).write_text(text, encoding="utf-8", newline="\n")
        except (OSError, ValueError) as error:
            raise GraphError(f"SDF3 file {os.fspath(path)!r} cannot be written: {error}") from error
    return text


def _actor(unit: dict[str, Any], round: Round, ports: Sequence[Port], extras: bool) -> list[str]:
    name, phases = unit["name"], [unit["phases"][phase] for phase in round.order]
    attributes = {"name": name, "type": unit["op"] or "unit"}
    latencies = [phase["latency"] for phase in phases]
    plain = latencies == [phase["ii"] - 1 for phase in phases]
    if extras:
        attributes["rdu:firings"] = round.firings
        if not plain:
            attributes["rdu:latency"] = written(latencies)
    elif not plain:
        raise GraphError(
            f"unit {name!r}: its latency is not ii - 1, which plain SDF3 cannot say; pass extras=True, or build "
            f"it with latency={[phase['ii'] - 1 for phase in phases]} and add the rest to the latency of its streams"
        )
    lines = [f"      <actor{_attributes(**attributes)}>"]
    for stream, direction, rates in ports:
        rate = written([phase[rates].get(stream, 0) for phase in phases])
        lines.append(f"        <port{_attributes(name=_port(stream, direction), type=direction, rate=rate)}/>")
    return [*lines, "      </actor>"]


def _channel(stream: dict[str, Any], extras: bool) -> str:
    attributes = {
        "name": stream["name"],
        "srcActor": stream["source"],
        "srcPort": _port(stream["name"], "out"),
        "dstActor": stream["target"],
        "dstPort": _port(stream["name"], "in"),
    }
    if stream["initial"]:
        attributes["initialTokens"] = stream["initial"]
    for key, plain in (("latency", 1), ("credit", 0)):
        if stream[key] != plain:
            if not extras:
                raise GraphError(
                    f"stream {stream['name']!r}: its {key} is {stream[key]}; plain SDF3 can say only {plain}: "
                    f"pass extras=True, or build it with {key}={plain}"
                )
            attributes[f"rdu:{key}"] = stream[key]
    return f"      <channel{_attributes(**attributes)}/>"


def _port(stream: str, direction: str) -> str:
    # A channel from an actor to itself has both its ports there.
    return f"{stream}.{direction}"


def _attributes(**values: object) -> str:
    for value in values.values():
        bad = _UNWRITABLE.search(str(value))
        if bad:
            raise GraphError(f"the name {value!r} has the character {bad[0]!r}, which XML cannot hold; rename it")
    return "".join(f" {key}={quoteattr(str(value))}" for key, value in values.items())

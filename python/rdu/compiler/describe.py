"""A netlist as the engine takes it: folded, one unit for each bundle; or unfolded, every copy written out.

Both take the same time, firing by firing: the copies of a bundle move in lockstep. `folded` is what timing runs on;
`unfolded` is for values on tokens, and for tests of this very promise.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from rdu.compiler.formats import lanes
from rdu.compiler.netlist import Count, Json, Netlist, Stream, Unit
from rdu.compiler.shard import holder, part_of
from rdu.run import TIERS


class _Ends(NamedTuple):
    """Where the ends of a unit's copies begin, and how many each stands for."""

    first: list[int]
    fan: list[int]


def folded(net: Netlist) -> Json:
    """One unit for each bundle."""
    number = {id(unit): at for at, unit in enumerate(net.units)}
    units = [_unit(net, u, u.name, u.phases) for u in net.units]
    streams = [
        _stream(s, s.name, (number[id(s.source)], s.output), (number[id(s.target)], s.input)) for s in net.streams
    ]
    return _kernel(net, units, [u.token_op | (u.variants[0] if u.variants else {}) for u in net.units], streams)


def unfolded(net: Netlist, sockets: int = 1) -> Json:
    """Every copy written out; with several sockets, the whole of each, and the streams between all of them."""
    inputs = {id(u): _ends(u.inputs) for u in net.units}
    outputs = {id(u): _ends(u.outputs) for u in net.units}
    for s in net.streams:
        out_fan, in_fan = _fans(s, sockets)
        outputs[id(s.source)].fan[s.output], inputs[id(s.target)].fan[s.input] = out_fan, in_fan
    for ends in (*inputs.values(), *outputs.values()):
        ends.first[:] = list(accumulate(ends.fan, initial=0))[:-1]
    first: dict[tuple[int, int], int] = {}
    units: list[Json] = []
    operators: list[Json] = []
    for socket in range(sockets):
        prefix = f"socket.{socket}." if sockets > 1 else ""

        def bank_of(parts: int, socket: int = socket) -> int:
            return holder(part_of(socket, parts, sockets), parts, sockets) * net.bank_bytes if sockets > 1 else 0

        for u in net.units:
            first[socket, id(u)] = len(units)
            phases = [_phase(phase, inputs[id(u)], outputs[id(u)]) for phase in u.phases]
            units += [_unit(net, u, prefix + name, phases, TIERS * socket) for name in u.names]
            operators += u.operators(socket, bank_of)
    streams = []
    for s in net.streams:
        for (a_socket, a, out), (b_socket, b, into) in _members(s, sockets):
            source = (first[a_socket, id(s.source)] + a, outputs[id(s.source)].first[s.output] + out)
            target = (first[b_socket, id(s.target)] + b, inputs[id(s.target)].first[s.input] + into)
            name = f"{units[source[0]]['name']}.{source[1]}->{units[target[0]]['name']}.{target[1]}"
            streams.append(_stream(s, name, source, target))
    return _kernel(net, units, operators, streams)


def representatives(net: Netlist, sockets: int = 1) -> tuple[list[int], list[int]]:
    """Where in the unfolded lists the first copy of each unit, and of each stream, stands (of the first socket)."""
    units = list(accumulate((u.copies for u in net.units), initial=0))[:-1]
    streams = list(accumulate((len(_members(s, sockets)) for s in net.streams), initial=0))[:-1]
    return units, streams


def _ends(count: int) -> _Ends:
    return _Ends([0] * count, [1] * count)


def _fans(stream: Stream, sockets: int) -> tuple[int, int]:
    """How many members leave each source, and arrive at each target."""
    if stream.peers is not None:
        return (sockets - 1, sockets - 1) if stream.peers == "all" else (1, 1)
    m, n = stream.source.copies, stream.target.copies
    return max(1, n // m), max(1, m // n)


def _members(stream: Stream, sockets: int) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """(socket, copy, which of its fan) at both ends of every member."""
    if stream.peers == "next":
        return [((i, 0, 0), ((i + 1) % sockets, 0, 0)) for i in range(sockets)]
    if stream.peers == "all":
        pairs = [(i, j) for i in range(sockets) for j in range(sockets) if i != j]
        return [((i, 0, j - (j > i)), (j, 0, i - (i > j))) for i, j in pairs]
    out_fan, in_fan = _fans(stream, sockets)
    return [
        ((socket, at // out_fan, at % out_fan), (socket, at // in_fan, at % in_fan))
        for socket in range(sockets)
        for at in range(stream.copies)
    ]


def _phase(phase: Json, inputs: _Ends, outputs: _Ends) -> Json:
    def spread(rates: list[tuple[int, int]], ends: _Ends) -> list[tuple[int, int]]:
        return [(ends.first[at] + member, rate) for at, rate in rates for member in range(ends.fan[at])]

    return phase | {"consume": spread(phase["consume"], inputs), "produce": spread(phase["produce"], outputs)}


def _unit(net: Netlist, unit: Unit, name: str, phases: list[Json], tier: int = 0) -> Json:
    found: Json = {"name": name, "phases": phases, "nest": _resolved(net, unit.nest)}
    if unit.port:
        found["port"] = unit.port | {"tier": unit.port["tier"] + tier}
    return found


def _stream(stream: Stream, name: str, source: tuple[int, int], target: tuple[int, int]) -> Json:
    return {
        "name": name,
        "from": source,
        "to": target,
        "capacity": stream.capacity,
        "latency": stream.latency,
        "credit": stream.credit,
        "lanes": lanes(stream.element),
    }


def _kernel(net: Netlist, units: list[Json], operators: list[Json], streams: list[Json]) -> Json:
    return {
        "name": net.name,
        "positions": net.positions,
        "units": units,
        "operators": operators,
        "streams": streams,
        "tensors": net.tensors,
        "plan": net.plan,
    }


def _resolved(net: Netlist, nest: list[Json]) -> list[Json]:
    """``nest`` with argument names replaced by their indices."""
    out = []
    for node in nest:
        times = node["times"]
        if isinstance(times, Count):
            times = {"argument": net.argument(times.argument), "scale": times.scale}
        body = {"body": _resolved(net, node["body"])} if "body" in node else {"phase": node["phase"]}
        out.append(body | {"times": times})
    return out

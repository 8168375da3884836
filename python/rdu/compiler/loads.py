"""The AGCUs take the loads: in the order of need, so that nothing needed early waits for later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rdu.compiler.context import Lowering
from rdu.compiler.netlist import Count, Json, Load, Times, Unit


def issue_loads(low: Lowering, stretches: list[tuple[int, list[Load]]]) -> None:
    """One unit stands for all AGCUs of the socket, and issues whole granules: one round over the channels of HBM, a
    piece of it by each AGCU.

    ``stretches`` are the loads of each stretch of operators with the layers that it repeats. Loads come in the order in
    which operators follow each other in the graph: one that waits for space waits only for operators that come earlier,
    so no cycle of waiting can close.
    """
    if not any(loads for _, loads in stretches):
        return
    net, agcu = low.netlist, low.machine.agcu
    count = low.machine.total_agcus
    outstanding = max(1, agcu.outstanding * count // low.granule)
    port: Json = {"tier": 0, "write": False, "outstanding": outstanding, "patterns": []}
    token_op: Json = {"op": "load", "operands": []}
    unit = net.unit("agcus", "load", "load", token_op, agcus=count, links=low.granule, port=port)
    ii = -(-low.granule * low.issue_cycles // count)
    for layers, loads in stretches:
        ends = {id(load): _connect(low, unit, load) for load in loads}
        patterns: dict[int, int] = {}
        counted = any(not isinstance(load.granules, int) for load in loads)
        # How many granules of a cache are read is known when the kernel is called: each layer has a pattern of its own.
        with unit.loop(1 if counted else layers):
            for layer in range(layers if counted else 1):
                for rounds, members in _turns(loads):
                    for load in members:
                        fixed = isinstance(load.granules, int)
                        if not fixed or id(load) not in patterns:
                            patterns[id(load)] = len(port["patterns"])
                            port["patterns"].append(_pattern(low, load, 0 if fixed else layer))
                            token_op["operands"].append({"element": load.element, "source": _source(load, layer)})
                            unit.shares.append(load.parts)
                    with unit.loop(rounds):
                        for load in members:
                            _fire(low, unit, load, ends[id(load)], patterns[id(load)], ii)


def _turns(loads: list[Load]) -> Iterator[tuple[int, list[Load]]]:
    """Loads that take turns, and how often: cached keys and values of an operator round by round.

    What holds the scores of a round waits for its values, so the keys of the next must not stand before them.
    """
    for (_, fixed, _), group in groupby(
        loads, key=lambda load: (load.operator, isinstance(load.granules, int), load.late)
    ):
        members = list(group)
        if fixed:
            yield from ((1, [load]) for load in members)
        else:
            yield max(load.granules.scale for load in members if isinstance(load.granules, Count)), members


def _connect(low: Lowering, unit: Unit, load: Load) -> list[int]:
    produce: list[int] = []
    for target, into, depth in load.taps:
        # A granule comes whole, and what it is dealt in must fit beside it.
        room = max(depth, low.granule + target.links) if load.buffer else max(depth, load.tokens)
        stream = low.netlist.connect(unit, target, load.element, room, input=into, buffer=load.buffer)
        if not produce:
            rows = _rows(low, load)
            each = load.granules // rows if isinstance(load.granules, int) else 1
            stream.moved = (load.tokens // rows, each)
        produce.append(stream.output)
    return produce


def _rows(low: Lowering, load: Load) -> int:
    """Rows chosen by an index come one by one, each in whole granules; everything else is one row."""
    if not load.indexed_bytes or not isinstance(load.granules, int):
        return 1
    return load.granules // (load.indexed_bytes // low.granule_bytes)


def _pattern(low: Lowering, load: Load, layer: int) -> Json:
    address = load.address | {"base": load.address["base"] + layer * load.layer_bytes}
    each = load.granules if isinstance(load.granules, int) else 1
    if load.indexed_bytes:
        per_row = load.indexed_bytes // low.granule_bytes
        return address | {
            "run": per_row,
            "stride": load.indexed_bytes,
            "bytes": low.granule_bytes,
            "indexed": True,
        }
    stride = load.layer_bytes if isinstance(load.granules, int) else low.granule_bytes
    return address | {"run": each, "stride": stride, "bytes": low.granule_bytes, "indexed": False}


def _source(load: Load, layer: int) -> Json:
    """Where the host keeps it; a pattern of one layer has the source of that layer."""
    if isinstance(load.granules, int):
        return load.source
    at = load.source["at"]
    return load.source | {"at": at | {"base": at["base"] + layer * load.layer_bytes}}


def _fire(low: Lowering, unit: Unit, load: Load, ends: list[int], pattern: int, ii: int) -> None:
    """Whole granules; of the last one of an operand, what is not padding goes on."""

    def fire(times: Times, tokens: int) -> None:
        unit.fire(times, produce=[(end, tokens) for end in ends if tokens], ii=ii, transfer=pattern)

    if not isinstance(load.granules, int):
        fire(Count(load.granules.argument), low.granule)
        return
    rows = _rows(low, load)
    with unit.loop(rows):
        full, rest = divmod(load.tokens // rows, low.granule)
        fire(full, low.granule)
        if rest:
            fire(1, rest)
        fire(load.granules // rows - full - bool(rest), 0)

"""What the links of the mesh carry: vectors over each, along the ways that `route` takes.

Row first, then column (dimension order). What several units take alike goes as a tree: over each link once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rdu.compiler.netlist import Json, Netlist, Stream, Tiles, Unit
from rdu.compiler.route import EDGES, members
from rdu.machine import Machine

Loads = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Links:
    """Vectors over every link of a socket: ``along[row, column, way]`` between a switch and the next in its row (way 0
    to the right, 1 to the left), ``across`` between it and the next in its column (0 down, 1 up).
    """

    along: Loads
    across: Loads

    @property
    def busiest(self) -> float:
        """Vectors over the link that carries most."""
        return float(max(self.along.max(), self.across.max()))

    def at_busiest_of(self, whole: Links) -> float:
        """Vectors over the link that carries most of ``whole``."""
        along = whole.along.max() >= whole.across.max()
        mine, all_loads = (self.along, whole.along) if along else (self.across, whole.across)
        return float(mine.flat[int(all_loads.argmax())])


def shares(netlist: Netlist, machine: Machine, tokens: Sequence[int]) -> tuple[Links, list[float]]:
    """What all streams together make every link carry, and what each of them does of the busiest."""
    whole = links(netlist, machine, tokens)
    each = (_links([stream], machine, [count]) for stream, count in zip(netlist.streams, tokens, strict=True))
    return whole, [one.at_busiest_of(whole) for one in each]


def links(netlist: Netlist, machine: Machine, tokens: Sequence[int]) -> Links:
    """Add up what ``tokens`` (of one member of each stream, in order) make every link carry."""
    return _links(netlist.streams, machine, tokens)


def _links(streams: Sequence[Stream], machine: Machine, tokens: Sequence[int]) -> Links:
    rows, columns = machine.grid.rows, machine.grid.columns * machine.tiles
    # First differences along the way of each direction.
    along, across = np.zeros((rows, columns + 1, 2)), np.zeros((rows + 1, columns, 2))
    for stream, count in zip(streams, tokens, strict=True):
        groups = members(stream, machine.grid.columns)
        if _alike(stream):
            for source, target in groups:
                for start in np.unique(source, axis=0):
                    _tree(along, across, start, target[(source == start).all(axis=1)], count)
        else:
            pairs = sum(len(source) for source, _ in groups)
            for source, target in groups:
                _ways(along, across, source, target, count * stream.copies / pairs)
    return Links(np.cumsum(along, axis=1)[:, :-1], np.cumsum(across, axis=0)[:-1])


def _alike(stream: Stream) -> bool:
    """Whether all takers take the same: not where a buffer deals, or memory is at one end."""
    dealt = stream.source.token_op.get("op") == "deal" or {stream.source.role, stream.target.role} & set(EDGES)
    return stream.target.copies > stream.source.copies and not dealt


def _ways(along: Loads, across: Loads, source: Tiles, target: Tiles, count: float) -> None:
    """Everyone of ``source`` to its own of ``target``."""
    (r0, c0), (r1, c1) = source.T, target.T
    for way, (begin, end) in enumerate(((c0, c1), (c1, c0))):
        on = begin < end
        np.add.at(along, (r0[on], begin[on], way), count)
        np.add.at(along, (r0[on], end[on], way), -count)
    for way, (begin, end) in enumerate(((r0, r1), (r1, r0))):
        on = begin < end
        np.add.at(across, (begin[on], c1[on], way), count)
        np.add.at(across, (end[on], c1[on], way), -count)


def _tree(along: Loads, across: Loads, start: Tiles, targets: Tiles, count: float) -> None:
    """One to many: along its row as far as any of them is, in each column as far as any is there."""
    row, column = (int(at) for at in start)
    spans = [((row, column), (row, far)) for far in _sides(column, targets[:, 1])]
    for at in {int(at) for at in targets[:, 1]}:
        spans += [((row, at), (far, at)) for far in _sides(row, targets[targets[:, 1] == at, 0])]
    source, target = (np.array(ends) for ends in zip(*spans, strict=True))
    _ways(along, across, source, target, count)


def _sides(begin: int, ends: npt.NDArray[np.int_]) -> tuple[int, int]:
    """The farthest on both sides; ``begin`` itself where there is none."""
    return min(begin, int(ends.min())), max(begin, int(ends.max()))


def firings(unit: Unit, times: dict[str, int]) -> list[int]:
    """Of each phase in one call; ``times`` are the call's arguments that count."""
    found = [0] * len(unit.phases)

    def walk(nest: Iterable[Json], repeat: int) -> None:
        for node in nest:
            count = node["times"]
            each = repeat * (count if isinstance(count, int) else times[count.argument] * count.scale)
            if "body" in node:
                walk(node["body"], each)
            else:
                found[node["phase"]] += each

    walk(unit.nest, 1)
    return found

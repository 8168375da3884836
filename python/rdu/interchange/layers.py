"""Where the boxes of a picture go: columns from sources to sinks, after Sugiyama, Tagawa and Toda (1981).

Cycles are broken at edges that lead back, every box goes into the column behind its last predecessor, boxes of a column
are sorted so that few edges cross, and moved up or down towards their neighbours. Everything follows from the order in
which boxes and edges are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]

# Between boxes of a column, and the least between columns; in pixels.
GAP_Y = 28.0
GAP_X = 40.0
# Space that an edge takes where it runs past boxes.
LANE = 16.0
SWEEPS = 8


@dataclass(frozen=True)
class Layout:
    """The upper left corner of each box, the points that each edge passes, and the size of it all; in pixels."""

    boxes: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


def layout(sizes: Sequence[Point], edges: Sequence[tuple[int, int]], labels: Sequence[float]) -> Layout:
    """Place boxes of some (width, height), and edges between them with room for labels of some width.

    An edge from a box to itself has no route; the caller draws it.
    """
    forward = _forward(len(sizes), edges)
    column = _columns(len(sizes), [path for path in forward if path])
    # Nodes: the boxes, then one for each column that an edge runs through.
    heights = [height for _, height in sizes]
    columns: list[list[int]] = [[] for _ in range(max(column) + 1)]
    for node, at in enumerate(column):
        columns[at].append(node)
    chains: list[list[int]] = []
    for path in forward:
        chain: list[int] = []
        if path:
            first, last = path
            inner = range(len(heights), len(heights) + column[last] - column[first] - 1)
            for node, at in zip(inner, range(column[first] + 1, column[last]), strict=True):
                heights.append(LANE)
                columns[at].append(node)
            chain = [first, *inner, last]
        chains.append(chain)
    before: list[list[int]] = [[] for _ in heights]
    after: list[list[int]] = [[] for _ in heights]
    for chain in chains:
        for a, b in pairwise(chain):
            after[a].append(b)
            before[b].append(a)
    columns = _sorted(columns, before, after)
    middle = _rows(columns, heights, before, after)
    left, widths = _lefts(columns, sizes, chains, labels, column)
    boxes = [(left[column[n]] + (widths[column[n]] - w) / 2, middle[n] - h / 2) for n, (w, h) in enumerate(sizes)]
    routes = _routes(edges, chains, columns, boxes, sizes, middle, left, widths, column)
    bottom = max(middle[node] + height / 2 for node, height in enumerate(heights))
    return Layout(boxes, routes, left[-1] + widths[-1], bottom)


def _forward(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int] | None]:
    """Each edge from left to right: as it is, turned round where it would close a cycle, None for a loop."""
    targets: list[list[int]] = [[] for _ in range(count)]
    fed = [False] * count
    for source, target in edges:
        if source != target:
            targets[source].append(target)
            fed[target] = True
    state = [0] * count  # 1: on the path from the root, 2: left
    back: set[tuple[int, int]] = set()
    for root in sorted(range(count), key=lambda node: fed[node]):
        if state[root]:
            continue
        state[root] = 1
        path = [(root, iter(targets[root]))]
        while path:
            node, rest = path[-1]
            found = next(rest, None)
            if found is None:
                state[node] = 2
                path.pop()
            elif state[found] == 1:
                back.add((node, found))
            elif state[found] == 0:
                state[found] = 1
                path.append((found, iter(targets[found])))
    return [None if s == t else (t, s) if (s, t) in back else (s, t) for s, t in edges]


def _columns(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest path to each box; what nothing feeds stands right before what it feeds first."""
    after: list[list[int]] = [[] for _ in range(count)]
    waits = [0] * count
    for a, b in edges:
        after[a].append(b)
        waits[b] += 1
    sources = [node for node in range(count) if not waits[node]]
    column, ready = [0] * count, list(sources)
    while ready:
        node = ready.pop()
        for other in after[node]:
            column[other] = max(column[other], column[node] + 1)
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    for node in sources:
        column[node] = min((column[other] for other in after[node]), default=1) - 1
    least = min(column, default=0)
    return [at - least for at in column]


def _sorted(columns: list[list[int]], before: list[list[int]], after: list[list[int]]) -> list[list[int]]:
    """Nodes by the mean place of their neighbours, to and fro; the order with the fewest crossings stays."""
    best, fewest = [list(nodes) for nodes in columns], _crossings(columns, after)
    for sweep in range(SWEEPS):
        to_right = sweep % 2 == 0
        near = before if to_right else after
        for at in range(1, len(columns)) if to_right else range(len(columns) - 2, -1, -1):
            place = {node: row for row, node in enumerate(columns[at - 1 if to_right else at + 1])}
            own = {node: row for row, node in enumerate(columns[at])}

            def key(node: int) -> float:
                rows = [place[other] for other in near[node] if other in place]  # noqa: B023
                return sum(rows) / len(rows) if rows else own[node]  # noqa: B023

            columns[at].sort(key=key)
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = [list(nodes) for nodes in columns], crossings
    return best


def _crossings(columns: list[list[int]], after: list[list[int]]) -> int:
    total = 0
    for left, right in pairwise(columns):
        place = {node: row for row, node in enumerate(right)}
        ends = [place[other] for node in left for other in sorted(after[node], key=place.__getitem__)]
        total += sum(a > b for at, a in enumerate(ends) for b in ends[at + 1 :])
    return total


def _rows(
    columns: list[list[int]], heights: Sequence[float], before: list[list[int]], after: list[list[int]]
) -> list[float]:
    """The middle of each node: near those of its neighbours, and off its column's others."""
    middle = [0.0] * len(heights)
    for nodes in columns:
        top = 0.0
        for node in nodes:
            middle[node] = top + heights[node] / 2
            top += heights[node] + GAP_Y
    for sweep in range(2 * SWEEPS):
        near = before if sweep % 2 == 0 else after
        for nodes in columns if sweep % 2 == 0 else reversed(columns):
            wanted = []
            for node in nodes:
                there = [middle[other] for other in near[node]] or [middle[node]]
                wanted.append(sum(there) / len(there))
            gaps = [(heights[a] + heights[b]) / 2 + GAP_Y for a, b in pairwise(nodes)]
            for node, at in zip(nodes, _apart(wanted, gaps), strict=True):
                middle[node] = at
    least = min(at - heights[node] / 2 for node, at in enumerate(middle))
    return [at - least for at in middle]


def _apart(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Places nearest to those wanted (least squares) that keep their order and the gaps, by pooling neighbours."""
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, int]] = []  # mean place without the gaps, members
    for want, offset in zip(wanted, offsets, strict=True):
        mean, members = want - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean, members = (mean * members + other * count) / (members + count), members + count
        blocks.append((mean, members))
    free = [mean for mean, members in blocks for _ in range(members)]
    return [place + offset for place, offset in zip(free, offsets, strict=True)]


def _lefts(
    columns: list[list[int]],
    sizes: Sequence[Point],
    chains: Sequence[Sequence[int]],
    labels: Sequence[float],
    column: Sequence[int],
) -> tuple[list[float], list[float]]:
    """The left side and the width of each column; labels have their room before the column of their last box."""
    widths = [max((sizes[node][0] for node in nodes if node < len(sizes)), default=0.0) for nodes in columns]
    rooms = [0.0] * len(columns)
    for chain, label in zip(chains, labels, strict=True):
        if chain:
            rooms[column[chain[-1]]] = max(rooms[column[chain[-1]]], label)
    left, at = [], 0.0
    for number, width in enumerate(widths):
        at += GAP_X + rooms[number] if number else 0.0
        left.append(at)
        at += width
    return left, widths


def _routes(
    edges: Sequence[tuple[int, int]],
    chains: Sequence[Sequence[int]],
    columns: Sequence[Sequence[int]],
    boxes: Sequence[Point],
    sizes: Sequence[Point],
    middle: Sequence[float],
    left: Sequence[float],
    widths: Sequence[float],
    column: Sequence[int],
) -> list[list[Point]]:
    """The points of each edge in its own direction; edges leave and enter a box's sides one below the other."""
    at_column = {node: number for number, nodes in enumerate(columns) for node in nodes}
    rights: dict[int, list[int]] = {}
    lefts: dict[int, list[int]] = {}
    for number, chain in enumerate(chains):
        if chain:
            rights.setdefault(chain[0], []).append(number)
            lefts.setdefault(chain[-1], []).append(number)
    leave: dict[int, float] = {}
    enter: dict[int, float] = {}
    for sides, found, other in ((rights, leave, 1), (lefts, enter, -2)):
        for node, numbers in sides.items():
            numbers.sort(key=lambda number: middle[chains[number][other]])
            for rank, number in enumerate(numbers, 1):
                found[number] = boxes[node][1] + sizes[node][1] * rank / (len(numbers) + 1)
    routes = []
    for number, ((source, _), chain) in enumerate(zip(edges, chains, strict=True)):
        points: list[Point] = []
        if chain:
            first, last = chain[0], chain[-1]
            points.append((boxes[first][0] + sizes[first][0], leave[number]))
            for node in chain[1:-1]:
                x = left[at_column[node]]
                points += [(x, middle[node]), (x + widths[at_column[node]], middle[node])]
            points.append((boxes[last][0], enter[number]))
        routes.append(points if chain and chain[0] == source else points[::-1])
    return routes

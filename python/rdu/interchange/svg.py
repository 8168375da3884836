"""A stream program as a drawing of its own: boxes with the five-way split of their cycles, arrows and a legend."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from ..builder import StreamProgram, StreamRun
from ..builder.analysis import Analysis
from ..errors import DeadlockError
from .layers import Point, layout
from .picture import COLOURS, HIGHLIGHT, PLAIN, STATES, Arrow, Box, picture

# In pixels. A character of a font that is not known is taken to be this wide.
CHARACTER = 6.4
LINE = 15.0
PAD = 10.0
BAR = 12.0
MARGIN = 20.0
# Room above a box for each stream from the unit to itself.
LOOP = 30.0
MEANINGS = {
    "busy": "busy",
    "data": "waits for data",
    "space": "waits for space",
    "memory": "waits for memory",
    "idle": "idle",
}


def to_svg(
    program: StreamProgram,
    run: StreamRun | None = None,
    *,
    highlight: Analysis | DeadlockError | None = None,
    units: Collection[str] | None = None,
) -> str:
    """Draw a program as SVG that needs nothing else; arguments and errors as for :func:`to_mermaid`.

    With a run, a bar in every box shows the unit's cycles by state, in the colours of the legend.

    Returns
    -------
    str
        An SVG document.
    """
    shown = picture(program, run, highlight, units)
    loops = [[a for a in shown.arrows if a.source == a.target == at] for at in range(len(shown.boxes))]
    labels = [_label(arrow) for arrow in shown.arrows]
    bodies = [_body(box, shown.arrows, at) for at, box in enumerate(shown.boxes)]
    sizes = [
        (max([width, *(_width(line) for a in own for line in _label(a))]), height + 2 * LOOP * len(own))
        for (width, height), own in zip(bodies, loops, strict=True)
    ]
    placed = layout(
        sizes,
        [(arrow.source, arrow.target) for arrow in shown.arrows],
        [max(map(_width, label)) for label in labels],
    )
    legend = _legend(placed.height + 2 * MARGIN, shown.cycles) if run is not None else []
    width = max(placed.width, 620.0 if legend else 0.0) + 2 * MARGIN
    height = placed.height + 2 * MARGIN + (LINE + MARGIN if legend else 0.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" font-family="sans-serif" font-size="11" role="img">',
        f"<title>{len(shown.boxes)} units, {len(shown.arrows)} streams</title>",
        "<defs>" + _arrowhead("arrow", "#444444") + _arrowhead("hot", HIGHLIGHT) + "</defs>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<g transform="translate({_n(MARGIN)} {_n(MARGIN)})">',
    ]
    for arrow, label, route in zip(shown.arrows, labels, placed.routes, strict=True):
        if route:
            lines += _edge(arrow, label, route)
    for box, (_, height_of), own, corner, (wide, tall) in zip(
        shown.boxes, bodies, loops, placed.boxes, sizes, strict=True
    ):
        # Half of the room for loops is above the box; the other half keeps the box in the middle.
        top = corner[1] + (tall - height_of) / 2
        lines += _box(box, (corner[0], top), (wide, height_of))
        for rank, arrow in enumerate(own):
            lines += _loop(arrow, (corner[0], top), wide, rank)
    return "\n".join([*lines, "</g>", *legend, "</svg>", ""])


def _body(box: Box, arrows: Sequence[Arrow], at: int) -> Point:
    """Width and height of a box: its lines, its bar, and room for its arrows one below the other."""
    ends = max(
        sum(a.source == at != a.target for a in arrows),
        sum(a.target == at != a.source for a in arrows),
    )
    height = LINE * (1 + len(box.facts)) + 2 * PAD + (BAR + 6 if box.shares is not None else 0)
    width = max([_width(box.name) * 1.15, *map(_width, box.facts)]) + 2 * PAD
    return max(width, 90.0), max(height, (2 * LINE + 6) * (ends + 1) / 1.5)


def _box(box: Box, corner: Point, size: Point) -> list[str]:
    (x, y), (width, height) = corner, size
    stroke = f'stroke="{HIGHLIGHT}" stroke-width="3"' if box.highlighted else 'stroke="#333333"'
    lines = [
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="6" fill="{PLAIN}" {stroke}/>'
    ]
    middle, line = x + width / 2, y + PAD + 10
    lines.append(_text(middle, line, box.name, 'font-weight="bold"'))
    for fact in box.facts:
        line += LINE
        lines.append(_text(middle, line, fact))
    if box.shares is not None:
        left, top, whole = x + PAD, line + 7, width - 2 * PAD
        lines.append(f"<g><title>{escape(box.split)}</title>")
        for state, share in zip(STATES, box.shares, strict=True):
            if share:
                lines.append(
                    f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(whole * share)}" height="{_n(BAR)}" '
                    f'fill="{COLOURS[state]}"/>'
                )
                left += whole * share
        lines.append("</g>")
    return lines


def _edge(arrow: Arrow, label: Sequence[str], route: Sequence[Point]) -> list[str]:
    path = [f"M{_n(route[0][0])} {_n(route[0][1])}"]
    for (x0, y0), (x1, y1) in pairwise(route):
        # Level at both ends.
        middle = (x0 + x1) / 2
        path.append(f"C{_n(middle)} {_n(y0)} {_n(middle)} {_n(y1)} {_n(x1)} {_n(y1)}")
    # Before the column of the box on the right, where the layout left room.
    (x0, y0), (x1, y1) = sorted((route[0], route[-1]))[-1], route[-2] if route[0] < route[-1] else route[1]
    return _drawn(arrow, " ".join(path), label, ((x0 + x1) / 2, (y0 + y1) / 2))


def _loop(arrow: Arrow, corner: Point, width: float, rank: int) -> list[str]:
    (x, y), rise = corner, LOOP * (rank + 1)
    left, right = x + width * 0.2, x + width * 0.8
    path = f"M{_n(right)} {_n(y)} C{_n(right)} {_n(y - rise)} {_n(left)} {_n(y - rise)} {_n(left)} {_n(y)}"
    return _drawn(arrow, path, [", ".join(_label(arrow))], (x + width / 2, y - 0.75 * rise))


def _drawn(arrow: Arrow, path: str, label: Sequence[str], at: Point) -> list[str]:
    head, colour, width = ("hot", HIGHLIGHT, 2.5) if arrow.highlighted else ("arrow", "#444444", 1.2)
    lines = [
        f"<g><title>{escape(arrow.name)}</title>",
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" marker-end="url(#{head})"/>',
    ]
    # Paper under the text keeps it legible on the line.
    wide, tall = max(map(_width, label)) * 0.9, 12.0 * len(label)
    left, top = at[0] - wide / 2, at[1] - tall / 2
    lines.append(
        f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(wide)}" height="{_n(tall)}" fill="#ffffff" opacity="0.8"/>'
    )
    lines += [_text(at[0], top + 10 + 12 * row, line, 'font-size="10"') for row, line in enumerate(label)]
    return [*lines, "</g>"]


def _label(arrow: Arrow) -> list[str]:
    return [arrow.marks[0], ", ".join(arrow.marks[1:])]


def _legend(top: float, cycles: int | None) -> list[str]:
    lines, x = [], MARGIN
    for state, meaning in MEANINGS.items():
        lines.append(f'<rect x="{_n(x)}" y="{_n(top)}" width="12" height="12" fill="{COLOURS[state]}"/>')
        lines.append(_text(x + 17, top + 10, meaning, 'text-anchor="start"'))
        x += 30 + _width(meaning)
    lines.append(_text(x, top + 10, f"of {cycles} cycles", 'text-anchor="start"'))
    return lines


def _arrowhead(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
    )


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    anchor = "" if "text-anchor" in attributes else ' text-anchor="middle"'
    return f'<text x="{_n(x)}" y="{_n(y)}"{anchor}{" " * bool(attributes)}{attributes}>{escape(text)}</text>'


def _width(text: str) -> float:
    return CHARACTER * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _n(value: float) -> str:
    """A number as short as it can be, and the same on every machine."""
    return f"{value:.1f}".rstrip("0").rstrip(".")

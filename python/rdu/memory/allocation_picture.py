"""One PMU of an allocation, drawn: steps of the schedule to the right, addresses upwards."""

from __future__ import annotations

from string import ascii_letters, digits
from xml.sax.saxutils import escape

from rdu.errors import TransferError
from rdu.memory.allocation import Allocation, Buffer, Piece
from rdu.memory.requests import number

SYMBOLS = ascii_letters + digits
FREE = "."
# In pixels.
WIDE, HIGH, MARGIN, LINE = 720, 360, 48, 14
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#bab0ac")


def text(allocation: Allocation, pmu: int, width: int, height: int) -> str:
    """The picture in characters, and what each letter stands for.

    A character is the buffer that holds the middle of its cell of time and addresses.
    """
    columns, rows = number("width", width, 1, 1000), number("height", height, 1, 1000)
    found = drawn(allocation, pmu)
    if not found:
        return "no buffers"
    symbols = {buffer.name: SYMBOLS[at % len(SYMBOLS)] for at, buffer in enumerate(allocation.buffers)}
    first, after = span(found)
    columns, top = min(columns, after - first), allocation.pmu_high_water_bytes[pmu]
    canvas = [[FREE] * columns for _ in range(rows)]
    for buffer, piece in found:
        for column in range(columns):
            step = first + (2 * column + 1) * (after - first) // (2 * columns)
            if buffer.first_use <= step <= buffer.last_use:
                for line in range(rows):
                    if piece.offset_bytes <= (2 * line + 1) * top // (2 * rows) < piece.offset_bytes + piece.bytes:
                        canvas[line][column] = symbols[buffer.name]
    lines = ["".join(row) for row in reversed(canvas)]
    share = f"{top} of {allocation.capacity_bytes} bytes, steps {first} to {after - 1}"
    names = ", ".join(f"{symbols[name]} {name}" for name in dict.fromkeys(buffer.name for buffer, _ in found))
    return "\n".join([f"PMU {pmu}: {share}", *lines, names])


def svg(allocation: Allocation, pmu: int) -> str:
    """The picture as SVG; a box tells its buffer, bytes, offset and life when pointed at."""
    found = drawn(allocation, pmu)
    first, after = span(found)
    colours = {buffer.name: COLOURS[at % len(COLOURS)] for at, buffer in enumerate(allocation.buffers)}
    across = (WIDE - 2 * MARGIN) / (after - first)
    up = (HIGH - 2 * MARGIN) / allocation.capacity_bytes
    base = HIGH - MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="11">',
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{WIDE - 2 * MARGIN}" height="{HIGH - 2 * MARGIN}" fill="#f4f4f4"/>',
    ]
    for buffer, piece in found:
        x, wide = MARGIN + (buffer.first_use - first) * across, (buffer.last_use + 1 - buffer.first_use) * across
        y, high = base - (piece.offset_bytes + piece.bytes) * up, piece.bytes * up
        told = (
            f"{buffer.name}: {piece.bytes} bytes at {piece.offset_bytes}, steps {buffer.first_use} to {buffer.last_use}"
        )
        lines.append(
            f'<g><title>{escape(told)}</title><rect x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{high:.2f}" '
            f'fill="{colours[buffer.name]}" stroke="#ffffff"/>'
        )
        # A name that would leave its box is left to the title.
        if high >= LINE and wide >= 7 * len(buffer.name):
            lines.append(
                f'<text x="{x + 3:.2f}" y="{y + high / 2 + 4:.2f}" fill="#ffffff">{escape(buffer.name)}</text>'
            )
        lines.append("</g>")
    top = allocation.pmu_high_water_bytes[pmu] if found else 0
    water = base - top * up
    lines += [
        f'<path d="M{MARGIN} {water:.2f}H{WIDE - MARGIN}" stroke="#000000" stroke-dasharray="4 3"/>',
        f'<text x="{MARGIN}" y="{water - 4:.2f}">PMU {pmu}: {top} of {allocation.capacity_bytes} bytes</text>',
        f'<text x="{MARGIN}" y="{base + 16}">step {first}</text>',
        f'<text x="{WIDE - MARGIN}" y="{base + 16}" text-anchor="end">step {after - 1}</text>',
        "</svg>",
    ]
    return "\n".join(lines)


def drawn(allocation: Allocation, pmu: int) -> list[tuple[Buffer, Piece]]:
    """The pieces of one PMU with their buffers."""
    used = len(allocation.pmu_high_water_bytes)
    if not used and pmu == 0:
        return []
    if pmu != number("pmu", pmu, 0, 2**20) or pmu >= used:
        raise TransferError(f"pmu is {pmu}; buffers lie in PMUs 0 to {used - 1}")
    buffers = {buffer.name: buffer for buffer in allocation.buffers}
    return [(buffers[piece.buffer], piece) for piece in allocation.pieces if piece.pmu == pmu]


def span(found: list[tuple[Buffer, Piece]]) -> tuple[int, int]:
    """The first step of the picture, and the one after the last."""
    if not found:
        return 0, 1
    return min(buffer.first_use for buffer, _ in found), max(buffer.last_use for buffer, _ in found) + 1

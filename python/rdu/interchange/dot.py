"""A stream program in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..builder import StreamProgram, StreamRun
from ..builder.analysis import Analysis
from ..errors import DeadlockError
from .picture import COLOURS, HIGHLIGHT, PLAIN, picture


def to_dot(
    program: StreamProgram,
    run: StreamRun | None = None,
    *,
    highlight: Analysis | DeadlockError | None = None,
    units: Collection[str] | None = None,
) -> str:
    """Draw a program as a Graphviz digraph; arguments and errors as for :func:`to_mermaid`.

    Returns
    -------
    str
        A file for ``dot -Tsvg``.
    """
    shown = picture(program, run, highlight, units)
    lines = [
        "digraph program {",
        "  rankdir=LR;",
        f'  node [shape=box, style="rounded,filled", fillcolor="{PLAIN}", fontname="sans-serif", fontsize=11];',
        '  edge [fontname="sans-serif", fontsize=9];',
    ]
    for at, box in enumerate(shown.boxes):
        texts = [box.name, *box.facts] + ([box.split] if box.shares is not None else [])
        attributes = [f"label={_quoted(texts)}"]
        if box.state:
            attributes.append(f'fillcolor="{COLOURS[box.state]}"')
        if box.highlighted:
            attributes.append(f'color="{HIGHLIGHT}", penwidth=3')
        lines.append(f"  u{at} [{', '.join(attributes)}];")
    for arrow in shown.arrows:
        attributes = [f"label={_quoted(arrow.marks)}", f"tooltip={_quoted([arrow.name])}"]
        if arrow.highlighted:
            attributes.append(f'color="{HIGHLIGHT}", penwidth=2')
        lines.append(f"  u{arrow.source} -> u{arrow.target} [{', '.join(attributes)}];")
    return "\n".join([*lines, "}", ""])


def _quoted(texts: Sequence[str]) -> str:
    # Graphviz reads backslashes and, within labels, HTML's entities.
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for text in texts)
    return '"' + "\\n".join(escaped) + '"'

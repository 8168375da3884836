"""A stream program as a Mermaid flowchart, which Markdown pages of many hosts draw."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..builder import StreamProgram, StreamRun
from ..builder.analysis import Analysis
from ..errors import DeadlockError
from .picture import COLOURS, HIGHLIGHT, picture

# What ends a quoted text or means something to Mermaid or HTML, and what starts a list in Markdown. (From a line with
# "style" and a colon, Mermaid would take the last semicolon.)
_SPECIAL = re.compile(r"[:\"#&<>`\\{}|;*~$^=]|%(?=[%{])|^[-+]|(?<=^\d)\.|(?<=^\d\d)\.", re.ASCII)


def to_mermaid(
    program: StreamProgram,
    run: StreamRun | None = None,
    *,
    highlight: Analysis | DeadlockError | None = None,
    units: Collection[str] | None = None,
) -> str:
    """Draw a program as a Mermaid flowchart.

    Parameters
    ----------
    program
        Units are boxes with initiation interval, latency and firings. Streams are arrows with the tokens of one firing
        at either end, the slots, and where they are not 0 (or 1, a latency) initial tokens, latency and credit.
    run
        A run of the program: each unit's cycles by state, its box in the colour of the state it was in most; and the
        most slots that were taken on each stream.
    highlight
        Units and streams to draw in red: an analysis (``program.analyse()``), for its critical cycle, or a caught
        :class:`rdu.errors.DeadlockError`, for its circle of waiting.
    units
        Names of the units to draw, and the streams between them; all if left out.

    Returns
    -------
    str
        The flowchart; in Markdown, put it into a block that starts with three backticks and ``mermaid``.

    Raises
    ------
    rdu.errors.GraphError
        More than 400 units or 500 streams to draw, a unit that does not exist, or the run of another program.
    """
    shown = picture(program, run, highlight, units)
    lines = ["flowchart LR"]
    for at, box in enumerate(shown.boxes):
        texts = [f"<b>{_escaped(box.name)}</b>", *map(_escaped, box.facts)]
        if box.shares is not None:
            texts.append(_escaped(box.split))
        kind = f":::{box.state}" if box.state else ""
        lines.append(f'  u{at}["{"<br/>".join(texts)}"]{kind}')
    lines += [f'  u{a.source} -->|"{"<br/>".join(map(_escaped, a.marks))}"| u{a.target}' for a in shown.arrows]
    states = {box.state for box in shown.boxes}
    lines += [
        f"  classDef {state} fill:{colour},stroke:#333333,color:#000000"
        for state, colour in COLOURS.items()
        if state in states
    ]
    hot = [f"u{at}" for at, box in enumerate(shown.boxes) if box.highlighted]
    lines += [f"  style {unit} stroke:{HIGHLIGHT},stroke-width:4px" for unit in hot]
    links = [str(at) for at, arrow in enumerate(shown.arrows) if arrow.highlighted]
    if links:
        lines.append(f"  linkStyle {','.join(links)} stroke:{HIGHLIGHT},stroke-width:3px")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text that Mermaid takes for nothing else: its own entities are ``#`` and the number of a character."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", text)

"""What every picture of a program shows, before it is DOT, Mermaid or SVG."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..builder import StreamProgram, StreamRun
from ..builder.analysis import Analysis
from ..errors import DeadlockError, GraphError
from .rounds import of

# Beyond this nobody sees anything, and Mermaid refuses more edges.
MOST_UNITS = 400
MOST_STREAMS = 500
# Entries of a list and characters of a name that are shown.
MOST_ENTRIES = 6
MOST_CHARACTERS = 40

# One colour for each of the five states, told apart by people who see few of them (Okabe and Ito's palette).
COLOURS = {"busy": "#009e73", "data": "#e69f00", "space": "#56b4e9", "memory": "#cc79a7", "idle": "#bbbbbb"}
STATES = tuple(COLOURS)
PLAIN = "#eeeeee"
HIGHLIGHT = "#d00000"
# Controls, marks that turn the direction of text round, surrogates, what is no character, separators of lines.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


@dataclass(frozen=True)
class Box:
    """A unit: its name, what it is in a line each, and with a run its shares of the five states (in their order)."""

    name: str
    facts: tuple[str, ...]
    shares: tuple[float, ...] | None
    highlighted: bool

    @property
    def state(self) -> str | None:
        """The state that it was in for most of the run; the first of equals."""
        if self.shares is None:
            return None
        return STATES[max(range(len(STATES)), key=self.shares.__getitem__)]

    @property
    def split(self) -> str:
        """The shares in words, without those of 0 %."""
        parts = zip(STATES, self.shares or (), strict=False)
        return ", ".join(f"{state} {100 * share:.0f} %" for state, share in parts if share >= 0.005)


@dataclass(frozen=True)
class Arrow:
    """A stream between two boxes, given by index; ``marks`` are its rates, initial tokens and fill."""

    name: str
    source: int
    target: int
    marks: tuple[str, ...]
    highlighted: bool


@dataclass(frozen=True)
class Picture:
    """Boxes and arrows in the order in which units and streams were described."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    # Of the run, where there is one.
    cycles: int | None


def picture(
    program: StreamProgram,
    run: StreamRun | None,
    highlight: Analysis | DeadlockError | None,
    units: Collection[str] | None,
) -> Picture:
    """Choose and word what is shown; see :func:`rdu.interchange.to_mermaid` for the arguments."""
    described: dict[str, Any] = program.describe()
    drawn = _drawn(described, units)
    if run is not None and tuple(run.units) != program.units:
        raise GraphError("the run is one of another program: its units differ; pass the run of this program")
    hot_units, hot_streams = _circle(highlight)
    at = {unit["name"]: index for index, unit in enumerate(drawn)}
    streams = [s for s in described["streams"] if s["source"] in at and s["target"] in at]
    if len(streams) > MOST_STREAMS:
        raise GraphError(
            f"{len(streams)} streams are too many for a picture, which has room for {MOST_STREAMS}; "
            "pass units=[...] to draw a part"
        )
    # Streams of a drawn unit whose other end is not drawn.
    open_ends = dict.fromkeys(at, 0)
    for stream in described["streams"]:
        ends = {stream["source"], stream["target"]} & at.keys()
        if len({stream["source"], stream["target"]}) > len(ends) > 0:
            open_ends[ends.pop()] += 1
    by_name = {unit["name"]: unit for unit in described["units"]}
    return Picture(
        tuple(_box(unit, run, unit["name"] in hot_units, open_ends[unit["name"]]) for unit in drawn),
        tuple(
            Arrow(
                visible(stream["name"]),
                at[stream["source"]],
                at[stream["target"]],
                _marks(stream, by_name, run),
                stream["name"] in hot_streams,
            )
            for stream in streams
        ),
        None if run is None else run.cycles,
    )


def visible(name: str) -> str:
    """A name on one line: characters that cannot be seen are written as Python does, and a long name is cut."""
    shown = "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSEEN else c for c in name)
    return _cut(shown)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _circle(highlight: Analysis | DeadlockError | None) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the units and of the streams to highlight."""
    if highlight is None:
        return frozenset(), frozenset()
    if isinstance(highlight, DeadlockError):
        return frozenset(highlight.units), frozenset(highlight.streams)
    if not isinstance(highlight, Analysis):
        raise GraphError(f"highlight is {highlight!r}; it must be program.analyse() or a caught DeadlockError")
    steps = highlight.critical
    units = {step.source for step in steps} | {step.target for step in steps}
    return frozenset(units), frozenset(step.stream for step in steps if step.stream is not None)


def _drawn(described: dict[str, Any], units: Collection[str] | None) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = described["units"]
    if units is not None:
        if isinstance(units, str):
            raise GraphError(f"units is the text {units!r}; it must be a list of names")
        names = {unit["name"] for unit in every}
        for name in units:
            if name not in names:
                raise GraphError(f"unit {name!r} does not exist; draw some of the program's {len(every)} units")
        wanted = frozenset(units)
        every = [unit for unit in every if unit["name"] in wanted]
        if not every:
            raise GraphError("units is empty; give the names of the units to draw")
    if len(every) > MOST_UNITS:
        raise GraphError(
            f"{len(every)} units are too many for a picture, which has room for {MOST_UNITS}; "
            "pass units=[...] to draw a part"
        )
    return every


def _box(unit: dict[str, Any], run: StreamRun | None, highlighted: bool, open_ends: int) -> Box:
    order = _order(unit)
    times = [_list([unit["phases"][phase][key] for phase in order]) for key in ("ii", "latency")]
    kind = unit["choice"]["kind"] if unit["choice"] is not None else unit["op"]
    facts = [f"{'' if kind is None else kind + ', '}ii {times[0]}, latency {times[1]}"]
    door = unit["transfer"]
    if door is not None:
        facts.append(f"{'stores to' if door['write'] else 'loads from'} {door['tier']}, {_sizes(unit['phases'])}")
    shares = None
    firings = unit["firings"]
    if run is not None:
        totals = run.units[unit["name"]]
        firings = totals.firings
        shares = tuple(getattr(totals, state) / run.cycles if run.cycles else 0.0 for state in STATES)
    if unit["choice"] is None and len(unit["phases"]) > 1 and not _is_cyclic(unit):
        facts.append(_cut(_loops(unit["nest"], unit["phases"])))
    facts.append("fires while tokens come" if firings is None else f"{firings} firing{'s' * (firings != 1)}")
    if open_ends:
        facts.append(f"{open_ends} more stream{'s' * (open_ends != 1)}")
    return Box(visible(unit["name"]), tuple(facts), shares, highlighted)


def _sizes(phases: Sequence[dict[str, Any]]) -> str:
    """Bytes of the requests of a load or store unit."""
    sizes = sorted({phase["transfer"]["nbytes"] for phase in phases})
    return " or ".join(f"{size} B" for size in sizes[:MOST_ENTRIES]) + (" …" if len(sizes) > MOST_ENTRIES else "")


def _marks(stream: dict[str, Any], units: dict[str, dict[str, Any]], run: StreamRun | None) -> tuple[str, ...]:
    ends = []
    for end, rates in (("source", "produce"), ("target", "consume")):
        unit = units[stream[end]]
        if unit["choice"] is not None:
            # Each phase is a way that a firing can go.
            ends.append(" or ".join(map(str, sorted(set(stream[rates])))))
        else:
            ends.append(_list([stream[rates][phase] for phase in _order(unit)]))
    marks = [f"{ends[0]} → {ends[1]}"]
    choice = units[stream["target"]]["choice"]
    if choice is not None and choice["control"] == stream["name"]:
        marks.append("control")
    capacity = stream["capacity"]
    fill = f"{capacity} slot{'s' * (capacity != 1)}"
    if run is not None:
        fill = f"{run.streams[stream['name']].high_water} of {fill}"
    marks.append(fill)
    if stream["initial"]:
        marks.append(f"{stream['initial']} initial")
    if stream["latency"] != 1:
        marks.append(f"latency {stream['latency']}")
    if stream["credit"]:
        marks.append(f"credit {stream['credit']}")
    return tuple(marks)


def _is_cyclic(unit: dict[str, Any]) -> bool:
    """A list that repeats; no deeper nest, and nothing with names of its own."""
    if any("name" in phase for phase in unit["phases"]):
        return False
    try:
        return len(of(unit).order) <= 4 * MOST_ENTRIES
    except GraphError:
        return False


def _order(unit: dict[str, Any]) -> Sequence[int]:
    """Phases in the order in which lists are shown: by firing, or by number where the round is long."""
    return of(unit).order if _is_cyclic(unit) else range(len(unit["phases"]))


def _list(values: Sequence[int]) -> str:
    # The round is as long as the longest of the unit's lists; this one may be shorter.
    lengths = (n for n in range(1, len(values) + 1) if len(values) % n == 0)
    values = next(values[:n] for n in lengths if list(values) == list(values[:n]) * (len(values) // n))
    if len(values) == 1:
        return str(values[0])
    more = ",…" if len(values) > MOST_ENTRIES else ""
    return f"[{','.join(map(str, values[:MOST_ENTRIES]))}{more}]"


def _loops(nest: Sequence[dict[str, Any]], phases: Sequence[dict[str, Any]]) -> str:
    """A nest in a line: ``100 × (load, 8 × fire)``."""
    parts = []
    for entry in nest:
        if "body" in entry:
            inner = f"({_loops(entry['body'], phases)})"
        else:
            inner = visible(phases[entry["phase"]].get("name", f"p{entry['phase']}"))
        parts.append(inner if entry["times"] == 1 else f"{entry['times']} × {inner}")
    return ", ".join(parts)

"""rdu.interchange, pictures: every unit and stream is there, nothing overlaps, and no name breaks a format."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdu
from rdu.errors import DeadlockError, GraphError
from rdu.interchange import to_dot, to_mermaid, to_svg
from rdu.interchange.layers import layout
from rdu.interchange.picture import COLOURS, HIGHLIGHT, visible
from rdu.testing.graphs import Graph, graphs

SVG = "{http://www.w3.org/2000/svg}"
DRAW = [to_dot, to_mermaid, to_svg]


def fork(capacity: int = 4) -> rdu.StreamProgram:
    """A fork whose one branch must run ahead of the other by four tokens."""
    b = rdu.Builder()
    b.unit("fork", firings=8)
    b.unit("block", firings=2, ii=[2, 3], latency=1)
    b.unit("join", firings=8)
    b.stream("fork", "block", consume=4)
    b.stream("block", "join", produce=4, latency=2, credit=1)
    b.stream("fork", "join", capacity=capacity)
    b.stream("join", "fork", initial=5)
    return b.build()


def named(*names: str) -> rdu.StreamProgram:
    b = rdu.Builder()
    for name in names:
        b.unit(name, firings=1)
    return b.build()


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_mermaid_without_a_run() -> None:
    assert to_mermaid(fork()) == (
        "flowchart LR\n"
        '  u0["<b>fork</b><br/>ii 1, latency 0<br/>8 firings"]\n'
        '  u1["<b>block</b><br/>ii [2,3], latency 1<br/>2 firings"]\n'
        '  u2["<b>join</b><br/>ii 1, latency 0<br/>8 firings"]\n'
        '  u0 -->|"1 → 4<br/>16 slots"| u1\n'
        '  u1 -->|"4 → 1<br/>16 slots<br/>latency 2<br/>credit 1"| u2\n'
        '  u0 -->|"1 → 1<br/>4 slots"| u2\n'
        '  u2 -->|"1 → 1<br/>16 slots<br/>5 initial"| u0\n'
    )


def test_mermaid_with_a_run() -> None:
    b = rdu.Builder()
    b.unit("src", firings=10)
    b.unit("mac", firings=10, ii=4)
    b.stream("src", "mac", capacity=2)
    program = b.build()
    # mac starts at 1, 5, 9 ... 37 and ends at 41; src fires at 0, 1, 5 (when the first slot is free), 9 ... 33.
    assert to_mermaid(program, program.run()) == (
        "flowchart LR\n"
        '  u0["<b>src</b><br/>ii 1, latency 0<br/>10 firings<br/>busy 24 %, space 59 %, idle 17 %"]:::space\n'
        '  u1["<b>mac</b><br/>ii 4, latency 0<br/>10 firings<br/>busy 98 %, data 2 %"]:::busy\n'
        '  u0 -->|"1 → 1<br/>2 of 2 slots"| u1\n'
        "  classDef busy fill:#009e73,stroke:#333333,color:#000000\n"
        "  classDef space fill:#56b4e9,stroke:#333333,color:#000000\n"
    )


def test_dot() -> None:
    b = rdu.Builder()
    b.unit("src", firings=1)
    b.unit("mac", firings=1, ii=4)
    b.stream("src", "mac", name="s")
    assert to_dot(b.build(), b.build().run()).splitlines()[4:] == [
        '  u0 [label="src\\nii 1, latency 0\\n1 firing\\nbusy 20 %, idle 80 %", fillcolor="#bbbbbb"];',
        '  u1 [label="mac\\nii 4, latency 0\\n1 firing\\nbusy 80 %, data 20 %", fillcolor="#009e73"];',
        '  u0 -> u1 [label="1 → 1\\n1 of 16 slots", tooltip="s"];',
        "}",
    ]


def test_a_deadlock_is_shown_as_its_circle() -> None:
    program = fork(3)
    with pytest.raises(DeadlockError) as caught:
        program.run()
    assert set(caught.value.streams) == {"fork->block", "fork->join", "block->join"}
    text = to_mermaid(program, highlight=caught.value)
    assert text.count(f"stroke:{HIGHLIGHT}") == 3 + 1
    assert "  linkStyle 0,1,2 stroke" in text
    assert to_dot(program, highlight=caught.value).count(HIGHLIGHT) == 3 + 3
    # The arrowhead's own colour, then boxes and lines.
    assert to_svg(program, highlight=caught.value).count(f'"{HIGHLIGHT}"') == 1 + 3 + 3


def test_a_critical_cycle_is_shown() -> None:
    program = fork()
    analysis = program.analyse()
    streams = [step.stream for step in analysis.critical if step.stream is not None]
    assert streams
    text = to_mermaid(program, highlight=analysis)
    numbers = ",".join(str(at) for at, name in enumerate(program.streams) if name in streams)
    assert f"  linkStyle {numbers} stroke:{HIGHLIGHT}" in text


def test_long_lists_and_deep_rounds_are_cut() -> None:
    b = rdu.Builder()
    b.unit("a", firings=100, ii=range(1, 10))
    b.unit("b", firings=100, ii=[1] * 99 + [2], latency=[1, 0])
    text = to_mermaid(b.build())
    assert "ii [1,2,3,4,5,6,…], latency 0" in text
    # A hundred entries: the three different phases by number.
    assert "ii [1,1,2], latency [1,0,0]" in text


def test_operators_are_named() -> None:
    b = rdu.Builder()
    b.source("x", [1.0, 2.0])
    b.sink("y")
    b.stream("x", "y")
    assert "source, ii 1, latency 0<br/>2 firings" in to_mermaid(b.build())


def test_loops_have_the_names_of_their_phases() -> None:
    b = rdu.Builder()
    b.unit("w", firings=400)
    phases = {"load": rdu.phase(ii=4, consume={"w": 4}), "fire": rdu.phase(latency=6)}
    b.unit("mac", phases=phases, nest=["fire", rdu.loop(100, "load", rdu.loop(8, "fire"))])
    b.stream("w", "mac")
    text = to_mermaid(b.build())
    assert "ii [4,1], latency [0,6]<br/>fire, 100 × (load, 8 × fire)<br/>901 firings" in text
    assert '"1 → [4,0]<br/>16 slots"' in text


def test_data_dependent_units() -> None:
    b = rdu.Builder()
    b.source("x", [1.0, 2.0])
    b.source("odd", [1, 0])
    b.switch("split", control="odd")
    b.unit("twice", op=lambda x: 2 * x)
    b.sink("y")
    b.sink("z")
    for ends in (("x", "split"), ("odd", "split"), ("split", "twice"), ("split", "z"), ("twice", "y")):
        b.stream(*ends)
    program = b.build()
    text = to_mermaid(program)
    assert "<b>split</b><br/>switch, ii 1, latency 0<br/>fires while tokens come" in text
    assert "<b>twice</b><br/>function, ii 1" in text
    assert '  u0 -->|"1 → 1<br/>16 slots"| u2' in text
    assert '  u1 -->|"1 → 1<br/>control<br/>16 slots"| u2' in text
    assert '  u2 -->|"0 or 1 → 1<br/>16 slots"| u3' in text
    assert "2 firings" in to_mermaid(program, program.run()).splitlines()[3]


def test_a_part_of_a_large_program() -> None:
    b = rdu.Builder()
    for at in range(401):
        b.unit(f"u{at}", firings=1)
        if at:
            b.stream(f"u{at - 1}", f"u{at}")
    program = b.build()
    for draw in DRAW:
        with pytest.raises(GraphError, match=r"401 units are too many for a picture, .* 400; pass units="):
            draw(program)
    text = to_mermaid(program, program.run(), units=["u8", "u7", "u9"])
    assert re.findall(r"<b>(\w+)</b>", text) == ["u7", "u8", "u9"]
    assert len(re.findall(r"-->", text)) == 2
    assert [line.count("1 more stream") for line in text.splitlines()[1:4]] == [1, 0, 1]
    with pytest.raises(GraphError, match="unit 'v' does not exist; draw some of the program's 401 units"):
        to_dot(program, units=["v"])
    with pytest.raises(GraphError, match="units is empty"):
        to_dot(program, units=[])
    with pytest.raises(GraphError, match="it must be a list of names"):
        to_dot(program, units="u7")


def test_too_many_streams() -> None:
    b = rdu.Builder()
    b.unit("a", firings=1)
    b.unit("b", firings=1)
    for _ in range(501):
        b.stream("a", "b")
    with pytest.raises(GraphError, match="501 streams are too many"):
        to_svg(b.build())


def test_a_run_of_another_program() -> None:
    with pytest.raises(GraphError, match="the run is one of another program"):
        to_svg(named("a"), named("b").run())
    with pytest.raises(GraphError, match="highlight is 'a'"):
        to_svg(named("a"), highlight="a")  # type: ignore[arg-type]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mermaid", "dot"),
    [
        ('a"b', "a#34;b", 'a\\"b'),
        ("a\\N", "a#92;N", "a\\\\N"),
        ("a\nb", "a#92;nb", "a\\\\nb"),
        ("a\0\u202e\ufffe", "a#92;x00#92;u202e#92;ufffe", "a\\\\x00\\\\u202e\\\\ufffe"),
        ("&lt;", "#38;lt#59;", "&amp;lt;"),
        ("<b>", "#60;b#62;", "<b>"),
        ("x[1](2)", "x[1](2)", "x[1](2)"),
        ("#35;", "#35;35#59;", "#35;"),
        ("%%{init}", "#37;#37;#123;init#125;", "%%{init}"),
        ("1. x", "1#46; x", "1. x"),
        ("- x", "#45; x", "- x"),
        ("漢字é", "漢字é", "漢字é"),
        ("x" * 41, "x" * 39 + "…", "x" * 39 + "…"),
    ],
)
def test_names_are_escaped(name: str, mermaid: str, dot: str) -> None:
    # What Mermaid 11 and Graphviz 2.43 read back was compared with the names once, on 60 drawings of worse names.
    assert f'["<b>{mermaid}</b><br/>' in to_mermaid(named(name))
    assert f'label="{dot}\\n' in to_dot(named(name))


@given(st.text(min_size=1).filter(lambda name: not any(0xD800 <= ord(c) < 0xE000 for c in name)))
def test_any_name_can_be_drawn(name: str) -> None:
    program = named(name)
    drawn = ET.fromstring(to_svg(program))
    assert next(text.text for text in drawn.iter(f"{SVG}text")) == visible(name)
    assert len(to_mermaid(program).splitlines()) == 2
    assert len(re.findall(r'(?<!\\)(?:\\\\)*"', to_dot(program).splitlines()[4])) == 2


# --- SVG -------------------------------------------------------------------------------------------------------------


def test_the_bar_of_a_box_is_its_split() -> None:
    program = fork()
    run = program.run()
    drawn = ET.fromstring(to_svg(program, run))
    states = {colour: state for state, colour in COLOURS.items()}
    splits = [group for group in drawn.iter(f"{SVG}g") if group.find(f"{SVG}rect[@height='12']") is not None]
    bars = [group.findall(f"{SVG}rect") for group in splits if len(group) > 1 and group[1].get("fill") in states]
    assert len(bars) == 3
    for unit, bar in zip(run.units.values(), bars, strict=True):
        widths = {states[part.attrib["fill"]]: float(part.attrib["width"]) for part in bar}
        whole = sum(widths.values())
        for state in COLOURS:
            # Widths are rounded to a tenth of a pixel.
            assert widths.get(state, 0.0) / whole == pytest.approx(getattr(unit, state) / run.cycles, abs=0.01)
    text = [element.text for element in drawn.iter(f"{SVG}text")]
    assert f"of {run.cycles} cycles" in text
    assert "waits for space" in text


@given(graphs(most_units=9))
def test_every_unit_and_stream_is_drawn(graph: Graph) -> None:
    program = graph.builder().build()
    document = to_svg(program)
    assert document == to_svg(program)
    drawn = ET.fromstring(document)
    assert len(drawn.findall(f".//{SVG}path[@marker-end]")) == len(graph.streams)
    assert len(drawn.findall(f".//{SVG}rect[@rx]")) == len(graph.units)
    width, height = (float(drawn.attrib[key]) for key in ("width", "height"))
    for box in drawn.findall(f".//{SVG}rect[@rx]"):
        x, y, wide, tall = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0 <= y
        assert x + wide <= width
        assert y + tall <= height


@given(graphs(most_units=9), st.lists(st.integers(20, 200), min_size=9, max_size=9))
def test_boxes_do_not_overlap_and_arrows_end_at_them(graph: Graph, widths: list[int]) -> None:
    sizes = [(float(widths[at]), 30.0 + 7 * at) for at in range(len(graph.units))]
    edges = [(stream.source, stream.target) for stream in graph.streams]
    placed = layout(sizes, edges, [50.0] * len(edges))
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(placed.boxes, sizes, strict=True)]
    for (left, top, right, bottom), (x0, y0, x1, y1) in combinations(boxes, 2):
        assert right <= x0 or x1 <= left or bottom <= y0 + 1e-6 or y1 <= top + 1e-6
    for (source, target), route in zip(edges, placed.routes, strict=True):
        assert bool(route) == (source != target)
        for unit, (x, y) in zip((source, target), (route[0], route[-1]) if route else (), strict=False):
            left, top, right, bottom = boxes[unit]
            assert x in (left, right)
            assert top < y < bottom
    feeds = {edge for edge in edges if edge[0] < edge[1]}
    if feeds == set(edges):
        # Without cycles all arrows point to the right.
        assert all(boxes[a][2] < boxes[b][0] for a, b in edges)


def test_a_row_is_level_and_a_fork_is_symmetric() -> None:
    placed = layout([(10.0, 10.0)] * 3, [(0, 1), (1, 2)], [5.0, 5.0])
    assert [y for _, y in placed.boxes] == [0.0, 0.0, 0.0]
    # A gap of 40 and 5 for the label.
    assert [x for x, _ in placed.boxes] == [0.0, 55.0, 110.0]
    placed = layout([(10.0, 10.0)] * 4, [(0, 1), (0, 2), (1, 3), (2, 3)], [0.0] * 4)
    assert placed.boxes[0][1] == placed.boxes[3][1] == (placed.boxes[1][1] + placed.boxes[2][1]) / 2


def test_crossings_are_undone() -> None:
    # 0 and 1 feed 3 and 2: one of the columns must turn round.
    placed = layout([(10.0, 10.0)] * 4, [(0, 3), (1, 2)], [0.0] * 2)
    rows = [y for _, y in placed.boxes]
    assert (rows[0] < rows[1]) == (rows[3] < rows[2])

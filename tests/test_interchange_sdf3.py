"""rdu.interchange, SDF3 XML: times are exact, what is written is read back, and strangers' files can do no harm."""

from __future__ import annotations

import heapq
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdu
from rdu.errors import DeadlockError, GraphError
from rdu.interchange import read_sdf3, write_sdf3
from rdu.interchange import sequences as lists
from rdu.interchange.balance import Edge, repetitions
from rdu.interchange.rounds import of
from rdu.interchange.sequences import Budget, numbers, written
from rdu.testing.graphs import Graph, graphs

# Two actors and a channel; every part can be replaced.
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
ACTORS = (
    '<actor name="a" type="A"><port name="p" type="out" rate="2"/></actor>'
    '<actor name="b" type="B"><port name="q" type="in" rate="3"/></actor>'
)
CHANNELS = '<channel name="c" srcActor="a" srcPort="p" dstActor="b" dstPort="q"/>'
TIMES = (
    '<actorProperties actor="a"><processor type="x" default="true"><executionTime time="4"/></processor>'
    '<processor type="y"><executionTime time="1"/></processor></actorProperties>'
    '<actorProperties actor="b"><processor type="x" default="true"><executionTime time="5"/></processor>'
    "</actorProperties>"
)


def xml(actors: str = ACTORS, channels: str = CHANNELS, properties: str = TIMES, kind: str = "sdf") -> str:
    return (
        f'{HEAD}<sdf3 type="{kind}" version="1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xmlns:rdu="urn:rdu:sdf3:1" xsi:noNamespaceSchemaLocation="sdf3-{kind}.xsd">\n<applicationGraph name="g">\n'
        f'<{kind} name="g" type="G">\n{actors}\n{channels}\n</{kind}>\n'
        f"<{kind}Properties>\n{properties}\n</{kind}Properties>\n</applicationGraph>\n</sdf3>\n"
    )


# --- what a file means -----------------------------------------------------------------------------------------------


def test_an_sdf_graph_is_timed_as_sdf3_times_it() -> None:
    run = read_sdf3(xml()).build().run("step")
    # q = (3, 2). a starts at 0, 4 and 8; b takes 3 tokens at 8 and 3 more at 12, when the last 2 are there.
    assert (run.units["a"].firings, run.units["b"].firings) == (3, 2)
    assert run.units["b"].first_cycle == 8
    assert run.cycles == 13 + 5
    # Slots are claimed at the start of a firing and free again at the end of the one that takes the tokens.
    assert run.streams["c"].high_water == 6


def test_iterations_processors_and_scales() -> None:
    assert read_sdf3(xml(), iterations=10).build().run("step").firings == 50
    # a takes 1 on y, which b does not have: b's first starts at 2, its second 5 later.
    assert read_sdf3(xml(), processor="y").build().run("step").cycles == 2 + 5 + 5
    assert read_sdf3(xml(), cycles_per_time=10).build().run("step").cycles == 180
    assert read_sdf3(xml(properties=""), default_time=1).build().run("step").cycles == 3 + 1
    nothing = xml(properties=TIMES.replace('"4"', '"0"'))
    assert read_sdf3(nothing, zero_time=1, cycles_per_time=1000).build().run("step").cycles == 2 + 5000 + 5000


def test_a_buffer_size_is_a_capacity_and_no_size_is_no_bound() -> None:
    bounded = TIMES + '<channelProperties channel="c"><bufferSize sz="4" src="4" dst="4" mem="4"/></channelProperties>'
    run = read_sdf3(xml(properties=bounded)).build().run("step")
    # 4 slots: a fires at 0 and 4; its third needs 2 slots and finds 1 + those that b frees at 8 + 5.
    assert run.cycles == 13 + 4 + 5
    assert read_sdf3(xml(), capacity=4).build().run("step").cycles == run.cycles
    assert read_sdf3(xml(), iterations=100).build().run("step").units["a"].space == 0
    # The size of a channel itself is that of its tokens.
    assert read_sdf3(xml(channels=CHANNELS.replace("/>", ' size="1"/>'))).build().run("step").cycles == 18


def test_cyclo_static_lists() -> None:
    """The example of Stuijk, Geilen and Basten's storage exploration for CSDF, as SDF3 comes with it."""
    actors = "".join(
        f'<actor name="{name}" type="a">{ports}<port name="i" type="in" rate="2*1"/>'
        '<port name="o" type="out" rate="1,1"/></actor>'
        for name, ports in {
            "a": '<port name="p0" type="out" rate="3,1"/>',
            "b": '<port name="p0" type="in" rate="4,2"/><port name="p1" type="out" rate="2,4"/>',
            "c": '<port name="p0" type="in" rate="6,6"/>',
        }.items()
    )
    channels = (
        '<channel name="alpha" srcActor="a" srcPort="p0" dstActor="b" dstPort="p0"/>'
        '<channel name="beta" srcActor="b" srcPort="p1" dstActor="c" dstPort="p0"/>'
    ) + "".join(
        f'<channel name="{n}{n}" srcActor="{n}" srcPort="o" dstActor="{n}" dstPort="i" initialTokens="1"/>'
        for n in "abc"
    )
    times = "".join(
        f'<actorProperties actor="{name}"><processor type="p" default="true"><executionTime time="{time}"/>'
        "</processor></actorProperties>"
        for name, time in {"a": "1,3", "b": "2*2", "c": "2,3"}.items()
    )
    text = xml(actors, channels, times, "csdf")
    run = read_sdf3(text).build().run("step")
    assert {name: unit.firings for name, unit in run.units.items()} == {"a": 6, "b": 4, "c": 2}
    # a is the slowest, at 3 rounds of 1 + 3 cycles an iteration, and waits for nothing.
    laps = [read_sdf3(text, iterations=n).build().run("step").cycles for n in (10, 11)]
    assert laps[1] - laps[0] == 12


def test_the_h263_decoder() -> None:
    """SDF3's H.263 decoder (QCIF: 594 blocks a frame). Its published throughput is one frame in 332 046 cycles."""
    rates = {"vld": (0, 594), "iq": (1, 1), "idct": (1, 1), "mc": (594, 0)}
    times = {"vld": 26018, "iq": 559, "idct": 486, "mc": 10958}
    actors = "".join(
        f'<actor name="{name}">'
        + (f'<port name="in" type="in" rate="{take}"/>' if take else "")
        + (f'<port name="out" type="out" rate="{send}"/>' if send else "")
        + "</actor>"
        for name, (take, send) in rates.items()
    )
    names = list(rates)
    channels = "".join(
        f'<channel name="{a}2{b}" srcActor="{a}" srcPort="out" dstActor="{b}" dstPort="in"/>'
        for a, b in pairwise(names)
    )
    properties = "".join(
        f'<actorProperties actor="{name}"><processor type="arm" default="true"><executionTime time="{time}"/>'
        "</processor></actorProperties>"
        for name, time in times.items()
    )
    text = xml(actors, channels, properties)
    # One frame goes through from end to end, but iq and idct overlap.
    assert read_sdf3(text).build().run("step").cycles == 26018 + 594 * 559 + 486 + 10958
    laps = [read_sdf3(text, iterations=n).build().run("step").cycles for n in (3, 4)]
    assert Fraction(1, laps[1] - laps[0]) == Fraction(1, 332046)


def outcome(program: rdu.StreamProgram) -> dict[str, object] | list[list[str]]:
    """All that a run tells, or its deadlock."""
    try:
        return program.run("step").to_dict()
    except DeadlockError as error:
        return [error.units, error.streams]


def self_timed(graph: Graph) -> int | None:
    """SDF3's execution, written from its definition: an actor starts as soon as it can, one firing at a time.

    Tokens and space are claimed at the start; results, and the space of what was taken, are there at the end. Returns
    the end of the last firing, None for a deadlock.
    """
    tokens = [s.initial for s in graph.streams]
    space = [s.capacity - s.initial for s in graph.streams]
    fired = [0] * len(graph.units)
    busy: list[tuple[int, int]] = []
    running: set[int] = set()
    now = 0
    while True:
        started = True
        while started:
            started = False
            for at, unit in enumerate(graph.units):
                k = fired[at]
                if at in running or k == unit.firings:
                    continue
                takes = {i: s.consume[k % len(s.consume)] for i, s in enumerate(graph.streams) if s.target == at}
                sends = {i: s.produce[k % len(s.produce)] for i, s in enumerate(graph.streams) if s.source == at}
                if all(tokens[i] >= n for i, n in takes.items()) and all(space[i] >= n for i, n in sends.items()):
                    for i, n in takes.items():
                        tokens[i] -= n
                    for i, n in sends.items():
                        space[i] -= n
                    running.add(at)
                    heapq.heappush(busy, (now + unit.ii[k % len(unit.ii)], at))
                    started = True
        if not busy:
            break
        now = busy[0][0]
        while busy and busy[0][0] == now:
            at = heapq.heappop(busy)[1]
            k = fired[at]
            for i, s in enumerate(graph.streams):
                if s.target == at:
                    space[i] += s.consume[k % len(s.consume)]
                if s.source == at:
                    tokens[i] += s.produce[k % len(s.produce)]
            running.remove(at)
            fired[at] += 1
    return now if all(n == unit.firings for n, unit in zip(fired, graph.units, strict=True)) else None


@given(graphs())
def test_times_are_those_of_self_timed_execution(graph: Graph) -> None:
    plain = replace(
        graph,
        units=tuple(replace(unit, latency=[ii - 1 for ii in unit.ii]) for unit in graph.units),
        streams=tuple(replace(stream, latency=1, credit=0) for stream in graph.streams),
    )
    text = write_sdf3(plain.builder().build(), extras=False)
    firings = {unit.name: unit.firings for unit in graph.units}
    assert "rdu:" not in text
    # Plain SDF3 does not say how often; the firings of one run may be no whole number of iterations.
    run = outcome(read_sdf3(with_firings(text, firings)).build())
    if (expected := self_timed(plain)) is None:
        assert isinstance(run, list)
    else:
        assert isinstance(run, dict)
        assert run["cycles"] == expected


def with_firings(text: str, firings: dict[str, int]) -> str:
    text = text.replace("<sdf3", '<sdf3 xmlns:rdu="urn:rdu:sdf3:1"', 1)
    for name, count in firings.items():
        text = text.replace(f'<actor name="{name}"', f'<actor name="{name}" rdu:firings="{count}"', 1)
    return text


# --- writing and reading back ----------------------------------------------------------------------------------------


def unrolled(program: rdu.StreamProgram) -> object:
    """Everything that a run depends on: each unit's firings one by one, and the streams."""
    described: dict[str, Any] = program.describe()
    firings = {}
    for unit in described["units"]:
        round = of(unit)
        order = (round.order * (unit["firings"] // len(round.order) + 1))[: unit["firings"]]
        firings[unit["name"]] = [unit["phases"][phase] for phase in order]
    rates = ("produce", "consume")
    streams = [{key: value for key, value in s.items() if key not in rates} for s in described["streams"]]
    return firings, streams


@given(graphs())
def test_what_is_written_is_read_back(graph: Graph) -> None:
    program = graph.builder().build()
    text = write_sdf3(program)
    again = read_sdf3(text).build()
    assert write_sdf3(again) == text
    assert unrolled(again) == unrolled(program)
    assert outcome(again) == outcome(program)


@given(st.lists(st.text(st.characters(min_codepoint=1, codec="utf-8"), min_size=1), min_size=1, unique=True))
def test_any_name_is_read_back_or_refused(names: list[str]) -> None:
    b = rdu.Builder()
    for name in names:
        b.unit(name, firings=1)
    program = b.build()
    if any(unwritable(name) for name in names):
        with pytest.raises(GraphError, match="XML cannot hold"):
            write_sdf3(program)
    else:
        assert read_sdf3(write_sdf3(program)).build().units == tuple(names)


def unwritable(name: str) -> bool:
    """XML 1.0 has no control characters but three, and not the two last code points of the basic plane."""
    return any((c < " " and c not in "\t\n\r") or c in "\ufffe\uffff" for c in name)


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    b = rdu.Builder()
    b.unit("<a & 'b'>\n\t\"é\"", firings=2_000_000, ii=[1, 3, 3], latency=7)
    b.unit("b", firings=1, ii=[2, 5])
    program = b.build()
    text = write_sdf3(program, tmp_path / "é.xml")
    assert (tmp_path / "é.xml").read_text(encoding="utf-8") == text
    assert '<sdf3 type="csdf"' in text
    assert 'time="1,2*3"' in text
    assert read_sdf3(tmp_path / "é.xml").build().describe() == program.describe()
    assert read_sdf3(str(tmp_path / "é.xml")).build().describe() == program.describe()


def test_loops_are_written_out() -> None:
    b = rdu.Builder()
    b.unit("w", firings=400)
    phases = {"load": rdu.phase(ii=4, consume={"w": 4}), "fire": rdu.phase(latency=6)}
    b.unit("mac", phases=phases, nest=rdu.loop(100, "load", rdu.loop(8, "fire")))
    b.stream("w", "mac")
    program = b.build()
    text = write_sdf3(program)
    assert 'rate="4,8*0"' in text
    assert 'time="4,8*1"' in text
    assert read_sdf3(text).build().run().to_dict() == program.run().to_dict()
    b.unit("deep", phases=phases | {"load": rdu.phase()}, nest=["load", rdu.loop(2**20, "fire")])
    with pytest.raises(GraphError, match=r"unit 'deep' has a round of more than 1048576 firings; SDF3 has no loops"):
        write_sdf3(b.build())


def test_data_dependent_units_are_refused() -> None:
    b = rdu.Builder()
    b.unit("x", firings=2)
    b.unit("which", firings=2)
    b.gate("gate", control="which", decisions=[0, 1])
    b.unit("y")
    for ends in (("x", "gate"), ("which", "gate"), ("gate", "y")):
        b.stream(*ends)
    with pytest.raises(GraphError, match="unit 'gate' depends on data"):
        write_sdf3(b.build())


def test_other_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "g.xml"
    for encoding in ("utf-8-sig", "utf-16", "iso-8859-1"):
        path.write_text(xml().replace("UTF-8", encoding.removesuffix("-sig")).replace('"c"', '"ç"'), encoding=encoding)
        assert read_sdf3(path).build().streams == ("ç",)
    # A text is decoded already, whatever it says of itself.
    assert read_sdf3("\ufeff\n" + xml().replace("UTF-8", "UTF-16")).build().streams == ("c",)


def test_what_sdf3_cannot_say_is_refused(tmp_path: Path) -> None:
    b = rdu.Builder()
    b.unit("deep", firings=3, latency=5)
    with pytest.raises(GraphError, match=r"unit 'deep': its latency is not ii - 1.*extras=True"):
        write_sdf3(b.build(), extras=False)
    for key, value in {"latency": 2, "credit": 1}.items():
        b = rdu.Builder()
        b.unit("a", firings=3)
        b.unit("b", firings=3)
        b.stream("a", "b", **{key: value})
        with pytest.raises(GraphError, match=rf"stream 'a->b': its {key} is {value}; plain SDF3 can say only"):
            write_sdf3(b.build(), extras=False)
    b = rdu.Builder()
    b.source("x", [1.0, 2.0])
    b.sink("y")
    b.stream("x", "y")
    with pytest.raises(GraphError, match=r"unit 'x' computes values \('source'\).*drop_values=True"):
        write_sdf3(b.build())
    assert read_sdf3(write_sdf3(b.build(), drop_values=True)).build().run("step").cycles == 3
    with pytest.raises(GraphError, match="cannot be written"):
        write_sdf3(b.build(), tmp_path / "no" / "such" / "folder.xml", drop_values=True)


# --- files that are wrong, or meant to harm --------------------------------------------------------------------------

LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<sdf3", "the XML, line 1, column 1: no XML: unclosed token"),
        ("<sdf3></sdf4>", "the XML, line 1, column 9: no XML: mismatched tag"),
        ('<sdf3 a="1" a="2"/>', "no XML: duplicate attribute"),
        (xml().replace("<sdf3", LAUGHS + "<sdf3", 1), "line 2: <!DOCTYPE lolz> is refused"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "line 1: <!DOCTYPE x> is refused"),
        ("<a>" * 65 + "</a>" * 65, "more than 64 elements inside each other"),
        ("<html/>", "line 1, <html>: the root element of an SDF3 file is <sdf3>"),
        ('<sdf3 type="sdf"/>', "<sdf3> has no <applicationGraph>; add one"),
        (xml(kind="fsmsadf"), "type is 'fsmsadf'; rdu reads 'sdf' and 'csdf'"),
        (xml().replace("<sdf ", "<csdf ").replace("</sdf>", "</csdf>"), "<applicationGraph> 'g' has no <sdf>; add one"),
        (xml().replace("</sdf>", "</sdf><sdf/>"), "a second one; <applicationGraph> has room for one"),
        (xml(actors="", channels=""), "line 4, <sdf> 'g' has no <actor>"),
        (xml(actors="<actor/>"), "line 5, <actor> has no attribute 'name'"),
        (xml(actors='<actor name=""/>'), "attribute 'name' is empty"),
        (xml(actors=ACTORS + '<actor name="a"/>'), "<actor> 'a': a second actor of this name"),
        (xml(actors=ACTORS.replace('rate="2"', "")), "<port> 'p' has no attribute 'rate'"),
        (xml(actors=ACTORS.replace('"2"', '"-2"')), "<port> 'p': rate is '-2'; it must be a whole number of at least"),
        (xml(actors=ACTORS.replace('"2"', '"2.5"')), "rate is '2.5'; it must be a whole number"),
        (xml(actors=ACTORS.replace('"2"', '"٢"')), "rate is '٢'; it must be a whole number"),
        (xml(actors=ACTORS.replace('"2"', '"1_0"')), "rate is '1_0'"),
        (xml(actors=ACTORS.replace('"2"', f'"{"9" * 5000}"')), "a number may have at most 19 digits"),
        (xml(actors=ACTORS.replace('"2"', '"9999999999"')), "line 6, <channel> 'c': stream 'c': produce[0] is 9999999"),
        (xml(actors=ACTORS.replace('"2"', '"0"')), "<channel> 'c': its source moves no tokens"),
        (xml(actors=ACTORS.replace('"2"', '"1,2"')), 'a list of rates needs <sdf3 type="csdf">'),
        (xml(actors=ACTORS.replace('"2"', '"2,"'), kind="csdf"), "rate, entry 2, is ''"),
        (xml(actors=ACTORS.replace('"2"', '"0*1"'), kind="csdf"), "rate, entry 1: its count is '0'"),
        (xml(actors=ACTORS.replace('"2"', '"x*1"'), kind="csdf"), "the count of entry 1, is 'x'"),
        (xml(actors=ACTORS.replace('"2"', '"999999999*1"'), kind="csdf"), "has 999999999 entries or more"),
        (xml(actors=ACTORS.replace('"out"', '"up"')), "<port> 'p': type is 'up'; it must be 'in' or 'out'"),
        (
            xml(actors=ACTORS.replace('rate="2"/>', 'rate="2"/><port name="p" type="out" rate="1"/>')),
            "actor 'a' has a second port of this name",
        ),
        (xml(channels=""), "<port> 'p' of actor 'a' is joined to no channel"),
        (xml(channels=CHANNELS.replace('"b"', '"bb"')), "line 6, <channel> 'c': actor 'bb' does not exist; did you"),
        (xml(channels=CHANNELS.replace('"q"', '"z"')), "port of actor 'b' 'z' does not exist; there is 'q'"),
        (xml(channels=CHANNELS + CHANNELS), "<channel> 'c': a second channel of this name"),
        (xml(channels=CHANNELS + CHANNELS.replace('"c"', '"d"')), "port 'p' of actor 'a' is joined to channel 'c'"),
        (
            xml(channels='<channel name="c" srcActor="b" srcPort="q" dstActor="a" dstPort="p"/>'),
            "srcPort 'q' of actor 'b' is an 'in' port; it must be an 'out' port",
        ),
        (xml(channels=CHANNELS.replace("/>", ' initialTokens="-1"/>')), "initialTokens is '-1'"),
        (xml(channels=CHANNELS.replace("/>", ' rdu:hops="1"/>')), "rdu:hops is none of rdu:latency, rdu:credit"),
        (xml(channels=CHANNELS.replace("/>", ' rdu:latency="0"/>')), "stream 'c': latency is 0; it must be at least 1"),
        (xml(actors=ACTORS.replace('"B"', '"B" rdu:firings="2"')), "<actor> 'a' has no rdu:firings, but other actors"),
        (xml(properties=""), "<actor> 'a' has no execution time; add <actorProperties actor='a'>"),
        (xml(properties=TIMES.replace('"4"', '"0"')), "actor 'a' has firings that take no time"),
        (xml(properties=TIMES.replace('"4"', '"1,2"')), "a list of times needs"),
        (xml(properties=TIMES.replace('"4"', f'"{1 << 62}"')), "unit 'a': ii[0] is 4611686018427387904; it must be at"),
        (xml(properties=TIMES + TIMES), "<actorProperties>: a second one for actor 'a'"),
        (xml(properties=TIMES.replace('actor="b"', 'actor="c"')), "actor 'c' does not exist"),
        (xml(properties=TIMES.replace(' default="true"', "")), "actor 'a' has 2 processors and no default"),
        (xml(properties=TIMES + '<channelProperties channel="x"/>'), "channel 'x' does not exist"),
        (
            xml(properties=TIMES + '<channelProperties channel="c"><bufferSize sz="-1"/></channelProperties>'),
            "<bufferSize>: sz is '-1'",
        ),
        (
            xml(properties=TIMES + '<channelProperties channel="c"><bufferSize sz="2"/></channelProperties>'),
            "<channel> 'c': stream 'c': capacity is 2, below consume of 3; make it at least 3",
        ),
        (
            xml(
                ACTORS.replace("</actor>", '<port name="r" type="out" rate="1"/></actor>', 1).replace(
                    '"in" rate="3"/>', '"in" rate="3"/><port name="s" type="in" rate="1"/>'
                ),
                CHANNELS + '<channel name="d" srcActor="a" srcPort="r" dstActor="b" dstPort="s"/>',
            ),
            "1 x q('a') = 1 x q('b'), but the other channels make q('a') : q('b') = 3 : 2",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        read_sdf3(text).build()
    assert message in str(caught.value)


def test_lists_of_different_lengths() -> None:
    actors = ACTORS.replace('"2"', '"1,1,2"').replace("</actor>", '<port name="r" type="out" rate="1,2"/></actor>', 1)
    with pytest.raises(GraphError, match=r"<port> 'r': rate has 2 entries, but the actor's other lists have 3; give 3"):
        read_sdf3(xml(actors=actors, kind="csdf"))
    with pytest.raises(GraphError, match=r"<executionTime>: time has 2 entries, but the actor's other lists have 3"):
        read_sdf3(xml(ACTORS.replace('"2"', '"1,1,2"'), properties=TIMES.replace('"4"', '"1,2"'), kind="csdf"))


def test_bad_files_and_settings(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"no\.xml' cannot be read"):
        read_sdf3(tmp_path / "no.xml")
    with pytest.raises(GraphError, match="cannot be read"):
        read_sdf3("\0")
    with pytest.raises(GraphError, match="takes a path or a text"):
        read_sdf3(b"<sdf3/>")  # type: ignore[arg-type]
    path = tmp_path / "odd.xml"
    for content, message in (
        (b"", "no element found"),
        (b"<a>\xff</a>", "not well-formed"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "nonsense"),
        (b'<?xml version="1.0" encoding="big5"?><a/>', "UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(GraphError, match=message) as caught:
            read_sdf3(path)
        assert str(path) in str(caught.value)
    for key, value in (("iterations", 0), ("zero_time", 0), ("default_time", -1), ("cycles_per_time", 1.5)):
        with pytest.raises(GraphError, match=f"{key} is {value}; it must be a whole number"):
            read_sdf3(xml(), **{key: value})  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="processor type 'arm' does not exist; there is 'x', 'y'"):
        read_sdf3(xml(), processor="arm")
    with pytest.raises(GraphError, match="capacity is True"):
        read_sdf3(xml(), capacity=True)


def test_short_lists_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST_ENTRIES_OF_A_FILE", 1000)
    many = "".join(f'<actor name="n{at}"><port name="p" type="out" rate="300*1"/></actor>' for at in range(4))
    with pytest.raises(GraphError, match=r"'p': rate: the lists of this file have more than 1000 entries in all"):
        read_sdf3(xml(many, "", "", "csdf"))


# --- parts -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**19 - 1), min_size=1))
def test_lists_are_read_back(values: list[int]) -> None:
    assert numbers(written(values), "x", Budget()) == values


def test_lists_are_written_short() -> None:
    assert written([1, 1, 1, 2, 0, 0]) == "3*1,2,2*0"
    assert numbers(" 3 * 1 , 2,2*0", "x", Budget()) == [1, 1, 1, 2, 0, 0]


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_a_repetition_vector_balances_and_is_the_smallest(wanted: list[int], random) -> None:
    names = [f"u{at}" for at in range(len(wanted))]
    edges = []
    for at in range(1, len(names)):
        other = random.randrange(at)
        # Rates such that wanted[...] balances.
        scale = random.randint(1, 3)
        edges.append(Edge(names[other], names[at], wanted[at] * scale, wanted[other] * scale, "x"))
    found = repetitions(names, edges)
    ratio = Fraction(found[names[0]], wanted[0])
    assert ratio <= 1
    assert [Fraction(found[name], want) for name, want in zip(names, wanted, strict=True)] == [ratio] * len(names)
    assert repetitions([*names, "alone"], edges)["alone"] == 1

"""Loop nests of phases: what they do, against the same program spelled out in lists, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import rdu
from rdu import loop, phase
from rdu.errors import GraphError


def streams(b: rdu.Builder, **stream: object) -> rdu.Builder:
    """Weights and inputs go into a unit called mac, results out of it."""
    b.stream("w", "mac", capacity=8, latency=2, **stream)  # type: ignore[arg-type]
    b.stream("x", "mac", capacity=3)
    b.stream("mac", "y", capacity=2, credit=1)
    return b


def nested(outer: int = 5, inner: int = 3, times: int = 1) -> rdu.Builder:
    b = rdu.Builder()
    b.unit("w", firings=4 * outer * times)
    b.unit("x", firings=inner * outer * times, ii=2)
    b.unit(
        "mac",
        phases={
            "load": phase(ii=2, latency=1, consume={"w": 4}),
            "fire": phase(latency=6, consume={"x": 1}),
            "drain": phase(ii=3, produce={"y": 2}),
        },
        nest=loop(times, loop(outer, "load", loop(inner, "fire"), "drain")),
    )
    b.unit("y")
    return streams(b)


def unrolled(outer: int = 5, inner: int = 3) -> rdu.Builder:
    b = rdu.Builder()
    b.unit("w", firings=4 * outer)
    b.unit("x", firings=inner * outer, ii=2)
    b.unit("mac", firings=outer * (inner + 2), ii=[2] + [1] * inner + [3], latency=[1] + [6] * inner + [0])
    b.unit("y", firings=2 * outer)
    b.stream("w", "mac", capacity=8, latency=2, consume=[4] + [0] * inner + [0])
    b.stream("x", "mac", capacity=3, consume=[0] + [1] * inner + [0])
    b.stream("mac", "y", capacity=2, credit=1, produce=[0] * (inner + 1) + [2])
    return b


@pytest.mark.parametrize("mode", ["step", "fast"])
def test_a_nest_equals_the_lists_that_unroll_it(mode: str) -> None:
    run, expected = nested().build().run(mode), unrolled().build().run(mode)
    assert run.to_dict() == expected.to_dict()
    assert run.units["mac"].firings == 25


def test_nothing_is_unrolled() -> None:
    program = nested(outer=10**6, inner=10**3, times=10**3).build()
    assert program.describe()["units"][2] == {
        "name": "mac",
        "op": None,
        "firings": 1002 * 10**9,
        "phases": [
            {"name": "load", "ii": 2, "latency": 1, "consume": {"w->mac": 4}, "produce": {}},
            {"name": "fire", "ii": 1, "latency": 6, "consume": {"x->mac": 1}, "produce": {}},
            {"name": "drain", "ii": 3, "latency": 0, "consume": {}, "produce": {"mac->y": 2}},
        ],
        "nest": [
            {
                "body": [
                    {
                        "body": [
                            {"phase": 0, "times": 1},
                            {"phase": 1, "times": 10**3},
                            {"phase": 2, "times": 1},
                        ],
                        "times": 10**6,
                    }
                ],
                "times": 10**3,
            }
        ],
        "choice": None,
        "transfer": None,
    }


def test_ends_are_named_by_stream_or_by_unit_and_a_number_goes_to_all() -> None:
    b = rdu.Builder()
    b.unit("x", firings=6)
    b.unit(
        "u",
        phases={"both": phase(consume=1, produce=1), "one": phase(consume={"b": 2, "x->u": 1})},
        nest=["both", loop(2, "one")],
    )
    b.unit("y")
    b.stream("x", "u", produce=[1, 0])
    b.stream("x", "u", name="b", produce=[1, 1, 1, 1, 1, 0])
    b.stream("u", "y")
    run = b.build().run()
    assert [run.streams[name].tokens for name in ("x->u", "b", "u->y")] == [3, 5, 1]


def test_a_rate_at_the_stream_holds_in_every_phase() -> None:
    b = rdu.Builder()
    b.unit("x", firings=12)
    b.unit("u", phases={"a": phase(ii=1), "b": phase(ii=5)}, nest=loop(3, "a", "b"))
    b.stream("x", "u", consume=2)
    run = b.build().run()
    assert run.units["u"].busy == 3 * (1 + 5)
    assert run.streams["x->u"].tokens == 12


def test_a_phased_unit_with_values() -> None:
    b = rdu.Builder()
    b.source("x", range(6))
    phases = {"take": phase(consume=1), "send": phase(consume=1, produce=1)}
    b.unit("sum", op="sum", phases=phases, nest=loop(2, loop(2, "take"), "send"))
    b.sink("y")
    b.stream("x", "sum")
    b.stream("sum", "y")
    assert b.build().run().outputs["y"].tolist() == [[0 + 1 + 2], [3 + 4 + 5]]


def unit(**described: object) -> Callable[[rdu.Builder], object]:
    return lambda b: b.unit("mac", **{"phases": {"fire": phase()}, "nest": "fire", **described})  # type: ignore[arg-type]


def with_streams(**described: object) -> Callable[[rdu.Builder], object]:
    def describe(b: rdu.Builder) -> None:
        b.unit("w", firings=4)
        b.unit("x", firings=4)
        b.unit("y")
        unit(**described)(b)
        streams(b).build()

    return describe


deep = "fire"
for _ in range(64):
    deep = loop(2, deep)  # type: ignore[assignment]

BAD: dict[str, tuple[Callable[[rdu.Builder], object], str]] = {
    "phases alone": (unit(nest=None), "'mac' has phases but no nest"),
    "nest alone": (unit(phases=None), "'mac' has nest but no phases"),
    "phases and firings": (unit(firings=3), "'mac' has phases, which say firings, ii and latency"),
    "phases and ii": (unit(ii=[1, 2]), "'mac' has phases, which say"),
    "no phases": (unit(phases={}), "'mac': phases is {}"),
    "a phase of a wrong type": (unit(phases={"fire": {"ii": 1}}), "'mac': phase 'fire' is .* make it with rdu.phase"),
    "unknown phase": (unit(nest=loop(3, "fira")), "'mac': nest: phase 'fira' does not exist; did you mean 'fire'"),
    "a nest of a wrong type": (unit(nest=3), "'mac': nest: 3 is neither the name of a phase nor a loop"),
    "an empty loop": (lambda b: loop(3), "loop: the body is empty"),
    "negative times": (lambda b: loop(-1, "fire"), "loop: times is -1; it must be at least 0"),
    "too deep": (lambda b: loop(2, deep), "more than 64 loops"),
    "bad ii": (lambda b: phase(ii=0), "phase: ii is 0"),
    "bad rate": (lambda b: phase(consume={"x": -1}), r"phase: consume\['x'\] is -1"),
    "no firing": (with_streams(nest=loop(0, "fire")), "'mac': its nest fires no phase"),
    "too many firings": (with_streams(nest=loop(2**61, loop(4, "fire"))), "'mac': its nest has .* firings"),
    "unknown end": (
        with_streams(phases={"fire": phase(consume={"ww": 1})}),
        "'mac', phase 'fire': consume: among its inputs 'ww' does not exist; did you mean 'w'",
    ),
    "an output as an input": (with_streams(phases={"fire": phase(consume={"y": 1})}), "among its inputs 'y'"),
    "above capacity": (
        with_streams(phases={"fire": phase(consume={"w": 9})}),
        "'w->mac': capacity is 8, below consume of 9 in phase 'fire' of unit 'mac'",
    ),
    "unbalanced": (
        with_streams(phases={"fire": phase(consume={"w": 1, "x": 1}, produce=1)}, nest=loop(5, "fire")),
        'does not balance: 0 initial . 4 tokens from "w" cannot serve the 5',
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_nest_is_refused_by_name(case: str) -> None:
    describe, message = BAD[case]
    with pytest.raises(GraphError, match=message):
        describe(rdu.Builder())


def test_rates_said_twice_are_refused() -> None:
    for consume, message in (
        (2, "phase 'fire': consume says 1 on 'w->mac', but the stream says 2"),
        ([1, 2], "a list"),
    ):
        b = rdu.Builder()
        for name in "wxy":
            b.unit(name, firings=4)
        b.unit("mac", phases={"fire": phase(consume={"w": 1})}, nest="fire")
        with pytest.raises(GraphError, match=message):
            streams(b, consume=consume).build()


def test_an_ambiguous_end_is_refused() -> None:
    b = rdu.Builder()
    b.unit("x", firings=1)
    b.unit("u", phases={"fire": phase(consume={"x": 1})}, nest="fire")
    b.stream("x", "u")
    b.stream("x", "u")
    with pytest.raises(GraphError, match="names 'x', which 'x->u', 'x->u#2' join to 'u'"):
        b.build()

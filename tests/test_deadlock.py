"""Deadlocks: each is named, and what the error says would free it does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings

import rdu
from rdu.errors import DeadlockError
from rdu.testing.graphs import Graph, graphs


def deadlock(program: rdu.builder.StreamProgram) -> DeadlockError:
    """What a run says; both modes say the same."""
    errors = []
    for mode in ("step", "fast"):
        with pytest.raises(DeadlockError) as caught:
            program.run(mode=mode)
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])
    assert errors[0].capacities == errors[1].capacities
    return errors[0]


def circle(initial: int, rate: int = 1) -> rdu.builder.StreamProgram:
    b = rdu.Builder()
    b.unit("ask", firings=5)
    b.unit("answer", firings=5)
    b.stream("ask", "answer", produce=rate, consume=rate)
    b.stream("answer", "ask", produce=rate, consume=rate, initial=initial)
    return b.build()


def test_two_units_that_wait_for_each_other_need_a_token() -> None:
    error = deadlock(circle(initial=0))
    assert (error.units, error.streams) == (["ask", "answer"], ["answer->ask", "ask->answer"])
    assert error.capacities == {}
    assert str(error).endswith("no capacity frees it: it needs initial tokens on one of 'answer->ask', 'ask->answer'")
    assert circle(initial=1).run().firings == 10


def test_too_few_initial_tokens_are_as_good_as_none() -> None:
    error = deadlock(circle(initial=2, rate=3))
    assert error.capacities == {}
    assert "ask (after 0 firings) waits for a token on answer->ask from answer" in str(error)
    assert circle(initial=3, rate=3).run().firings == 10


def reconvergent(capacity: int, through: int = 4) -> rdu.builder.StreamProgram:
    b = rdu.Builder()
    b.unit("fork", firings=8)
    b.unit("block", firings=2)
    b.unit("join", firings=8)
    b.stream("fork", "block", consume=4, capacity=through)
    b.stream("block", "join", produce=4, capacity=4)
    b.stream("fork", "join", capacity=capacity)
    return b.build()


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_a_short_stream_beside_a_long_way_must_grow(capacity: int) -> None:
    error = deadlock(reconvergent(capacity))
    assert set(error.units) == {"fork", "block", "join"}
    assert error.capacities == {"fork->join": 4}
    assert str(error).endswith("; capacity 4 on 'fork->join' would free it")
    assert reconvergent(4).run().firings == 18


def test_two_streams_that_are_too_short_are_both_named() -> None:
    def program(capacity: int) -> rdu.builder.StreamProgram:
        b = rdu.Builder()
        b.unit("fork", firings=6)
        b.unit("join", firings=6)
        for name, size in (("late", 3), ("x", capacity), ("y", capacity)):
            b.unit(name, firings=6 // size)
            b.stream("fork", name, consume=size, capacity=3)
            b.stream(name, "join", produce=size, capacity=3)
        b.stream("fork", "join", capacity=2, name="first")
        b.stream("fork", "join", capacity=1, name="second")
        return b.build()

    error = deadlock(program(1))
    assert error.capacities == {"first": 3, "second": 3}
    assert "capacity 3 on 'first' and capacity 3 on 'second' would free it" in str(error)


def detour(stages: int, tokens: int, capacity: int) -> rdu.builder.StreamProgram:
    """A way through so many stages of one slot each, beside one that takes all tokens at once."""
    b = rdu.Builder()
    b.unit("fork", firings=2 * tokens)
    b.unit("block", firings=2)
    b.unit("join", firings=2 * tokens)
    b.stream("fork", "block", consume=tokens, capacity=tokens)
    b.stream("block", "join", produce=tokens, capacity=tokens)
    ends = ["fork", *(f"stage{at}" for at in range(stages)), "join"]
    for name in ends[1:-1]:
        b.unit(name, firings=2 * tokens)
    for source, target in itertools.pairwise(ends):
        b.stream(source, target, capacity=capacity if source == "fork" else 1)
    return b.build()


def test_slots_that_many_streams_could_have_are_given_to_few() -> None:
    """Too many ways to share out the slots to try them all: found is one that none can be taken from."""
    error = deadlock(detour(stages=5, tokens=64, capacity=1))
    assert error.capacities == {"fork->stage0": 59}
    assert detour(5, 64, capacity=59).run().cycles > 0
    deadlock(detour(5, 64, capacity=58))


def test_a_stream_that_lacks_a_million_slots_is_told_at_once() -> None:
    assert deadlock(detour(stages=0, tokens=10**6, capacity=1)).capacities == {"fork->join": 10**6}


def selected(left: int) -> rdu.builder.StreamProgram:
    """A select that takes three from the left and two from the right."""
    b = rdu.Builder()
    b.source("control", [0, 1, 0, 0, 1])
    b.source("left", [float(at) for at in range(left)])
    b.source("right", [10.0, 11.0])
    b.select("select", control="control", firings=5)
    b.sink("out", firings=5)
    for source in ("control", "left", "right"):
        b.stream(source, "select")
    b.stream("select", "out")
    return b.build()


def test_a_starved_select_is_named_with_the_input_that_ended() -> None:
    error = deadlock(selected(left=2))
    assert error.units[-1] == "select"
    assert error.streams[-1] == "left->select"
    assert error.capacities == {}
    assert "select (after 3 firings) waits for a token on left->select from left, which has finished" in str(error)
    assert selected(left=3).run().outputs["out"][:, 0].tolist() == [0, 10, 1, 2, 11]


def test_a_deadlock_after_very_many_firings_is_as_quick() -> None:
    def program(capacity: int) -> rdu.builder.StreamProgram:
        many = 100_000
        b = rdu.Builder()
        b.unit("src", firings=many)
        b.unit("mid", firings=many // 2)
        b.unit("end", firings=many // 2)
        # In the last round only, the second stream must hold more than before.
        b.stream("src", "mid", consume=2)
        b.stream("mid", "end", produce=[1] * (many // 2 - 3) + [0, 0, 3], capacity=3)
        b.stream("src", "end", consume=2, capacity=capacity)
        return b.build()

    error = deadlock(program(4))
    assert error.capacities is not None
    assert list(error.capacities) == ["src->end"]
    assert program(error.capacities["src->end"]).run().firings == 200_000
    assert deadlock(program(error.capacities["src->end"] - 1)).capacities == error.capacities


@settings(deadline=None, max_examples=150)
@given(graphs())
def test_the_named_capacities_free_it_and_no_smaller_sum_does(graph: Graph) -> None:
    try:
        graph.builder().build().run()
        return
    except DeadlockError as error:
        named = error.capacities
    assert named is not None
    stream_names = [stream.name for stream in graph.streams]
    if not named:
        # As much room as all tokens ever need does not help.
        everything = [sum(s.produce) * graph.units[s.source].firings + s.initial for s in graph.streams]
        deadlock(graph.widened(everything).builder().build())
        return
    extra = [named.get(s.name, s.capacity) - s.capacity for s in graph.streams]
    assert min(extra[stream_names.index(name)] for name in named) > 0
    graph.widened(extra).builder().build().run()
    total = sum(extra)
    if total > 4:
        return
    # All ways to spend one slot less.
    for choice in itertools.combinations_with_replacement(range(len(extra)), total - 1):
        less = [choice.count(at) for at in range(len(extra))]
        deadlock(graph.widened(less).builder().build())

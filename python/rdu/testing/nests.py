"""Hypothesis strategies for programs whose units run through loop nests of phases."""

from __future__ import annotations

from hypothesis import strategies as st

from ..builder.nest import Loop, Phase, loop, phase
from .graphs import Graph, Stream, Unit, edges

# A phase at each depth of the nest.
DEPTHS = ("outer", "middle", "inner")


@st.composite
def nested_graphs(draw: st.DrawFn, most_units: int = 5, most_iterations: int = 4) -> Graph:
    """Programs of units with three phases: one in each pass of the outer loop, and two in loops inside it.

    In one pass of the outer loop as many tokens enter a stream as leave it, in any of the phases; the outer loop itself
    may be split into two. A unit may also fire by a plain count. Some of the programs deadlock.
    """
    count = draw(st.integers(2, most_units))
    small = st.integers(1, 3)
    passes = (draw(st.integers(1, most_iterations)), draw(st.integers(1, most_iterations)))
    repeats = [(1, middle, middle * draw(small)) for middle in draw(st.lists(small, min_size=count, max_size=count))]
    rates: list[list[tuple[dict[str, int], dict[str, int]]]] = [[({}, {}) for _ in DEPTHS] for _ in range(count)]
    streams = []
    for at, (source, target) in enumerate(draw(edges(count))):
        name = f"s{at}"
        tokens = draw(st.integers(1, 8))
        ends = [draw(_portions(tokens, repeats[unit])) for unit in (source, target)]
        for depth, (sent, taken) in enumerate(zip(*ends, strict=True)):
            rates[source][depth][1][name] = sent
            rates[target][depth][0][name] = taken
        initial = draw(st.integers(0, 2 * tokens) if source >= target else st.sampled_from((0, 0, 2)))
        capacity = max(*ends[0], *ends[1], initial, 1) + draw(st.integers(0, 8))
        latency, credit = draw(st.integers(1, 4)), draw(st.integers(0, 3))
        streams.append(Stream(name, source, target, capacity, latency, credit, None, None, initial))
    units = tuple(draw(_units(f"u{at}", passes, repeats[at], rates[at])) for at in range(count))
    return Graph(units, tuple(streams))


@st.composite
def _units(
    draw: st.DrawFn,
    name: str,
    passes: tuple[int, int],
    repeats: tuple[int, int, int],
    rates: list[tuple[dict[str, int], dict[str, int]]],
) -> Unit:
    phases: dict[str, Phase] = {
        depth: phase(draw(st.integers(1, 4)), draw(st.integers(0, 6)), consume, produce)
        for depth, (consume, produce) in zip(DEPTHS, rates, strict=True)
    }
    middle, inner = repeats[1], repeats[2] // repeats[1]
    inside: list[str | Loop] = draw(st.permutations(["middle", loop(inner, "inner")]))
    body: list[str | Loop] = draw(st.permutations(["outer", loop(middle, *inside)]))
    nest = loop(passes[0], loop(passes[1], *body)) if draw(st.booleans()) else loop(passes[0] * passes[1], *body)
    return Unit(name, passes[0] * passes[1] * sum(repeats), [1], [0], phases=phases, nest=(nest,))


@st.composite
def _portions(draw: st.DrawFn, tokens: int, repeats: tuple[int, int, int]) -> list[int]:
    """Tokens that a firing of each phase moves, so that one pass of the outer loop moves ``tokens``."""
    _, middle, inner = repeats
    deep = draw(st.integers(0, tokens // inner))
    half = draw(st.integers(0, (tokens - deep * inner) // middle))
    return [tokens - deep * inner - half * middle, half, deep]

"""Hypothesis strategies for programs with values, and with units whose firings depend on data.

A program grows from its sources: each step takes the tokens that some unit sends and does something with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from .graphs import SINK, SOURCE, Choice, Graph, Stream, Unit

UNARY = ("copy", "neg", "abs", "relu", "positive")
BINARY = ("add", "sub", "max", "min", "lt")
FOLDS = ("sum", "max_of", "last")

MOST_TOKENS = 12


@dataclass(frozen=True)
class _Wire:
    """Tokens that nobody takes yet: who sends them, how many in a firing, and in all (None: data decide)."""

    unit: int
    rate: int
    tokens: int | None


@dataclass
class _Flow:
    """A program as it grows; ``lanes`` of 0 is one without values."""

    draw: st.DrawFn
    lanes: int
    units: list[Unit] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    wires: list[_Wire] = field(default_factory=list)

    # --- parts ---

    def unit(self, firings: int | None, op: str | None, choice: Choice | None = None, lists: bool = True) -> int:
        """A unit with drawn cycles; the number that it gets."""
        size = 3 if lists and firings is not None and choice is None else 1
        ii = self.draw(st.lists(st.integers(1, 4), min_size=1, max_size=size))
        latency = self.draw(st.lists(st.integers(0, 6), min_size=1, max_size=size))
        self.units.append(Unit(f"u{len(self.units)}", firings, ii, latency, op if self.lanes else None, choice=choice))
        return len(self.units) - 1

    def join(self, wire: _Wire, unit: int, consume: list[int], initial: int = 0) -> str:
        """A stream from the wire's unit; its name."""
        name = f"s{len(self.streams)}"
        capacity = max(wire.rate, *consume, initial) + self.draw(st.integers(0, 6))
        latency, credit = self.draw(st.integers(1, 4)), self.draw(st.integers(0, 3))
        self.streams.append(Stream(name, wire.unit, unit, capacity, latency, credit, [wire.rate], consume, initial))
        return name

    def take(self) -> _Wire:
        """Some wire; now and then it stays for others too, and its tokens go to all of them."""
        wire = self.draw(st.sampled_from(self.wires))
        if not self.draw(st.sampled_from((True, False, False))):
            self.wires.remove(wire)
        return wire

    def rate(self, wire: _Wire) -> int:
        """Tokens that a firing takes of a wire."""
        rates = [rate for rate in (1, 1, 2, 3) if not (wire.tokens or 0) % rate]
        return self.draw(st.sampled_from(rates))

    def other(self, one: _Wire, kind: str) -> _Wire:
        """A second wire beside ``one``; a zip wants as many tokens, unless data decide how many there are."""
        counts = (one.tokens, None)
        fit = [w for w in self.wires if kind != "zip" or w.tokens in counts or one.tokens is None]
        if not fit:
            return one if kind == "zip" else self.source()
        wire = self.draw(st.sampled_from(fit))
        self.wires.remove(wire)
        return wire

    # --- steps ---

    def source(self, rows: list[float] | None = None) -> _Wire:
        """An array, or a unit that stands for one; ``rows`` are its first lane."""
        tokens = self.draw(st.integers(1, MOST_TOKENS)) if rows is None else len(rows)
        rate = self.rate(_Wire(0, 1, tokens)) if rows is None else 1
        at = self.unit(tokens // rate, SOURCE)
        if self.lanes:
            value = st.integers(-6, 6).map(lambda n: n / 2)
            drawn = self.draw(st.lists(st.tuples(*[value] * self.lanes), min_size=tokens, max_size=tokens))
            if rows is not None:
                drawn = [(first, *row[1:]) for first, row in zip(rows, drawn, strict=True)]
            self.units[at] = replace(self.units[at], rows=tuple(drawn))
        return _Wire(at, rate, tokens)

    def map(self, wire: _Wire) -> _Wire:
        """One token for one."""
        rate = self.rate(wire)
        tokens = wire.tokens
        at = self.unit(None if tokens is None else tokens // rate, self.draw(st.sampled_from(UNARY)))
        self.join(wire, at, [rate])
        return _Wire(at, rate, tokens)

    def zip(self, one: _Wire, other: _Wire) -> _Wire:
        """One token for one of each; where data decide how many there are, some may stay behind."""
        known = one.tokens == other.tokens is not None
        rate = self.rate(one)
        tokens = one.tokens if known else None
        at = self.unit(None if tokens is None else tokens // rate, self.draw(st.sampled_from(BINARY)))
        self.join(one, at, [rate])
        self.join(other, at, [rate])
        return _Wire(at, rate, tokens)

    def fold(self, wire: _Wire) -> _Wire:
        """One token for several."""
        rate = self.rate(wire)
        firings = None if wire.tokens is None else wire.tokens // rate
        at = self.unit(firings, self.draw(st.sampled_from(FOLDS)))
        self.join(wire, at, [rate])
        return _Wire(at, 1, firings)

    def accumulate(self, wire: _Wire) -> _Wire:
        """Adds what it sent some firings before: a feedback with initial tokens, whose values are zeros."""
        at = self.unit(wire.tokens, "add")
        sent = _Wire(at, 1, wire.tokens)
        self.join(wire, at, [1])
        self.join(sent, at, [1], initial=self.draw(st.integers(1, 3)))
        return sent

    # --- data-dependent steps ---

    def control(self, decisions: list[int]) -> tuple[_Wire, tuple[int, ...] | None]:
        """The tokens that decide; and what a program without values says in their place."""
        wire = self.source([float(way) for way in decisions])
        return wire, None if self.lanes else tuple(decisions)

    def decisions(self, count: int, ways: int) -> list[int]:
        """Each way comes at least once, so that nothing behind it stays without a firing."""
        drawn = self.draw(st.lists(st.integers(0, ways - 1), min_size=count - ways, max_size=count - ways))
        return self.draw(st.permutations([*range(ways), *drawn]))

    def choice(self, kind: str, decisions: tuple[int, ...] | None) -> int:
        firings = None if decisions is None else len(decisions)
        return self.unit(firings, None, Choice(kind, decisions=decisions))

    def decide(self, unit: int, control: _Wire) -> None:
        """Joins control to a unit and tells it the name of the stream."""
        chosen = self.units[unit].choice
        name = self.join(control, unit, [1])
        if chosen is not None:
            self.units[unit] = replace(self.units[unit], choice=replace(chosen, control=name))

    def switch(self, wire: _Wire, again: bool) -> list[_Wire]:
        """Tokens go one of several ways; ``again``: and come together in their old order."""
        rate = self.rate(wire)
        count = self.draw(st.integers(3, 8)) if wire.tokens is None else wire.tokens // rate
        ways = self.draw(st.integers(1, min(3, count)))
        drawn = self.decisions(count, ways)
        control, given = self.control(drawn)
        first, second = self.draw(st.booleans()), self.draw(st.booleans())
        at = self.choice("switch", given)
        # Control may be the first input or the second.
        if first:
            self.decide(at, control)
        self.join(wire, at, [rate])
        if not first:
            self.decide(at, control)
        sent = [_Wire(at, rate, drawn.count(way) * rate if given else None) for way in range(ways)]
        if not again:
            return sent
        behind = [self.map(way) if self.draw(st.booleans()) else way for way in sent]
        back = self.choice("select", given)
        if second:
            self.decide(back, control)
        for way in behind:
            self.join(way, back, [rate])
        if not second:
            self.decide(back, control)
        return [_Wire(back, rate, count * rate if given else None)]

    def gate(self, wire: _Wire) -> _Wire:
        """Tokens pass or are dropped, as control says: an array, or with values what the tokens themselves say."""
        if self.lanes and wire.tokens is not None and self.draw(st.booleans()):
            keep = self.unit(wire.tokens, "positive")
            self.join(wire, keep, [1])
            at = self.choice("gate", None)
            self.join(wire, at, [1])
            self.decide(at, _Wire(keep, 1, wire.tokens))
            return _Wire(at, 1, None)
        rate = self.rate(wire)
        count = self.draw(st.integers(2, 8)) if wire.tokens is None else max(2, wire.tokens // rate)
        if not self.lanes and count * rate != wire.tokens:
            return wire
        drawn = self.decisions(count, 2)
        control, given = self.control(drawn)
        at = self.choice("gate", given)
        self.decide(at, control)
        self.join(wire, at, [rate])
        return _Wire(at, rate, sum(drawn) * rate if given else None)

    def select(self, one: _Wire, other: _Wire) -> _Wire:
        """Tokens of two wires in an order that control says; it may ask for more of one than there is."""
        counts = [self.draw(st.integers(1, 6)) if wire.tokens is None else wire.tokens for wire in (one, other)]
        if self.lanes and self.draw(st.sampled_from((True, False, False))):
            counts.reverse()
        control, given = self.control(self.draw(st.permutations([0] * counts[0] + [1] * counts[1])))
        at = self.choice("select", given)
        self.join(one, at, [1])
        self.decide(at, control)
        self.join(other, at, [1])
        return _Wire(at, 1, sum(counts) if given else None)

    def merge(self, one: _Wire, other: _Wire) -> _Wire:
        """Tokens of two wires as they come."""
        rate = self.draw(st.sampled_from((1, 1, 2)))
        at = self.choice("merge", None)
        self.join(one, at, [rate])
        self.join(other, at, [rate])
        return _Wire(at, rate, None)

    # --- the whole ---

    def step(self, kind: str) -> None:
        """Grows by one step of a kind."""
        if kind == "source":
            self.wires.append(self.source())
        elif kind in ("zip", "select", "merge"):
            one = self.take()
            self.wires.append(
                {"zip": self.zip, "select": self.select, "merge": self.merge}[kind](one, self.other(one, kind))
            )
        elif kind in ("switch", "pair"):
            self.wires += self.switch(self.take(), again=kind == "pair")
        else:
            grow = {"map": self.map, "fold": self.fold, "accumulate": self.accumulate, "gate": self.gate}[kind]
            self.wires.append(grow(self.take()))

    def finish(self) -> Graph:
        """A sink takes whatever is left."""
        for wire in self.wires:
            rate = self.rate(wire)
            at = self.unit(None if wire.tokens is None else wire.tokens // rate, SINK)
            self.join(wire, at, [rate])
        return Graph(tuple(self.units), tuple(self.streams))


@st.composite
def flows(
    draw: st.DrawFn, values: bool = True, choices: bool = False, merges: bool = False, most_steps: int = 6
) -> Graph:
    """Programs of operators, with reconvergence, feedback and rates.

    Parameters
    ----------
    draw
        Given by hypothesis.
    values
        Tokens have values, of 1 to 3 lanes; otherwise units have no operators and choices are given as decisions.
    choices
        Some units are switches, selects and gates; pairs of a switch and a select among them.
    merges
        Some take what comes first; needs ``values``.
    most_steps
        Steps by which a program grows.
    """
    flow = _Flow(draw, draw(st.integers(1, 3)) if values else 0)
    flow.wires.append(flow.source())
    kinds = ["source", "map", "zip", "fold", "accumulate"]
    kinds += ["switch", "pair", "pair", "gate", "select"] if choices else []
    kinds += ["merge"] * 3 if merges else []
    # A program that may merge does so first, and often the merge is what holds it up.
    first = ["source", "merge"] if merges else []
    for kind in [*first, *draw(st.lists(st.sampled_from(kinds), max_size=most_steps))]:
        flow.step(kind)
    return flow.finish()

"""Stop strings: the same text is let through however it is cut into pieces, and nothing of a stop string is shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdu.errors import RequestError
from rdu.models.stop import StopStrings

LETTERS = st.text("ab", max_size=12)


@given(st.lists(LETTERS, max_size=8), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_the_cut_does_not_matter(pieces: list[str], stops: list[str]) -> None:
    text = "".join(pieces)
    starts = [text.find(stop) for stop in stops if stop in text]
    wanted = text[: min(starts)] if starts else text
    found = StopStrings(stops)
    shown = ""
    for piece in pieces:
        shown += found.step(piece)
        assert wanted.startswith(shown), "nothing of a stop string is shown"
    assert shown + found.flush() == wanted
    assert (found.found is not None) == bool(starts)


def test_only_what_may_begin_a_stop_waits() -> None:
    stops = StopStrings(["END", "\n\n"])
    assert [stops.step(piece) for piece in ["a E", "N", "x", "\n", "b", "EN", "D!", "more"]] == [
        *("a ", "", "ENx", "", "\nb", "", "", ""),
    ]
    assert (stops.found, stops.flush()) == ("END", "")


def test_of_stops_that_begin_together_the_longest_counts() -> None:
    stops = StopStrings(["ab", "abc"])
    assert (stops.step("xabc"), stops.found) == ("x", "abc")
    assert (StopStrings().step("anything"), StopStrings("any").step("thing")) == ("anything", "thing")


@pytest.mark.parametrize(
    ("stops", "said"),
    [("a", ""), (["a", ""], "empty string would stop everything"), (5, "stop is 5"), ([1], r"stop is \[1\]")],
)
def test_what_cannot_stop(stops: Any, said: str) -> None:
    if not said:
        StopStrings(stops)
        return
    with pytest.raises(RequestError, match=said):
        StopStrings(stops)

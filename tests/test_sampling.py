"""Sampling: greedy is exact, draws follow the probabilities, a seed is a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rdu.errors import RequestError
from rdu.models.sampling import Sampler

LOGITS = np.log(np.array([0.1, 0.4, 0.05, 0.3, 0.15], np.float32))


def frequencies(sampler: Sampler, draws: int = 4000) -> np.ndarray[Any, Any]:
    return np.bincount([sampler.choose(LOGITS) for _ in range(draws)], minlength=len(LOGITS)) / draws


def test_greedy_takes_the_first_of_the_largest() -> None:
    assert Sampler().choose(LOGITS) == 1
    assert Sampler().choose(np.array([0.0, 2.0, 2.0, -1.0], np.float32)) == 1
    assert Sampler().choose(np.zeros(7, np.float32)) == 0
    assert Sampler(top_p=0.1, seed=3).choose(LOGITS) == 1, "top_p and seed mean nothing at temperature 0"


# Four standard deviations of a frequency of 4000 draws: 4 * sqrt(0.25 / 4000).
SPREAD = 0.032


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    expected = np.exp(LOGITS / temperature)
    np.testing.assert_allclose(frequencies(Sampler(temperature, seed=1)), expected / expected.sum(), atol=SPREAD)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (1e-9, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.69, [1, 3]),
        (0.71, [1, 3, 4]),
        (0.94, [0, 1, 3, 4]),
        (1.0, range(5)),
    ],
)
def test_the_nucleus_is_the_fewest_that_reach_top_p(top_p: float, kept: list[int]) -> None:
    chances = np.zeros(5)
    chances[list(kept)] = np.exp(LOGITS)[list(kept)]
    found = frequencies(Sampler(1.0, top_p, 2))
    assert not found[chances == 0].any()
    np.testing.assert_allclose(found, chances / chances.sum(), atol=SPREAD)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({"top_k": 1}, [1]),
        ({"top_k": 3}, [1, 3, 4]),
        ({"top_k": 99}, range(5)),
        # Probabilities are 0.4, 0.3, 0.15, 0.1, 0.05: 1, 0.75, 0.375, 0.25 and 0.125 of the largest.
        ({"min_p": 0.7}, [1, 3]),
        ({"min_p": 0.2}, [0, 1, 3, 4]),
        ({"min_p": 0.99}, [1]),
        ({"top_k": 3, "min_p": 0.7}, [1, 3]),
        ({"top_k": 2, "min_p": 0.2, "top_p": 0.9}, [1, 3]),
        ({"top_p": 0.39, "top_k": 4}, [1]),
    ],
)
def test_limits_hold_together(limits: dict[str, Any], kept: list[int]) -> None:
    chances = np.zeros(5)
    chances[list(kept)] = np.exp(LOGITS)[list(kept)]
    found = frequencies(Sampler(1.0, seed=4, **limits))
    assert not found[chances == 0].any()
    np.testing.assert_allclose(found, chances / chances.sum(), atol=SPREAD)


def test_repetition_costs() -> None:
    logits = np.array([2.0, 1.5, -1.0, -1.2], np.float32)
    greedy = Sampler(repetition_penalty=1.5)
    assert greedy.choose(logits) == 0
    assert greedy.choose(logits, [0]) == 1, "2 / 1.5 is below 1.5"
    assert greedy.choose(logits, [0, 0, 1]) == 0, "once, however often it was seen"
    assert greedy.choose(logits[2:], [0]) == 1, "-1 * 1.5 is below -1.2"
    assert Sampler().choose(logits, [0, 1]) == 0
    for extreme in (1e-320, 1e308):
        Sampler(1.0, repetition_penalty=extreme).choose(np.array([3e38, 3e38, -3e38], np.float32), [0, 2])
    np.testing.assert_array_equal(logits, np.array([2.0, 1.5, -1.0, -1.2], np.float32))


def test_a_seed_is_a_sequence() -> None:
    def drawn(seed: int) -> list[int]:
        sampler = Sampler(1.0, 0.95, seed)
        return [sampler.choose(LOGITS) for _ in range(50)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    # Written down, so that a text made today can be made again: PCG64, one draw a token.
    assert drawn(7)[:12] == SEVEN


SEVEN = [3, 0, 4, 1, 1, 4, 1, 4, 4, 3, 1, 1]


def test_extremes_neither_overflow_nor_leave_the_vocabulary() -> None:
    large = np.array([3e38, -3e38, 0.0, -np.inf], np.float32)
    for temperature in (1e-300, 1e-3, 1.0):
        assert Sampler(temperature).choose(large) == 0
    # All alike but the impossible one.
    assert {Sampler(1e300, 1.0, seed).choose(large) for seed in range(40)} == {0, 1, 2}
    # All of the probability, and of it a little less than one by rounding: the last token stays in reach.
    many = np.zeros(49152, np.float32)
    assert 0 <= Sampler(1.0, 1.0, 5).choose(many) < 49152


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            ({"temperature": t}, "temperature is .*finite and at least 0")
            for t in (-0.1, float("nan"), float("inf"), "1")
        ),
        *(({"top_p": p}, "top_p is .*above 0 and at most 1") for p in (0, -1, 1.01, float("nan"), "1", None)),
        *(({"top_k": k}, "top_k is .*whole number of at least 0") for k in (-1, 1.5, "1", None, True)),
        *(({"min_p": p}, "min_p is .*at least 0 and below 1") for p in (-0.1, 1, float("nan"), "0", None)),
        *(
            ({"repetition_penalty": r}, "repetition_penalty is .*finite and above 0")
            for r in (0, -1, float("inf"), float("nan"), "1")
        ),
        *(({"seed": s}, "seed is .*whole number of at least 0") for s in (-1, 1.5, "1", None, True)),
    ],
)
def test_what_cannot_be_sampled_with(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Sampler(**arguments)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers(temperature: float, value: float) -> None:
    logits = LOGITS.copy()
    logits[2] = value
    with pytest.raises(RequestError, match="the logits are not numbers"):
        Sampler(temperature).choose(logits)

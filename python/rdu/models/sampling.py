"""Choosing the next token from its logits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rdu.errors import RequestError

LARGEST_LOGIT = 1e300  # beyond any float32; twice as much is still a float64


@dataclass
class Sampler:
    """Greedy at temperature 0; otherwise nucleus sampling with a seed of its own.

    Parameters
    ----------
    temperature : float, at least 0
        Divides the logits; 0 takes the most likely token (the first of equals).
    top_p : float in (0, 1]
        Samples among the most likely tokens that together have at least this probability.
    seed : int, at least 0
        The same seed gives the same text.
    top_k : int, at least 0
        Samples among the ``top_k`` most likely tokens; 0 leaves them all.
    min_p : float in [0, 1)
        Samples among the tokens at least ``min_p`` times as likely as the most likely one.
    repetition_penalty : float above 0
        What logits of tokens seen before are divided by if positive, multiplied by if negative (Keskar et al. 2019,
        arXiv:1909.05858, as transformers does it); 1 changes nothing. It holds at temperature 0 too.

    The limits hold together: a token is drawn if ``top_k``, ``top_p`` and ``min_p`` each keep it.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    _random: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and self.temperature >= 0):
            raise RequestError(f"temperature is {self.temperature!r}; it must be finite and at least 0 (0 is greedy)")
        if not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise RequestError(f"top_p is {self.top_p!r}; it must be above 0 and at most 1")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise RequestError(f"seed is {self.seed!r}; it must be a whole number of at least 0")
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int) or self.top_k < 0:
            raise RequestError(f"top_k is {self.top_k!r}; it must be a whole number of at least 0 (0 keeps all)")
        if not (_is_number(self.min_p) and 0 <= self.min_p < 1):
            raise RequestError(f"min_p is {self.min_p!r}; it must be at least 0 and below 1")
        if not (_is_number(self.repetition_penalty) and self.repetition_penalty > 0):
            raise RequestError(
                f"repetition_penalty is {self.repetition_penalty!r}; it must be finite and above 0 (1 changes nothing)"
            )
        self._random = np.random.Generator(np.random.PCG64(self.seed))

    def choose(self, logits: npt.NDArray[Any], seen: Iterable[int] = ()) -> int:
        """The next token id; ``logits`` has shape (vocabulary,), ``seen`` are the tokens so far, prompt included."""
        # NaN and +inf spread to the maximum; -inf is a token that never comes.
        if not np.isfinite(logits.max()):
            raise RequestError("the logits are not numbers; does the checkpoint hold NaN weights?")
        if self.repetition_penalty != 1:
            logits = self._penalised(logits, seen)
        if self.temperature == 0:
            return int(np.argmax(logits))
        # Differences first: at a tiny temperature the quotients may overflow, to -inf and a weight of 0.
        below = logits.astype(np.float64) - float(logits.max())
        with np.errstate(over="ignore"):
            weights = np.exp(below / self.temperature)
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order] / weights.sum())
        kept = int(np.searchsorted(cumulative, self.top_p)) + 1
        if self.top_k:
            kept = min(kept, self.top_k)
        # Weights are relative to the largest, which is 1.
        kept = min(kept, int(np.count_nonzero(weights >= self.min_p)))
        chances = weights[order[:kept]]
        return int(self._random.choice(order[:kept], p=chances / chances.sum()))

    def _penalised(self, logits: npt.NDArray[Any], seen: Iterable[int]) -> npt.NDArray[Any]:
        """A copy in which tokens seen before are less likely, however often they were seen."""
        changed = logits.astype(np.float64)
        at = np.fromiter(set(seen), np.int64)
        values = changed[at]
        with np.errstate(over="ignore"):
            changed[at] = np.where(values > 0, values / self.repetition_penalty, values * self.repetition_penalty)
        # An extreme penalty overflows; differences of what is left do not.
        return np.clip(changed, -LARGEST_LOGIT, LARGEST_LOGIT)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return math.isfinite(value)

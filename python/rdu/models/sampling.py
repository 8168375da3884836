"""Choosing the next token from its logits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rdu.errors import RequestError


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
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    _random: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and self.temperature >= 0):
            raise RequestError(f"temperature is {self.temperature!r}; it must be finite and at least 0 (0 is greedy)")
        if not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise RequestError(f"top_p is {self.top_p!r}; it must be above 0 and at most 1")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise RequestError(f"seed is {self.seed!r}; it must be a whole number of at least 0")
        self._random = np.random.Generator(np.random.PCG64(self.seed))

    def choose(self, logits: npt.NDArray[Any]) -> int:
        """The next token id; ``logits`` has shape (vocabulary,)."""
        # NaN and +inf spread to the maximum; -inf is a token that never comes.
        if not np.isfinite(logits.max()):
            raise RequestError("the logits are not numbers; does the checkpoint hold NaN weights?")
        if self.temperature == 0:
            return int(np.argmax(logits))
        # Differences first: at a tiny temperature the quotients may overflow, to -inf and a weight of 0.
        below = logits.astype(np.float64) - float(logits.max())
        with np.errstate(over="ignore"):
            weights = np.exp(below / self.temperature)
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order] / weights.sum())
        kept = int(np.searchsorted(cumulative, self.top_p)) + 1
        chances = weights[order[:kept]]
        return int(self._random.choice(order[:kept], p=chances / chances.sum()))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return math.isfinite(value)

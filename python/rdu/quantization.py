"""What quantising a model's weights took from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Loss:
    """Sums of squares over one weight: of what was taken from it, and of the weight itself."""

    lost: float
    total: float

    @property
    def relative(self) -> float:
        """Root of the one over the root of the other; a weight of zeros loses nothing."""
        return math.sqrt(self.lost / self.total) if self.total else 0.0


@dataclass(frozen=True)
class Quantization:
    """The error of each weight that was rounded to whole numbers.

    Attributes
    ----------
    tensors : mapping of str to Loss
        By name; ``tensors[name].relative`` is |w - scale * q| / |w| in the Euclidean norm.
    kept : tuple of str
        Weights whose blocks were taken as their file has them: nothing was rounded.
    """

    tensors: Mapping[str, Loss]
    kept: tuple[str, ...] = ()

    @property
    def relative(self) -> float:
        """The same over all of them together."""
        losses = self.tensors.values()
        return Loss(sum(loss.lost for loss in losses), sum(loss.total for loss in losses)).relative

    @property
    def worst(self) -> tuple[str, float] | None:
        """Name and error of the weight that lost most; NaN counts as most. None where none was rounded."""
        if not self.tensors:
            return None
        name = max(self.tensors, key=lambda name: _ordered(self.tensors[name].relative))
        return name, self.tensors[name].relative

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        worst = self.worst
        return {
            "relative_error": self.relative,
            "worst": {"tensor": worst[0], "relative_error": worst[1]} if worst else None,
            "kept": len(self.kept),
            "tensors": {name: loss.relative for name, loss in self.tensors.items()},
        }


def _ordered(relative: float) -> float:
    return math.inf if math.isnan(relative) else relative

"""Rotary position embedding: the frequencies of each scaling kind, and the table of angles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

KINDS = ("default", "linear", "llama3")


@dataclass(frozen=True)
class Rope:
    """How positions become angles.

    Attributes
    ----------
    theta : float
        Base of the geometric series of wavelengths.
    kind : str
        ``default``, ``linear``, ``llama3``, or ``factors`` (GGUF: one divisor per frequency, which is how llama.cpp
        stores llama3 scaling).
    factor : float
        Divides every frequency (linear, factors) or the low ones (llama3).
    low_freq_factor, high_freq_factor : float
        llama3: wavelengths above ``original_max_positions / low_freq_factor`` are scaled, those below
        ``original_max_positions / high_freq_factor`` are not; between them the scaling fades in.
    original_max_positions : int
        llama3: context length before scaling, in tokens.
    factors : tuple of float
        ``factors``: ``head_dim / 2`` divisors.
    """

    theta: float = 10000.0
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_positions: int = 0
    factors: tuple[float, ...] = ()

    def inverse_frequencies(self, head_dim: int) -> npt.NDArray[np.float32]:
        """Radians per position, float32, shape ``(head_dim / 2,)``.

        Every step rounds to float32 where Hugging Face transformers (``modeling_rope_utils``) does; only the power is
        taken in float64 and rounded once, so that it does not depend on the platform's ``powf``.
        """
        exponent = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
        exact: npt.NDArray[np.float64] = np.power(np.float64(self.theta), exponent.astype(np.float64))
        power = exact.astype(np.float32)
        frequency: npt.NDArray[np.float32] = np.float32(1.0) / power
        if self.kind == "linear":
            frequency = frequency / np.float32(self.factor)
        elif self.kind == "factors":
            divisors: npt.NDArray[np.float32] = np.array(self.factors, dtype=np.float32) * np.float32(self.factor)
            frequency = frequency / divisors
        elif self.kind == "llama3":
            frequency = self._llama3(frequency)
        return frequency

    def _llama3(self, frequency: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        low, factor = np.float32(self.low_freq_factor), np.float32(self.factor)
        length = np.float32(self.original_max_positions)
        longest = np.float32(self.original_max_positions / self.low_freq_factor)
        shortest = np.float32(self.original_max_positions / self.high_freq_factor)
        wavelength = np.float32(2 * math.pi) / frequency
        scaled = np.where(wavelength > longest, frequency / factor, frequency)
        smooth = (length / wavelength - low) / np.float32(self.high_freq_factor - self.low_freq_factor)
        faded = (np.float32(1.0) - smooth) * scaled / factor + smooth * scaled
        between = (wavelength >= shortest) & (wavelength <= longest)
        return np.where(between, faded, scaled).astype(np.float32)

    def table(self, positions: npt.ArrayLike, head_dim: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Cosines and sines of the rotation angles.

        Parameters
        ----------
        positions : array_like of int
            Token positions, shape ``(n,)``.
        head_dim : int
            Length of a head; even.

        Returns
        -------
        cos, sin : float32 arrays, shape ``(n, head_dim / 2)``
            The angle is the float32 product of position and frequency; its cosine and sine are taken in float64 and
            rounded, so that the table is the same on every platform.
        """
        angle = np.asarray(positions, np.float32)[:, None] * self.inverse_frequencies(head_dim)[None, :]
        exact = angle.astype(np.float64)
        return np.cos(exact).astype(np.float32), np.sin(exact).astype(np.float32)

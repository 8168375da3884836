"""Strings that end a text, wherever the borders of tokens fall."""

from __future__ import annotations

from collections.abc import Sequence

from rdu.errors import RequestError


class StopStrings:
    """Lets text through up to the first stop string; what may turn out to be the beginning of one waits.

    Parameters
    ----------
    stops : str, or sequence of str
        None of them empty; none at all lets everything through.

    Attributes
    ----------
    found : str or None
        The stop string that ended the text; of several that begin at the same place, the longest that is there.

    Raises
    ------
    RequestError
        A stop string that is empty, or no string.
    """

    def __init__(self, stops: str | Sequence[str] = ()) -> None:
        given = [stops] if isinstance(stops, str) else stops
        if not isinstance(given, Sequence) or not all(isinstance(stop, str) for stop in given):
            raise RequestError(f"stop is {stops!r}; give a string, or a list of strings")
        if not all(given):
            raise RequestError(f"stop is {stops!r}; an empty string would stop everything")
        self._stops = sorted(given, key=len, reverse=True)
        self._held = ""
        self.found: str | None = None

    def step(self, piece: str) -> str:
        """The text that may be shown now; nothing more after a stop string."""
        if self.found is not None:
            return ""
        text = self._held + piece
        starts = [(text.find(stop), at) for at, stop in enumerate(self._stops) if stop in text]
        if starts:
            start, at = min(starts)
            self.found, self._held = self._stops[at], ""
            return text[:start]
        length = self._beginning(text)
        self._held = text[len(text) - length :]
        return text[: len(text) - length]

    def flush(self) -> str:
        """What was held back and is no stop string, once no more text comes."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """Characters at the end of ``text`` that a stop string may begin with."""
        lengths = (
            n for stop in self._stops for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])
        )
        return max(lengths, default=0)

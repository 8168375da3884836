"""Decoding token by token without showing half a character."""

from __future__ import annotations

from collections.abc import Callable, Sequence

INCOMPLETE = "\ufffd"  # what a decoder shows for bytes that make no whole character


class TokenStream:
    """Text from ids that come one at a time; the pieces together are the decoding of all ids.

    Parameters
    ----------
    decode : callable
        Decodes a list of ids.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._shown = 0  # ids whose text was given

    def step(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is in pieces."""
        self._ids.append(token)
        text = self._pending()
        if not text or text.endswith(INCOMPLETE):
            return ""
        # the last given ids stay as context: a decoder may treat the first token of a text differently
        self._ids = self._ids[self._shown :]
        self._shown = len(self._ids)
        return text

    def flush(self) -> str:
        """What is held back at the end: characters that were never completed."""
        text = self._pending()
        self._ids, self._shown = [], 0
        return text

    def _pending(self) -> str:
        return self._decode(self._ids)[len(self._decode(self._ids[: self._shown])) :]

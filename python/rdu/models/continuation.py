"""One prompt being continued: token after token from its logits, until something ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy.typing as npt

from rdu.errors import RequestError
from rdu.models.checkpoint import Checkpoint
from rdu.models.sampling import Sampler
from rdu.models.stop import StopStrings


class Continuation:
    """What follows a prompt.

    Parameters
    ----------
    checkpoint : Checkpoint
    prompt : list of int
    most : int
        Tokens at most.
    sampler : Sampler
        Its own: the sequence of draws is part of the text.
    stop : str or sequence of str
    ignore_eos : bool
    stream : function of str, optional
        Gets the text as it is made.

    Attributes
    ----------
    tokens : list of int
        Without the end of text; with the tokens that completed a stop string.
    stopped_by : str
        ``length``, ``end of text`` or ``stop string``; empty as long as it goes on.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompt: list[int],
        most: int,
        sampler: Sampler,
        *,
        stop: str | Sequence[str] = (),
        ignore_eos: bool = False,
        stream: Callable[[str], None] | None = None,
    ) -> None:
        tokenizer = checkpoint.tokenizer
        self.prompt = prompt
        self.tokens: list[int] = []
        self.stopped_by = ""
        self._most = most
        self._sampler = sampler
        self._stops = StopStrings(stop)
        if stop and tokenizer is None:
            raise RequestError(
                f"stop is {stop!r}, but there is no tokenizer to make text ({checkpoint.tokenizer_note})"
            )
        self._text = tokenizer.stream(skip_special_tokens=True) if tokenizer else None
        self._ends = set() if ignore_eos else set(tokenizer.eos_ids if tokenizer else checkpoint.config.eos_ids)
        self._stream = stream
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """So far; a stop string, and what may become one, is not in it."""
        return "".join(self._pieces)

    @property
    def last(self) -> int:
        """The newest token."""
        return self.tokens[-1]

    def take(self, logits: npt.NDArray[Any]) -> bool:
        """Choose the next token; whether another one is wanted after it. ``logits`` has shape (vocabulary,)."""
        token = self._sampler.choose(logits, chain(self.prompt, self.tokens))
        if token in self._ends:
            return self._end("end of text")
        self.tokens.append(token)
        if self._text is not None:
            self._say(self._stops.step(self._text.step(token)))
        if self._stops.found is not None:
            self.stopped_by = "stop string"
            return False
        return self._end("length") if len(self.tokens) == self._most else True

    def _end(self, why: str) -> bool:
        """What was held back comes out, unless it completes a stop string after all."""
        if self._text is not None:
            self._say(self._stops.step(self._text.flush()))
            self._say(self._stops.flush())
        self.stopped_by = why if self._stops.found is None else "stop string"
        return False

    def _say(self, piece: str) -> None:
        self._pieces.append(piece)
        if self._stream is not None and piece:
            self._stream(piece)

"""A compiled decoder: logits of given tokens, and text that continues a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rdu.batch import BatchSession
from rdu.errors import RequestError, TokenizerError
from rdu.machine import Machine
from rdu.models.batch import Batch, continue_together
from rdu.models.checkpoint import Checkpoint
from rdu.models.continuation import Continuation
from rdu.models.sampling import Sampler
from rdu.program import Program
from rdu.quantization import Quantization
from rdu.run import Run

Prompt = str | Sequence[int] | Sequence[Mapping[str, str]]


class Decoder:
    """A checkpoint compiled onto a machine. Made by `rdu.compile`.

    Attributes
    ----------
    checkpoint : Checkpoint
    program : Program
        The mapped graph, for whoever wants to look inside.
    """

    def __init__(self, checkpoint: Checkpoint, program: Program) -> None:
        self.checkpoint = checkpoint
        self.program = program

    @property
    def machine(self) -> Machine:
        """What the program is mapped onto."""
        return self.program.machine

    @property
    def quantization(self) -> Quantization | None:
        """What rounding the weights to whole numbers took from them; None where none were."""
        return self.program.quantization

    @property
    def context(self) -> int:
        """Most positions of a sequence."""
        return self.program.context

    def explain(self, positions: int = 1, past: int = 0) -> Any:
        """How the program is mapped; see `Program.explain`."""
        return self.program.explain(positions, past)

    def forward(
        self, tokens: Sequence[int], *, mode: str = "split", progress: Callable[[int], None] | None = None
    ) -> Run:
        """Logits at every position.

        Parameters
        ----------
        tokens : sequence of int
            Token ids, at least one.
        mode : {"split", "step", "values"}
            See `Program.session`; ``values`` skips machine time.

        Returns
        -------
        Run
            ``run.logits``: float32, shape ``(len(tokens), vocabulary)``.

        Raises
        ------
        RequestError
            No tokens, a token outside the vocabulary, or more than the context.
        """
        ids = self._ids(tokens)
        run = self.program.session(mode, progress).feed(ids).result()
        run.prompt_tokens, run.prompt_steps = ids, len(run.steps)
        return run

    def generate(
        self,
        prompt: Prompt,
        max_new_tokens: int = 64,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        top_k: int = 0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        ignore_eos: bool = False,
        stream: Callable[[str], None] | None = None,
        mode: str = "split",
        progress: Callable[[int], None] | None = None,
    ) -> Run:
        """Continue a prompt.

        Parameters
        ----------
        prompt : str, token ids, or chat messages
            A string is continued as it stands; messages (``{"role": .., "content": ..}``) go through the checkpoint's
            chat template.
        max_new_tokens : int
            Stops earlier at an end-of-text token, unless ``ignore_eos``.
        temperature, top_p, seed, top_k, min_p, repetition_penalty
            See `Sampler`; temperature 0 is greedy.
        stop : str or sequence of str
            Strings that end the text, which goes up to the first of them, wherever tokens begin and end.
        stream : function of str, optional
            Gets the text as it is made (whole characters only, and nothing that may become a stop string).

        Returns
        -------
        Run
            ``run.text``, ``run.tokens`` (without the end-of-text token), ``run.stopped_by`` (``length``, ``end of
            text`` or ``stop string``), ``run.report``, ``run.logits`` (one row per generated token).

        Raises
        ------
        RequestError
            An empty prompt, a token outside the vocabulary, or more tokens than the context holds.
        TokenizerError
            Text was given, and the checkpoint has no tokenizer.
        """
        ids = self.encode(prompt)
        self._check_room(ids, max_new_tokens)
        sampler = Sampler(temperature, top_p, seed, top_k, min_p, repetition_penalty)
        text = Continuation(
            self.checkpoint, ids, max_new_tokens, sampler, stop=stop, ignore_eos=ignore_eos, stream=stream
        )
        session = self.program.session(mode, progress).feed(ids, last_only=True)
        prompt_steps = len(session.steps)
        while text.take(session.last("logits")):
            session.feed([text.last], last_only=True)
        run = session.result()
        run.prompt_tokens, run.prompt_steps = ids, prompt_steps
        run.tokens, run.text, run.stopped_by = text.tokens, text.text, text.stopped_by
        return run

    def generate_batch(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int = 64,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        top_k: int = 0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        ignore_eos: bool = False,
        mode: str = "split",
        progress: Callable[[int], None] | None = None,
    ) -> Batch:
        """Continue several prompts at a time: each gets what it would get alone, and weights are read once for all.

        Parameters
        ----------
        prompts : sequence of prompts
            As in `generate`, at most as many as the decoder was compiled for (``rdu.compile(.., batch=16)``). Fewer
            leave room on the machine empty, which costs what it costs full.
        max_new_tokens, temperature, top_p, seed, top_k, min_p, repetition_penalty, stop, ignore_eos
            As in `generate`, for each prompt. Each draws with a generator of its own.
        mode : {"split", "values"}

        Returns
        -------
        Batch
            ``batch.texts``, ``batch.tokens``, .., one entry for each prompt; ``batch.run.report``.

        Raises
        ------
        RequestError
            As in `generate`; or no prompts, or more than the batch.
        """
        if isinstance(prompts, str) or not isinstance(prompts, Sequence) or not prompts:
            raise RequestError(f"prompts are {prompts!r}; give a list of prompts, at least one")
        most = self.program.batch
        if len(prompts) > most:
            raise RequestError(f"{len(prompts)} prompts are more than the batch of {most}; compile with a larger batch")
        given = [self.encode(prompt) for prompt in prompts]
        for ids in given:
            self._check_room(ids, max_new_tokens)
        texts = [
            Continuation(
                self.checkpoint,
                ids,
                max_new_tokens,
                Sampler(temperature, top_p, seed, top_k, min_p, repetition_penalty),
                stop=stop,
                ignore_eos=ignore_eos,
            )
            for ids in given
        ]
        return continue_together(BatchSession(self.program, mode, progress), texts)

    def _check_room(self, ids: list[int], count: int) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise RequestError(f"max_new_tokens is {count!r}; it must be a whole number of at least 1")
        if len(ids) + count > self.context:
            raise RequestError(
                f"{len(ids)} prompt tokens + {count} new ones are more than the context of {self.context}; "
                f"shorten one of them, or compile with a larger context"
            )

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt in any of its three forms."""
        if not isinstance(prompt, str | Sequence | np.ndarray) or isinstance(prompt, bytes | bytearray):
            raise RequestError(f"a prompt is text, token ids or chat messages, not {prompt!r}")
        messages: list[dict[str, str]] = []
        if not isinstance(prompt, str):
            messages = [dict(part) for part in prompt if isinstance(part, Mapping)]
            if not messages:
                return self._ids(prompt)
            if len(messages) != len(prompt):
                raise RequestError("the prompt mixes chat messages with something else; give one or the other")
        tokenizer = self.checkpoint.tokenizer
        if tokenizer is None:
            note = self.checkpoint.tokenizer_note
            raise TokenizerError(f"{self.checkpoint.path}: no tokenizer ({note}); pass token ids instead of text")
        if isinstance(prompt, str):
            if not prompt:
                raise RequestError("the prompt is empty; give at least one character")
            return self._ids(tokenizer.encode(prompt))
        return self._ids(tokenizer.chat_ids(messages))

    def _ids(self, tokens: Sequence[object]) -> list[int]:
        if not isinstance(tokens, Sequence | np.ndarray):
            raise RequestError(f"tokens are a sequence of whole numbers, not {tokens!r}")
        ids = list(tokens)
        if not ids:
            raise RequestError("the prompt is empty; give at least one token")
        most = self.checkpoint.config.vocab_size
        for at, token in enumerate(ids):
            if isinstance(token, bool) or not isinstance(token, int | np.integer):
                raise RequestError(f"token {token!r} at position {at} is not a whole number")
            if not 0 <= token < most:
                raise RequestError(f"token id {token} at position {at} is outside the vocabulary of {most}")
        return [int(token) for token in ids if isinstance(token, int | np.integer)]

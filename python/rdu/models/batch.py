"""Several prompts that are continued together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rdu.batch import BatchSession
from rdu.models.continuation import Continuation
from rdu.run import Run


@dataclass(frozen=True, eq=False)
class Batch:
    """What several prompts became; one entry for each, in their order.

    Attributes
    ----------
    texts : list of str
    tokens, prompt_tokens : list of list of int
    stopped_by : list of str
    logits : list of float32 arrays, shape (tokens chosen, vocabulary)
        As `Run.logits` of each prompt alone.
    run : Run
        Of the machine: the prompts one by one, then a step of all sequences at a time. ``run.report`` has the rate of
        all of them together.
    """

    texts: list[str]
    tokens: list[list[int]]
    prompt_tokens: list[list[int]]
    stopped_by: list[str]
    logits: list[npt.NDArray[Any]]
    run: Run


def continue_together(session: BatchSession, texts: Sequence[Continuation]) -> Batch:
    """Feed each prompt, then take steps together until nothing more is wanted."""
    logits: list[list[npt.NDArray[Any]]] = []
    wanted = [False] * len(session.pasts)
    for at, text in enumerate(texts):
        logits.append([session.prompt(at, text.prompt).last("logits")])
        wanted[at] = text.take(logits[at][0])
    prompt_steps = len(session.steps)
    # Sequences that are done, and those that nobody asked for, are padding.
    padding = [0] * (len(wanted) - len(texts))
    while any(wanted):
        rows = [text.last if want else 0 for text, want in zip(texts, wanted, strict=False)]
        made = session.step(rows + padding, wanted)["logits"]
        for at, text in enumerate(texts):
            if wanted[at]:
                logits[at].append(made[at])
                wanted[at] = text.take(made[at])
    run = session.result()
    run.prompt_tokens, run.prompt_steps = [token for text in texts for token in text.prompt], prompt_steps
    run.tokens = [token for text in texts for token in text.tokens]
    return Batch(
        texts=[text.text for text in texts],
        tokens=[text.tokens for text in texts],
        prompt_tokens=[text.prompt for text in texts],
        stopped_by=[text.stopped_by for text in texts],
        logits=[np.stack(rows) for rows in logits],
        run=run,
    )

"""Estimates side by side: every combination of models and choices, with what each loses and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from rdu.errors import CompileError
from rdu.machine import Machine
from rdu.machine import machine as find_machine
from rdu.studies.estimate import Estimate, estimate
from rdu.studies.streaming import streaming_gbps

Progress = Callable[[str, int, int], None]

# Causes of HBM's time that a table shows together; `rdu.report.idle` has them one by one.
GROUPS = {
    "moving": ("moving",),
    "refresh": ("refresh",),
    "rows": ("row_miss", "bank_conflict", "turnaround", "imbalance"),
    "calls": ("calls",),
    "chain": ("space", "drain"),
    "waits": ("memory", "finished", "other"),
}


@dataclass(frozen=True)
class Choice:
    """One combination."""

    model: str
    machine: Machine
    batch: int
    dtype: str
    fusion: str


@dataclass(frozen=True)
class Compared:
    """A combination with its estimate, or why there is none.

    Attributes
    ----------
    gain : float
        Tokens per second of all sequences ÷ those of the first combination that could be estimated.
    streaming_share : float
        Bytes that HBM moves ÷ those that it would move if it streamed reads all the time.
    """

    choice: Choice
    found: Estimate | None
    gain: float
    streaming_share: float
    reason: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain types; figures are None where there is no estimate."""
        choice, found = self.choice, self.found
        return {
            "model": choice.model,
            "machine": choice.machine.name,
            "sockets": choice.machine.sockets,
            "batch": choice.batch,
            "dtype": choice.dtype,
            "fusion": choice.fusion,
            "context": found.context if found else None,
            "tokens_per_second": found.tokens_per_second if found else None,
            "total_tokens_per_second": found.total_tokens_per_second if found else None,
            "gain": self.gain if found else None,
            "step_s": found.step_s if found else None,
            "calls": found.calls if found else None,
            "hbm_utilization": found.hbm_utilization if found else None,
            "hbm_streaming_share": self.streaming_share if found else None,
            "hbm_time": found.hbm_time if found else None,
            "host_s": found.host_s if found else None,
            "reason": self.reason,
        }


def compare(
    models: Sequence[str],
    machines: Sequence[Machine | str] = ("sn40l",),
    *,
    sockets: Sequence[int | None] = (None,),
    batch: Sequence[int] = (1,),
    dtype: Sequence[str] = ("bf16",),
    fusion: Sequence[str] = ("loop",),
    context: int | None = None,
    progress: Progress | None = None,
) -> list[Compared]:
    """Estimate every combination, models first, in the order given.

    Raises
    ------
    RequestError, CheckpointError, MachineError
        No such model or machine, or a number below 1. What does not fit is in the list, with its reason.
    """
    targets = [find_machine(name, sockets=count) for name in machines for count in sockets]
    choices = [Choice(*values) for values in product(models, targets, batch, dtype, fusion)]
    rows: list[Compared] = []
    first: float | None = None
    for at, choice in enumerate(choices):
        if progress is not None:
            progress(f"{choice.model}, {choice.fusion}", at, len(choices))
        try:
            found = estimate(
                choice.model,
                choice.machine,
                batch=choice.batch,
                dtype=choice.dtype,
                fusion=choice.fusion,
                context=context,
            )
            # With its reason for HBM's time, which needs the run's report.
            reached = found.hbm_bytes / (found.step_s * 1e9 * streaming_gbps(choice.machine))
        except CompileError as error:
            rows.append(Compared(choice, None, 0.0, 0.0, str(error)))
            continue
        first = found.total_tokens_per_second if first is None else first
        rows.append(Compared(choice, found, found.total_tokens_per_second / first, reached))
    return rows


def grouped(hbm_time: dict[str, float]) -> dict[str, float]:
    """Shares of HBM's time by group of causes; they add up to 1."""
    return {name: sum(hbm_time[cause] for cause in causes) for name, causes in GROUPS.items()}

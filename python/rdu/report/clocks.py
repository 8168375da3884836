"""Two clocks, never mixed: what the machine would take, and how long the host took to find out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdu.run import Run, Step


@dataclass(frozen=True)
class Clocks:
    """Times of a run; None where it had no such part (no prompt, nothing decoded).

    ``machine_*`` is machine time; ``host_*`` is what the host waited for the engine.
    """

    prompt_tokens: int
    decode_steps: int
    machine_elapsed_s: float
    machine_time_to_first_token_s: float | None
    machine_decode_tokens_per_second: float | None
    host_elapsed_s: float
    host_prefill_s: float | None
    host_decode_tokens_per_second: float | None
    host_seconds_per_token: float | None
    host_firings_per_second: float | None


def clocks(run: Run, clock_hz: int) -> Clocks:
    """Split the run's steps into those of the prompt and those of decoding.

    The last step of the prompt makes the first token; each step after it makes one more. A run that was given no
    tokens has no prompt steps, and no such figures.
    """
    prompt = run.steps[: run.prompt_steps]
    decode = run.steps[run.prompt_steps :] if prompt else []
    host_s = sum(step.host_s for step in run.steps)
    decode_host_s = sum(step.host_s for step in decode)
    decoded = sum(step.positions for step in decode)
    return Clocks(
        prompt_tokens=sum(step.positions for step in prompt),
        decode_steps=len(decode),
        machine_elapsed_s=run.cycles / clock_hz,
        machine_time_to_first_token_s=_cycles(prompt) / clock_hz if prompt and run.clock else None,
        machine_decode_tokens_per_second=_rate(decoded, _cycles(decode) / clock_hz),
        host_elapsed_s=host_s,
        host_prefill_s=sum(step.host_s for step in prompt) if prompt else None,
        host_decode_tokens_per_second=_rate(decoded, decode_host_s),
        host_seconds_per_token=_rate(decode_host_s, decoded),
        host_firings_per_second=_rate(run.totals["firings"], host_s),
    )


def host_figures(run: Run) -> dict[str, float | None]:
    """The host's side as plain types; also for a run without machine time (mode ``values``)."""
    clock = clocks(run, 1)
    return {
        "elapsed_s": clock.host_elapsed_s,
        "prefill_s": clock.host_prefill_s,
        "decode_tokens_per_second": clock.host_decode_tokens_per_second,
        "seconds_per_token": clock.host_seconds_per_token,
        "firings": run.totals["firings"],
        "firings_per_second": clock.host_firings_per_second,
    }


def _cycles(steps: list[Step]) -> int:
    return sum(step.cycles for step in steps)


def _rate(amount: float, per: float) -> float | None:
    return amount / per if amount > 0 and per > 0 else None

"""Where a decode step loses its time: causes taken away one after another, until only the memory's own rate is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rdu.machine import Machine
from rdu.machine import machine as find_machine
from rdu.studies.estimate import Estimate, estimate
from rdu.studies.streaming import streaming_gbps

Progress = Callable[[str, int, int], None]

# What is taken away, in this order; what came before stays away. As latencies hide behind each other, another order
# would share the time out otherwise; the sum is always the same.
FREE_CALLS = {
    f"call.{ordering}_{step}_us": 0.0
    for ordering in ("software", "hardware")
    for step in ("program_load", "argument_load", "execute")
}
UNBOUNDED_GBPS = 1e6


@dataclass(frozen=True)
class Loss:
    """A cause, and the machine time of a step that goes with it."""

    cause: str
    seconds: float


@dataclass(frozen=True)
class Losses:
    """A step's time by cause.

    Attributes
    ----------
    found : Estimate
        With nothing taken away.
    layers : int
    losses : tuple of Loss
        They add up to ``found.step_s``. The last one is no loss: the bytes at the rate at which HBM streams reads.
    """

    found: Estimate
    layers: int
    losses: tuple[Loss, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain types."""
        found = self.found
        return {
            "model": found.model,
            "machine": found.machine,
            "sockets": found.sockets,
            "batch": found.batch,
            "context": found.context,
            "dtype": found.dtype,
            "fusion": found.fusion,
            "tokens_per_second": found.tokens_per_second,
            "step_s": found.step_s,
            "layers": self.layers,
            "losses": [
                {"cause": loss.cause, "seconds": loss.seconds, "us_per_layer": 1e6 * loss.seconds / self.layers}
                for loss in self.losses
            ],
        }


def losses(
    model: str,
    machine: Machine | str = "sn40l",
    *,
    sockets: int | None = None,
    batch: int = 1,
    context: int = 1024,
    dtype: str = "bf16",
    fusion: str = "loop",
    progress: Progress | None = None,
) -> Losses:
    """Estimate a step again and again, each time without one cause more.

    Raises
    ------
    RequestError, CheckpointError, CompileError
        As `estimate`.
    """
    target = find_machine(machine, sockets=sockets)
    steps = _steps(target)
    found: list[Estimate] = []
    for at, changes in enumerate([{}, *steps.values()]):
        if progress is not None:
            progress(f"{model} without {list(steps)[at - 1]}" if at else model, at, len(steps) + 1)
        target = target.override(changes) if changes else target
        found.append(estimate(model, target, batch=batch, context=context, dtype=dtype, fusion=fusion))
    times = [step.step_s for step in found]
    rows = [Loss(cause, a - b) for cause, a, b in zip(steps, times, times[1:], strict=False)]
    # With a single cached row attention takes next to no time; what it takes beyond the bytes of its rows is its loss.
    bare = estimate(model, target, batch=batch, context=1, dtype=dtype, fusion=fusion)
    rate = 1e9 * streaming_gbps(target)
    floor = found[-1].hbm_bytes / rate
    chain = bare.step_s - bare.hbm_bytes / rate
    rows += [
        Loss("cached rows beyond their bytes", times[-1] - floor - chain),
        Loss("chain of operators", chain),
        Loss("bytes at the rate of HBM", floor),
    ]
    return Losses(found[0], found[0].layers, tuple(rows))


def _steps(machine: Machine) -> dict[str, dict[str, object]]:
    """What to take away, with what each costs nothing; sockets only where there are several."""
    steps: dict[str, dict[str, object]] = {"kernel calls": dict(FREE_CALLS)}
    if machine.sockets > 1:
        steps["latency between sockets"] = {"p2p.latency_ns": 0.0}
        steps["rate between sockets"] = {"p2p.gbps": UNBOUNDED_GBPS}
    steps["way over mesh and dies"] = {
        "network.hop_cycles": 1,
        "network.credit_hop_cycles": 0,
        "die_to_die.latency_ns": 0.0,
    }
    steps["pipelines of PCUs and PMUs"] = {"pcu.pipeline_cycles": 1, "pmu.latency_cycles": 1}
    return steps

"""Tokens per second of a model on a machine, from shapes alone: the mapped program is timed, no weight is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from typing import NamedTuple, NoReturn, cast

from rdu.compiler.timing import Timing, time_decode, time_prefill
from rdu.errors import CompileError, RequestError
from rdu.graph import Graph
from rdu.machine import Machine
from rdu.machine import machine as find_machine
from rdu.models.checkpoint import Checkpoint
from rdu.models.config import DecoderConfig
from rdu.models.decoder import decoder_graph
from rdu.models.shapes import Shape, shape
from rdu.report.report import Report

DEFAULT_CONTEXT = 1024
# Timing a long prompt takes long: it is done for whoever asks for it.
LONGEST_DEFAULT_PROMPT = 1024
# Weights of Simpson's rule; the time of a step hardly bends with its context, so three steps stand for all of them.
SIMPSON: tuple[int, ...] = (1, 4, 1)


@dataclass(frozen=True)
class Estimate:
    """What a machine would reach. Seconds are machine time, except ``host_s``.

    Attributes
    ----------
    model, machine, dtype, fusion : str
    sockets, batch : int
    context : int
        Positions in the cache of each sequence; with ``output``, before the first step.
    prompt : int
        Positions of the prompt that `time_to_first_token_s` is about; 0: none.
    output : int
        Decode steps that all figures are means of.
    step_s : float
        Of one decode step.
    hbm_bytes : float
        Read and written in a step by one socket.
    hbm_utilization, pcu_utilization : float
        Bytes moved / (peak x time), and operations / (peak x time), kernel calls included.
    calls : int
        Kernel calls of a step.
    host_s : float
        What timing the decode steps took here, compiling included.
    steps : tuple of Timing
        The steps that were timed: one, or the first, the middle one and the last of ``output``.
    """

    model: str
    machine: str
    sockets: int
    batch: int
    context: int
    prompt: int
    output: int
    dtype: str
    fusion: str
    step_s: float
    hbm_bytes: float
    hbm_utilization: float
    pcu_utilization: float
    calls: int
    host_s: float
    steps: tuple[Timing, ...] = field(repr=False, compare=False)
    _mapping: _Mapping = field(repr=False, compare=False)

    @property
    def tokens_per_second(self) -> float:
        """Of each sequence."""
        return 1.0 / self.step_s

    @property
    def total_tokens_per_second(self) -> float:
        """Of all sequences together."""
        return self.batch / self.step_s

    @property
    def layers(self) -> int:
        """Decoder layers of the model."""
        return self._mapping.config.layers

    @cached_property
    def hbm_time(self) -> dict[str, float]:
        """HBM's time in the first of the steps by cause (see ``docs/metrics.md``), as shares that add up to 1."""
        step = self.steps[0]
        report = step.run.report
        assert isinstance(report, Report)
        shares = report.to_dict()["hbm_time"]
        # In a sequence of steps a kernel that comes again needs no program load; the run by itself had one.
        loads = step.run.cycles - step.cycles
        times = {cause: share * step.run.cycles - (loads if cause == "calls" else 0) for cause, share in shares.items()}
        return {cause: time / step.cycles for cause, time in times.items()}

    @cached_property
    def prefill(self) -> Timing | None:
        """The prompts of all sequences, timed when first asked for; None without a prompt.

        Raises
        ------
        CompileError
            The prompt does not fit the machine.
        """
        return self._mapping.prefill(self.prompt) if self.prompt else None

    @property
    def time_to_first_token_s(self) -> float | None:
        """From the prompts to the first token of every sequence, as `prefill`."""
        return self.prefill.seconds if self.prefill else None

    def to_dict(self) -> dict[str, object]:
        """Plain types; times the prompt if that was not done yet. One that does not fit says so instead."""
        plain = [item.name for item in fields(self) if item.name not in ("steps", "_mapping")]
        first_s, refused = None, None
        try:
            first_s = self.time_to_first_token_s
        except CompileError as error:
            refused = str(error)
        return {
            "tokens_per_second": self.tokens_per_second,
            "total_tokens_per_second": self.total_tokens_per_second,
            "time_to_first_token_s": first_s,
            "prompt_refused": refused,
            **{name: getattr(self, name) for name in plain},
            "hbm_time": self.hbm_time,
            "kernels": [
                {"name": kernel.name, "calls": kernel.calls, "run_cycles": kernel.run_cycles}
                | {"call_cycles": kernel.call_cycles, "hbm_bytes": sum(kernel.hbm_bytes)}
                for kernel in self.steps[0].kernels
            ],
        }


def estimate(
    model: str | os.PathLike[str] | Shape | Checkpoint,
    machine: Machine | str = "sn40l",
    *,
    sockets: int | None = None,
    batch: int = 1,
    context: int | None = None,
    prompt: int | None = None,
    output: int = 1,
    dtype: str = "bf16",
    fusion: str = "loop",
) -> Estimate:
    """Time the decode steps of a model, and its prompt, from shapes alone.

    Parameters
    ----------
    model : name, path, Shape or Checkpoint
        A named shape (``llama-3.1-405b``), a ``config.json`` or its folder, or a loaded model.
    machine : Machine or name
    sockets : int, optional
        Sockets that share the model by tensor parallelism; default: the machine's.
    batch : int
        Sequences, all of the same length.
    context : int, optional
        Positions in the cache of each sequence. Default: ``prompt``, else 1024.
    prompt : int, optional
        Positions of the prompt, for the time to the first token; 0: none. Default: ``context``, at most 1024.
    output : int
        Decode steps. More than one: all figures are means over steps whose caches grow from ``context``, integrated by
        Simpson's rule over the first, the middle one and the last.
    dtype : str
        Of weights, caches and what meets them.
    fusion : {"loop", "layer", "op"}

    Raises
    ------
    RequestError
        A number below 1.
    CheckpointError
        No such model.
    CompileError
        The model does not fit the machine, or cannot be divided over the sockets.
    """
    given = {"batch": batch, "context": context, "prompt": prompt, "output": output, "sockets": sockets}
    for name, value in given.items():
        least = 0 if name == "prompt" else 1
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise RequestError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    target = find_machine(machine, sockets=sockets)
    described = _shape(model)
    first = context if context is not None else prompt or DEFAULT_CONTEXT
    mapping = _Mapping(described.config, target, batch, dtype, fusion)
    weights = SIMPSON if output > 1 else (1,)
    steps = tuple(mapping.decode(first + output * at // 2) for at in range(len(weights)))

    def mean(values: list[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)

    step_s = mean([step.seconds for step in steps])
    hbm_bytes = mean([float(sum(step.tier_bytes[0])) for step in steps])
    return Estimate(
        model=described.name,
        machine=target.name,
        sockets=target.sockets,
        batch=batch,
        context=first,
        prompt=min(first, LONGEST_DEFAULT_PROMPT) if prompt is None else prompt,
        output=output,
        dtype=dtype,
        fusion=fusion,
        step_s=step_s,
        hbm_bytes=hbm_bytes,
        hbm_utilization=hbm_bytes / (target.hbm.peak_gbps * 1e9 * step_s),
        pcu_utilization=mean([step.pcu_utilization * step.seconds for step in steps]) / step_s,
        calls=sum(kernel.calls for kernel in steps[0].kernels),
        host_s=sum(step.host_s for step in steps),
        steps=steps,
        _mapping=mapping,
    )


class _Mapping(NamedTuple):
    """A model on a machine: what all steps of an estimate have in common."""

    config: DecoderConfig
    machine: Machine
    batch: int
    dtype: str
    fusion: str

    def decode(self, context: int) -> Timing:
        """One step of all sequences."""
        return time_decode(
            _graph(self.config, context + 1),
            self.machine,
            fusion=self.fusion,
            dtype=self.dtype,
            batch=self.batch,
            context=context,
            reporter=Report,
        )

    def prefill(self, prompt: int) -> Timing:
        """The prompts of all sequences."""
        return time_prefill(
            _graph(self.config, prompt + 1),
            self.machine,
            fusion=self.fusion,
            dtype=self.dtype,
            batch=self.batch,
            prompt=prompt,
            reporter=Report,
        )


class _Weightless:
    """Stands for a checkpoint where only its shapes are asked for."""

    def __init__(self, config: DecoderConfig) -> None:
        self.config = config

    def tensor(self, name: str) -> NoReturn:
        raise RequestError(f"an estimate has no weights, so no {name}")

    def blocks(self, name: str) -> None:
        """None: every weight is of the dtype that is asked for."""


def _graph(config: DecoderConfig, positions: int) -> Graph:
    return _decoder(config, max(config.max_positions, positions))


# The compiler keeps what it made of a graph as long as there is the graph.
@lru_cache(maxsize=16)
def _decoder(config: DecoderConfig, positions: int) -> Graph:
    return decoder_graph(cast(Checkpoint, _Weightless(config)), positions)


def _shape(model: str | os.PathLike[str] | Shape | Checkpoint) -> Shape:
    if isinstance(model, Shape):
        return model
    if isinstance(model, Checkpoint):
        return Shape(model.name, model.config, str(model.path))
    return shape(model)

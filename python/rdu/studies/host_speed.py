"""How fast the host decodes: against its own memory, with machine time and without, in one run."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import numpy as np

from rdu.batch import BatchSession
from rdu.compiler.formats import FORMATS
from rdu.errors import RequestError, RunError
from rdu.models.generate import Decoder
from rdu.program import Program, build_profile, read_seconds

# Larger than any cache, small enough for any host that holds a model.
READ_BYTES = 1 << 28
# Reads of one sample: as long as several tokens, since other work on the host comes and goes.
READS = 8
# Token ids that every vocabulary has.
PROMPT = (1, 2, 3, 4, 5, 6, 7, 8)
FIRST_TOKEN = """
import sys, rdu
model, dtype, context, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
checkpoint = rdu.load(model)
prompt = "Once upon a time" if checkpoint.tokenizer else [1, 2, 3]
run = rdu.compile(checkpoint, dtype=dtype, context=context).generate(prompt, int(tokens), ignore_eos=True)
print(run.cycles, flush=True)
# What a process is started from counts in `ru_maxrss` on Linux, but not here.
if sys.platform == "linux":
    with open("/proc/self/status") as status:
        peak = next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(peak, flush=True)
"""

Shown = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Samples:
    """One quantity, measured several times; it stands for its median."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def to_dict(self) -> dict[str, object]:
        """Plain types."""
        return {"median": self.median, "least": min(self.values), "most": max(self.values), "count": len(self.values)}


@dataclass(frozen=True)
class Started:
    """A fresh process that loads a model and makes its first token: seconds until then, and most memory it took."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class HostSpeed:
    """What the host does, each from the same stretch of time.

    Attributes
    ----------
    read_gbps : a plain read of memory by all threads
    token_bytes : weights that one token needs
    timed, untimed : seconds per decoded token, with machine time and without
    prompt_timed, prompt_untimed : seconds of a prompt of ``prompt_tokens``
    batch : sequences of a step in ``batched``
    batched : seconds of such a step, with machine time; None if none was taken
    held_bytes : weights as the program holds them, caches and buffers
    """

    dtype: str
    threads: int
    tokens: int
    prompt_tokens: int
    token_bytes: int
    held_bytes: int
    read_gbps: Samples
    timed: Samples
    untimed: Samples
    prompt_timed: Samples
    prompt_untimed: Samples
    started: tuple[Started, ...]
    batch: int = 1
    batched: Samples | None = None
    load_average: tuple[float, float] = field(default=(0.0, 0.0))

    @property
    def read_bound(self) -> float:
        """Tokens per second if nothing but weights were read, at the rate of the plain read."""
        return self.read_gbps.median * 1e9 / self.token_bytes

    @property
    def decode_rate(self) -> float:
        """Tokens per second with machine time."""
        return 1 / self.timed.median

    @property
    def untimed_rate(self) -> float:
        """Tokens per second without."""
        return 1 / self.untimed.median

    @property
    def emulation(self) -> float:
        """What machine time adds to computing, as a part of it."""
        return self.timed.median / self.untimed.median - 1

    @property
    def prompt_rate(self) -> float:
        """Tokens per second of a prompt, with machine time."""
        return self.prompt_tokens / self.prompt_timed.median

    @property
    def prompt_untimed_rate(self) -> float:
        """Tokens per second of a prompt, without."""
        return self.prompt_tokens / self.prompt_untimed.median

    @property
    def batch_rate(self) -> float | None:
        """Tokens per second of all sequences of a batch together, with machine time."""
        return self.batch / self.batched.median if self.batched else None

    @property
    def batch_gain(self) -> float | None:
        """The same / what one sequence gets alone."""
        return self.batch_rate / self.decode_rate if self.batch_rate else None

    @property
    def first_token_s(self) -> float | None:
        """From starting a process to its first token; None if none was started."""
        return statistics.median(one.seconds for one in self.started) if self.started else None

    @property
    def memory_ratio(self) -> float | None:
        """Peak memory of that process / what the program holds."""
        return max(one.peak_bytes for one in self.started) / self.held_bytes if self.started else None

    def to_dict(self) -> dict[str, object]:
        """Plain types, the same keys always."""
        plain = {name: asdict(self)[name] for name in ("dtype", "threads", "tokens", "prompt_tokens", "token_bytes")}
        return {
            **plain,
            "held_bytes": self.held_bytes,
            "load_average": list(self.load_average),
            "read_gbps": self.read_gbps.to_dict(),
            "read_bound_tokens_per_second": self.read_bound,
            "decode_tokens_per_second": self.decode_rate,
            "decode_untimed_tokens_per_second": self.untimed_rate,
            "of_read_bound": self.decode_rate / self.read_bound,
            "untimed_of_read_bound": self.untimed_rate / self.read_bound,
            "emulation": self.emulation,
            "batch": self.batch,
            "batch_tokens_per_second": self.batch_rate,
            "batch_gain": self.batch_gain,
            "prompt_tokens_per_second": self.prompt_rate,
            "prompt_untimed_tokens_per_second": self.prompt_untimed_rate,
            "first_token_s": self.first_token_s,
            "peak_bytes": max((one.peak_bytes for one in self.started), default=None),
            "memory_ratio": self.memory_ratio,
            "seconds_per_token": {"timed": self.timed.to_dict(), "untimed": self.untimed.to_dict()},
            "prompt_seconds": {"timed": self.prompt_timed.to_dict(), "untimed": self.prompt_untimed.to_dict()},
        }


def host_speed(
    decoder: Decoder,
    *,
    tokens: int = 32,
    prompt_tokens: int = 512,
    rounds: int = 5,
    model: str | None = None,
    together: Decoder | None = None,
    shown: Shown = lambda what, done, total: None,
) -> HostSpeed:
    """Measure, taking turns, so that whatever else the host does meets all alike.

    Parameters
    ----------
    decoder : Decoder
    tokens : int
        Tokens of one sample of decoding.
    prompt_tokens : int
        Positions of a long prompt.
    rounds : int
        Samples of each quantity.
    model : str, optional
        What `rdu.load` takes: fresh processes load it, and make one token.
    together : Decoder, optional
        The same model compiled with a batch, to decode several sequences in one step.
    shown : function of (what, done, total), optional

    Raises
    ------
    RunError
        The engine is a debug build, whose speed says nothing.
    RequestError
        More positions than the decoder's context, or no rounds.
    """
    if build_profile() != "release":
        raise RunError(f"the engine is a {build_profile()} build, whose speed says nothing; build it with --release")
    for name, count in (("tokens", tokens), ("prompt_tokens", prompt_tokens), ("rounds", rounds)):
        if count < 1:
            raise RequestError(f"{name} is {count}; it must be at least 1")
    longest = max(prompt_tokens, len(PROMPT) + tokens * (rounds + 1))
    if longest > decoder.context:
        raise RequestError(f"{longest} positions are more than the context of {decoder.context}; compile with a larger")
    program = decoder.program
    words = np.ones(READ_BYTES // 8, np.uint64)
    decode = {mode: _decoding(program, mode, tokens) for mode in ("split", "values")}
    if together is not None:
        decode["batch"] = _together(together.program, tokens)
    ids = [at % decoder.checkpoint.config.vocab_size for at in range(prompt_tokens)]
    found: dict[str, list[float]] = {}

    def sample(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for steps in decode.values():
        next(steps)
    read_seconds(words)
    for at in range(rounds):
        shown("decoding", at, rounds)
        sample("read", READS * READ_BYTES / sum(read_seconds(words) for _ in range(READS)) / 1e9)
        for mode, steps in decode.items():
            sample(mode, next(steps))
    for at in range(rounds):
        shown("reading prompts", at, rounds)
        for mode in ("split", "values"):
            sample(f"prompt {mode}", _prompt(program, mode, ids))
    started = []
    for at in range(rounds if model is not None else 0):
        shown("starting processes", at, rounds)
        started.append(_start(str(model), program.dtype, program.context))
    return HostSpeed(
        dtype=program.dtype,
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        tokens=tokens,
        prompt_tokens=prompt_tokens,
        token_bytes=token_bytes(program),
        held_bytes=held_bytes(program),
        read_gbps=Samples(tuple(found["read"])),
        timed=Samples(tuple(found["split"])),
        untimed=Samples(tuple(found["values"])),
        prompt_timed=Samples(tuple(found["prompt split"])),
        prompt_untimed=Samples(tuple(found["prompt values"])),
        started=tuple(started),
        batch=together.program.batch if together else 1,
        batched=Samples(tuple(found["batch"])) if together else None,
        load_average=os.getloadavg()[:2],
    )


def token_bytes(program: Program) -> int:
    """Bytes of the weights that every token is multiplied by."""
    form = FORMATS[program.dtype]
    linear = (op.weights[0] for op in program.graph.operators if op.kind == "linear")
    return math.ceil(sum(form.of(weight).weight_bytes * math.prod(weight.shape) for weight in linear if weight))


def held_bytes(program: Program) -> int:
    """Bytes of all weights, each as often as the program holds it, and of caches and buffers."""
    return program.image.size_bytes + program.state_bytes


def _decoding(program: Program, mode: str, tokens: int) -> Iterator[float]:
    """Seconds per token of one stretch after another; the first is only to warm up."""
    session = program.session(mode).feed(PROMPT, last_only=True)
    while True:
        began = time.perf_counter()
        for token in range(tokens):
            session.feed([token], last_only=True)
            session.last("logits")
        session.result()
        yield (time.perf_counter() - began) / tokens


def _together(program: Program, steps: int) -> Iterator[float]:
    """Seconds per step of all sequences of a batch, of one stretch after another; the first is only to warm up."""
    session = BatchSession(program)
    for sequence in range(program.batch):
        session.prompt(sequence, PROMPT)
    while True:
        began = time.perf_counter()
        for step in range(steps):
            session.step([step] * program.batch, [True] * program.batch)
        session.result()
        yield (time.perf_counter() - began) / steps


def _prompt(program: Program, mode: str, ids: list[int]) -> float:
    """Seconds until the logits of a prompt's last position, and its machine time, are there."""
    began = time.perf_counter()
    session = program.session(mode).feed(ids, last_only=True)
    session.last("logits")
    session.result()
    return time.perf_counter() - began


def _start(model: str, dtype: str, context: int) -> Started:
    """A fresh process up to its first token."""
    command = [sys.executable, "-c", FIRST_TOKEN, model, dtype, str(context), "1"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - began
        peak = process.stdout.readline() if process.stdout else ""
    if process.returncode or not said or not peak.strip().isdigit():
        raise RunError(f"a fresh process with {model} failed; try rdu run {model} -p hello -n 1")
    return Started(seconds, int(peak))

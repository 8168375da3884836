"""Machine time from shapes alone: every token of a step timed, no weight read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from rdu.compiler.compile import compile_graph
from rdu.compiler.formats import FORMATS, VECTOR_BYTES
from rdu.compiler.lower import Kernel
from rdu.errors import CompileError
from rdu.graph import Graph
from rdu.machine import Machine
from rdu.program import Lowered, Program, Reporter
from rdu.run import Run

# Inputs that bring one operand vector for each multiplying firing, by role.
_OPERANDS = {"mac": (0,), "dot": (1, 2), "mix": (1, 2)}
# Programs compiled for a graph, by all that they depend on beside it.
_compiled: WeakKeyDictionary[Graph, dict[tuple[object, ...], Program]] = WeakKeyDictionary()


@dataclass(frozen=True)
class KernelTime:
    """One kernel over all its calls of a step, on one socket.

    Attributes
    ----------
    calls : int
    run_cycles : int
        Executing.
    call_cycles : int
        Program loads, argument loads and starts.
    hbm_bytes : (int, int)
        Read and written.
    """

    name: str
    calls: int
    run_cycles: int
    call_cycles: int
    hbm_bytes: tuple[int, int]


@dataclass(eq=False)
class Timing:
    """What one step takes: a decode step of a batch, or the prefill of a prompt. All figures are of one socket; under
    tensor parallelism all sockets do the same at the same time.

    Attributes
    ----------
    run : Run
        The run behind the figures; ``run.report`` (where a reporter was given) has bytes by operator and tier, what
        every unit waited for, and HBM's idle cycles by cause.
    cycles : int
        Machine time, in clock cycles. In a sequence of such steps: a program load is counted only where the kernel
        changes.
    compile_s, run_s : float
        Host seconds of compiling (0 when a program of an earlier call could be used) and of timing.
    """

    run: Run
    cycles: int
    batch: int
    compile_s: float
    run_s: float

    @property
    def machine(self) -> Machine:
        """As resolved, with the sockets that were asked for."""
        return self.run.program.machine

    @property
    def seconds(self) -> float:
        """Machine time."""
        return self.cycles / (self.machine.clock_ghz * 1e9)

    @property
    def host_s(self) -> float:
        """Host seconds in all."""
        return self.compile_s + self.run_s

    @property
    def firings(self) -> int:
        """Firings of all units, every copy of a bundle counted."""
        return int(self.run.totals["firings"])

    @cached_property
    def kernels(self) -> list[KernelTime]:
        """The kernels called."""
        names = {kernel.number: kernel.lowered.name for kernel in self.run.program.kernels}
        return [
            KernelTime(
                names[number],
                kernel["calls"],
                kernel["run_cycles"],
                kernel["call_cycles"],
                (kernel["traffic"][0][0], kernel["traffic"][0][1]),
            )
            for number, kernel in enumerate(self.run.totals["kernels"])
            if kernel["calls"]
        ]

    @property
    def tier_bytes(self) -> tuple[tuple[int, int], ...]:
        """(read, written) of each tier: 0 is HBM, 1 is DDR."""
        return tuple((read, written) for read, written in self.run.totals["traffic"])

    @property
    def hbm_utilization(self) -> float:
        """Bytes moved / (peak x elapsed)."""
        return sum(self.tier_bytes[0]) / (self.machine.hbm.peak_gbps * 1e9 * self.seconds)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds, those on padding included."""
        found = (
            row[0] * stream.copies * stream.target.macs
            for kernel, totals in self._called()
            for stream, row in zip(kernel.streams, totals["streams"], strict=True)
            if stream.input in _OPERANDS.get(stream.target.role, ())
        )
        return int(sum(found))

    @property
    def pcu_utilization(self) -> float:
        """Multiply-adds / (peak of all PCUs x elapsed)."""
        rate = FORMATS[self.run.program.dtype].rate
        return 2 * self.macs / (self.machine.peak_flops(rate) * self.seconds)

    @cached_property
    def p2p_bytes(self) -> int:
        """Bytes that the socket sends to others."""
        peers = self.machine.sockets - 1
        found = (
            row[0] * (peers if stream.peers == "all" else 1)
            for kernel, totals in self._called()
            for stream, row in zip(kernel.streams, totals["streams"], strict=True)
            if stream.peers
        )
        return VECTOR_BYTES * int(sum(found))

    def _called(self) -> list[tuple[Lowered, dict[str, Any]]]:
        loaded = {kernel.number: kernel.lowered for kernel in self.run.program.kernels}
        return [(loaded[at], totals) for at, totals in enumerate(self.run.totals["kernels"]) if totals["calls"]]


def time_decode(
    graph: Graph,
    machine: Machine,
    *,
    fusion: str = "loop",
    dtype: str = "bf16",
    batch: int = 1,
    context: int = 1024,
    sockets: int | None = None,
    reporter: Reporter | None = None,
) -> Timing:
    """Time one decode step: each of ``batch`` sequences, with ``context`` positions in its cache, gets one more.

    Parameters
    ----------
    graph : Graph
        A decoder's (`decoder_graph`); its weights are not read.
    machine : Machine
    fusion : {"loop", "layer", "op"}
    dtype : str
        Of weights, caches and what meets them.
    batch, context : int
    sockets : int, optional
        Sockets that share the model by tensor parallelism; default: the machine's.
    reporter : function of Run, optional
        Makes ``timing.run.report``.

    Returns
    -------
    Timing

    Raises
    ------
    CompileError
        The model does not fit the machine, or cannot be divided over the sockets.
    """
    if isinstance(context, bool) or not isinstance(context, int) or context < 0:
        raise CompileError(f"context is {context!r}; it must be a whole number of at least 0")
    started = time.perf_counter()
    program = _program(graph, machine, sockets, reporter, fusion=fusion, dtype=dtype, batch=batch, context=context + 1)
    return _time(program, batch, [(batch, context, True)], started)


def time_prefill(
    graph: Graph,
    machine: Machine,
    *,
    fusion: str = "loop",
    dtype: str = "bf16",
    batch: int = 1,
    prompt: int = 1024,
    sockets: int | None = None,
    reporter: Reporter | None = None,
) -> Timing:
    """Time the prefill of ``batch`` prompts of ``prompt`` positions each, up to the logits of their last positions.

    Waves of positions (``mapping.prefill_wave``) stream through all operators of a layer, which work at the same time;
    a prompt that the waves do not divide evenly is padded. One that is too long to keep on chip what it carries from
    layer to layer comes in blocks, each of which reads the weights once, and the cached rows of those before it.

    Parameters
    ----------
    prompt : int
        Positions of each prompt. The others are those of `time_decode`, as are result and errors.
    """
    if isinstance(prompt, bool) or not isinstance(prompt, int) or prompt < 1:
        raise CompileError(f"prompt is {prompt!r}; it must be a whole number of at least 1")
    started = time.perf_counter()
    program = _program(graph, machine, sockets, reporter, fusion=fusion, dtype=dtype, batch=batch, prompt=prompt)
    first = program.whole or program.sites[0]
    lowered = program.kernel(first.kernel, program.block, (program.block,) * len(first.inputs)).lowered
    assert isinstance(lowered, Kernel)
    wave = lowered.wave
    assert wave is not None
    passes = [(wave.rows, block * wave.block, block == wave.blocks - 1) for block in range(wave.blocks)]
    return _time(program, batch, passes * (batch // wave.sequences), started)


def _program(graph: Graph, machine: Machine, sockets: int | None, reporter: Reporter | None, **options: Any) -> Program:
    """The program without values, on so many sockets of the machine; ``options`` are those of `compile_graph`."""
    if sockets is not None and sockets != machine.sockets:
        machine = machine.override({"sockets": sockets})
    programs = _compiled.setdefault(graph, {})
    key = (machine, *sorted(options.items()))
    if key not in programs:
        programs[key] = compile_graph(graph, machine, values=False, reporter=reporter, **options)
    return programs[key]


def _time(program: Program, batch: int, passes: list[tuple[int, int, bool]], started: float) -> Timing:
    """Run passes of (positions, past, whether their outputs are wanted) one after another."""
    sites = program.sites if program.whole is None else (program.whole,)
    for positions, _, _ in passes:
        for site in sites:
            program.kernel(site.kernel, positions, (positions,) * len(site.inputs))
    begun = time.perf_counter()
    session = program.session("split")
    rows = [0] * max(positions for positions, _, _ in passes)
    inputs = {op.name for op in program.graph.operators if op.kind == "input"}
    for positions, past, wanted in passes:
        session.past = past
        session.advance(positions, rows, dict.fromkeys(inputs, positions), tail=not wanted, wanted=wanted)
    run = session.result()
    # In a sequence of steps the first kernel is still there if it was the last one too.
    machine = program.machine
    load = machine.cycles(1e3 * (machine.call_us(program_load=True) - machine.call_us(program_load=False)))
    again = sites[0].kernel == sites[-1].kernel
    return Timing(run, run.cycles - again * load, batch, begun - started, time.perf_counter() - begun)

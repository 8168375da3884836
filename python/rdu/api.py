"""Where the layers meet: what `rdu.load` and `rdu.compile` put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, overload

from rdu.compiler.compile import compile_graph
from rdu.graph import Graph
from rdu.machine import Machine
from rdu.machine import machine as find_machine
from rdu.models import load
from rdu.models.checkpoint import Checkpoint
from rdu.models.decoder import decoder_graph
from rdu.models.generate import Decoder
from rdu.models.image_cache import ImageCache
from rdu.program import Program
from rdu.report.report import Report

__all__ = ["compile", "load"]

# Longer contexts must be asked for: their caches and score buffers take room on the machine.
DEFAULT_CONTEXT = 8192
Progress = Callable[[str, int, int], None]
Passes = Mapping[str, Callable[..., Any]]


@overload
def compile(
    model: Graph,
    machine: Machine | str = ...,
    *,
    sockets: int | None = ...,
    fusion: str = ...,
    dtype: str = ...,
    batch: int = ...,
    context: int | None = ...,
    block: int | None = ...,
    progress: Progress | None = ...,
    passes: Passes | None = ...,
) -> Program: ...
@overload
def compile(
    model: Checkpoint | str | os.PathLike[str],
    machine: Machine | str = ...,
    *,
    sockets: int | None = ...,
    fusion: str = ...,
    dtype: str = ...,
    batch: int = ...,
    context: int | None = ...,
    block: int | None = ...,
    progress: Progress | None = ...,
    passes: Passes | None = ...,
) -> Decoder: ...
def compile(
    model: Graph | Checkpoint | str | os.PathLike[str],
    machine: Machine | str = "sn40l",
    *,
    sockets: int | None = None,
    fusion: str = "loop",
    dtype: str = "bf16",
    batch: int = 1,
    context: int | None = None,
    block: int | None = None,
    progress: Progress | None = None,
    passes: Passes | None = None,
) -> Program | Decoder:
    """Map a model or a graph onto a machine and load its weights into the emulated HBM.

    Parameters
    ----------
    model : Graph, Checkpoint, or what `rdu.load` takes
    machine : Machine or name
    sockets : int, optional
        Sockets that share the model by tensor parallelism; default: the machine's. Heads must divide among them; sums
        are then added in the order that `docs/numerics.md` states.
    fusion : {"loop", "layer", "op"}
        One kernel call for all layers of a decode step, one for each layer, or one for each operator.
    dtype : {"bf16", "fp32", "int8", "w8a8", "q8_0", "q4_0", "q4_1"}
        Element of weights, caches and of whatever meets them; sums are fp32. ``int8``: weights of linear operators are
        whole numbers with a scale for each output, all else is bf16. ``w8a8``: their activations too, with a scale for
        each row; such sums are exact. ``q8_0``, ``q4_0``, ``q4_1``: weights of linear operators are blocks of 32, as
        GGUF files have them; a file of that type runs as it is.
    batch : int
        Sequences that can take decode steps together: `Decoder.generate_batch`.
    context : int, optional
        Most positions of a sequence. Default: the model's own, at most 8192; 4096 for a graph.
    block : int, optional
        Most positions of one kernel call. Default: ``machine.mapping.prefill_block``.
    progress : function of (what, done, total), optional
    passes : mapping of names to functions, optional
        Passes of the compiler to use in place of its own: ``fuse``, ``allocate``, ``lower``, ``place``, ``route``; what
        each is called with is in `rdu.compiler.passes.Passes`.

    Returns
    -------
    Program for a graph, Decoder for a model

    Raises
    ------
    CompileError
        The program does not fit the machine, or an option is not available; the message says what would help.
    CheckpointError
        The model cannot be read.
    """
    target = machine if isinstance(machine, Machine) and sockets is None else find_machine(machine, sockets=sockets)
    if isinstance(model, Graph):
        length = 4096 if context is None else context
        if model.table is not None and context is None:
            length = min(length, model.table.shape[0])
        return compile_graph(
            model,
            target,
            fusion=fusion,
            dtype=dtype,
            batch=batch,
            context=length,
            block=block,
            progress=progress,
            reporter=Report,
            passes=passes,
        )
    checkpoint = model if isinstance(model, Checkpoint) else load(model)
    most = checkpoint.config.max_positions
    length = min(most, DEFAULT_CONTEXT) if context is None else context
    program = compile_graph(
        decoder_graph(checkpoint, length),
        target,
        fusion=fusion,
        dtype=dtype,
        batch=batch,
        context=length,
        block=block,
        progress=progress,
        reporter=Report,
        passes=passes,
        shelf=ImageCache(checkpoint.files),
    )
    return Decoder(checkpoint, program)

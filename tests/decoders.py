"""Decoders compiled for tests: a checkpoint on a machine, and the comparisons that several files make."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rdu.compiler.compile import compile_graph
from rdu.machine import Machine, machine
from rdu.models import Checkpoint, load
from rdu.models.decoder import decoder_graph
from rdu.models.generate import Decoder
from rdu.program import Program

TINY = sorted((Path(__file__).parent / "data" / "tiny").iterdir())
# The longest prompt of a tiny golden and its continuation.
TINY_CONTEXT = 192


def decoder(
    model: Checkpoint | str | os.PathLike[str],
    target: Machine | str = "tiny",
    *,
    dtype: str = "fp32",
    context: int = TINY_CONTEXT,
    block: int | None = None,
    fusion: str = "layer",
) -> Decoder:
    """A model on a machine, without a reporter."""
    checkpoint = model if isinstance(model, Checkpoint) else load(model)
    where = target if isinstance(target, Machine) else machine(target)
    graph = decoder_graph(checkpoint, context)
    return Decoder(checkpoint, compile_graph(graph, where, dtype=dtype, context=context, block=block, fusion=fusion))


def assert_same_bits(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
    """Equal to the last bit: no tolerance, and a NaN only equals itself."""
    assert a.dtype == b.dtype == np.float32
    assert a.shape == b.shape
    differing = np.flatnonzero(a.view(np.uint32) != b.view(np.uint32))
    assert differing.size == 0, f"{differing.size} of {a.size} differ, by at most {np.abs(a - b).max()}"


def assert_decode_equals_prefill(d: Decoder, ids: list[int], cuts: tuple[int, ...]) -> None:
    """The bits of one prefill, however many positions are fed at a time."""
    prefill = d.forward(ids, mode="values").logits
    for cut in cuts:
        session = d.program.session("values")
        for start in range(0, len(ids), cut):
            session.feed(ids[start : start + cut])
        assert_same_bits(session.result().logits, prefill)


def splits(program: Program) -> list[int]:
    """Into how many parts each linear operator's sum is cut, call by call: what fixes the order of addition."""
    found = []
    for site in program.sites:
        plan = program.kernel(site.kernel, 1, (1,) * len(site.inputs)).lowered.description["plan"]
        found += [op["splits"] for op in plan if op["op"] == "linear"]
    return found

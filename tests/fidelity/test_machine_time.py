"""Machine time and bytes are what the shapes say, and nothing else: not the host, not the run, not the mode."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from decoders import decoder
from rdu.machine import machine
from rdu.memory import IDLE_CAUSES
from rdu.memory.tier import describe_tiers
from rdu.models import Checkpoint, load
from rdu.models.config import DecoderConfig
from rdu.models.generate import Decoder
from rdu.testing.checkpoints import write_folder

VECTOR_BYTES = 64
CONTEXT = 48
# Variants that put a different term into the books: grouped heads, widths that fill no vector, tied, biases everywhere,
# a window, norms of q and k.
BOOKED = ("s02_gqa", "s08_odd_sizes", "s05_tied", "s06_attn_mlp_bias", "s11_mistral_window", "s12_qwen2", "s13_qwen3")


def vectors(width: int, dtype: str) -> int:
    """64-byte vectors of a row."""
    return -(-width * (2 if dtype == "bf16" else 4) // VECTOR_BYTES)


def booked_bytes(
    c: DecoderConfig, dtype: str, calls: Sequence[tuple[int, int]], granule: int
) -> tuple[int, int, int, int]:
    """(read, written, most padding of each) at fusion level ``layer`` for calls of (positions, past)."""
    lanes = VECTOR_BYTES // (2 if dtype == "bf16" else 4)

    def linear(outputs: int, inputs: int, biased: bool = False) -> int:
        # A vector holds one column of as many outputs as there are lanes; the bias comes as a row.
        tiles = -(-outputs // lanes)
        return tiles * (inputs + biased)

    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    weights = 2 * vectors(c.hidden_size, dtype)
    weights += linear(q, c.hidden_size, c.qkv_bias) + 2 * linear(kv, c.hidden_size, c.qkv_bias)
    weights += linear(c.hidden_size, q, c.output_bias) + linear(c.hidden_size, c.ffn_size, c.mlp_bias)
    weights += 2 * linear(c.ffn_size, c.hidden_size, c.mlp_bias)
    weights += 2 * vectors(c.head_dim, dtype) * c.qk_norm
    head = vectors(c.hidden_size, dtype) + linear(c.vocab_size, c.hidden_size)
    read = written = padded_read = padded_written = 0
    row = c.kv_heads * vectors(c.head_dim, dtype)
    for positions, past in calls:
        boundary = positions * vectors(c.hidden_size, "fp32")
        # Embedding, then the residual into each layer and into the head; angles once for q and k.
        read += positions * vectors(c.hidden_size, dtype) + head + (c.layers + 1) * boundary
        written += (c.layers + 1) * boundary + positions * vectors(c.vocab_size, "fp32")
        # At most a granule more for each operand, and each looked-up row; a part of the lanes in the last round.
        padded_read += positions * granule + 3 * granule + head // 4
        padded_written += (c.layers + 2) * granule
        for layer in range(c.layers):
            window = c.window(layer)
            seen = past if window is None else min(past, window - 1)
            read += weights + positions * vectors(c.head_dim, "fp32") + 2 * seen * row
            written += 2 * positions * row
            # Rows of the cache are padded to what divides a granule: less than twice their size.
            padded_read += 20 * granule + weights // 4 + 2 * seen * row
            padded_written += 4 * granule + 2 * positions * row
    return tuple(n * VECTOR_BYTES for n in (read, written, padded_read, padded_written))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", BOOKED)
def test_hbm_moves_what_the_shapes_say(data_dir: Path, name: str, dtype: str) -> None:
    """Every weight, cached row and boundary, once a call, in whole granules: none is skipped, none moves twice."""
    d = decoder(data_dir / "tiny" / name, dtype=dtype, context=CONTEXT)
    ids = [at * 7 % d.checkpoint.config.vocab_size for at in range(35)]
    session = d.program.session("split").feed(ids[:33])
    for token in ids[33:]:
        session.feed([token])
    calls = [(16, 0), (16, 16), (1, 32), (1, 33), (1, 34)]
    assert [(step.positions, step.past) for step in session.steps] == calls
    totals = session.result().totals
    read, written = totals["traffic"][0]
    granule = d.program.granule_bytes
    assert read % granule == written % granule == 0
    real_read, real_written, most_read, most_written = booked_bytes(
        d.checkpoint.config, dtype, calls, granule // VECTOR_BYTES
    )
    assert real_read <= read <= real_read + most_read
    assert real_written <= written <= real_written + most_written
    assert totals["traffic"][1] == [0, 0], "nothing is kept in DDR"
    for at in range(2):
        assert totals["traffic"][0][at] == sum(kernel["traffic"][0][at] for kernel in totals["kernels"])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load(write_folder(tmp_path_factory.mktemp("small") / "model"))


def test_every_tick_of_every_data_bus_is_counted_once(small: Checkpoint) -> None:
    where = machine("tiny")
    run = decoder(small, where, context=CONTEXT).forward(list(range(20)))
    device = describe_tiers(where)[0]["device"]
    organisation, tick_ns = device["organisation"], device["timings"]["tck_fs"] / 1e6
    buses = organisation["channels"] * organisation["pseudo_channels"]
    (read, written), ticks = run.totals["traffic"][0], run.totals["memory"][0]
    # A burst is 4 beats of 8 bytes, two beats a tick. Rows of keys and values are read long after they were written, so
    # no read finds its data in a waiting write.
    assert ticks["busy"] == (read + written) // 16
    assert (ticks["read_bytes"], ticks["written_bytes"]) == (read, written)
    every = ticks["busy"] + sum(ticks[cause] for cause in IDLE_CAUSES)
    assert every == buses * math.ceil(run.cycles / where.clock_ghz / tick_ns)


def test_last_only_saves_the_head(small: Checkpoint) -> None:
    """A prompt that needs one row of logits computes one, in less time."""
    d = decoder(small, context=CONTEXT)
    ids = list(range(40))
    whole = d.program.session("split").feed(ids).result()
    last = d.program.session("split").feed(ids, last_only=True).result()
    assert last.logits.tobytes() == whole.logits[-1:].tobytes()
    assert last.cycles < whole.cycles
    assert last.totals["traffic"][0][1] < whole.totals["traffic"][0][1]


def test_a_call_costs_what_the_machine_says(small: Checkpoint) -> None:
    """Program load where the kernel changes, arguments and start always: at op fusion almost every call changes it."""
    where = machine("tiny")
    load_cycles = where.cycles(1e3 * (where.call_us(program_load=True) - where.call_us(program_load=False)))
    start_cycles = where.cycles(1e3 * where.call_us(program_load=False))
    d = decoder(small, where, context=CONTEXT)
    session = d.program.session("split").feed([1]).feed([2]).feed([3])
    kernels = session.result().totals["kernels"]
    order = [site.kernel for site in d.program.sites] * 3
    changes = sum(a != b for a, b in zip([None, *order], order, strict=False))
    assert sum(kernel["calls"] for kernel in kernels) == len(order) == 3 * (small.config.layers + 2)
    assert sum(kernel["call_cycles"] for kernel in kernels) == changes * load_cycles + len(order) * start_cycles


def story(d: Decoder) -> dict[str, object]:
    run = d.generate(list(range(21)), 6, ignore_eos=True)
    bits = hashlib.sha256(run.logits.tobytes()).hexdigest()
    return {"bits": bits, "tokens": run.tokens, "totals": run.totals, "steps": [step.cycles for step in run.steps]}


def test_two_runs_are_one(small: Checkpoint) -> None:
    d = decoder(small, context=CONTEXT)
    assert story(d) == story(d) == story(decoder(small, context=CONTEXT))


CHILD = """
import json, sys
from test_machine_time import threaded
print(json.dumps(threaded(sys.argv[1])))
"""


def threaded(folder: str) -> dict[str, object]:
    """A run whose operators are large enough for the engine to use its threads."""
    return story(decoder(folder, machine("sn40l"), dtype="bf16", context=64, block=32))


def test_threads_change_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "wide", config={"hidden_size": 512, "vocab_size": 4096, "num_hidden_layers": 1})
    here = Path(__file__).parent
    runs = []
    for threads in ("1", "2", "5"):
        paths = [str(here), str(here.parent), *sys.path]
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(paths)}
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(folder)], env=environment, capture_output=True, text=True, check=False
        )
        assert child.returncode == 0, child.stderr
        runs.append(json.loads(child.stdout))
    assert runs[0] == runs[1] == runs[2]

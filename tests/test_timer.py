"""Machine time of passes: what it depends on, what it does not, and that a pass is timed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from decoders import decoder
from rdu.compiler.timing import time_decode
from rdu.machine import Machine, machine
from rdu.models import Checkpoint, load
from rdu.models.decoder import decoder_graph
from rdu.models.generate import Decoder
from rdu.testing.checkpoints import write_folder

CONTEXT = 64
TILE = 8


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load(write_folder(tmp_path_factory.mktemp("small") / "model"))


def where(tile: int = TILE) -> Machine:
    return machine("tiny", mapping__cache_tile=tile)


def steps(d: Decoder, tokens: list[int], mode: str = "split") -> list[int]:
    """Cycles of one token after another."""
    session = d.program.session(mode)
    for token in tokens:
        session.feed([token])
    return [step.cycles for step in session.steps]


@pytest.mark.parametrize("fusion", ["op", "layer", "loop"])
def test_steps_within_a_tile_take_the_same(small: Checkpoint, fusion: str) -> None:
    d = decoder(small, where(), context=CONTEXT, fusion=fusion)
    # The second step finds the machine configured for the kernel that the first one ended with.
    taken = steps(d, list(range(3 * TILE + 1)))[1:]
    tiles = [set(taken[at : at + TILE]) for at in range(0, 3 * TILE, TILE)]
    assert [len(tile) for tile in tiles] == [1, 1, 1]
    (first,), (second,), (third,) = tiles
    assert first < second < third, "every tile brings more rows of the cache"


def test_time_does_not_depend_on_the_text(small: Checkpoint) -> None:
    """Which rows of a table are looked up changes values alone, whoever carries them."""
    d = decoder(small, where(), context=CONTEXT)
    one, other = [3, 1, 4, 1, 5, 9, 2, 6], [27, 18, 28, 18, 28, 45, 9, 0]
    assert steps(d, one) == steps(d, other) == steps(d, other, "step")


def test_a_pass_is_timed_once(small: Checkpoint) -> None:
    d = decoder(small, where(), context=CONTEXT)
    timer = d.program.timer
    first = d.generate(list(range(TILE)), 5, ignore_eos=True)
    passes = timer.passes
    # The prompt's pass, the first step after its kernel, and the other steps, which all see the same two tiles.
    assert passes == 3
    again = d.generate(list(range(TILE)), 5, ignore_eos=True)
    assert timer.passes == passes
    assert again.totals == first.totals
    fresh = decoder(small, where(), context=CONTEXT).generate(list(range(TILE)), 5, ignore_eos=True)
    assert fresh.totals == first.totals, "what was looked up is what would have been counted"


@pytest.mark.parametrize("tile", [1, 3, 8])
def test_padding_of_tiles_has_no_value(small: Checkpoint, tile: int) -> None:
    """Rows that only fill a tile weigh nothing, token by token too; larger tiles only take longer."""
    plain, tiled = (decoder(small, where(size), context=CONTEXT) for size in (1, tile))
    ids = [3, 9, 27, 17, 51, 25, 11, 33, 35, 2, 40]
    runs = [d.program.session(mode).feed(ids).feed([7]) for d in (plain, tiled) for mode in ("split", "step")]
    assert len({session.result().logits.tobytes() for session in runs}) == 1
    cycles = [session.cycles for session in runs]
    assert cycles[0] == cycles[1] <= cycles[2] == cycles[3]


def test_a_run_and_an_estimate_agree(small: Checkpoint) -> None:
    """A step of a run takes what the estimate for its context says."""
    d = decoder(small, where(), context=CONTEXT, fusion="loop", dtype="bf16")
    last = CONTEXT - 1
    graph = decoder_graph(small, CONTEXT)
    timing = time_decode(graph, where(), fusion="loop", dtype="bf16", context=last)
    # Without values there is no room for a prompt's block, so weights and caches lie at other addresses.
    assert timing.cycles == pytest.approx(steps(d, list(range(CONTEXT)))[last], rel=0.05)


def test_tiles_are_part_of_the_cache(data_dir: Path) -> None:
    """A context that ends within a tile has room for the rest of it."""
    d = decoder(sorted((data_dir / "tiny").iterdir())[0], where(16), context=17)
    session = d.program.session("step").feed([1] * 17)
    assert session.past == 17

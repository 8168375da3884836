"""How fast a memory is, and how fast the model of it: standard traffic, timed on the host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rdu._core import build_profile
from rdu.errors import RunError
from rdu.memory.dram import Dram
from rdu.memory.replay import Replay

# Random addresses of a linear congruential generator need no table and are the same everywhere.
MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407


@dataclass(frozen=True)
class Measured:
    """One traffic on one memory."""

    memory: str
    pattern: str
    replay: Replay
    #: CPU seconds of the thread that replays: other work on the host does not count, as in the peers' figures.
    host_s: float

    @property
    def bursts_per_second(self) -> float:
        """Bursts that the model serves in a CPU second of one thread."""
        return self.replay.bursts / self.host_s

    def to_dict(self) -> dict[str, object]:
        """Plain types, the same keys for each."""
        said = self.replay
        return {
            "memory": self.memory,
            "pattern": self.pattern,
            "bursts": said.bursts,
            "bytes": said.bytes,
            "elapsed_ns": said.elapsed_ns,
            "gbps": said.gbps,
            "peak_gbps": said.peak_gbps,
            "peak_fraction": said.peak_fraction,
            "mean_latency_ns": said.mean_latency_ns,
            "row_hit_rate": said.row_hit_rate,
            "idle": dict(said.idle),
            "host_s": self.host_s,
            "bursts_per_second": self.bursts_per_second,
        }


def measure(dram: Dram, bursts: int) -> Iterator[Measured]:
    """Serve ``bursts`` of each kind of traffic, and read the whole memory once.

    Yields
    ------
    Measured
        ``seq_read``, ``seq_each`` (the same, nothing that repeats skipped), ``seq_write``, ``rand_read``, ``rand_mix``,
        ``one_read`` (a random read at a time) and ``whole_read`` (from the first byte to the last).

    Raises
    ------
    RunError
        The engine is a debug build, whose speed says nothing.
    """
    if build_profile() != "release":
        raise RunError(f"the engine is a {build_profile()} build, whose speed says nothing; build it with --release")
    size = dram.burst_bytes
    places = dram.capacity_bytes // size
    with np.errstate(over="ignore"):
        hashed = np.arange(bursts, dtype=np.uint64) * np.uint64(MULTIPLIER) + np.uint64(INCREMENT)
        hashed = (hashed ^ (hashed >> np.uint64(29))) * np.uint64(MULTIPLIER)
    anywhere = (hashed >> np.uint64(16)) % np.uint64(places) * np.uint64(size)
    half = np.arange(bursts) % 2 == 1
    length = min(bursts, places) * size
    kinds: dict[str, Callable[[], Replay]] = {
        "seq_read": lambda: dram.read(0, length),
        "seq_each": lambda: dram.read(0, length, skip=False),
        "seq_write": lambda: dram.write(0, length),
        "rand_read": lambda: dram.replay(anywhere, size),
        "rand_mix": lambda: dram.replay(anywhere, size, half),
        "one_read": lambda: dram.replay(anywhere[: max(1, bursts // 10)], size, outstanding=1),
        "whole_read": lambda: dram.read(),
    }
    for pattern, serve in kinds.items():
        began = time.thread_time()
        replay = serve()
        # A clock of coarse steps may not have moved.
        yield Measured(dram.name, pattern, replay, max(time.thread_time() - began, 1e-9))

"""What a replay says: time, bandwidth, latency, rows, commands, and where the data buses' idle time went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rdu._core import _ReplayMade

# In the order in which they are shown; each is explained in docs/memory.md.
COMMANDS = (
    *("activate", "precharge", "precharge_all", "read", "write", "read_close", "write_close"),
    *("refresh_all", "refresh_bank"),
)
COLUMN_COMMANDS = ("read", "write", "read_close", "write_close")
IDLE_CAUSES = ("no_request", "refresh", "row_miss", "turnaround", "bank_conflict", "imbalance")


DATA_SHEET_NAMES = ("ACT", "PRE", "PREab", "RD", "WR", "RDA", "WRA", "REFab", "REFpb")
TRACE = np.dtype(
    [
        *(("tick", np.uint64), ("command", "U5"), ("channel", np.uint32), ("pseudo_channel", np.uint8)),
        *(("rank", np.uint8), ("bank_group", np.uint8), ("bank", np.uint8), ("row", np.uint32), ("column", np.uint32)),
    ]
)


class LatencyHistogram(NamedTuple):
    """Reads by latency: ``counts[i]`` of them took from ``edges_ns[i]`` up to, but not, ``edges_ns[i + 1]``.

    The edges are the same for every replay on a memory; the last is infinite.
    """

    edges_ns: npt.NDArray[np.float64]
    counts: npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Replay:
    """The result of a replay. Latencies are of reads, None where there were none; GB = 1e9 bytes.

    Attributes
    ----------
    memory : str
    requests : int
        Asked for, all of them.
    reads, writes : int
        Bursts counted; `bursts` is their sum.
    bytes_read, bytes_written : int
        Bytes asked for, of those that the bursts moved.
    elapsed_ns : float
        To the last beat of data, from the start or the end of the warm-up.
    peak_gbps, peak_fraction : float
        Bursts that went over a data bus, over what all data buses could move in the time. Reads of what still waits to
        be written, and writes over it, go over no bus: they are in ``bytes`` and ``gbps`` but not here.
    mean_latency_ns, p50_latency_ns, p99_latency_ns : float or None
        From a controller taking the burst (or from its arrival) to its last beat; quantiles within 1 %.
    latency_histogram : LatencyHistogram
    row_hits : int
        Bursts whose row was open for them already.
    commands : mapping of str to int
        By name, see `COMMANDS`.
    idle : mapping of str to float
        Parts of the data buses' time, by cause; with the busy part they add up to 1. See `IDLE_CAUSES`.
    channel_idle : (channels, causes) float array
        The same for each channel.
    accepted_ns, completions_ns : (n,) float array or None
        When the controller took each request's first burst, or when it arrived, and the last beat of its last; if asked
        for.
    trace : (n,) structured array or None
        Commands in order: tick, command, channel, pseudo_channel, rank, bank_group, bank, row, column; if asked for.
    """

    memory: str
    requests: int
    reads: int
    writes: int
    bytes_read: int
    bytes_written: int
    elapsed_ns: float
    peak_gbps: float
    peak_fraction: float
    mean_latency_ns: float | None
    p50_latency_ns: float | None
    p99_latency_ns: float | None
    latency_histogram: LatencyHistogram
    row_hits: int
    commands: Mapping[str, int]
    idle: Mapping[str, float]
    channel_idle: npt.NDArray[np.float64]
    accepted_ns: npt.NDArray[np.float64] | None = None
    completions_ns: npt.NDArray[np.float64] | None = None
    trace: npt.NDArray[np.void] | None = None

    @property
    def latencies_ns(self) -> npt.NDArray[np.float64] | None:
        """Time from acceptance (or arrival) to completion of each request, if asked for."""
        if self.accepted_ns is None or self.completions_ns is None:
            return None
        return self.completions_ns - self.accepted_ns

    @property
    def bursts(self) -> int:
        """Reads and writes."""
        return self.reads + self.writes

    @property
    def bytes(self) -> int:
        """Read and written."""
        return self.bytes_read + self.bytes_written

    @property
    def gbps(self) -> float:
        """Bytes asked for, over the time."""
        return self.bytes / self.elapsed_ns if self.elapsed_ns else 0.0

    @property
    def row_hit_rate(self) -> float:
        """Row hits per burst."""
        return self.row_hits / self.bursts if self.bursts else 0.0

    def to_dict(self) -> dict[str, object]:
        """All but the arrays by request and channel, of plain types; the same keys for any memory and traffic."""
        scalars = (
            *(
                "memory",
                "requests",
                "bursts",
                "reads",
                "writes",
                "bytes",
                "bytes_read",
                "bytes_written",
                "elapsed_ns",
                "gbps",
            ),
            *("peak_gbps", "peak_fraction", "mean_latency_ns", "p50_latency_ns", "p99_latency_ns"),
            *("row_hits", "row_hit_rate"),
        )
        edges, counts = self.latency_histogram
        return {
            **{name: getattr(self, name) for name in scalars},
            "commands": dict(self.commands),
            "idle": dict(self.idle),
            # JSON has no infinity: the last bucket is open.
            "latency_histogram": {"edges_ns": edges[:-1].tolist(), "counts": counts.tolist()},
        }

    def __str__(self) -> str:
        """A short table."""
        mean, p50, p99 = (
            "-" if value is None else f"{value:.1f}"
            for value in (self.mean_latency_ns, self.p50_latency_ns, self.p99_latency_ns)
        )
        causes = sorted(self.idle.items(), key=lambda item: -item[1])
        lost = ", ".join(f"{cause.replace('_', ' ')} {share:.1%}" for cause, share in causes if share >= 0.0005)
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.commands.items() if count)
        rate = f"{self.gbps:.2f} of {self.peak_gbps:.2f} GB/s ({self.peak_fraction:.1%})"
        lines = (
            (
                "requests",
                f"{self.requests}: {self.bursts} bursts ({self.reads} reads, {self.writes} writes), {self.bytes} bytes",
            ),
            ("elapsed", f"{self.elapsed_ns:.1f} ns, {rate}"),
            ("read latency", f"mean {mean} ns, half below {p50}, 99 % below {p99}"),
            ("row hits", f"{self.row_hit_rate:.1%}"),
            ("idle", lost or "never"),
            ("commands", counts),
        )
        return "\n".join([self.memory, *(f"  {name:13} {text}" for name, text in lines)])

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        """Whether every figure and every array is the same."""
        if not isinstance(other, Replay):
            return NotImplemented
        arrays = ("channel_idle", "accepted_ns", "completions_ns", "trace")
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays)
        return same and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def replay_of(
    memory: str, requests: int, burst_bytes: int, peak_gbps: float, tick_ns: float, made: _ReplayMade
) -> Replay:
    """The engine's counts, in ns."""

    def time(ticks: float | None) -> float | None:
        return None if ticks is None else ticks * tick_ns

    elapsed_ns = made["elapsed_ticks"] * tick_ns
    commands = dict(zip(COMMANDS, made["commands"], strict=True))
    moved = sum(commands[name] for name in COLUMN_COMMANDS) * burst_bytes
    idle = made["idle_ticks"].astype(np.float64)
    # Every data bus is busy or idle at every tick: what is left of the sum is the width of a channel.
    bus_ticks = max(1.0, (made["busy_ticks"] + idle.sum()) / len(idle))
    edges = np.concatenate([[0.0], 2.0 ** np.arange(1, len(made["latency_counts"])) * tick_ns, [np.inf]])
    times, issued = made["times"], made["trace"]
    return Replay(
        memory=memory,
        requests=requests,
        reads=made["read_bursts"],
        writes=made["written_bursts"],
        bytes_read=made["bytes_read"],
        bytes_written=made["bytes_written"],
        elapsed_ns=elapsed_ns,
        peak_gbps=peak_gbps,
        peak_fraction=moved / (peak_gbps * elapsed_ns) if elapsed_ns else 0.0,
        mean_latency_ns=time(made["mean_latency_ticks"]),
        p50_latency_ns=time(made["p50_latency_ticks"]),
        p99_latency_ns=time(made["p99_latency_ticks"]),
        latency_histogram=LatencyHistogram(edges, made["latency_counts"]),
        row_hits=made["row_hits"],
        commands=commands,
        idle=dict(zip(IDLE_CAUSES, (idle / bus_ticks).mean(axis=0).tolist(), strict=True)),
        channel_idle=idle / bus_ticks,
        accepted_ns=None if times is None else times[:, 0].astype(np.float64) * tick_ns,
        completions_ns=None if times is None else times[:, 1].astype(np.float64) * tick_ns,
        trace=None if issued is None else _trace(issued),
    )


def _trace(issued: npt.NDArray[np.uint64]) -> npt.NDArray[np.void]:
    """Rows of numbers as records, with the commands' names as data sheets write them."""
    trace = np.zeros(len(issued), TRACE)
    for at, name in enumerate(TRACE.names or ()):
        trace[name] = np.array(DATA_SHEET_NAMES)[issued[:, at]] if name == "command" else issued[:, at]
    return trace

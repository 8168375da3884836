"""Address streams for measuring a memory: sequential, random, blocks, several streams, mixes, one bank only.

These are the streams behind the reference rows of ``tests/fidelity/data/dram``, so that a pattern of one's own can be
put beside them. ``request_bytes`` is G of the definitions there, ``capacity_bytes`` the capacity of the whole memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rdu.errors import TransferError

Addresses = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

# Staggered bases are multiples of a page of 4 KiB.
STAGGER_BYTES = 4096
BASES = ("aligned", "staggered")


class Traffic(NamedTuple):
    """What a reference row asks: addresses, which of them are writes, and how many reads may be outstanding."""

    addresses: Addresses
    is_write: Flags | bool
    outstanding: int | None


def mix64(values: npt.ArrayLike) -> Addresses:
    """A fixed hash of each number to 64 bits (SplitMix64), the source of every random stream here."""
    x: Addresses = np.asarray(values, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def sequential(count: int, request_bytes: int, capacity_bytes: int) -> Addresses:
    """``count`` addresses (bytes), one request after the other."""
    return _within(_counted(count) * np.uint64(request_bytes), capacity_bytes)


def scattered(count: int, request_bytes: int, capacity_bytes: int) -> Addresses:
    """``count`` addresses (bytes), uniformly random, the same at each call."""
    return blocks(count, request_bytes, capacity_bytes, request_bytes)


def blocks(count: int, request_bytes: int, capacity_bytes: int, block_bytes: int) -> Addresses:
    """``count`` addresses (bytes): random blocks of ``block_bytes``, each read from its beginning to its end."""
    _whole(block_bytes, request_bytes, "block_bytes")
    block, inside = _divided(_counted(count), block_bytes // request_bytes)
    start = _within(mix64(block), capacity_bytes // block_bytes) * np.uint64(block_bytes)
    result: Addresses = start + inside * np.uint64(request_bytes)
    return result


def streams(
    count: int,
    request_bytes: int,
    capacity_bytes: int,
    ways: int,
    *,
    chunk_bytes: int | None = None,
    base: str = "staggered",
) -> Addresses:
    """``count`` addresses (bytes) of several sequential streams that take turns.

    Parameters
    ----------
    count, request_bytes, capacity_bytes : int
    ways : int
        Streams.
    chunk_bytes : int, optional
        Bytes of a turn. Default: one request.
    base : {"staggered", "aligned"}
        Aligned streams all start in the same bank and move in lock-step, the worst case.
    """
    chunk = request_bytes if chunk_bytes is None else chunk_bytes
    _whole(chunk, request_bytes, "chunk_bytes")
    turn, inside = _divided(_counted(count), chunk // request_bytes)
    round_, way = _divided(turn, ways)
    position = round_ * np.uint64(chunk) + inside * np.uint64(request_bytes)
    return _bases(ways, capacity_bytes, base)[way] + _within(position, capacity_bytes // ways // 2)


def mixed(
    count: int, request_bytes: int, capacity_bytes: int, *, reads: int = 1, writes: int = 1, base: str = "staggered"
) -> tuple[Addresses, Flags]:
    """A stream of reads and one of writes, each sequential, ``reads`` of the one to ``writes`` of the other.

    Returns
    -------
    addresses : (count,) uint64, bytes
    is_write : (count,) bool
    """
    round_, turn = _divided(_counted(count), reads + writes)
    is_write = turn >= reads
    position = np.where(is_write, round_ * np.uint64(writes) + turn - reads, round_ * np.uint64(reads) + turn)
    start = _bases(2, capacity_bytes, base)[is_write.astype(np.intp)]
    return start + _within(position * np.uint64(request_bytes), capacity_bytes // 4), is_write


def alternating(count: int) -> Flags:
    """``count`` flags: read, write, read, write."""
    result: Flags = np.arange(count) % 2 == 1
    return result


def one_bank(count: int, rows: int, capacity_bytes: int) -> Addresses:
    """``count`` addresses (bytes), each in the next row of the same bank, for a map whose highest bits are the row."""
    return _within(_counted(count) * np.uint64(capacity_bytes // rows), capacity_bytes)


def traffic(pattern: str, params: str, count: int, request_bytes: int, capacity_bytes: int, rows: int) -> Traffic:
    """The traffic of a reference row.

    Parameters
    ----------
    pattern : str
        ``seq_read``, ``rand_write``, ``rand_mix``, ``block_read``, ``streams_read``, ``mix_seq``, ``qd_seq_read`` ...
    params : str
        As in the row: ``block=256``, ``streams=8;base=staggered;chunk=512``, ``r=75;w=25;base=aligned``, ``qd=1``.
    count, request_bytes, capacity_bytes, rows : int
        Requests, and what the memory is like.

    Raises
    ------
    TransferError
        A pattern that does not exist.
    """
    given = dict(item.split("=", 1) for item in params.split(";") if item)
    size = (count, request_bytes, capacity_bytes)
    outstanding = int(given["qd"]) if "qd" in given else None
    kind, _, direction = pattern.removeprefix("qd_").rpartition("_")
    is_write = direction == "write"
    if pattern == "same_bank_row_conflict":
        return Traffic(one_bank(count, rows, capacity_bytes), False, outstanding)
    if pattern == "mix_seq":
        reads, writes = int(given["r"]), int(given["w"])
        common = int(np.gcd(reads, writes))
        return Traffic(*mixed(*size, reads=reads // common, writes=writes // common, base=given["base"]), outstanding)
    if pattern == "rand_mix":
        return Traffic(scattered(*size), alternating(count), outstanding)
    if direction in ("read", "write"):
        if kind == "seq":
            return Traffic(sequential(*size), is_write, outstanding)
        if kind == "rand":
            return Traffic(scattered(*size), is_write, outstanding)
        if kind == "block":
            return Traffic(blocks(*size, int(given["block"])), is_write, outstanding)
        if kind == "streams":
            chunk = None if given.get("chunk", "req") == "req" else int(given["chunk"])
            made = streams(*size, int(given["streams"]), chunk_bytes=chunk, base=given["base"])
            return Traffic(made, is_write, outstanding)
    raise TransferError(
        f"no address stream is called {pattern!r}; for example seq_read, rand_read, block_read, mix_seq"
    )


def _counted(count: int) -> Addresses:
    return np.arange(count, dtype=np.uint64)


def _within(numbers: Addresses, bound: int) -> Addresses:
    """The numbers modulo ``bound``; for a power of two without the many cycles of a division."""
    if bound.bit_count() == 1:
        return numbers & np.uint64(bound - 1)
    result: Addresses = np.remainder(numbers, np.uint64(bound))
    return result


def _divided(numbers: Addresses, by: int) -> tuple[Addresses, Addresses]:
    """Quotients and remainders."""
    quotients: Addresses = numbers // np.uint64(by) if by > 1 else numbers
    return quotients, _within(numbers, by)


def _bases(ways: int, capacity_bytes: int, base: str) -> Addresses:
    """Where each stream starts, in bytes."""
    if base not in BASES:
        raise TransferError(f"base {base!r} is not one of {', '.join(BASES)}")
    aligned = _counted(ways) * np.uint64(capacity_bytes) // np.uint64(ways)
    if base == "aligned":
        return aligned
    pages = capacity_bytes // ways // 2 // STAGGER_BYTES
    return aligned + _within(mix64(1000 + _counted(ways)), pages) * np.uint64(STAGGER_BYTES)


def _whole(bytes_: int, request_bytes: int, name: str) -> None:
    if bytes_ < request_bytes or bytes_ % request_bytes:
        raise TransferError(f"{name} is {bytes_}; give a multiple of request_bytes={request_bytes}")

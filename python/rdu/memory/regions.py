"""Regions of a memory that are read or written at the same time, as one stream of requests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rdu.errors import TransferError
from rdu.memory.requests import number

# 2**27 requests take 1 GiB of addresses; one region alone has no such limit (`Dram.read`, `Dram.write`).
MOST_REQUESTS = 2**27


class Region(NamedTuple):
    """Bytes ``start`` to ``start + nbytes`` of a memory, read or written from its beginning to its end."""

    start: int
    nbytes: int
    is_write: bool = False


def checked(regions: Sequence[Region | tuple[int, int] | tuple[int, int, bool]], capacity_bytes: int) -> list[Region]:
    """The regions, which lie in the memory and share no byte.

    Raises
    ------
    TransferError
        No regions, an empty one, one outside the memory, or two that overlap.
    """
    if not regions:
        raise TransferError("no regions; give at least one (start, nbytes)")
    found = []
    for at, region in enumerate(regions):
        if not 2 <= len(region) <= 3:
            raise TransferError(f"regions[{at}] is {region!r}; give (start, nbytes) or (start, nbytes, is_write)")
        start = number(f"regions[{at}].start", region[0], 0, capacity_bytes - 1)
        nbytes = number(f"regions[{at}].nbytes", region[1], 1, capacity_bytes - start)
        found.append(Region(start, nbytes, bool(region[2]) if len(region) == 3 else False))
    order = sorted(range(len(found)), key=lambda at: found[at].start)
    for one, other in pairwise(order):
        first, second = found[one], found[other]
        if first.start + first.nbytes > second.start:
            raise TransferError(
                f"regions[{one}] (bytes {first.start} to {first.start + first.nbytes}) overlaps regions[{other}]"
                f" (from {second.start}); move one of them"
            )
    return found


def interleaved(
    regions: Sequence[Region], request_bytes: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Addresses, bytes and directions: the regions take turns, a request each, until each is done.

    Returns
    -------
    addresses, nbytes : (n,) uint64
    is_write : (n,) bool
    """
    counts = [-(-region.nbytes // request_bytes) for region in regions]
    if sum(counts) > MOST_REQUESTS:
        raise TransferError(
            f"{sum(counts)} requests are more than {MOST_REQUESTS}; raise request_bytes={request_bytes}"
        )
    turns = np.concatenate([np.arange(count, dtype=np.uint64) for count in counts])
    way = np.repeat(np.arange(len(regions)), counts)
    order = np.argsort(turns, kind="stable")
    turns, way = turns[order], way[order]
    starts, sizes, writes = (np.array(column) for column in zip(*regions, strict=True))
    offsets = turns * np.uint64(request_bytes)
    nbytes = np.minimum(np.uint64(request_bytes), sizes.astype(np.uint64)[way] - offsets)
    return starts.astype(np.uint64)[way] + offsets, nbytes, writes.astype(np.bool_)[way]

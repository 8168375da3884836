"""Transfers: what makes a unit a load or a store unit, and the addresses that it visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import GraphError, TransferError
from ..machine import Machine
from . import checks

# Tiers of every machine, in the engine's order.
TIERS = ("hbm", "ddr")
# The engine keeps a time for each request in flight.
MOST_OUTSTANDING = 1 << 20
# A request is cut into bursts at once.
MOST_BYTES = 1 << 30

# Tier, write, outstanding; (address, run, stride, bytes) of each pattern; and the pattern of each phase.
Port = tuple[int, bool, int, list[tuple[int, int, int, int]], list[int]]


@dataclass(frozen=True, slots=True, init=False)
class Transfer:
    """What a firing asks of memory: ``nbytes`` bytes at the next address of a pattern of runs.

    A firing that transfers sends its request when its ``latency`` has passed. The tokens of a load leave when its
    bytes are there, in the order in which they were asked for; those of a store when memory has taken its bytes. A
    transfer moves time alone: what tokens carry is up to the unit's operator.

    Parameters
    ----------
    tier
        ``"hbm"`` or ``"ddr"``, of the machine that the program is run with.
    address
        Of the first request, bytes from the start of the tier.
    nbytes
        Bytes of one request; it is cut into bursts and spread over the channels.
    write
        Store instead of load.
    run
        Requests that follow each other without a gap.
    stride
        Bytes from the start of one run to that of the next; left out, runs follow each other without a gap. A matrix
        tile of 64-byte vectors is a run for each of its rows, a column is runs of 1; 0 is the same run again.
    outstanding
        Requests of the unit in flight, at most.

    Raises
    ------
    rdu.errors.GraphError
        A tier that no machine has, or a number out of range.

    Examples
    --------
    >>> Transfer("hbm", nbytes=8192)
    Transfer(tier='hbm', address=0, nbytes=8192, write=False, run=1, stride=8192, outstanding=64)
    """

    tier: str
    address: int
    nbytes: int
    write: bool
    run: int
    stride: int
    outstanding: int

    def __init__(
        self,
        tier: str,
        address: int = 0,
        *,
        nbytes: int,
        write: bool = False,
        run: int = 1,
        stride: int | None = None,
        outstanding: int = 64,
    ) -> None:
        if not isinstance(write, bool):
            raise GraphError(f"transfer: write is {checks.shown(write)}; it must be True or False")
        size = checks.integer(nbytes, "transfer: nbytes", 1, MOST_BYTES)
        count = checks.integer(run, "transfer: run", 1)
        found = {
            "tier": checks.known(checks.name(tier, "transfer: tier"), TIERS, "transfer: tier"),
            "address": checks.integer(address, "transfer: address", 0),
            "nbytes": size,
            "write": write,
            "run": count,
            "stride": size * count if stride is None else checks.integer(stride, "transfer: stride", 0),
            "outstanding": checks.integer(outstanding, "transfer: outstanding", 1, MOST_OUTSTANDING),
        }
        for key, value in found.items():
            object.__setattr__(self, key, value)

    def end(self, requests: int) -> int:
        """One past the last byte that so many requests touch."""
        if not requests:
            return self.address
        last, rest = divmod(requests - 1, self.run)
        # All runs but the last are whole, and the last but one reaches furthest where runs overlap.
        whole = (last - 1) * self.stride + self.run * self.nbytes if last else 0
        return self.address + max(whole, last * self.stride + (rest + 1) * self.nbytes)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the transfers of a unit go: the pattern that ends last, and where."""

    unit: str
    transfer: Transfer
    end: int


def checked(value: object, unit: str) -> Transfer | None:
    """The transfer of a unit or phase as given."""
    if value is None or isinstance(value, Transfer):
        return value
    raise GraphError(f"{unit}: transfer is {checks.shown(value)}; make it with rdu.Transfer(...)")


def port(unit: str, transfers: Sequence[Transfer | None]) -> Port | None:
    """The one door of a unit, given the transfer of each phase; phases with an equal transfer go on with each other's.

    Raises
    ------
    rdu.errors.GraphError
        Some phases transfer and others do not, or they need different doors.
    """
    given = [transfer for transfer in transfers if transfer is not None]
    if not given:
        return None
    if len(given) < len(transfers):
        raise GraphError(f"unit {unit!r}: some of its phases transfer and some do not; make these two units")
    first = given[0]
    for key in ("tier", "write", "outstanding"):
        other = next((t for t in given if getattr(t, key) != getattr(first, key)), None)
        if other is not None:
            raise GraphError(
                f"unit {unit!r}: {key} of its transfers is {getattr(first, key)!r} and {getattr(other, key)!r}; "
                "a unit has one door to one tier: make these two units"
            )
    patterns = list(dict.fromkeys(given))
    return (
        TIERS.index(first.tier),
        first.write,
        first.outstanding,
        [(t.address, t.run, t.stride, t.nbytes) for t in patterns],
        [patterns.index(t) for t in given],
    )


def reach(unit: str, transfers: Sequence[Transfer | None], firings: Sequence[int]) -> Reach:
    """How far the transfers of the phases go, each firing as often as ``firings`` says.

    Raises
    ------
    rdu.errors.GraphError
        An address beyond 62 bits.
    """
    counts: dict[Transfer, int] = {}
    for transfer, count in zip(transfers, firings, strict=True):
        if transfer is not None:
            counts[transfer] = counts.get(transfer, 0) + count
    ends = {transfer: transfer.end(count) for transfer, count in counts.items()}
    furthest = max(ends, key=lambda transfer: ends[transfer])
    if (end := ends[furthest]) > checks.MOST:
        raise GraphError(f"unit {unit!r}: its transfers end at byte {checks.shown(end)}; at most {checks.MOST}")
    return Reach(unit, furthest, end)


def check_fits(reaches: Sequence[Reach], machine: Machine) -> None:
    """Every transfer lies in its tier.

    Raises
    ------
    rdu.errors.TransferError
        The unit, its address and the tier's capacity.
    """
    capacities = {"hbm": machine.hbm.capacity_bytes, "ddr": machine.ddr.capacity_bytes}
    for found in reaches:
        tier = found.transfer.tier
        if found.end > capacities[tier]:
            raise TransferError(
                f"unit {found.unit!r}: its transfers from address {found.transfer.address} end at byte {found.end} of "
                f"{tier}, but {tier}.capacity_bytes of machine {machine.name!r} is {capacities[tier]}"
            )

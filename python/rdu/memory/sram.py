"""`rdu.Sram`: tile SRAM by itself. What a vector costs, what overlaps, and which buffer lies where."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, Unpack

import numpy as np

from rdu import _core
from rdu.errors import MemoryDescriptionError, TransferError
from rdu.machine import Machine, machine
from rdu.machine.parameter import shown
from rdu.memory.allocation import Allocation, Buffer, Piece, buffer_of
from rdu.memory.requests import number
from rdu.memory.vector import MOST, Layout, Row, Vector, row
from rdu.memory.vector_cost import PairCost, PingPong, TransposeCost, VectorCost

BANK_PORTS = ("1r1w", "1rw")
MOST_PMUS = 2**20


class Sram:
    """A PMU (pattern memory unit): banks of words behind a read port and a write port.

    Parameters
    ----------
    described : str, path or Machine
        The machine whose ``[pmu]`` section counts; what follows replaces single numbers of it.
    capacity_bytes, banks, bank_bytes, read_bytes_per_cycle, write_bytes_per_cycle, addresses_per_cycle, latency_cycles
        Sizes, in bytes and cycles. ``bank_bytes`` is a bank's word; left out, all banks together are as wide as the
        wider port.
    bank_ports : {"1r1w", "1rw"}
        Whether a bank reads and writes in the same cycle, or does one of both. Assumed: two ports, as 64 bytes each
        way from 16 banks of 4 bytes need them.
    address_per_lane : bool
        Whether lanes at a stride need an address each. Assumed not: base and stride are one address, as in Plasticine
        (ISCA 2017). Gathered lanes need one each.

    Raises
    ------
    MachineError
        An unknown machine.
    MemoryDescriptionError
        A number that cannot be, alone or with the others.

    Notes
    -----
    A vector is described by keywords: ``stride`` in elements (1) or ``stride_bytes``; ``lanes`` (as many as fill the
    port); ``element_bytes`` (4); ``base_bytes`` (0, or for a negative stride what ends at 0); or ``addresses``, in
    bytes, of gathered lanes. ``layout`` is ``"linear"`` (word w in bank w mod banks) or ``"skewed"``: each row of
    ``row_bytes`` shifted by one bank, so that columns conflict no more than rows; left out, a row is as long as the
    stride.

    Examples
    --------
    >>> import rdu
    >>> sram = rdu.Sram("sn40l")
    >>> [sram.cycles(stride=stride) for stride in (1, 2, 3, 4, 8, 16)]
    [1, 2, 1, 4, 8, 16]
    >>> sram.cycles(stride=16, layout="skewed")
    1
    """

    def __init__(
        self,
        described: str | os.PathLike[str] | Machine = "sn40l",
        *,
        capacity_bytes: int | None = None,
        banks: int | None = None,
        bank_bytes: int | None = None,
        read_bytes_per_cycle: int | None = None,
        write_bytes_per_cycle: int | None = None,
        addresses_per_cycle: int | None = None,
        latency_cycles: int | None = None,
        bank_ports: Literal["1r1w", "1rw"] = "1r1w",
        address_per_lane: bool = False,
    ) -> None:
        of = machine(described)
        pmu = of.pmu
        self.name = of.name
        self.pmus = of.total_pmus
        """PMUs of a socket of the machine."""
        self.capacity_bytes = _size("capacity_bytes", capacity_bytes, pmu.capacity_bytes)
        self.banks = _size("banks", banks, pmu.banks)
        self.read_bytes_per_cycle = _size("read_bytes_per_cycle", read_bytes_per_cycle, pmu.read_bytes_per_cycle)
        self.write_bytes_per_cycle = _size("write_bytes_per_cycle", write_bytes_per_cycle, pmu.write_bytes_per_cycle)
        self.addresses_per_cycle = _size("addresses_per_cycle", addresses_per_cycle, pmu.addresses_per_cycle)
        self.latency_cycles = _size("latency_cycles", latency_cycles, pmu.latency_cycles)
        if bank_bytes is None:
            widest = max(self.read_bytes_per_cycle, self.write_bytes_per_cycle)
            if self.banks == 0 or widest % self.banks:
                raise MemoryDescriptionError(
                    f"{self.name}: {self.banks} banks do not share {widest} bytes a cycle evenly; "
                    f"give bank_bytes, the width of a bank's word"
                )
            bank_bytes = widest // self.banks
        self.bank_bytes = _size("bank_bytes", bank_bytes, 0)
        if bank_ports not in BANK_PORTS:
            raise MemoryDescriptionError(f"{self.name}: bank_ports is {shown(bank_ports)}; give '1r1w' or '1rw'")
        self.bank_ports = bank_ports
        self.address_per_lane = bool(address_per_lane)
        sizes = (
            *(self.capacity_bytes, self.banks, self.bank_bytes, self.read_bytes_per_cycle),
            *(self.write_bytes_per_cycle, self.addresses_per_cycle, self.latency_cycles),
        )
        self._pmu = _core.Sram(self.name, sizes, bank_ports == "1r1w", self.address_per_lane)

    @property
    def line_bytes(self) -> int:
        """Bytes of a line: one word of each bank."""
        return self.banks * self.bank_bytes

    def access(self, *, port: Literal["read", "write"] = "read", **vector: Unpack[Vector]) -> VectorCost:
        """The exact cost of one vector.

        Raises
        ------
        TransferError
            A vector that is not inside the SRAM, has no lanes or bytes, or a layout that tears lines.
        """
        if port not in ("read", "write"):
            raise TransferError(f"port is {shown(port)}; give 'read' or 'write'")
        write = port == "write"
        width = self.write_bytes_per_cycle if write else self.read_bytes_per_cycle
        return VectorCost(*self._pmu.cost(self._row(vector, width), write), width)

    def cycles(self, *, port: Literal["read", "write"] = "read", **vector: Unpack[Vector]) -> int:
        """Cycles of a vector: the most words in any bank, or what the port or the addresses take if that is more."""
        return self.access(port=port, **vector).cycles

    def conflicts(self, *, port: Literal["read", "write"] = "read", **vector: Unpack[Vector]) -> int:
        """Those of a vector's cycles that bank conflicts cost."""
        return self.access(port=port, **vector).conflict_cycles

    def bank_words(self, **vector: Unpack[Vector]) -> list[int]:
        """Distinct words that a vector touches in each bank."""
        return self._pmu.bank_words(self._row(vector, self.read_bytes_per_cycle))

    def pair(self, write: Vector | None = None, read: Vector | None = None) -> PairCost:
        """Cycles of a firing that writes one vector and reads another; by default each fills its port."""
        return PairCost(*self._pmu.pair(*self._both(write, read)))

    def ping_pong(
        self,
        vectors: int,
        blocks: int,
        *,
        buffers: int = 2,
        read_vectors: int | None = None,
        write: Vector | None = None,
        read: Vector | None = None,
    ) -> PingPong:
        """Blocks through ``buffers`` equal parts of the SRAM in turn: one fills while another drains.

        Parameters
        ----------
        vectors, read_vectors : int
            Vectors written per block, and read if that is another number.
        blocks, buffers : int
            Blocks in all, and parts; 2 is the double buffer, 1 has no overlap.
        write, read : Vector
            How each vector touches the banks; by default it fills its port.
        """
        reads = vectors if read_vectors is None else read_vectors
        given = {"vectors": vectors, "read_vectors": reads, "blocks": blocks, "buffers": buffers}
        written, drained, rounds, parts = (number(name, value, 1, 2**30) for name, value in given.items())
        return PingPong(*self._pmu.ping_pong(*self._both(write, read), (written, drained, rounds, parts)))

    def transpose(
        self,
        rows: int,
        columns: int,
        *,
        element_bytes: int = 2,
        pitch_bytes: int | None = None,
        base_bytes: int = 0,
        layout: Layout = "skewed",
    ) -> TransposeCost:
        """A matrix of ``rows`` × ``columns``, stored row by row, read by columns in vectors as wide as the port.

        Parameters
        ----------
        element_bytes : int
            Bytes of an element; several in one word leave it one after the other, and it is read once.
        pitch_bytes : int, optional
            From one row to the next; by default the rows, padded to whole lines.
        layout : {"skewed", "linear"}
            Skewed by rows of ``pitch_bytes``, or not.
        """
        if layout not in ("linear", "skewed"):
            raise TransferError(f"layout is {shown(layout)}; give one of 'linear', 'skewed'")
        down, across = number("rows", rows, 1, MOST), number("columns", columns, 1, MOST)
        element = number("element_bytes", element_bytes, 1, MOST)
        line = self.line_bytes
        padded = -(-across * element // line) * line
        pitch = padded if pitch_bytes is None else number("pitch_bytes", pitch_bytes, 1, MOST)
        shape = (number("base_bytes", base_bytes, 0, MOST), down, across, element, min(pitch, 2**62))
        return TransposeCost(*self._pmu.transpose(shape, None if layout == "linear" else min(pitch, 2**62)))

    def allocate(
        self,
        buffers: Sequence[Buffer | Mapping[str, object]],
        *,
        pmus: int = 1,
        split: bool | int = False,
    ) -> Allocation:
        """Offsets for buffers with lifetimes: those alive at the same step never overlap.

        Parameters
        ----------
        buffers : sequence of Buffer or mapping
            ``name``, ``bytes``, ``first_use``, ``last_use`` (steps of the schedule, both included) and, if not
            the width of the read port, ``alignment_bytes``.
        pmus : int
            PMUs there are; `pmus` of this class has those of a socket.
        split : bool or int
            Whether a buffer that fits nowhere whole may be split over PMUs, at multiples of so many bytes (True: of
            the read port's width).

        Raises
        ------
        SramFullError
            Names the buffer that found no place, who holds the space, and what would fit.
        TransferError
            A buffer without bytes, that ends before it begins, or with another's name.
        """
        vector = 1 << (self.read_bytes_per_cycle - 1).bit_length()
        made = [buffer_of(buffer, at, vector) for at, buffer in enumerate(buffers)]
        count = number("pmus", pmus, 1, MOST_PMUS)
        unit: int | None = None
        if split is not False:
            unit = min(vector, self.line_bytes) if split is True else number("split", split, 1, MOST)
        rows = [(b.name, b.bytes, b.alignment_bytes, b.first_use, b.last_use) for b in made]
        pieces, least, step, tops = _core.allocate_sram(rows, self.capacity_bytes, count, unit)
        return Allocation(
            buffers=tuple(made),
            pieces=tuple(Piece(made[at].name, pmu, offset, size) for at, pmu, offset, size in pieces),
            capacity_bytes=self.capacity_bytes,
            pmus=count,
            lower_bound_bytes=least,
            fullest_step=step,
            pmu_high_water_bytes=tuple(tops),
        )

    def to_dict(self) -> dict[str, int | str | bool]:
        """The description, of plain types."""
        return {
            "name": self.name,
            "capacity_bytes": self.capacity_bytes,
            "banks": self.banks,
            "bank_bytes": self.bank_bytes,
            "read_bytes_per_cycle": self.read_bytes_per_cycle,
            "write_bytes_per_cycle": self.write_bytes_per_cycle,
            "addresses_per_cycle": self.addresses_per_cycle,
            "latency_cycles": self.latency_cycles,
            "bank_ports": self.bank_ports,
            "address_per_lane": self.address_per_lane,
        }

    def __repr__(self) -> str:
        sizes = ", ".join(f"{key}={value!r}" for key, value in self.to_dict().items() if key != "name")
        return f"Sram({self.name!r}, {sizes})"

    def _row(self, vector: Mapping[str, object], port_bytes: int) -> Row:
        return row(vector, port_bytes=port_bytes, line_bytes=self.line_bytes)

    def _both(self, write: Vector | None, read: Vector | None) -> tuple[Row, Row]:
        return self._row(write or {}, self.write_bytes_per_cycle), self._row(read or {}, self.read_bytes_per_cycle)


def _size(name: str, given: int | None, default: int) -> int:
    """A number of the description; its bounds are the engine's."""
    if given is None:
        return default
    if isinstance(given, bool | np.bool_) or not isinstance(given, int | np.integer) or not 0 <= given < 2**63:
        raise MemoryDescriptionError(f"{name} is {shown(given)}; give a whole number of at least 1")
    return int(given)

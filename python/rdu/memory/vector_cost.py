"""What vectors cost a PMU: one alone, blocks through buffers in turn, a matrix by columns."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class VectorCost:
    """The cost of one vector.

    Attributes
    ----------
    cycles : int
        Cycles until the port takes the next vector: the ``ii`` of a unit that hands on such vectors.
    conflict_cycles : int
        Those of them that a layout without bank conflicts would save.
    words, busiest_bank_words : int
        Distinct words that are touched, in all banks and in the fullest.
    addresses : int
        Addresses that are generated for it.
    bytes : int
        Bytes that the lanes ask for.
    port_bytes_per_cycle : int
        Width of the port.
    """

    cycles: int
    conflict_cycles: int
    words: int
    busiest_bank_words: int
    addresses: int
    bytes: int
    port_bytes_per_cycle: int

    @property
    def port_fraction(self) -> float:
        """Bytes asked for ÷ what the port moves in these cycles; above 1 where lanes share bytes."""
        return self.bytes / (self.cycles * self.port_bytes_per_cycle)

    def to_dict(self) -> dict[str, int | float]:
        """All numbers, ``port_fraction`` among them."""
        return {**asdict(self), "port_fraction": self.port_fraction}


@dataclass(frozen=True)
class PairCost:
    """A vector written and a vector read in turn: cycles between two pairs, and those of them that banks cost."""

    cycles: int
    conflict_cycles: int

    def to_dict(self) -> dict[str, int]:
        """Both numbers."""
        return asdict(self)


@dataclass(frozen=True)
class PingPong:
    """Blocks through buffers in turn: one fills while another drains.

    Attributes
    ----------
    elapsed_cycles : int
        From the first write to the last read.
    write_cycles, write_space_cycles : int
        Cycles of the write port at work, and those in which it waited for a buffer to drain.
    read_cycles, read_data_cycles : int
        Cycles of the read port at work, and those in which it waited for a buffer to fill.
    overlap_cycles : int
        Cycles in which both worked.
    contention_cycles : int
        Cycles that vectors waited for banks or addresses of the other port; part of the work.
    """

    elapsed_cycles: int
    write_cycles: int
    write_space_cycles: int
    read_cycles: int
    read_data_cycles: int
    overlap_cycles: int
    contention_cycles: int

    def to_dict(self) -> dict[str, int]:
        """All numbers."""
        return asdict(self)


@dataclass(frozen=True)
class TransposeCost:
    """A matrix read by columns.

    Attributes
    ----------
    cycles, conflict_cycles : int
        Cycles of the read port, and those of them that bank conflicts cost.
    vectors : int
        Vectors that leave: pieces of columns. At full rate there is one a cycle.
    """

    cycles: int
    conflict_cycles: int
    vectors: int

    def to_dict(self) -> dict[str, int]:
        """All numbers."""
        return asdict(self)

"""What the allocation of a kernel says: units and lanes of each operator, buffers, and places in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from rdu.compiler.formats import VECTOR_BYTES
from rdu.compiler.fuse import Stretch
from rdu.graph import Operator
from rdu.machine import Machine


@dataclass(frozen=True)
class Linear:
    """How one linear operator is spread: ``units`` side by side over its tiles, each sum cut into ``splits`` parts.

    Lane ``s * units + u`` holds part s of tiles u, u + units, u + 2 units, ... All lanes do the same work: what is
    missing in the last round, or in a shorter part, is padding, which is moved and counted. ``taken`` vectors of
    activations make a chunk of the reduced dimension, which is as wide as a tile (``width`` outputs). ``inner`` and
    ``chunk`` count the weight vectors of a tile, and of a chunk of it. The gather has ``ports`` PCUs: as many as take
    what comes in.
    """

    tiles: int
    inner: int
    units: int
    splits: int
    width: int
    chunk: int
    taken: int = 1
    ports: int = 1

    @property
    def work(self) -> int:
        """Weight vectors of all tiles."""
        return self.tiles * self.inner

    @property
    def products(self) -> Fraction:
        """Multiply-adds of a weight vector and a position; of blocks the mean, since some vectors carry scales."""
        return Fraction(self.width * self.width, self.chunk)

    @property
    def macs(self) -> int:
        """PCUs that multiply: the lanes."""
        return self.units * self.splits

    @property
    def rounds(self) -> int:
        """Tiles that each lane works on, one after another."""
        return -(-self.tiles // self.units)

    @property
    def chunks(self) -> int:
        """Chunks of the reduced dimension."""
        return -(-self.inner // self.chunk)

    @property
    def part_chunks(self) -> int:
        """Chunks of the longest part."""
        return -(-self.chunks // self.splits)

    @property
    def held_chunks(self) -> int:
        """Activation vectors of the longest part."""
        return self.part_chunks * self.taken

    @property
    def part(self) -> int:
        """Weight vectors of a lane and round: of the longest part."""
        return min(self.part_chunks * self.chunk, self.inner)

    @property
    def vectors_per_unit(self) -> int:
        """Weight vectors that each lane takes."""
        return self.rounds * self.part

    @property
    def vectors(self) -> int:
        """Weight vectors of all lanes, padding included."""
        return self.vectors_per_unit * self.macs

    def part_of(self, split: int) -> tuple[int, int]:
        """(first chunk, length in weight vectors) of a part."""
        first, end = (at * self.chunks // self.splits for at in (split, split + 1))
        return first, min(end * self.chunk, self.inner) - first * self.chunk


@dataclass(frozen=True)
class Attend:
    """How one attention operator is spread over its cached heads (of all sequences).

    ``units`` heads at a time, ``rounds`` times; of each head, ``dots`` units score its key rows, every one its own
    rows; ``parts`` times ``mixes`` units add its value rows, every one its own vectors of its own rows. ``padded``
    vectors make a row of the heads that are worked on at a time, so that rows and granules divide each other. Query
    rows of a head are shared by ``shares`` sets of these units, where there are many: in a prompt.
    """

    heads: int
    units: int
    dots: int
    parts: int
    mixes: int
    per_head: int
    padded: int

    shares: int = 1

    @property
    def rounds(self) -> int:
        """Heads that each unit works on, one after another."""
        return self.heads // self.units

    @property
    def pcus(self) -> int:
        """PCUs beside the aligners: dots, softmax and mixes."""
        return self.units * self.shares * (self.dots + 1 + self.parts * self.mixes)


@dataclass(frozen=True)
class Wave:
    """How prompts stream through a kernel: in a call ``count`` waves of ``rows`` positions, for each of ``sequences``.
    A prompt takes ``blocks`` such calls; each reads the weights once, and the cached rows of the blocks before it once,
    to keep them on chip, or (``streamed``) for every wave.
    """

    rows: int
    count: int
    sequences: int = 1
    blocks: int = 1
    streamed: bool = False

    @property
    def block(self) -> int:
        """Positions of a sequence in a call."""
        return self.rows * self.count

    @property
    def positions(self) -> int:
        """Positions of a call."""
        return self.block * self.sequences

    @property
    def context(self) -> int:
        """Positions that the last wave of the last block sees."""
        return self.block * self.blocks

    @property
    def kept(self) -> int:
        """Positions whose keys and values are on chip at a time."""
        return self.block if self.streamed else self.context


@dataclass
class Allocation:
    """The choices for one region, the same for every number of positions (they fix the order of addition)."""

    granule_bytes: int
    # Of a prompt: its waves; and links side by side for its activations.
    wave: Wave | None = None
    width: int = 1
    linears: dict[str, Linear] = field(default_factory=dict)
    attends: dict[str, Attend] = field(default_factory=dict)
    weight_offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    weight_bytes: int = 0
    # By the offset of a stretch's first weight: bytes of one of its layers.
    layer_bytes: dict[int, int] = field(default_factory=dict)
    buffer_vectors: dict[str, int] = field(default_factory=dict)

    @property
    def granule(self) -> int:
        """Vectors of a granule."""
        return self.granule_bytes // VECTOR_BYTES

    def offsets_of(self, stretch: Stretch) -> dict[tuple[str, int], int]:
        """Where the weights of the stretch's first layer lie, in order."""
        names = {op.name for op in stretch.operators}
        return {key: offset for key, offset in self.weight_offsets.items() if key[0] in names}

    def layer_bytes_of(self, stretch: Stretch) -> int:
        """From the weights of one layer to those of the next."""
        mine = self.offsets_of(stretch)
        return self.layer_bytes[min(mine.values())] if mine else 0


@dataclass(frozen=True)
class Placed:
    """The weights of one layer: whose they are, and where each lies from ``base`` on, in order."""

    operators: tuple[Operator, ...]
    offsets: tuple[int, ...]
    weight_bytes: int
    base: int


def granule_bytes(machine: Machine) -> int:
    """One round over the channels of HBM: the least that moves the same number of bytes on each."""
    return machine.hbm.channels * machine.hbm.interleave_bytes


def socket_bytes(machine: Machine) -> int:
    """From an address of one socket's HBM to the same one of the next's, where values of all are kept side by side."""
    return whole(machine.hbm.capacity_bytes, granule_bytes(machine))


def agcu_cycles(machine: Machine) -> int:
    """Cycles that an AGCU takes for a vector."""
    agcu = machine.agcu
    return max(agcu.issue_cycles, -(-VECTOR_BYTES // agcu.bytes_per_cycle))


def pmus_for(machine: Machine, byte_count: int) -> int:
    """PMUs that hold this many bytes; at least one."""
    return max(1, -(-byte_count // machine.pmu.capacity_bytes))


def whole(byte_count: int, granule: int) -> int:
    """Bytes padded to whole granules."""
    return -(-byte_count // granule) * granule

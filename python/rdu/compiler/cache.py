"""How cached rows of keys and values lie in memory: in the order of need, in whole granules."""

from __future__ import annotations

from dataclasses import dataclass

from rdu.compiler.allocation import Attend, whole
from rdu.compiler.formats import VECTOR_BYTES, Format, row_bytes
from rdu.graph import Attention
from rdu.machine.sections import Mapping


@dataclass(frozen=True)
class CacheLayout:
    """The cache of one attention operator.

    A row holds one position of all heads that are worked on at a time, padded to ``row_vectors``; its real bytes are
    ``row_bytes``. ``rounds`` such regions of ``rows`` rows make the keys of a layer, as many its values.
    """

    rows: int
    row_bytes: int
    row_vectors: int
    granule_bytes: int
    dots: int
    rounds: int

    @property
    def padded_bytes(self) -> int:
        """Bytes of a row in the emulated memory."""
        return self.row_vectors * VECTOR_BYTES

    @property
    def keys_bytes(self) -> int:
        """Bytes of the keys (or values) of a layer."""
        whole_rows = -(-self.rows // self.dots) * self.dots
        return self.rounds * whole(whole_rows * self.padded_bytes, self.granule_bytes)

    @property
    def layer_bytes(self) -> int:
        """From the cache of one layer to that of the next."""
        return 2 * self.keys_bytes

    def key_rounds(self, seen: int) -> int:
        """Firings' worth of rows: ``dots`` at a time."""
        return -(-seen // self.dots)

    def granules(self, seen: int) -> int:
        """Transfers that bring ``seen`` rows of the heads worked on at a time, whole rounds of them."""
        return -(-self.key_rounds(seen) * self.dots * self.padded_bytes // self.granule_bytes)

    def rest(self, seen: int) -> int:
        """Rows in those transfers that nobody asked for."""
        return self.granules(seen) * self.granule_bytes // self.padded_bytes - self.key_rounds(seen) * self.dots

    def stored_granules(self, rows: int) -> int:
        """Transfers that write so many new rows: where several rows fill a granule they may begin within one."""
        count = -(-rows * self.padded_bytes // self.granule_bytes)
        return count + (rows > 1 and self.padded_bytes < self.granule_bytes)


def cache_layout(
    a: Attention, shape: Attend, form: Format, context: int, granule: int, mapping: Mapping
) -> CacheLayout:
    """The layout for ``context`` positions, and what is left of the tile that the last of them begins."""
    return CacheLayout(
        rows=context + mapping.cache_tile - 1,
        row_bytes=a.kv_heads * row_bytes(a.head_dim, form.operand),
        row_vectors=shape.padded,
        granule_bytes=granule,
        dots=shape.dots,
        rounds=shape.rounds,
    )

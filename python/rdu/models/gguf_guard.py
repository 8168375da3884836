"""A bounded walk over a GGUF header, before the ``gguf`` library is let at it.

The library trusts every count in the file: one that lies sends it through 2**60 iterations or into an allocation of
the same size. This walk steps over the same bytes with every length held against the file's own.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from rdu.errors import CheckpointError

STRING, ARRAY = 8, 9
SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
LARGEST_ARRAY = 1 << 20  # elements; four times the largest vocabulary in use, and a bound on the library's time
LARGEST_RANK = 4


class _Walk:
    """A position in the file that never passes its end."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data = data
        self.path = path
        self.at = 0

    def error(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: damaged GGUF header at byte {self.at}: {what}; download it again")

    def skip(self, count: int, what: str) -> int:
        start = self.at
        if count > len(self.data) - start:
            raise self.error(f"{what} of {count} bytes in a file of {len(self.data)}")
        self.at = start + count
        return start

    def u32(self, what: str) -> int:
        return int(struct.unpack_from("<I", self.data, self.skip(4, what))[0])

    def u64(self, what: str) -> int:
        return int(struct.unpack_from("<Q", self.data, self.skip(8, what))[0])

    def string(self, what: str) -> bytes:
        length = self.u64(what)
        start = self.skip(length, what)
        return self.data[start : start + length]

    def value(self, key: str) -> None:
        kind = self.u32(f"type of {key}")
        if kind == STRING:
            self.string(key)
        elif kind == ARRAY:
            self.array(key)
        elif kind in SCALAR_BYTES:
            self.skip(SCALAR_BYTES[kind], key)
        else:
            raise self.error(f"{key} is of value type {kind}, which GGUF does not have")

    def array(self, key: str) -> None:
        kind, count = self.u32(f"type of {key}"), self.u64(f"length of {key}")
        if count > LARGEST_ARRAY:
            raise self.error(f"{key} has {count} elements; accepted: up to {LARGEST_ARRAY}")
        if kind == STRING:
            for _ in range(count):
                self.skip(self.u64(key), key)
        elif kind in SCALAR_BYTES:
            self.skip(count * SCALAR_BYTES[kind], key)
        else:
            raise self.error(f"{key} is an array of value type {kind}; accepted: numbers or strings")


def guard_gguf(path: Path) -> int:
    """Walk the header of ``path``; return the elements in its arrays and tensors (what the library will loop over).

    Raises
    ------
    CheckpointError
        No GGUF file of version 2 or 3, little-endian; a count or length beyond the end of the file.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _walk(_Walk(data, path))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:  # mmap of an empty file
        raise CheckpointError(f"{path}: not a GGUF file ({error})") from error


def _walk(walk: _Walk) -> int:
    if walk.data[:4] != b"GGUF":
        raise CheckpointError(f"{walk.path}: not a GGUF file (it does not begin with the bytes GGUF)")
    walk.skip(4, "magic")
    version = walk.u32("version")
    if version not in (2, 3):
        raise CheckpointError(f"{walk.path}: GGUF version {version}; accepted: 2 and 3, little-endian")
    tensors, keys = walk.u64("tensor count"), walk.u64("key count")
    steps = 0
    for _ in range(keys):  # each turn passes at least 13 bytes, so a lying count meets the end of the file
        name = walk.string("key name").decode(errors="replace")
        before = walk.at
        walk.value(name)
        steps += walk.at - before
    for _ in range(tensors):
        name = walk.string("tensor name").decode(errors="replace")
        rank = walk.u32(f"rank of {name}")
        if not 1 <= rank <= LARGEST_RANK:
            raise walk.error(f"tensor {name} has {rank} dimensions; accepted: 1 to {LARGEST_RANK}")
        elements = 1
        for _ in range(rank):
            elements *= walk.u64(f"shape of {name}")
        # 256 weights take no less than 33 bytes in any type
        if not 0 < elements <= 8 * len(walk.data):
            raise walk.error(f"tensor {name} has {elements} elements in a file of {len(walk.data)} bytes")
        walk.u32(f"type of {name}")
        if walk.u64(f"offset of {name}") > len(walk.data):
            raise walk.error(f"tensor {name} begins beyond the end of the file")
    return steps

"""The header of a GGUF file, read by the ``gguf`` library: metadata, and where each tensor lies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rdu.errors import CheckpointError
from rdu.models.extras import LLM, needs
from rdu.models.gguf_cache import cached_header, store_header
from rdu.models.gguf_guard import guard_gguf

ACCEPTED_TYPES = (
    *("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"),
    *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
)
WORTH_CACHING_BYTES = 100_000  # of metadata; less than that the library reads in some 50 ms


@dataclass(frozen=True)
class GgufTensor:
    """One tensor: its type by name, its shape (rows first, as numpy has it), where its bytes lie in the file."""

    type_name: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class GgufHeader:
    """Metadata by key, tensors by name."""

    metadata: Mapping[str, object]
    tensors: Mapping[str, GgufTensor]


def read_header(path: Path, cache_dir: str | os.PathLike[str] | None = None) -> GgufHeader:
    """The header of ``path``: from the cache if it was read before, else by the library, which may take seconds.

    Raises
    ------
    CheckpointError
        A file that is cut, whose counts or offsets lie, or with tensors of a type that rdu does not read.
    """
    header = _from_json(cached_header(path, cache_dir))
    if header is None:
        metadata_bytes = guard_gguf(path)
        header = _read_with_library(path)
        if metadata_bytes >= WORTH_CACHING_BYTES:
            store_header(path, _to_json(header), cache_dir)
    _check_bounds(header, path)
    return header


def _read_with_library(path: Path) -> GgufHeader:
    with needs(LLM):
        import gguf
    import numpy as np

    try:
        reader = gguf.GGUFReader(path)
        metadata: dict[str, object] = {}
        for key, field in reader.fields.items():
            value = field.contents()
            if field.types == [gguf.GGUFValueType.FLOAT32]:
                value = float(str(np.float32(value)))  # 1e-05 as it was written, not 9.999999747378752e-06
            metadata[key] = value
        tensors = {}
        for tensor in reader.tensors:
            shape = tuple(int(n) for n in reversed(tensor.shape.tolist()))
            tensors[tensor.name] = GgufTensor(tensor.tensor_type.name, shape, tensor.data_offset, tensor.n_bytes)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{path}: damaged GGUF file ({error}); is it cut? download it again") from error
    return GgufHeader(metadata, tensors)


def _check_bounds(header: GgufHeader, path: Path) -> None:
    length = path.stat().st_size
    for name, tensor in header.tensors.items():
        if tensor.type_name not in ACCEPTED_TYPES:
            accepted = ", ".join(ACCEPTED_TYPES)
            raise CheckpointError(f"{path}: tensor {name} is of type {tensor.type_name}; accepted: {accepted}")
        if tensor.offset + tensor.size_bytes > length:
            raise CheckpointError(
                f"{path}: tensor {name} ends at byte {tensor.offset + tensor.size_bytes} of a file of {length}; "
                "the file is cut, download it again"
            )


def _to_json(header: GgufHeader) -> dict[str, object]:
    tensors = {n: [t.type_name, list(t.shape), t.offset, t.size_bytes] for n, t in header.tensors.items()}
    return {"metadata": dict(header.metadata), "tensors": tensors}


def _from_json(stored: dict[str, object] | None) -> GgufHeader | None:
    """None for anything that is not what `_to_json` writes: a damaged entry is read anew, never an error."""
    if stored is None:
        return None
    metadata, rows = stored.get("metadata"), stored.get("tensors")
    if not isinstance(metadata, dict) or not isinstance(rows, dict) or not rows:
        return None
    tensors = {}
    for name, row in rows.items():
        match row:
            case [str(kind), [*shape], int(offset), int(size)] if all(isinstance(n, int) for n in shape):
                tensors[name] = GgufTensor(kind, tuple(shape), offset, size)
            case _:
                return None
    return GgufHeader(metadata, tensors)

"""Weights of a Hugging Face folder: one ``model.safetensors``, or shards named by an index."""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from rdu.blocks import Blocks
from rdu.errors import CheckpointError
from rdu.models.arrays import Weights, map_file, view
from rdu.models.settings import read_json
from rdu.models.tensors import ignored

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
STORED = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Slot:
    """Where a tensor lies: byte ``offset`` from the start of ``file``."""

    file: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]


class FolderTensors:
    """The tensors of a Hugging Face folder, memory-mapped.

    Raises
    ------
    CheckpointError
        A header that is cut or lies about sizes, a shard that is missing, a shard name that leaves the folder, a tensor
        in two shards or of a dtype other than bf16, fp16 and fp32, a file that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.slots: dict[str, Slot] = {}
        index = None if (folder / SINGLE).exists() else _read_index(folder)
        for file in [folder / SINGLE] if index is None else [folder / name for name in dict.fromkeys(index.values())]:
            for name, slot in _read_shard(file).items():
                if name in self.slots:
                    raise CheckpointError(f"{file}: tensor {name} is also in {self.slots[name].file.name}")
                self.slots[name] = slot
        for name, shard in (index or {}).items():
            if name not in self.slots or self.slots[name].file.name != shard:
                raise CheckpointError(
                    f"{folder / INDEX}: tensor {name} is said to be in {shard}, which does not hold it"
                )
        self.shapes = {name: slot.shape for name, slot in self.slots.items()}
        self._mapped = {file: map_file(file) for file in dict.fromkeys(slot.file for slot in self.slots.values())}
        self.files = tuple(self._mapped)

    @property
    def dtype(self) -> str:
        """The storage type of most elements: ``bfloat16``, ``float16`` or ``float32``."""
        elements: Counter[str] = Counter()
        for slot in self.slots.values():
            elements[slot.dtype] += math.prod(slot.shape)
        return elements.most_common(1)[0][0]

    def blocks(self, name: str) -> Blocks | None:
        """None: nothing is stored in blocks."""
        return None

    def tensor(self, name: str) -> Weights:
        """A read-only view of the tensor in its storage type."""
        slot = self.slots[name]
        return view(self._mapped[slot.file], slot.offset, slot.dtype, slot.shape)


def _read_index(folder: Path) -> dict[str, str]:
    path = folder / INDEX
    if not path.exists():
        raise CheckpointError(
            f"{folder}: no weights; accepted: {SINGLE}, or {INDEX} with its shards (other formats: convert them first)"
        )
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path}: weight_map is missing or empty; accepted: tensor names to shard file names")
    for name, shard in weight_map.items():
        # an index comes with a stranger's model: it may name files of this folder only
        if not isinstance(shard, str) or not _plain(shard):
            raise CheckpointError(
                f"{path}: tensor {name} is said to be in {shard!r}; accepted: the plain name of a .safetensors file "
                "in this folder"
            )
        if not (folder / shard).exists():
            raise CheckpointError(f"{path}: shard {shard} is missing; download it again")
    return weight_map


def _plain(shard: str) -> bool:
    one_part = shard == PurePosixPath(shard).name == PureWindowsPath(shard).name
    return one_part and shard.endswith(".safetensors") and "\0" not in shard


def _read_shard(file: Path) -> dict[str, Slot]:
    """Names and places in one file, by the safetensors library, which checks the header against the file's length."""
    from safetensors import SafetensorError, safe_open

    slots: dict[str, Slot] = {}
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
        with safe_open(str(file), framework="numpy") as opened:
            offset = 8 + struct.unpack("<Q", start)[0]
            for name in opened.offset_keys():  # the format has no holes: each tensor starts where the last one ended
                part = opened.get_slice(name)
                stored, shape = str(part.get_dtype()), tuple(int(n) for n in part.get_shape())
                if stored not in (ITEM_BYTES if ignored(name) else STORED):
                    raise CheckpointError(f"{file}: tensor {name} is stored as {stored}; accepted: {', '.join(STORED)}")
                if stored in STORED:
                    slots[name] = Slot(file, offset, STORED[stored], shape)
                offset += math.prod(shape) * ITEM_BYTES[stored]
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError, struct.error) as error:
        raise CheckpointError(f"{file}: damaged safetensors file ({error}); download it again") from error
    if not slots:
        raise CheckpointError(f"{file}: holds no tensors")
    return slots

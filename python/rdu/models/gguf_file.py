"""Weights of a GGUF file under Hugging Face names, in Hugging Face's row order."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rdu.blocks import BLOCK_BYTES, BLOCK_WEIGHTS, Blocks
from rdu.errors import CheckpointError
from rdu.models.arrays import Weights, map_file, view
from rdu.models.config import DecoderConfig
from rdu.models.extras import LLM, needs
from rdu.models.gguf_config import gguf_config
from rdu.models.gguf_header import GgufHeader, GgufTensor
from rdu.models.gguf_names import ROPE_FACTORS, hf_name
from rdu.program import dequantize

PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class GgufTensors:
    """The tensors of a GGUF file: views of plain ones, float32 copies of quantised ones.

    Raises
    ------
    CheckpointError
        From the constructor: metadata that makes no decoder.
    """

    def __init__(self, path: Path, header: GgufHeader) -> None:
        self.path = path
        self.files = (path,)
        self._data = map_file(path)
        self._tensors = dict(header.tensors)
        factors = self._tensors.pop(ROPE_FACTORS, None)
        self.config: DecoderConfig = gguf_config(header, str(path), self._factors(factors))
        self._permuted = header.metadata["general.architecture"] == "llama"
        self._names = {hf_name(name): name for name in self._tensors}
        self.shapes = {name: self._tensors[stored].shape for name, stored in self._names.items()}

    @property
    def dtype(self) -> str:
        """The storage type of most elements: ``float32``, ``float16``, ``bfloat16``, or llama.cpp's name (``Q4_1``)."""
        elements: Counter[str] = Counter()
        for tensor in self._tensors.values():
            elements[tensor.type_name] += math.prod(tensor.shape)
        name = elements.most_common(1)[0][0]
        return PLAIN.get(name, name)

    def tensor(self, name: str) -> Weights:
        """The tensor in its storage type, or float32 if it is quantised."""
        return self._ordered(name, self._read(self._names[name], self._tensors[self._names[name]]))

    def blocks(self, name: str) -> Blocks | None:
        """The tensor as it is stored; None if not in blocks of a kind that rdu runs."""
        tensor = self._tensors[self._names[name]]
        kind = tensor.type_name.lower()
        if kind not in BLOCK_BYTES or len(tensor.shape) != 2:
            return None
        rows, columns = tensor.shape
        row_bytes = columns // BLOCK_WEIGHTS * BLOCK_BYTES[kind]

        def read() -> npt.NDArray[np.uint8]:
            stored = self._stored(tensor)
            if stored.size != rows * row_bytes:
                raise CheckpointError(
                    f"{self.path}: tensor {self._names[name]} has {stored.size} bytes of {tensor.type_name}; rows of "
                    f"{columns} make {rows * row_bytes}: the file is damaged, download it again"
                )
            return self._ordered(name, stored.reshape(rows, row_bytes))

        return Blocks(kind, read)

    def _ordered(self, name: str, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rows of Q and K, and the elements of their biases, in Hugging Face's order."""
        if self._permuted and ".self_attn.q_proj." in name:
            return half_split_rows(rows, self.config.heads)
        if self._permuted and ".self_attn.k_proj." in name:
            return half_split_rows(rows, self.config.kv_heads)
        return rows

    def _stored(self, tensor: GgufTensor) -> npt.NDArray[np.uint8]:
        """The bytes of a quantised tensor. Not by the map: its pages would count as ours while the file is open."""
        return np.fromfile(self.path, np.uint8, tensor.size_bytes, offset=tensor.offset)

    def _factors(self, tensor: GgufTensor | None) -> tuple[float, ...]:
        if tensor is None:
            return ()
        return tuple(float(x) for x in self._read(ROPE_FACTORS, tensor).astype(np.float32).ravel())

    def _read(self, stored: str, tensor: GgufTensor) -> Weights:
        if tensor.type_name in PLAIN:
            return view(self._data, tensor.offset, PLAIN[tensor.type_name], tensor.shape)
        blocks = self._stored(tensor)
        widened = dequantize(tensor.type_name, blocks)
        if widened is not None and widened.size == math.prod(tensor.shape):
            return widened.reshape(tensor.shape)
        with needs(LLM):
            import gguf

        kind = gguf.GGMLQuantizationType[tensor.type_name]
        try:
            dequantized = gguf.quants.dequantize(blocks.reshape(*tensor.shape[:-1], -1), kind)
            return np.asarray(dequantized, np.float32).reshape(tensor.shape)
        except ValueError as error:
            raise CheckpointError(
                f"{self.path}: tensor {stored} cannot be read as {tensor.type_name} ({error})"
            ) from error


def half_split_rows(weights: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Undo llama.cpp's reordering of Q and K rows (weights or biases): interleaved pairs to Hugging Face's two halves.

    llama.cpp stores row ``2 i + j`` of a head where Hugging Face has row ``j * head_dim / 2 + i``
    (``LlamaModel.permute`` in its ``convert_hf_to_gguf.py``).
    """
    rows, rest = weights.shape[0], weights.shape[1:]
    if rows % (2 * heads):  # verify() names the shape; nothing to reorder here
        return weights
    return weights.reshape(heads, rows // heads // 2, 2, *rest).swapaxes(1, 2).reshape(weights.shape)

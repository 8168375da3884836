"""Model shapes without weights: named ones that rdu ships, and whatever has a ``config.json``."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

from rdu.blocks import BLOCK_BYTES, BLOCK_WEIGHTS
from rdu.errors import CheckpointError
from rdu.models.config import DecoderConfig, parse_config, read_config
from rdu.models.settings import read_json

SHIPPED = files("rdu.models").joinpath("shapes")
BLOCKS = {kind: Fraction(size, BLOCK_WEIGHTS) for kind, size in BLOCK_BYTES.items()}
ELEMENT_BYTES = {"fp32": Fraction(4), "bf16": Fraction(2), "int8": Fraction(1), "w8a8": Fraction(1), **BLOCKS}


@dataclass(frozen=True)
class Shape:
    """A decoder's configuration, and what follows from it alone.

    Attributes
    ----------
    name : str
        What it was asked for as, or the name of its folder.
    config : DecoderConfig
    source : str
        Where the numbers come from.
    """

    name: str
    config: DecoderConfig
    source: str

    @property
    def parameters(self) -> int:
        """Elements of all tensors; a tied table counts once."""
        c = self.config
        queries, cached = c.heads * c.head_dim, c.kv_heads * c.head_dim
        layer = c.hidden_size * (2 * queries + 2 * cached + 3 * c.ffn_size) + 2 * c.hidden_size
        layer += (queries + 2 * cached) * c.qkv_bias + c.hidden_size * c.output_bias
        layer += (2 * c.ffn_size + c.hidden_size) * c.mlp_bias + 2 * c.head_dim * c.qk_norm
        table = c.vocab_size * c.hidden_size
        return c.layers * layer + c.hidden_size + (table if c.tied else 2 * table)

    @property
    def step_parameters(self) -> int:
        """Elements that a decode step reads: all but the table of input rows, unless it is the output's as well."""
        c = self.config
        return self.parameters - (0 if c.tied else c.vocab_size * c.hidden_size)

    def weight_bytes(self, dtype: str = "bf16") -> int:
        """Bytes of all parameters."""
        return math.ceil(self.parameters * element_bytes(dtype))

    def cache_bytes_per_token(self, dtype: str = "bf16") -> int:
        """Bytes of keys and values that one position leaves behind in all layers; bf16 where weights are narrower."""
        c = self.config
        return int(2 * c.layers * c.kv_heads * c.head_dim * max(Fraction(2), element_bytes(dtype)))


def element_bytes(dtype: str) -> Fraction:
    """Bytes of one weight."""
    if dtype not in ELEMENT_BYTES:
        raise CheckpointError(f"dtype is {dtype!r}; choose one of {', '.join(ELEMENT_BYTES)}")
    return ELEMENT_BYTES[dtype]


def names() -> list[str]:
    """Names of the shipped shapes, sorted."""
    return sorted(entry.name.removesuffix(".json") for entry in SHIPPED.iterdir() if entry.name.endswith(".json"))


def shape(name_or_path: str | os.PathLike[str]) -> Shape:
    """The shape of a shipped name, of a ``config.json`` or of a folder that holds one.

    Raises
    ------
    CheckpointError
        No such name or file, or a configuration that is damaged or of an unknown architecture.

    Examples
    --------
    >>> from rdu.models.shapes import shape
    >>> llama = shape("llama-3-8b")
    >>> f"{llama.parameters / 1e9:.3f} B, {llama.cache_bytes_per_token()} bytes/token"
    '8.030 B, 131072 bytes/token'
    """
    path = Path(name_or_path)
    if path.is_dir():
        return Shape(path.resolve().name, read_config(path), str(path / "config.json"))
    if path.is_file():
        return Shape(path.resolve().parent.name, parse_config(read_json(path), str(path)), str(path))
    name = str(name_or_path)
    if name not in names():
        near = get_close_matches(name, names(), 1, 0.0)[0]
        raise CheckpointError(
            f"no shape {name!r}; the nearest is {near!r} of {', '.join(names())}, or give a config.json or its folder"
        )
    with SHIPPED.joinpath(f"{name}.json").open(encoding="utf-8") as file:
        values = json.load(file)
    return Shape(name, parse_config(values, f"{name}.json"), str(values["source"]))

"""A decoder in NumPy to the last bit, on any number of sockets: written from docs/numerics.md, not from the engine.

Each fused multiply-add is one rounding of an exact result, so every order of addition can be followed step by step. How
sums are cut (`Cuts`) is a choice of the mapping and is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from rdu.models import Checkpoint

F32 = npt.NDArray[np.float32]
LANES = {"fp32": 16, "bf16": 32, "int8": 64}
# What a dtype means: elements of caches and tables, of weights, of activations.
ELEMENTS = {
    "fp32": ("fp32", "fp32", "fp32"),
    "bf16": ("bf16", "bf16", "bf16"),
    "int8": ("bf16", "int8", "bf16"),
    "w8a8": ("bf16", "int8", "int8"),
}


@dataclass
class Cuts:
    """Parts of the sums of linear operators, by name within a layer, and of the value rows of attention."""

    splits: dict[str, int]
    parts: int


@dataclass
class Oracle:
    """``checkpoint`` over so many sockets, whose partial sums are added as ``all_reduce`` says."""

    checkpoint: Checkpoint
    sockets: int
    dtype: str
    all_reduce: str
    cuts: Cuts
    table: dict[str, F32] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = self.checkpoint.config
        self.operand, self.weight, self.activation = ELEMENTS[self.dtype]

    def logits(self, tokens: Sequence[int]) -> F32:
        """float32 (positions, vocabulary)."""
        c = self.config
        x = rounded(self.read("model.embed_tokens"), self.operand)[list(tokens)]
        for at in range(c.layers):
            layer = f"model.layers.{at}."
            h = self.norm(x, layer + "input_layernorm")
            parts = [self.attention(h, layer + "self_attn.", at, socket) for socket in range(self.sockets)]
            x = x + self.reduced(parts, layer + "self_attn.o_proj", "o", c.output_bias)
            h = self.norm(x, layer + "post_attention_layernorm")
            parts = [self.gated(h, layer + "mlp.", socket) for socket in range(self.sockets)]
            x = x + self.reduced(parts, layer + "mlp.down_proj", "down", c.mlp_bias)
        h = self.norm(x, "model.norm")
        head = "model.embed_tokens" if c.tied else "lm_head"
        rows = -(-c.vocab_size // self.sockets)
        found = [
            self.linear(h, head, slice(socket * rows, (socket + 1) * rows), "logits", False)
            for socket in range(self.sockets)
        ]
        return np.concatenate(found, axis=1)

    def read(self, name: str, what: str = "weight") -> F32:
        key = f"{name}.{what}"
        if key not in self.table:
            self.table[key] = np.asarray(self.checkpoint.tensor(key)).astype(np.float32)
        return self.table[key]

    def norm(self, x: F32, name: str) -> F32:
        return rms_norm(x, rounded(self.read(name), self.operand), self.config.rms_eps)

    def linear(self, x: F32, name: str, rows: slice, cut: str, biased: bool) -> F32:
        """Some outputs of a linear operator, whose columns all sockets have."""
        weight, scales = self.weights(name)
        bias = rounded(self.read(name, "bias"), self.beside)[rows] if biased else None
        return self.multiply(x, weight[rows], scales[rows], self.cuts.splits[cut], bias)

    def reduced(self, parts: list[F32], name: str, cut: str, biased: bool) -> F32:
        """Partial sums of every socket's columns, added over the sockets; the first adds the bias, the others zeros."""
        weight, scales = self.weights(name)
        size = parts[0].shape[1]
        weight = np.pad(weight, ((0, 0), (0, size * self.sockets - weight.shape[1])))
        bias = rounded(self.read(name, "bias"), self.beside) if biased else None
        sums = []
        for socket, x in enumerate(parts):
            mine = weight[:, socket * size : (socket + 1) * size]
            own = bias if bias is None or socket == 0 else np.zeros_like(bias)
            sums.append(self.multiply(x, mine, scales, self.cuts.splits[cut], own))
        if self.sockets == 1:
            return sums[0]
        return ring(sums) if self.all_reduce == "ring" else tree(sums)

    @property
    def beside(self) -> str:
        return "fp32" if self.weight == "int8" else self.weight

    def weights(self, name: str) -> tuple[F32, F32]:
        """The whole weight as it is kept, and for each output what it counts."""
        values = self.read(name)
        if self.weight != "int8":
            return rounded(values, self.weight), np.ones(len(values), np.float32)
        return quantized(values)

    def multiply(self, x: F32, weight: F32, scales: F32, splits: int, bias: F32 | None) -> F32:
        if self.activation == "int8":
            whole, rows = quantized(x)
            exact = (whole.astype(np.int64) @ weight.astype(np.int64).T).astype(np.float32)
            y = exact * (rows[:, None] * scales[None])
        else:
            y = linear(rounded(x, self.activation), weight, splits, LANES[self.weight])
            if self.weight == "int8":
                y = y * scales
        return y if bias is None else y + bias

    def attention(self, x: F32, name: str, at: int, socket: int) -> F32:
        """The heads of one socket, whose key-value heads others may have too."""
        c = self.config
        heads, size = c.heads // self.sockets, c.head_dim
        kept = max(1, c.kv_heads // self.sockets)
        first = socket * c.kv_heads // self.sockets
        made = {}
        for which, start, count in (("q", socket * heads, heads), ("k", first, kept), ("v", first, kept)):
            rows = slice(start * size, (start + count) * size)
            y = self.linear(x, f"{name}{which}_proj", rows, which, c.qkv_bias).reshape(len(x), count, size)
            if c.qk_norm and which != "v":
                y = rms_norm(y, rounded(self.read(f"{name}{which}_norm"), self.operand), c.rms_eps)
            if which != "v":
                y = rotated(y, *c.rope.table(np.arange(len(x)), size))
            made[which] = rounded(y, self.operand)
        window = c.window(at)
        out = np.empty((len(x), heads, size), np.float32)
        for p in range(len(x)):
            begin = 0 if window is None else max(0, p + 1 - window)
            for head in range(heads):
                keys, values = (made[which][begin : p + 1, head * kept // heads] for which in "kv")
                scores = dot(keys, made["q"][p, head], LANES[self.operand]) * np.float32(size**-0.5)
                weights = rounded(softmax(scores), self.operand)
                sums = [np.zeros(size, np.float32) for _ in range(self.cuts.parts)]
                for row, (value, weight) in enumerate(zip(values, weights, strict=True), begin):
                    sums[row % self.cuts.parts] = fma(weight, value, sums[row % self.cuts.parts])
                out[p, head] = tree(sums)
        return rounded(out, self.operand).reshape(len(x), heads * size)

    def gated(self, x: F32, name: str, socket: int) -> F32:
        """Columns of one socket; those that no weight makes are zero."""
        size = -(-self.config.ffn_size // self.sockets)
        rows = slice(socket * size, (socket + 1) * size)
        gate, up = (
            self.linear(x, f"{name}{which}_proj", rows, which, self.config.mlp_bias) for which in ("gate", "up")
        )
        made = gate / (1 + exponential(-gate)) * up
        return np.pad(made, ((0, 0), (0, size - made.shape[1])))


def rounded(x: F32, element: str) -> F32:
    """To nearest, ties to even."""
    return x if element == "fp32" else x.astype(ml_dtypes.bfloat16).astype(np.float32)


def fma(a: Any, b: Any, c: Any) -> F32:
    """``a * b + c`` rounded once: in fp64 the product is exact, and the sum is rounded to odd before it is narrowed."""
    product = np.multiply(a, b, dtype=np.float64)
    total = product + c
    rest = total - product
    lost = (product - (total - rest)) + (c - rest)
    even = (total.view(np.int64) & 1) == 0
    odd = np.where((lost != 0) & even, np.nextafter(total, np.where(lost > 0, np.inf, -np.inf)), total)
    return odd.astype(np.float32)


def tree(sums: Sequence[F32]) -> F32:
    """Adjacent pairs; an odd last one is carried up."""
    left = list(sums)
    while len(left) > 1:
        left = [sum(left[at : at + 2][1:], start=left[at]) for at in range(0, len(left), 2)]
    return left[0]


def ring(sums: Sequence[F32]) -> F32:
    """Vector i of a row belongs to socket i modulo their number, which adds last; the one after it begins."""
    out = np.empty_like(sums[0])
    for first in range(0, out.shape[1], 16):
        owner, mine = first // 16 % len(sums), slice(first, first + 16)
        order = [sums[(owner + step) % len(sums)][:, mine] for step in range(1, len(sums) + 1)]
        total = order[0]
        for x in order[1:]:
            total = total + x
        out[:, mine] = total
    return out


def cuts(inner: int, lanes: int, splits: int) -> Iterator[range]:
    """Parts of a sum."""
    chunks = -(-inner // lanes)
    for s in range(splits):
        begin, end = (at * chunks // splits * lanes for at in (s, s + 1))
        yield range(begin, min(end, inner))


def linear(x: F32, weight: F32, splits: int, lanes: int) -> F32:
    """Of x (positions, inner) and weight (outputs, inner): one fused multiply-add after another."""
    parts = []
    for part in cuts(x.shape[1], lanes, splits):
        total = np.zeros((len(x), len(weight)), np.float32)
        for k in part:
            total = fma(weight[None, :, k], x[:, k, None], total)
        parts.append(total)
    return tree(parts)


def by_halves(lanes: F32) -> F32:
    """The sum of the last dimension."""
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def dot(rows: F32, x: F32, lanes: int) -> F32:
    """Each row (n, width) with x (width,)."""
    pad = -len(x) % lanes
    rows, x = np.pad(rows, ((0, 0), (0, pad))), np.pad(x, (0, pad))
    total = np.zeros((len(rows), lanes), np.float32)
    for first in range(0, len(x), lanes):
        total = fma(rows[:, first : first + lanes], x[first : first + lanes], total)
    return by_halves(total)


def rms_norm(x: F32, weight: F32, eps: float) -> F32:
    """Over the last dimension, which is as wide as ``weight``."""
    wide = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % 16)])
    total = np.zeros((*x.shape[:-1], 16), np.float32)
    for first in range(0, wide.shape[-1], 16):
        total = fma(wide[..., first : first + 16], wide[..., first : first + 16], total)
    mean = by_halves(total) / np.float32(x.shape[-1])
    scale = np.float32(1) / np.sqrt(mean + np.float32(eps))
    made: F32 = x * scale[..., None] * weight
    return made


def rotated(x: F32, cos: F32, sin: F32) -> F32:
    """(positions, heads, head_dim), pairs (i, i + d/2)."""
    half = x.shape[-1] // 2
    a, b, cos, sin = x[..., :half], x[..., half:], cos[:, None], sin[:, None]
    return np.concatenate([fma(a, cos, -(b * sin)), fma(b, cos, a * sin)], axis=-1)


def softmax(scores: F32) -> F32:
    e = exponential(scores - scores.max())
    total = np.float32(0)
    for value in e:
        total += value
    return e / total


def exponential(x: F32) -> F32:
    """As docs/numerics.md has it; coefficients of Cephes' ``expf``."""
    shift, one = np.float32(1.5 * 2**23), np.float32(1)
    x = np.clip(x, np.float32(-104), np.float32(89))
    n = fma(x, np.float32(np.log2(np.e)), shift) - shift
    r = fma(n, np.float32(2.12194440e-4), fma(n, np.float32(-0.693359375), x))
    q = np.full_like(x, 1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        q = fma(q, r, np.float32(coefficient))
    p = fma(q, r * r, r) + one
    half = n.astype(np.int32) >> 1
    return np.ldexp(np.ldexp(p, half), n.astype(np.int32) - half)


def quantized(rows: F32) -> tuple[F32, F32]:
    """Whole numbers, and for each row what they count."""
    scales = np.abs(rows).max(axis=1) / np.float32(127)
    with np.errstate(invalid="ignore"):
        values = np.nan_to_num(np.rint(np.clip(rows / scales[:, None], -127, 127)))
    return values, scales

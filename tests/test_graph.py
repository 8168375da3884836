"""Graphs: each operator against NumPy in float64, wirings of all kinds, and what cannot be built is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdu
from decoders import assert_same_bits
from rdu.errors import GraphError
from rdu.graph import OPERATORS, Graph, Tensor, Weight
from rdu.program import Program

Array = npt.NDArray[Any]
# Sums of at most a few hundred products of order 1 in fp32, whose steps round to 6e-8 of their size each.
FP32 = {"rtol": 2e-5, "atol": 2e-5}
# One rounding to 8 bits of each operand of a product, and of what is cached.
BF16 = {"rtol": 0.05, "atol": 0.1}
WIDTHS = [1, 8, 16, 17, 33, 64, 100]


def drawn(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def compiled(graph: Graph, dtype: str = "fp32", **options: Any) -> Program:
    return rdu.compile(graph, "tiny", dtype=dtype, **options)


def results(graph: Graph, dtype: str = "fp32", indices: Any = None, **inputs: Array) -> dict[str, Array]:
    """Outputs, the same in all modes."""
    program = compiled(graph, dtype)
    runs = {mode: program.run(mode=mode, indices=indices, **inputs) for mode in ("step", "split", "values")}
    for name, array in runs["step"].outputs.items():
        assert_same_bits(runs["split"].outputs[name], array)
        assert_same_bits(runs["values"].outputs[name], array)
    assert runs["step"].cycles == runs["split"].cycles > 0
    return runs["step"].outputs


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def attended(
    q: Array, k: Array, v: Array, heads: int, kv_heads: int, window: int | None = None, scale: float | None = None
) -> Array:
    """Causal attention by its definition, a head and a position at a time."""
    positions, head_dim = len(q), q.shape[1] // heads
    scale = head_dim**-0.5 if scale is None else scale
    out = np.zeros_like(q)
    for head in range(heads):
        mine = slice(head * head_dim, (head + 1) * head_dim)
        shared = head // (heads // kv_heads)
        theirs = slice(shared * head_dim, (shared + 1) * head_dim)
        for p in range(positions):
            first = 0 if window is None else max(0, p + 1 - window)
            scores = k[first : p + 1, theirs] @ q[p, mine] * scale
            weights = np.exp(scores - scores.max())
            out[p, mine] = weights / weights.sum() @ v[first : p + 1, theirs]
    return out


def rotated(x: Array, table: Array, head_dim: int, interleaved: bool) -> Array:
    """Each pair as a complex number, turned by the table's cosine and sine of its position."""
    half = head_dim // 2
    turn = table[: len(x), :half] + 1j * table[: len(x), half:]
    pairs = x.reshape(len(x), -1, head_dim)
    real, imaginary = (pairs[..., ::2], pairs[..., 1::2]) if interleaved else (pairs[..., :half], pairs[..., half:])
    turned = (real + 1j * imaginary) * turn[:, None]
    out = np.empty_like(pairs)
    if interleaved:
        out[..., ::2], out[..., 1::2] = turned.real, turned.imag
    else:
        out[..., :half], out[..., half:] = turned.real, turned.imag
    return out.reshape(x.shape)


# --- every operator of the table -------------------------------------------------------------------------------------


def _input(width: int, n: int, dtype: str) -> tuple[Array, Array]:
    """Rows that the caller passes come back as they are."""
    x = drawn(1, n, width)
    g = Graph()
    t = g.input("x", width)
    g.output(t)
    g.output(g.silu("y", t))
    return results(g, dtype, x=x)["x"], x


def _rows(width: int, n: int, dtype: str) -> tuple[Array, Array]:
    table = drawn(2, 11, width)
    g = Graph()
    g.output(g.rows("y", g.weight("table", table)))
    indices = np.arange(n) * 7 % 11
    return results(g, dtype, indices=indices)["y"], table[indices]


def _linear(width: int, n: int, dtype: str) -> tuple[Array, Array]:
    x, w, b = drawn(3, n, 40), drawn(4, width, 40), drawn(5, width)
    g = Graph()
    g.output(g.linear("y", g.input("x", 40), g.weight("w", w), g.weight("b", b)))
    return results(g, dtype, x=x)["y"], x.astype(np.float64) @ w.T + b


def _norm(width: int, n: int, dtype: str) -> tuple[Array, Array]:
    x, w = drawn(6, n, 3 * width), drawn(7, width)
    g = Graph()
    g.output(g.norm("y", g.input("x", 3 * width), g.weight("w", w), 1e-3))
    wide = x.astype(np.float64).reshape(n, 3, width)
    expected = wide / np.sqrt((wide**2).mean(axis=2, keepdims=True) + 1e-3) * w
    return results(g, dtype, x=x)["y"], expected.reshape(n, -1)


def _attention(width: int, n: int, dtype: str) -> tuple[Array, Array]:
    q, k, v = drawn(8, n, 4 * width), drawn(9, n, 2 * width), drawn(10, n, 2 * width)
    g = Graph()
    tensors = g.input("q", 4 * width), g.input("k", 2 * width), g.input("v", 2 * width)
    g.output(g.attention("y", *tensors, heads=4, kv_heads=2, head_dim=width))
    expected = attended(*(a.astype(np.float64) for a in (q, k, v)), heads=4, kv_heads=2)
    return results(g, dtype, q=q, k=k, v=v)["y"], expected


def _elementwise(kind: str, function: Callable[..., Array], inputs: int) -> Callable[[int, int, str], Any]:
    def case(width: int, n: int, dtype: str) -> tuple[Array, Array]:
        arrays = {f"x{at}": 3 * drawn(11 + at, n, width) for at in range(inputs)}
        g = Graph()
        g.output(getattr(g, kind)("y", *(g.input(name, width) for name in arrays)))
        return results(g, dtype, **arrays)["y"], function(*(a.astype(np.float64) for a in arrays.values()))

    return case


CASES: dict[str, Callable[[int, int, str], tuple[Array, Array]]] = {
    "input": _input,
    "rows": _rows,
    "linear": _linear,
    "norm": _norm,
    "attention": _attention,
    "add": _elementwise("add", np.add, 2),
    "mul": _elementwise("mul", np.multiply, 2),
    "silu": _elementwise("silu", silu, 1),
    "silu_mul": _elementwise("silu_mul", lambda a, b: silu(a) * b, 2),
}
# What the dtype rounds: weights, rows and caches. Elementwise operators compute in fp32 whatever the dtype.
ROUNDED = ("rows", "linear", "norm", "attention")


def test_every_operator_has_a_case() -> None:
    assert set(CASES) == set(OPERATORS)
    for name, kind in OPERATORS.items():
        assert kind.name == name
        assert kind.doc


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", OPERATORS)
def test_operator(kind: str, width: int, dtype: str) -> None:
    """One position, a few, and more than a block of 16."""
    if kind == "attention" and width > 33:
        width = width // 4
    for positions in (1, 5, 18):
        found, expected = CASES[kind](width, positions, dtype)
        assert found.dtype == np.float32
        bound = BF16 if dtype == "bf16" and kind in ROUNDED else FP32
        np.testing.assert_allclose(found, expected, **bound)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("head_dim", [2, 16, 18])
@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (3, 1)])
def test_attention_with_positions(
    heads: int, kv_heads: int, window: int | None, head_dim: int, interleaved: bool
) -> None:
    """Rotated by a table, through a window, with heads that share."""
    q, k, v = drawn(1, 21, heads * head_dim), drawn(2, 21, kv_heads * head_dim), drawn(3, 21, kv_heads * head_dim)
    angles = np.outer(np.arange(32), 0.3 ** np.arange(head_dim // 2))
    table = np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    g = Graph()
    g.position_table("turns", lambda: table, table.shape)
    tensors = g.input("q", q.shape[1]), g.input("k", k.shape[1]), g.input("v", v.shape[1])
    sizes = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    g.output(g.attention("y", *tensors, **sizes, scale=0.7, window=window, interleaved=interleaved))
    turned = [rotated(x.astype(np.float64), table, head_dim, interleaved) for x in (q, k)]
    expected = attended(*turned, v, heads, kv_heads, window, 0.7)
    np.testing.assert_allclose(results(g, q=q, k=k, v=v)["y"], expected, **FP32)


# --- wirings ---------------------------------------------------------------------------------------------------------


def test_the_example_of_the_documentation() -> None:
    g = rdu.Graph()
    x = g.input("x", 64)
    y = g.linear("y", x, g.weight("w", np.ones((32, 64), np.float32)))
    g.output(y)
    run = rdu.compile(g, rdu.machine("tiny"), dtype="fp32").run(x=np.ones((1, 64)))
    np.testing.assert_array_equal(run.outputs["y"], np.full((1, 32), 64, np.float32))


def test_one_tensor_many_readers() -> None:
    """Taken whole and in parts, as an operand of either type, twice by one operator, and as an output besides."""
    x, w = drawn(1, 3, 40), drawn(2, 40, 40)
    g = Graph()
    t, weight = g.input("x", 40), g.weight("w", w)
    doubled = g.add("doubled", t, t)
    a = g.linear("a", doubled, weight)
    b = g.norm("b", doubled, g.weight("n", np.ones(40)), 0.0)
    joined = g.silu_mul("joined", a, b)
    for tensor in (doubled, joined, g.linear("again", joined, weight)):
        g.output(tensor)
    found = results(g, x=x)
    wide = 2 * x.astype(np.float64)
    both = silu(wide @ w.T) * (wide / np.sqrt((wide**2).mean(axis=1, keepdims=True)))
    np.testing.assert_allclose(found["doubled"], wide, **FP32)
    np.testing.assert_allclose(found["joined"], both, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["again"], both @ w.T, rtol=1e-4, atol=1e-3)


def test_a_residual_around_a_long_way() -> None:
    """The short way waits for the long one; what it holds must not block the long one's producer."""
    x, ws = drawn(1, 16, 96), [drawn(at, 96, 96) / 10 for at in range(4)]
    g = Graph()
    start = h = g.input("x", 96)
    for at, w in enumerate(ws):
        h = g.linear(f"h{at}", g.norm(f"n{at}", h, g.weight(f"g{at}", np.ones(96)), 1e-5), g.weight(f"w{at}", w))
    g.output(g.add("y", start, h))
    wide = x.astype(np.float64)
    for w in ws:
        wide = wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 1e-5) @ w.T
    np.testing.assert_allclose(results(g, x=x)["y"], x + wide, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("middle", [16, 17, 100, 256])
@pytest.mark.parametrize("positions", [1, 3])
def test_a_linear_feeds_the_parts_of_another(positions: int, middle: int, dtype: str) -> None:
    """The second sum is split, and each part takes only its own columns from the first one's gather."""
    x, a, b = drawn(1, positions, 20), drawn(2, middle, 20), drawn(3, 50, middle) / 10
    g = Graph()
    g.output(g.linear("y", g.linear("h", g.input("x", 20), g.weight("a", a)), g.weight("b", b)))
    expected = x.astype(np.float64) @ a.T @ b.T
    np.testing.assert_allclose(results(g, dtype, x=x)["y"], expected, **(FP32 if dtype == "fp32" else BF16))
    plan = compiled(g, dtype).kernel(0, positions, (positions,)).lowered.description["plan"]
    cuts = [op["splits"] for op in plan if op["op"] == "linear"]
    assert middle < 256 or cuts[1] > 1, "the case is about a split sum"


def test_blocks_are_calls_that_share_kernels() -> None:
    w = [drawn(at, 24, 24) / 5 for at in range(3)]
    g = Graph()
    x = g.input("x", 24)
    for at in range(3):
        with g.block(f"part.{at}"):
            x = g.add(f"part.{at}.y", x, g.linear(f"part.{at}.h", x, g.weight(f"w{at}", w[at])))
    g.output(x)
    rows = drawn(9, 2, 24)
    wide = rows.astype(np.float64)
    for part in w:
        wide = wide + wide @ part.T
    np.testing.assert_allclose(results(g, x=rows)["part.2.y"], wide, rtol=1e-4, atol=1e-4)
    program = compiled(g, fusion="layer")
    assert [site.name for site in program.sites] == ["part.0", "part.1", "part.2"]
    assert len({site.kernel for site in program.sites}) == 1, "equal blocks are one kernel, called three times"


@pytest.mark.parametrize("stored", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, np.int8, np.int64])
def test_weights_of_any_number_type(stored: Any) -> None:
    w = (drawn(1, 5, 7) * 4).astype(stored)
    g = Graph()
    g.output(g.linear("y", g.input("x", 7), g.weight("w", w)))
    np.testing.assert_allclose(results(g, x=np.eye(7))["y"], w.astype(np.float32).T, rtol=1e-6)


def test_bf16_weights_are_rounded_to_nearest_even() -> None:
    w = drawn(1, 64, 32)
    g = Graph()
    g.output(g.linear("y", g.input("x", 32), g.weight("w", w)))
    assert_same_bits(results(g, "bf16", x=np.eye(32))["y"], w.astype(ml_dtypes.bfloat16).astype(np.float32).T.copy())


def test_a_weight_is_read_when_a_program_is_compiled() -> None:
    reads = []

    def read() -> Array:
        reads.append(1)
        return np.ones((3, 4), np.float32)

    g = Graph()
    g.output(g.linear("y", g.input("x", 4), g.weight("w", read, (3, 4))))
    assert not reads
    program = compiled(g)
    assert reads == [1]
    for _ in range(2):
        program.run(x=np.ones((1, 4)))
    assert reads == [1]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), positions=st.integers(1, 20), dtype=st.sampled_from(["fp32", "bf16"]))
def test_any_graph_of_one_width(data: st.DataObject, positions: int, dtype: str) -> None:
    """Random wirings: they compile, they end, and every mode gives the same bits and cycles (see `results`)."""
    width = data.draw(st.integers(1, 40))
    g = Graph()
    tensors = [g.input("x", width)]
    names = iter(range(10**6))
    kinds = data.draw(
        st.lists(
            st.sampled_from(["linear", "norm", "attention", "add", "mul", "silu", "silu_mul"]), min_size=1, max_size=6
        )
    )
    for at, kind in enumerate(kinds):
        if data.draw(st.booleans()):
            g._block = f"block.{at}"
        picked = [tensors[data.draw(st.integers(0, len(tensors) - 1))] for _ in range(OPERATORS[kind].tensors)]
        tensors.append(_added(g, kind, f"t{at}", picked, width, names))
    read = {id(tensor) for op in g.operators for tensor in op.inputs}
    for tensor in tensors[1:]:
        if id(tensor) not in read or data.draw(st.booleans()):
            g.output(tensor)
    if id(tensors[0]) not in read:
        g.output(g.silu("last", tensors[0]))
    outputs = results(g, dtype, x=drawn(5, positions, width))
    assert all(array.shape == (positions, width) for array in outputs.values())


def _added(g: Graph, kind: str, name: str, x: list[Tensor], width: int, names: Any) -> Tensor:
    if kind == "linear":
        return g.linear(name, x[0], g.weight(f"w{next(names)}", drawn(1, width, width) / width))
    if kind == "norm":
        return g.norm(name, x[0], g.weight(f"w{next(names)}", drawn(2, width)), 1e-5)
    if kind == "attention":
        return g.attention(name, *x, heads=1, kv_heads=1, head_dim=width)
    return getattr(g, kind)(name, *x)


# --- what cannot be built --------------------------------------------------------------------------------------------

NAN = float("nan")
OTHER = Graph()
STRANGER, STRANGE_WEIGHT = OTHER.input("stranger", 8), OTHER.weight("strange", np.ones((8, 8)))


def graph() -> tuple[Graph, Tensor, Weight]:
    g = Graph()
    return g, g.input("x", 8), g.weight("w", np.ones((8, 8)))


def _heads(g: Graph, x: Tensor, **changes: Any) -> Tensor:
    return g.attention("y", x, x, x, **({"heads": 2, "kv_heads": 2, "head_dim": 4} | changes))


REFUSED: dict[str, tuple[Callable[[Graph, Tensor, Weight], object], str]] = {
    "an operator's name twice": (lambda g, x, w: g.input("x", 3), "two things in the graph are called 'x'"),
    "a weight called as a tensor": (
        lambda g, x, w: g.weight("x", np.ones(3)),
        "two things in the graph are called 'x'",
    ),
    "an empty name": (lambda g, x, w: g.silu("", x), "non-empty string, not ''"),
    "no name": (lambda g, x, w: g.input(None, 3), "non-empty string, not None"),
    "another graph's tensor": (lambda g, x, w: g.silu("y", STRANGER), "'stranger' is not of this graph"),
    "another graph's tensor in a linear": (lambda g, x, w: g.linear("y", STRANGER, w), "'stranger' is not of this"),
    "another graph's output": (lambda g, x, w: g.output(STRANGER), "'stranger' is not of this graph"),
    "another graph's weight": (lambda g, x, w: g.linear("y", x, STRANGE_WEIGHT), "'strange' is not of this graph"),
    "an array for a tensor": (lambda g, x, w: g.add("y", x, np.ones(8)), "is not of this graph"),
    "an array for a weight": (lambda g, x, w: g.linear("y", x, np.ones((8, 8))), "make it with graph.weight"),
    "nothing for a tensor": (lambda g, x, w: g.silu("y", None), "None is not of this graph"),
    "widths that differ": (lambda g, x, w: g.add("y", x, g.input("z", 9)), "'x' is 8 wide, but 'z' wants 9"),
    "a weight too wide": (
        lambda g, x, w: g.linear("y", x, g.weight("v", np.ones((3, 9)))),
        r"input is 8 wide, but weight 'v' \(3, 9\) wants 9",
    ),
    "a bias too long": (
        lambda g, x, w: g.linear("y", x, w, g.weight("b", np.ones(9))),
        "weight's outputs is 8 wide, but bias 'b' wants 9",
    ),
    "a vector for a matrix": (lambda g, x, w: g.linear("y", x, g.weight("v", np.ones(8))), "must have 2 dimensions"),
    "a matrix for a vector": (lambda g, x, w: g.norm("y", x, w, 1e-5), "must have 1 dimensions"),
    "a norm of groups that do not fit": (
        lambda g, x, w: g.norm("y", x, g.weight("v", np.ones(3)), 1e-5),
        "a row of 8 is not a whole number of groups of 3",
    ),
    **{
        f"eps {eps!r}": (
            lambda g, x, w, eps=eps: g.norm("y", x, g.weight("v", np.ones(8)), eps),
            "eps is .*; it must be finite and not negative",
        )
        for eps in (NAN, float("inf"), -1e-9, "1e-5", None, True)
    },
    **{
        f"width {width!r}": (lambda g, x, w, width=width: g.input("z", width), "width is .*whole number of at least 1")
        for width in (0, -1, 2.5, 8.0, NAN, "8", None, True)
    },
    **{
        f"{key} {size!r}": (lambda g, x, w, key=key, size=size: _heads(g, x, **{key: size}), f"{key} is .*whole number")
        for key in ("heads", "kv_heads", "head_dim", "window")
        for size in (0, -1, 1.5, NAN, "2", True)
    },
    **{
        f"scale {scale!r}": (lambda g, x, w, scale=scale: _heads(g, x, scale=scale), "scale is .*finite number")
        for scale in (NAN, float("inf"), "1", True)
    },
    "heads that cannot share": (lambda g, x, w: _heads(g, x, kv_heads=4, head_dim=4), "2 heads cannot share 4"),
    "heads that do not add up": (lambda g, x, w: _heads(g, x, head_dim=8), "q is 8 wide, but 2 heads of 8 wants 16"),
    "a weight of no elements": (lambda g, x, w: g.weight("v", np.ones((3, 0))), r"shape \(3, 0\) has no elements"),
    "a number for a weight": (lambda g, x, w: g.weight("v", 3.0), r"shape \(\) has no elements"),
    "a ragged weight": (lambda g, x, w: g.weight("v", [[1, 2], [3]]), "weight 'v' is no array"),
    "a weight of negative size": (lambda g, x, w: g.weight("v", np.ones, (3, -8)), r"\(3, -8\) has no elements"),
    "a weight of broken size": (lambda g, x, w: g.weight("v", np.ones, (3.0, 8)), r"\(3.0, 8\) has no elements"),
    "a shape that is none": (lambda g, x, w: g.weight("v", np.ones, "38"), "shape '38' has no elements"),
    "a weight read later without shape": (lambda g, x, w: g.weight("v", np.ones), "needs its shape"),
    "a shape that contradicts": (lambda g, x, w: g.weight("v", np.ones((3, 8)), (4, 8)), r"\(3, 8\), not \(4, 8\)"),
    "a table of odd width": (lambda g, x, w: g.position_table("t", np.ones, (9, 3)), "3 columns are not cosines"),
    "a table of another width": (
        lambda g, x, w: (g.position_table("t", np.ones, (9, 6)), _heads(g, x)),
        "position table is 6 wide, but head_dim wants 4",
    ),
    "two tables": (
        lambda g, x, w: [g.position_table(name, np.ones, (9, 4)) for name in "ab"],
        "the graph already has 'a'",
    ),
    "a table too late": (
        lambda g, x, w: (_heads(g, x), g.position_table("t", np.ones, (9, 4))),
        "before the first attention",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_built_is_named(case: str) -> None:
    build, message = REFUSED[case]
    g, x, w = graph()
    with pytest.raises(GraphError, match=message):
        build(g, x, w)


def test_a_refused_call_leaves_the_graph_as_it_was() -> None:
    g, x, w = graph()
    narrow = g.weight("narrow", np.ones((3, 9)))
    for refused in (lambda: g.linear("y", x, narrow), lambda: g.add("y", x, STRANGER), lambda: g.input("y", 0)):
        with pytest.raises(GraphError):
            refused()
    g.output(g.linear("y", x, w))
    assert results(g, x=np.ones((1, 8)))["y"][0, 0] == 8


@pytest.mark.parametrize("mode", ["split", "step", "values"])
def test_attentions_of_one_kernel_keep_their_own_windows(mode: str) -> None:
    rows = np.random.default_rng(1).standard_normal((6, 32)).astype(np.float32)

    def outputs(windows: dict[str, int | None]) -> dict[str, np.ndarray]:
        graph = rdu.Graph()
        x = graph.input("x", 32)
        for name, window in windows.items():
            graph.output(graph.attention(name, x, x, x, heads=2, kv_heads=2, head_dim=16, window=window))
        session = rdu.compile(graph, "tiny", dtype="fp32", context=16).session(mode)
        for at in range(len(rows)):
            session.feed(None, {"x": rows[at : at + 1]})
        return session.result().outputs

    together = outputs({"full": None, "near": 2})
    for name, window in (("full", None), ("near", 2)):
        np.testing.assert_array_equal(together[name], outputs({name: window})[name])

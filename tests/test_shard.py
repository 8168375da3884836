"""Tensor parallelism computed: several sockets give the bits that their mapping's declared order says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rdu
from decoder_oracle import Cuts, Oracle
from decoders import TINY, assert_decode_equals_prefill, assert_same_bits, decoder
from rdu.cli import main
from rdu.errors import CompileError
from rdu.graph import Graph
from rdu.machine import machine
from rdu.models import Checkpoint, load
from rdu.models.generate import Decoder
from rdu.testing.checkpoints import write_folder

DTYPES = ("fp32", "bf16", "int8", "w8a8")
NAMED = {folder.name: folder for folder in TINY}
# Where a part has few heads, its attention and the sums over sockets take more tiles than `tiny` has.
ROOMY = {"grid__pcus_per_tile": 128, "grid__pmus_per_tile": 128, "grid__rows": 16}


def shared(folder: Path, sockets: int) -> bool:
    """Whether the heads divide."""
    config = load(folder).config
    return config.heads % sockets == 0 and (config.kv_heads % sockets == 0 or sockets % config.kv_heads == 0)


CASES = [(folder, sockets) for folder in TINY for sockets in (2, 3, 4, 8) if shared(folder, sockets)]
# Grouped heads, biases, odd sizes, norms of heads: each scheme on these, the most sensitive to order on all.
SCHEMES = [
    (folder, sockets, dtype)
    for folder, sockets in CASES
    for dtype in DTYPES
    if dtype == "fp32" or folder.name[:3] in ("s02", "s06", "s08", "s13")
]


@cache
def compiled(folder: Path, sockets: int, dtype: str, how: str = "exchange", fusion: str = "layer") -> Decoder:
    return decoder(folder, machine("tiny", sockets=sockets, p2p__all_reduce=how, **ROOMY), dtype=dtype, fusion=fusion)


def prompt(folder: Path, count: int = 13) -> list[int]:
    return list(np.load(folder / "golden.npz")["case2_ids"][:count].tolist())


def cuts(compiled: Decoder) -> Cuts:
    """Of a layer and of the head, as the mapping chose them."""
    splits, parts = {}, 1
    for site in compiled.program.sites:
        lowered = compiled.program.kernel(site.kernel, 1, (1,) * len(site.inputs)).lowered
        for unit in lowered.units:
            if unit.role == "gather":
                splits[unit.operator.removesuffix(".partial")] = unit.token_op["parts"]
        parts = max([parts, *(op["parts"] for op in lowered.description["plan"] if op["op"] == "weigh")])
    # Operators that look alike may share the kernel of the first of them.
    for first, other in (("q", "k"), ("k", "v"), ("gate", "up")):
        splits.setdefault(other, splits[first])
    return Cuts(splits, parts)


def named(value: object) -> str:
    return value.name if isinstance(value, Path) else str(value)


def test_every_variant_is_shared_by_some_sockets() -> None:
    assert {folder for folder, _ in CASES} == set(TINY)
    assert {sockets for _, sockets in CASES} == {2, 3, 4, 8}


@pytest.mark.parametrize(("folder", "sockets", "dtype"), SCHEMES, ids=named)
def test_bits_are_those_of_the_declared_order(folder: Path, sockets: int, dtype: str) -> None:
    d, ids = compiled(folder, sockets, dtype), prompt(folder, 4)
    oracle = Oracle(d.checkpoint, sockets, dtype, "exchange", cuts(d))
    assert_same_bits(d.forward(ids, mode="values").logits, oracle.logits(ids))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_socket_has_the_same_oracle(dtype: str) -> None:
    d, ids = compiled(NAMED["s13_qwen3"], 1, dtype), prompt(NAMED["s13_qwen3"], 4)
    assert_same_bits(d.forward(ids, mode="values").logits, Oracle(d.checkpoint, 1, dtype, "", cuts(d)).logits(ids))


@pytest.mark.parametrize("how", ["exchange", "scatter", "ring"])
def test_the_machine_says_in_which_order_sockets_add(how: str) -> None:
    """Four fp32 sums have other bits in a tree than in a ring."""
    folder = NAMED["s06_attn_mlp_bias"]
    d, ids = compiled(folder, 4, "fp32", how), prompt(folder, 4)
    tree, ring = (Oracle(d.checkpoint, 4, "fp32", order, cuts(d)).logits(ids) for order in ("exchange", "ring"))
    assert (tree.view(np.uint32) != ring.view(np.uint32)).any()
    assert_same_bits(d.forward(ids, mode="values").logits, ring if how == "ring" else tree)


@pytest.mark.parametrize("fusion", ["op", "loop"])
@pytest.mark.parametrize("collective", ["streamed", "kernel"])
def test_any_fusion_follows_its_cuts(fusion: str, collective: str) -> None:
    """Parts that cross calls lie in the memory of their sockets."""
    folder = NAMED["s08_odd_sizes"]
    where = machine("tiny", sockets=3, p2p__collective=collective, **ROOMY)
    d, ids = decoder(folder, where, dtype="bf16", fusion=fusion), prompt(folder, 4)
    assert_same_bits(
        d.forward(ids, mode="values").logits, Oracle(d.checkpoint, 3, "bf16", "exchange", cuts(d)).logits(ids)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "sockets"), [("s02_gqa", 8), ("s11_mistral_window", 2)])
def test_decode_equals_prefill_bit_for_bit(name: str, sockets: int, dtype: str) -> None:
    d, ids = compiled(NAMED[name], sockets, dtype), prompt(NAMED[name], 40)
    assert_decode_equals_prefill(d, ids, cuts=(1, 7))


@pytest.mark.parametrize("name", ["s01_mha", "s02_gqa", "s05_tied"])
def test_near_the_reference(name: str) -> None:
    """Another order of addition moves fp32 logits as little as the engine's own does: see `test_golden_tiny.py`."""
    golden = np.load(NAMED[name] / "golden.npz")
    logits = compiled(NAMED[name], 4, "fp32").forward(golden["case2_ids"].tolist(), mode="values").logits
    np.testing.assert_allclose(logits, golden["case2_logits"], rtol=0, atol=1e-4)


def test_values_come_with_a_clock() -> None:
    """The same bits beside machine time, which is that of the shapes alone."""
    folder = NAMED["s02_gqa"]
    one, four = (compiled(folder, sockets, "bf16", fusion="loop") for sockets in (1, 4))
    run = four.forward(prompt(folder))
    assert_same_bits(run.logits, four.forward(prompt(folder), mode="values").logits)
    assert run.cycles > 0
    assert run.totals["traffic"][0][0] < 0.6 * one.forward(prompt(folder)).totals["traffic"][0][0]


def test_weights_are_read_once_and_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sockets there are: each weight is read as often as for one, and quantised as for one."""
    read: dict[int, list[str]] = {}
    losses = []
    for sockets in (1, 4):
        checkpoint = load(NAMED["s06_attn_mlp_bias"])
        names, tensor = read.setdefault(sockets, []), checkpoint.tensor
        monkeypatch.setattr(
            checkpoint, "tensor", lambda name, names=names, tensor=tensor: names.append(name) or tensor(name)
        )
        d = decoder(checkpoint, machine("tiny", sockets=sockets, **ROOMY), dtype="int8")
        assert d.quantization is not None
        losses.append(d.quantization)
    assert sorted(read[1]) == sorted(read[4])
    for name, loss in losses[0].tensors.items():
        assert losses[1].tensors[name].relative == pytest.approx(loss.relative, rel=1e-12), (
            "sums of fp64 in another order"
        )


def test_a_batch_has_what_each_has_alone() -> None:
    folder = NAMED["s02_gqa"]
    prompts = [prompt(folder, 3), prompt(folder, 9)]
    batch = rdu.compile(folder, machine("tiny", **ROOMY), sockets=4, batch=2, context=64).generate_batch(prompts, 5)
    alone = rdu.compile(folder, machine("tiny", **ROOMY), sockets=4, context=64)
    for at, ids in enumerate(prompts):
        run = alone.generate(ids, 5)
        assert batch.tokens[at] == run.tokens
        assert_same_bits(batch.logits[at], run.logits)
    assert batch.run.report.machine.sockets == 4


def test_a_graph_of_ones_own_is_shared_out() -> None:
    """Ten outputs over four sockets: the last has one and two zeros, which nobody sees."""
    g = Graph()
    x = g.input("x", 40)
    weight = np.arange(400, dtype=np.float32).reshape(10, 40) / 8
    g.output(g.linear("y", x, g.weight("w", weight), g.weight("b", np.arange(10, dtype=np.float32))))
    values = np.linspace(-1, 1, 80, dtype=np.float32).reshape(2, 40)
    one, four = (rdu.compile(g, "tiny", sockets=n, dtype="fp32").run(x=values).outputs["y"] for n in (1, 4))
    assert_same_bits(one, four)


@pytest.mark.parametrize(
    ("name", "sockets", "message"),
    [
        ("s01_mha", 3, "4 heads and 4 key-value heads, which 3 sockets cannot share evenly; .* can: 1, 2, 4"),
        ("s08_odd_sizes", 2, "6 heads and 3 key-value heads, which 2 sockets cannot share evenly; .* can: 1, 3, 6"),
    ],
)
def test_heads_that_do_not_divide(name: str, sockets: int, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        rdu.compile(NAMED[name], "tiny", sockets=sockets)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "sockets", "how"), [("s02_gqa", 2, "exchange"), ("s08_odd_sizes", 3, "scatter"), ("s13_qwen3", 4, "ring")]
)
def test_tokens_carry_the_same_values(name: str, sockets: int, how: str, dtype: str) -> None:
    """All sockets in one program, every vector between them with its values: the bits of the blocked kernels, and the
    cycles and counters of the one socket that stands for all.
    """
    d, ids = compiled(NAMED[name], sockets, dtype, how), prompt(NAMED[name], 5)
    runs = {}
    for mode in ("step", "split"):
        session = d.program.session(mode).feed(ids[:3])
        runs[mode] = session.feed(ids[3:4]).feed(ids[4:]).result()
    assert_same_bits(runs["step"].logits, runs["split"].logits)
    assert [step.cycles for step in runs["step"].steps] == [step.cycles for step in runs["split"].steps]
    assert runs["step"].totals == runs["split"].totals


@pytest.mark.parametrize("fusion", ["op", "loop"])
@pytest.mark.parametrize("collective", ["streamed", "kernel"])
def test_tokens_carry_them_through_any_fusion(fusion: str, collective: str) -> None:
    where = machine("tiny", sockets=4, p2p__collective=collective, **ROOMY)
    d, ids = decoder(NAMED["s02_gqa"], where, dtype="bf16", fusion=fusion), prompt(NAMED["s02_gqa"], 5)
    step, split = (d.program.session(mode).feed(ids[:4]).feed(ids[4:]).result() for mode in ("step", "split"))
    assert_same_bits(step.logits, split.logits)
    assert step.totals == split.totals


def test_the_command_line_takes_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    folder = NAMED["s02_gqa"]
    said = {}
    for sockets in (1, 2):
        asked = ["--sockets", str(sockets), "--machine", "tiny", "--tokens", "3,9,27", "-n", "3", "--ignore-eos"]
        assert main(["run", str(folder), *asked, "--json"]) == 0
        said[sockets] = json.loads(capsys.readouterr().out)
    run = rdu.compile(folder, "tiny", sockets=2).generate([3, 9, 27], 3, ignore_eos=True)
    assert said[2]["tokens"] == run.tokens
    assert said[2]["machine"]["decode_tokens_per_second"] == run.report.to_dict()["machine"]["decode_tokens_per_second"]
    assert [said[sockets]["machine"]["sockets"] for sockets in (1, 2)] == [1, 2]
    assert main(["run", str(folder), "--machine", "tiny", "--tokens", "1", "--sockets", "3"]) == 2
    assert "8 heads and 2 key-value heads, which 3 sockets" in capsys.readouterr().err


def test_the_number_of_threads_changes_nothing() -> None:
    """A process of its own for each, since a pool's size is chosen once."""
    script = (
        "import hashlib, rdu, sys; d = rdu.compile(sys.argv[1], 'tiny', sockets=4, context=64); "
        "print(hashlib.sha256(d.forward(list(range(1, 33)), mode='values').logits.tobytes()).hexdigest())"
    )
    source = Path(rdu.__file__).parent.parent
    digests = {
        subprocess.run(
            [sys.executable, "-c", script, NAMED["s02_gqa"]],
            env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONPATH": str(source)},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for threads in ("1", "5")
    }
    assert len(digests) == 1


@pytest.mark.smollm2
def test_a_real_model_on_several_sockets(smollm2: Checkpoint) -> None:
    """Nine heads, three of them for keys and values: three sockets have one each, nine share them by threes.

    The text is that of one socket, and logits are within the bound of `test_golden_smollm2.py` (measured: 1.1e-4).
    """
    assert smollm2.tokenizer is not None
    ids = smollm2.tokenizer.encode("The history of computing begins with")
    alone = decoder(smollm2, "sn40l").generate(ids, 16, mode="values", ignore_eos=True)
    for sockets in (3, 9):
        shared = decoder(smollm2, machine("sn40l", sockets=sockets)).generate(ids, 16, mode="values", ignore_eos=True)
        assert shared.tokens == alone.tokens
        np.testing.assert_allclose(shared.logits, alone.logits, rtol=0, atol=1e-3)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    heads=st.sampled_from([(1, 1), (2, 1), (4, 2), (6, 3), (6, 2), (8, 8)]),
    head_dim=st.sampled_from([2, 8, 34]),
    hidden=st.sampled_from([8, 33, 64]),
    ffn=st.integers(1, 150),
    vocabulary=st.integers(1, 90),
    biased=st.booleans(),
    tied=st.booleans(),
    how=st.sampled_from(["exchange", "scatter", "ring"]),
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_random_shapes(
    tmp_path_factory: pytest.TempPathFactory,
    heads: tuple[int, int],
    head_dim: int,
    hidden: int,
    ffn: int,
    vocabulary: int,
    biased: bool,
    tied: bool,
    how: str,
    dtype: str,
    data: st.DataObject,
) -> None:
    """Padding in every dimension, sockets with nothing but padding, one head for all: tokens, blocks and oracle."""
    config = {
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "head_dim": head_dim,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "vocab_size": vocabulary,
        "attention_bias": biased,
        "mlp_bias": biased,
        "tie_word_embeddings": tied,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "num_hidden_layers": 1,
    }
    folder = write_folder(tmp_path_factory.mktemp("model"), config=config)
    sockets = data.draw(st.sampled_from([n for n in range(2, 9) if shared(folder, n)] or [1]))
    # Room for any of them; what does not fit is `test_compile.py`'s.
    many = {"grid__pcus_per_tile": 256, "grid__pmus_per_tile": 256, "grid__rows": 32}
    d = decoder(folder, machine("tiny", sockets=sockets, p2p__all_reduce=how, **many), dtype=dtype, context=8)
    ids = [at % vocabulary for at in (0, 7, 3, 5)]
    logits = Oracle(d.checkpoint, sockets, dtype, how, cuts(d)).logits(ids)
    for mode in ("split", "step"):
        run = d.program.session(mode).feed(ids[:3]).feed(ids[3:]).result()
        assert_same_bits(run.logits, logits)

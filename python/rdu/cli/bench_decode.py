"""``rdu bench decode``: how fast the host decodes a real model, clocks on and off, against its own memory."""

from __future__ import annotations

import csv
import os
import statistics
import time
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click

from rdu.cli import options
from rdu.cli.progress import waiting

if TYPE_CHECKING:
    from rdu.studies.host_speed import HostSpeed

# testing/decode_speed.csv: what llama.cpp (llama-cpp-python 0.3.36, built for its host) made of SmolLM2-135M on two
# cores of another host, medians of undisturbed runs: 64 tokens after a prompt of 8, and a prompt of 512.
# Which of its types stands for which dtype:
PEER_TYPES = {"bf16": "bf16", "int8": "q8_0", "w8a8": "q8_0", "q8_0": "q8_0"}
PEER_MODEL = "smollm2"
ROUNDS = 5


@click.command("decode")
@click.argument("model", default=PEER_MODEL)
@options.dtype
@click.option("-n", "--tokens", default=32, show_default=True, help="Tokens of one sample.")
@click.option("--prompt-tokens", default=512, show_default=True, help="Positions of the long prompt.")
@click.option("--rounds", default=5, show_default=True, help="Samples of each figure; medians are shown.")
@click.option("--batch", default=16, show_default=True, help="Sequences that decode together as well; 1: none.")
@click.option("--context", default=1024, show_default=True, help="Positions that the caches hold.")
@click.option("--llama", type=click.Path(exists=True, dir_okay=False), help="A GGUF file for llama.cpp, if installed.")
@options.as_json
def decode(
    model: str,
    dtype: str,
    tokens: int,
    prompt_tokens: int,
    rounds: int,
    batch: int,
    context: int,
    llama: str | None,
    as_json: bool,
) -> None:
    """Decode with MODEL and say how near it comes to what the host's memory allows.

    A plain read of memory by all threads, decoding with machine time and without, decoding of several sequences
    together, and long prompts take turns; then fresh processes run up to their first token. llama.cpp is measured
    beside them where its Python package is installed and --llama names a file.
    """
    from rdu.api import compile
    from rdu.studies.host_speed import host_speed

    with waiting() as shown:
        decoder = compile(model, dtype=dtype, context=context, progress=shown.show)
        together = None
        if batch != 1:
            together = compile(decoder.checkpoint, dtype=dtype, context=context, batch=batch, progress=shown.show)
        measured = host_speed(
            decoder,
            tokens=tokens,
            prompt_tokens=prompt_tokens,
            rounds=rounds,
            model=model,
            together=together,
            shown=shown.show,
        )
        shown.show("running llama.cpp")
        here, note = _llama(llama, tokens, prompt_tokens, measured.threads)
    peer = _published(dtype) if model == PEER_MODEL else None
    if as_json:
        said = {
            "model": model,
            **measured.to_dict(),
            "llama_cpp": here,
            "llama_cpp_note": note,
            "llama_cpp_published": peer,
        }
        options.print_json(said)
        return
    _print(measured, here, note, peer)


def _published(dtype: str) -> dict[str, float] | None:
    """llama.cpp's rates on its own host, where they are known."""
    text = files("rdu").joinpath("testing", "decode_speed.csv").read_text(encoding="utf-8")
    for line in csv.DictReader(text.splitlines()):
        if line["dtype"] == PEER_TYPES.get(dtype):
            names = ("decode_tokens_per_second", "prompt_tokens_per_second")
            return {name: float(line[name]) for name in names}
    return None


def _llama(path: str | None, tokens: int, prompt_tokens: int, threads: int) -> tuple[dict[str, float] | None, str]:
    """llama.cpp's rates here and now, or why there are none."""
    if path is None:
        return None, "not run: give it a GGUF file with --llama"
    try:
        llama_cpp: Any = import_module("llama_cpp")
    except ImportError:
        return None, "not run: pip install llama-cpp-python"
    engine = llama_cpp.Llama(os.fspath(path), n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)
    prompt = [1 + at for at in range(prompt_tokens)]

    def rate(before: list[int], passes: list[list[int]]) -> float:
        samples = []
        for _ in range(ROUNDS):
            engine.reset()
            if before:
                engine.eval(before)
            began = time.perf_counter()
            for ids in passes:
                engine.eval(ids)
            samples.append(sum(map(len, passes)) / (time.perf_counter() - began))
        return statistics.median(samples)

    decode = rate(prompt[:8], [[token] for token in range(tokens)])
    return {"decode_tokens_per_second": decode, "prompt_tokens_per_second": rate([], [prompt])}, ""


def _print(measured: HostSpeed, here: dict[str, float] | None, note: str, peer: dict[str, float] | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("host", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("against", no_wrap=True)
    bound = measured.read_bound
    table.add_row("plain read", f"{measured.read_gbps.median:.1f} GB/s", f"allows {bound:.1f} tokens/s")
    for name, rate in (("decode, clock on", measured.decode_rate), ("decode, clock off", measured.untimed_rate)):
        table.add_row(name, f"{rate:.1f} tokens/s", f"{rate / bound:.0%} of that")
    table.add_row("emulating", f"{measured.emulation:.1%}", "on top of computing")
    if measured.batch_rate is not None:
        gain = f"{measured.batch_gain:.1f} times one sequence"
        table.add_row(f"batch of {measured.batch}, clock on", f"{measured.batch_rate:.1f} tokens/s", gain)
    table.add_row(
        f"prompt of {measured.prompt_tokens}",
        f"{measured.prompt_rate:.0f} tokens/s",
        f"{measured.prompt_untimed_rate:.0f} with the clock off",
    )
    if measured.first_token_s is not None and measured.memory_ratio is not None:
        table.add_row("first token", f"{measured.first_token_s:.2f} s", "from starting a process")
        table.add_row("peak memory", f"{measured.memory_ratio:.2f} x", f"{measured.held_bytes / 1e6:.0f} MB held")
    if here is not None:
        rate, prompt = here["decode_tokens_per_second"], here["prompt_tokens_per_second"]
        table.add_row("llama.cpp, here", f"{rate:.1f} tokens/s", f"prompt {prompt:.0f} tokens/s")
    if peer is not None:
        rate, prompt = peer["decode_tokens_per_second"], peer["prompt_tokens_per_second"]
        table.add_row("llama.cpp, elsewhere", f"{rate:.1f} tokens/s", f"prompt {prompt:.0f} tokens/s, 2 cores")
    console = Console()
    console.print(table)
    loads = " and ".join(f"{load:.1f}" for load in measured.load_average)
    console.print(f"{measured.threads} threads; load of the host over the last 1 and 5 minutes: {loads}")
    if here is None:
        console.print(f"llama.cpp {note}")

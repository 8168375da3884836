"""``rdu run``: continue a prompt on an emulated machine, then say what the machine did."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from rdu.cli import options
from rdu.cli.main import INTERRUPTED, failed
from rdu.cli.progress import Waiting, waiting
from rdu.errors import RequestError

if TYPE_CHECKING:
    from rdu.models.checkpoint import Checkpoint
    from rdu.models.generate import Prompt
    from rdu.run import Run


@click.command("run")
@click.argument("model")
@click.option("-p", "--prompt", metavar="TEXT", help="What to continue, or to ask a chat model.")
@click.option(
    "--tokens", metavar="IDS", help='A prompt of token ids, "1,2,3"; the new ids are printed instead of text.'
)
@click.option("-n", "--max-new-tokens", "count", default=64, show_default=True, help="Tokens to generate at most.")
@options.dtype
@options.machine
@options.settings
@options.sockets
@options.fusion
@click.option(
    "--mode",
    type=click.Choice(["split", "step", "values"]),
    default="split",
    show_default=True,
    help="How to evaluate; 'values' has no machine time, hence no report.",
)
@options.context
@click.option(
    "--temp", "--temperature", "temperature", default=0.0, show_default=True, help="0 takes the most likely token."
)
@click.option(
    "--top-p", default=1.0, show_default=True, help="Sample among the most likely tokens of this probability."
)
@click.option("--top-k", default=0, show_default=True, help="Sample among so many most likely tokens; 0: all.")
@click.option("--min-p", default=0.0, show_default=True, help="Sample among tokens at least so likely as the best.")
@click.option(
    "--repetition-penalty", default=1.0, show_default=True, help="Above 1: tokens seen before are less likely."
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same text.")
@click.option("--system", metavar="TEXT", help="System message of a chat model.")
@click.option("--raw", is_flag=True, help="No chat template: continue the prompt as it stands.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End the text before TEXT; may be repeated.")
@click.option("--ignore-eos", is_flag=True, help="Do not stop at an end-of-text token.")
@options.as_json
@options.cache_dir
def command(
    model: str,
    prompt: str | None,
    tokens: str | None,
    count: int,
    dtype: str,
    machine_name: str,
    settings: tuple[str, ...],
    sockets: int | None,
    fusion: str,
    mode: str,
    context: int | None,
    temperature: float,
    top_p: float,
    top_k: int,
    min_p: float,
    repetition_penalty: float,
    seed: int,
    system: str | None,
    raw: bool,
    stop: tuple[str, ...],
    ignore_eos: bool,
    as_json: bool,
    cache_dir: str | None,
) -> int:
    """Decode with MODEL: a Hugging Face folder, a .gguf file, smollm2 or a pulled hub name.

    Text goes to stdout as it is made, then a report of what the machine did.
    """
    started = time.perf_counter()
    ids = _given(prompt, tokens, system, raw)
    options.check_context(context)
    machine = options.machine_of(machine_name, settings)
    from rdu.api import compile, load

    with waiting() as shown:
        shown.show(f"reading {model}")
        checkpoint = load(model, cache_dir=cache_dir)
        given = ids if prompt is None else request(checkpoint, prompt, system, raw)
        decoder = compile(
            checkpoint,
            machine,
            sockets=sockets,
            fusion=fusion,
            dtype=dtype,
            context=context,
            progress=shown.show,
        )
        loaded = time.perf_counter()
        out = Output(shown, quiet=as_json or prompt is None)
        shown.show("decoding" if out.quiet else "reading the prompt")
        try:
            run = decoder.generate(
                given,
                count,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                min_p=min_p,
                repetition_penalty=repetition_penalty,
                seed=seed,
                stop=stop,
                ignore_eos=ignore_eos,
                stream=out.piece,
                mode=mode,
                progress=shown.firings,
            )
        except KeyboardInterrupt:
            shown.clear()
            out.end()
            said = "the text above is all there is" if out.written else "there is no text yet"
            return failed(f"interrupted while generating: {said}", INTERRUPTED)
    now = time.perf_counter()
    wall = {"wall_s": now - started, "load_s": loaded - started, "generate_s": now - loaded}
    if as_json:
        options.print_json(_object(run, checkpoint, wall))
        return 0
    if prompt is None:
        print(",".join(map(str, run.tokens)))
    out.end()
    _print_report(run, wall)
    return 0


class Output:
    """Text as it comes, on stdout."""

    def __init__(self, shown: Waiting, quiet: bool) -> None:
        self._shown = shown
        self.quiet = quiet
        self.written = 0

    def piece(self, text: str) -> None:
        """Write a piece at once."""
        if self.quiet:
            return
        self._shown.clear()
        # Counted first: Ctrl-C may come between any two of these lines.
        self.written += len(text)
        sys.stdout.write(text)
        sys.stdout.flush()

    def end(self) -> None:
        """End the line, if one was begun."""
        if self.written:
            print(flush=True)


def _given(prompt: str | None, tokens: str | None, system: str | None, raw: bool) -> list[int]:
    """The token ids of ``--tokens``; checks what can be checked before a model is read."""
    if (prompt is None) == (tokens is None):
        raise RequestError("give either a prompt (-p TEXT) or token ids (--tokens 1,2,3)")
    if system is not None and (raw or prompt is None):
        raise RequestError("--system needs a chat template: it goes with -p, and not with --raw")
    if prompt is not None:
        if not prompt:
            raise RequestError("the prompt is empty; give at least one character")
        return []
    assert tokens is not None
    ids = []
    for at, part in enumerate(tokens.replace(",", " ").split()):
        try:
            ids.append(int(part))
        except ValueError:
            raise RequestError(f"--tokens: {part!r} at position {at} is not a whole number") from None
    if not ids:
        raise RequestError("the prompt is empty; give at least one token")
    return ids


def request(checkpoint: Checkpoint, prompt: str, system: str | None, raw: bool) -> Prompt:
    """A chat model gets its template unless told otherwise; any other model continues the text."""
    tokenizer = checkpoint.tokenizer
    if raw or tokenizer is None or not tokenizer.has_chat_template:
        if system is not None:
            raise RequestError(f"--system: model {checkpoint.name!r} has no chat template; leave it out")
        return prompt
    messages = [] if system is None else [{"role": "system", "content": system}]
    return [*messages, {"role": "user", "content": prompt}]


def _object(run: Run, checkpoint: Checkpoint, wall: dict[str, float]) -> dict[str, Any]:
    """What ``--json`` prints; without machine time the report's figures are null."""
    from rdu.report.clocks import host_figures

    report: dict[str, Any] = {"machine": dict.fromkeys(MACHINE_FIGURES), "host": host_figures(run)}
    if run.clock:
        report = run.report.to_dict()
    quantization = run.program.quantization
    return {
        "model": checkpoint.name,
        "text": run.text,
        "tokens": run.tokens,
        "prompt_tokens": run.prompt_tokens,
        "stopped_by": run.stopped_by,
        "quantization": None if quantization is None else quantization.to_dict(),
        **report,
        "host": report["host"] | wall,
    }


MACHINE_FIGURES = ("decode_tokens_per_second", "time_to_first_token_s", "hbm_utilization", "pcu_utilization")


def _print_report(run: Run, wall: dict[str, float]) -> None:
    from rich.console import Console

    from rdu.report.clocks import host_figures
    from rdu.report.units import quantity, seconds

    console = Console(highlight=False)
    print(f"\n{len(run.prompt_tokens)} prompt tokens, {len(run.tokens)} new ones, stopped by {run.stopped_by}")
    print(f"{seconds(wall['wall_s'])} on this host, {seconds(wall['load_s'])} of it to load the model\n")
    lost = run.program.quantization
    if lost is not None and lost.kept:
        print(f"{len(lost.kept)} weights are the file's own blocks: nothing was taken from them\n")
    if lost is not None and lost.worst is not None:
        name, most = lost.worst
        print(f"{run.program.dtype} weights are off by {lost.relative:.2%}, the worst by {most:.2%}: {name}\n")
    if not run.clock:
        rate = quantity(host_figures(run)["decode_tokens_per_second"], "tokens/s")
        print(f"host decode: {rate}; mode 'values' has no machine time, hence no report")
    elif console.is_terminal:
        console.print(run.report)
    else:
        # In a file or a pipe there are no colours to show and no width to fill.
        print(run.report)

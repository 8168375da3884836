"""``rdu estimate``: tokens per second of a model on a machine, from shapes alone."""

from __future__ import annotations

import click

from rdu.cli import options
from rdu.cli.progress import waiting


@click.command("estimate")
@click.argument("model")
@options.machine
@options.sockets
@options.batch
@click.option("--context", type=int, metavar="N", help="Positions in the cache.  [default: --prompt, else 1024]")
@click.option(
    "--prompt",
    type=int,
    metavar="N",
    help="For the time to the first token; 0: none.  [default: --context, at most 1024]",
)
@click.option("--output", type=int, default=1, show_default=True, metavar="N", help="Decode steps to take the mean of.")
@click.option("--dtype", default="bf16", show_default=True, help="Element of the weights.")
@options.fusion
@options.settings
@options.as_json
def command(
    model: str,
    machine_name: str,
    sockets: int | None,
    batch: int,
    context: int | None,
    prompt: int | None,
    output: int,
    dtype: str,
    fusion: str,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Estimate MODEL: a name such as llama-3.1-405b, a config.json, or a folder that holds one."""
    machine = options.machine_of(machine_name, settings)
    from rdu.studies.estimate import estimate

    with waiting() as shown:
        shown.show(f"timing a step of {model}")
        found = estimate(
            model,
            machine,
            sockets=sockets,
            batch=batch,
            context=context,
            prompt=prompt,
            output=output,
            dtype=dtype,
            fusion=fusion,
        )
        if found.prompt:
            shown.show(f"timing a prompt of {found.prompt}")
        facts = found.to_dict()
    if as_json:
        options.print_json(facts)
        return
    from rich.console import Console

    from rdu.cli.estimate_table import table

    Console().print(table(found))

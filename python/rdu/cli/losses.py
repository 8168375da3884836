"""``rdu losses``: where a decode step loses its time, in microseconds a layer."""

from __future__ import annotations

import click

from rdu.cli import options
from rdu.cli.progress import waiting


@click.command("losses")
@click.argument("model")
@options.machine
@options.sockets
@options.batch
@click.option("--context", type=int, default=1024, show_default=True, metavar="N", help="Positions in the cache.")
@options.dtype
@options.fusion
@options.settings
@options.as_json
def command(
    model: str,
    machine_name: str,
    sockets: int | None,
    batch: int,
    context: int,
    dtype: str,
    fusion: str,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Take the causes of lost time away one after another; what each takes with it is its loss."""
    machine = options.machine_of(machine_name, settings)
    from rdu.studies.losses import losses

    with waiting() as shown:
        found = losses(
            model,
            machine,
            sockets=sockets,
            batch=batch,
            context=context,
            dtype=dtype,
            fusion=fusion,
            progress=shown.show,
        )
    if as_json:
        options.print_json(found.to_dict())
        return
    from rich.console import Console

    from rdu.cli.losses_table import table

    Console().print(table(found))

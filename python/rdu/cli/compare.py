"""``rdu compare``: estimates of every combination of models and choices, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from rdu.cli import options
from rdu.cli.progress import waiting
from rdu.errors import RequestError

T = TypeVar("T")


@click.command("compare")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--machine", "machines", default="sn40l", show_default=True, help="Names or TOML files, with commas.")
@click.option("--sockets", metavar="N,...", help="Sockets that share the model.  [default: the machine's]")
@click.option("--batch", default="1", show_default=True, metavar="N,...", help="Sequences at a time.")
@click.option("--context", type=int, metavar="N", help="Positions in the cache.  [default: 1024]")
@click.option("--dtype", default="bf16", show_default=True, help="Elements of the weights, with commas.")
@click.option("--fusion", default="loop", show_default=True, help="Of loop, layer and op, with commas.")
@options.settings
@options.as_json
def command(
    models: tuple[str, ...],
    machines: str,
    sockets: str | None,
    batch: str,
    context: int | None,
    dtype: str,
    fusion: str,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare estimates of every combination, and HBM's time in each: rdu compare smollm2 --fusion op,layer,loop"""
    from rdu.studies.comparison import compare

    counts: list[int | None] = [*_listed(sockets, int)] if sockets else [None]
    with waiting() as shown:
        rows = compare(
            models,
            [options.machine_of(name, settings) for name in _listed(machines, str)],
            sockets=counts,
            batch=_listed(batch, int),
            dtype=_listed(dtype, str),
            fusion=_listed(fusion, str),
            context=context,
            progress=shown.show,
        )
        facts = [row.to_dict() for row in rows]
    if as_json:
        options.print_json({"rows": facts})
        return
    from rich.console import Console

    from rdu.cli.comparison_table import table

    Console().print(table(rows))


def _listed(text: str, kind: Callable[[str], T]) -> list[T]:
    try:
        return [kind(part.strip()) for part in text.split(",")]
    except ValueError:
        raise RequestError(f"{text!r} is no list of whole numbers with commas, such as 1,16") from None

"""``rdu validate``: published results beside what rdu emulates."""

from __future__ import annotations

import click

from rdu.cli import options
from rdu.cli.progress import waiting


@click.command("validate")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--markdown", is_flag=True, help="The page docs/validation.md, on stdout.")
@options.as_json
def command(ids: tuple[str, ...], markdown: bool, as_json: bool) -> None:
    """Emulate published results and show the errors: all of them, or those named (step: all that begin with step-)."""
    from rdu.studies.validation import validate

    with waiting() as shown:
        found = validate(ids, progress=shown.show)
    if as_json:
        options.print_json(found.to_dict())
    elif markdown:
        from rdu.studies.validation_page import page

        click.echo(page(found), nl=False)
    else:
        from rich.console import Console

        from rdu.cli.validation_table import table

        Console().print(table(found))

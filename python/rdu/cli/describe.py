"""``rdu describe``: every number of a machine, or what a model is and whether it fits."""

from __future__ import annotations

import click

from rdu.cli import options
from rdu.cli.progress import waiting
from rdu.errors import CheckpointError
from rdu.machine import names


@click.command("describe")
@click.argument("name", metavar="MACHINE|MODEL")
@click.option("--machine", "machine_name", default="sn40l", show_default=True, help="Machine that a model should fit.")
@options.settings
@options.dtype
@options.context
@options.as_json
@options.cache_dir
def command(
    name: str,
    machine_name: str,
    settings: tuple[str, ...],
    dtype: str,
    context: int | None,
    as_json: bool,
    cache_dir: str | None,
) -> None:
    """Describe a machine (a name such as sn40l, or a TOML file) or a model (a folder, a .gguf file, a name).

    A config.json, and names such as llama-3.1-405b, describe a model without its weights.
    """
    from rich.console import Console

    from rdu.models.pull import WHEELS
    from rdu.models.shapes import names as shapes
    from rdu.models.shapes import shape

    if name in names() or name.endswith(".toml"):
        machine = options.machine_of(name, settings)
        if as_json:
            options.print_json(machine.to_dict())
            return
        from rdu.report.machine_table import describe

        Console().print(describe(machine))
        return
    machine = options.machine_of(machine_name, settings)
    options.check_context(context)
    if name.endswith(".json") or (name in shapes() and name not in WHEELS):
        from rdu.cli import shape_table

        facts = shape_table.description(shape(name), machine, dtype, context)
        if as_json:
            options.print_json(facts)
        else:
            Console().print(shape_table.table(facts))
        return
    from rdu.cli.model_table import description, table
    from rdu.models import load

    with waiting() as shown:
        shown.show(f"reading {name}")
        try:
            checkpoint = load(name, cache_dir=cache_dir)
        except CheckpointError as error:
            if str(error).startswith("no model "):
                known = f"Shapes: {', '.join(shapes())}. Machines: {', '.join(names())}, or a TOML file"
                raise CheckpointError(f"{error}. {known}") from error
            raise
        facts = description(checkpoint, machine, dtype, context)
    if as_json:
        options.print_json(facts)
    else:
        Console().print(table(facts))

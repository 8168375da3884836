"""Options that several commands take."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from rdu.errors import MachineError, RequestError
from rdu.machine import Machine, read

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
cache_dir: Decorator = click.option(
    "--cache-dir", type=click.Path(file_okay=False), metavar="DIR", help="Instead of ~/.cache/rdu."
)
settings: Decorator = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a number of the machine; may be repeated."
)
machine: Decorator = click.option(
    "--machine", "machine_name", default="sn40l", show_default=True, help="A name, or a TOML file."
)
sockets: Decorator = click.option(
    "--sockets", type=int, metavar="N", help="Sockets that share the model.  [default: the machine's]"
)
batch: Decorator = click.option(
    "--batch", type=int, default=1, show_default=True, metavar="N", help="Sequences at a time."
)
fusion: Decorator = click.option(
    "--fusion",
    type=click.Choice(["loop", "layer", "op"]),
    default="loop",
    show_default=True,
    help="A call for all layers (loop), each (layer), each op.",
)
dtype: Decorator = click.option(
    "--dtype",
    type=click.Choice(["bf16", "fp32", "int8", "w8a8", "q8_0", "q4_0", "q4_1"]),
    default="bf16",
    show_default=True,
    help="Element of the weights.",
)
context: Decorator = click.option(
    "--ctx", "context", type=int, metavar="N", help="Most positions.  [default: the model's, at most 8192]"
)


def check_context(context: int | None) -> None:
    """Refuse a context that no sequence fits."""
    if context is not None and context < 1:
        raise RequestError(f"--ctx is {context}; it must be at least 1")


def machine_of(name: str, settings: Sequence[str]) -> Machine:
    """A machine with ``key=value`` settings applied."""
    machine, changes = read(name), changes_of(settings)
    return machine.override(changes) if changes else machine


def changes_of(settings: Sequence[str]) -> dict[str, object]:
    """The values of ``key=value`` settings, as strings."""
    changes: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise MachineError(f"--set {setting!r} is no KEY=VALUE; for example --set hbm.peak_gbps=3000")
        changes[key.strip()] = value.strip()
    return changes


def print_json(value: object) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value))

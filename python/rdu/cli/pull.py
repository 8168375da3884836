"""``rdu pull``: fetch a model into the cache."""

from __future__ import annotations

import click

from rdu.cli import options
from rdu.cli.progress import waiting


@click.command("pull")
@click.argument("model", default="smollm2")
@options.as_json
@options.cache_dir
def command(model: str, as_json: bool, cache_dir: str | None) -> None:
    """Fetch MODEL unless the cache has it: smollm2 (the default, 93 MB), or org/name on the Hugging Face hub."""
    from rdu.models import pull

    with waiting() as shown:
        shown.show(f"fetching {model}")
        path = pull(model, cache_dir=cache_dir)
    if as_json:
        files = [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]
        size = sum(entry.stat().st_size for entry in files)
        options.print_json({"model": model, "path": str(path), "bytes": size})
    else:
        print(path)

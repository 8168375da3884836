"""Models of the Hugging Face hub, on the user's explicit word only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rdu.errors import CacheError
from rdu.models.cache import cache_error
from rdu.models.extras import needs

WANTED = ("*.json", "*.safetensors", "*.jinja")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_name(name: str) -> bool:
    """Whether ``name`` reads ``org/name``."""
    return _NAME.fullmatch(name) is not None


def hub_folder(name: str, root: Path) -> Path:
    """Where a hub model lies in the cache."""
    return root / "hub" / name.replace("/", "--")


def pull_from_hub(name: str, root: Path) -> Path:
    """Fetch configuration, tokenizer and safetensors of ``org/name``; the folder appears only once it is whole."""
    target = hub_folder(name, root)
    if target.is_dir():
        return target
    import shutil
    import tempfile

    with needs("huggingface_hub"):
        import huggingface_hub
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="pull-", dir=target.parent) as temporary:
            part = Path(temporary) / "model"
            huggingface_hub.snapshot_download(name, local_dir=part, allow_patterns=list(WANTED))
            shutil.rmtree(part / ".cache", ignore_errors=True)  # the hub's own bookkeeping
            os.replace(part, target)
    except OSError as error:  # the hub's HTTP errors are OSErrors without an errno
        if error.errno is None:
            raise CacheError(
                f"hub model {name} could not be fetched ({error}); check the name and the network"
            ) from error
        raise cache_error(target, error) from error
    except Exception as error:  # the transport below the hub's library has a tree of errors of its own
        raise CacheError(f"hub model {name} could not be fetched ({error}); check the name and the network") from error
    return target

"""Headers of GGUF files that were read before, keyed by path, size and time of change.

An entry is the sha256 of what follows on the first line, then JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from rdu.models.cache import cache_root

FORMAT = 1  # raised when what is stored changes


def _key(path: Path) -> str:
    status = path.stat()
    return f"{FORMAT}|{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"


def _entry(key: str, cache_dir: str | os.PathLike[str] | None) -> Path:
    return cache_root(cache_dir) / "gguf" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def cached_header(path: Path, cache_dir: str | os.PathLike[str] | None = None) -> dict[str, object] | None:
    """What was stored for ``path`` as it is now; None if nothing, or if the entry cannot be used."""
    try:
        key = _key(path)
        digest, _, body = _entry(key, cache_dir).read_bytes().partition(b"\n")
        if digest != hashlib.sha256(body).hexdigest().encode():
            return None
        stored = json.loads(body)
    except (OSError, ValueError, RecursionError):
        return None
    return stored if isinstance(stored, dict) and stored.get("key") == key else None


def store_header(path: Path, header: dict[str, object], cache_dir: str | os.PathLike[str] | None = None) -> None:
    """Keep ``header`` for the next time; a cache that cannot be written is no reason to fail."""
    temporary = None
    try:
        key = _key(path)
        entry = _entry(key, cache_dir)
        body = json.dumps({"key": key, **header}).encode()
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=entry.parent, suffix=".part", delete=False) as stream:
            temporary = stream.name
            stream.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        os.replace(temporary, entry)
    except (OSError, ValueError, TypeError):
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)

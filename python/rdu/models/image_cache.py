"""Weights as a machine holds them, kept in files that are mapped when the same are asked for again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rdu.models.cache import cache_root
from rdu.program import Image, engine_file

# Smaller ones are made anew in less time than it takes to look for them.
LEAST_BYTES = 1 << 24
# All together; those used last stay. `docs/models.md` says where they are.
MOST_BYTES = 1 << 34
SUFFIX = ".rdu-image"


class ImageCache:
    """Images made of the weights in some files, as long as these do not change.

    Parameters
    ----------
    files : iterable of Path
        What the weights are read from.
    cache_dir : path, optional
        In place of the user's cache folder.
    """

    def __init__(self, files: Iterable[Path], cache_dir: str | os.PathLike[str] | None = None) -> None:
        self._files = (*files, engine_file())
        self._folder = cache_root(cache_dir) / "images"

    def find(self, layout: str) -> tuple[Image, str] | None:
        """An image that was kept, and its note; None if there is none, or if it is damaged."""
        try:
            entry = self._entry(layout)
            kept = Image.open(entry)
            if kept is not None:
                os.utime(entry)
        except OSError:
            return None
        return kept

    def keep(self, layout: str, image: Image, note: str) -> None:
        """Keep an image, if it is worth it; a cache that cannot be written is no reason to fail."""
        if not LEAST_BYTES <= image.size_bytes <= MOST_BYTES:
            return
        temporary = None
        try:
            entry = self._entry(layout)
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as stream:
                temporary = Path(stream.name)
            image.save(temporary, note)
            temporary.replace(entry)
            self._make_room()
        except OSError:
            pass
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def _entry(self, layout: str) -> Path:
        status = [(path, path.stat()) for path in self._files]
        source = [(str(path.resolve()), found.st_size, found.st_mtime_ns) for path, found in status]
        return self._folder / (hashlib.sha256(repr((source, layout)).encode()).hexdigest()[:32] + SUFFIX)

    def _make_room(self) -> None:
        """Remove those that were not used for longest, until the rest is small enough."""
        found = []
        for path in self._folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):  # another process removed it
                found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= MOST_BYTES:
                break
            path.unlink(missing_ok=True)
            total -= size

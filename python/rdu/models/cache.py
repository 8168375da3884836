"""The folder in which downloads and read headers are kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from rdu.errors import CacheError


def cache_root(override: str | os.PathLike[str] | None = None) -> Path:
    """``override``, or ``$XDG_CACHE_HOME/rdu``, or ``~/.cache/rdu``; not created here."""
    if override is not None:
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG specification says to ignore a relative path
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "rdu"


def cache_error(path: Path, error: OSError) -> CacheError:
    """An error of the operating system while writing ``path``, with what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "the disk is full: free some space, or set XDG_CACHE_HOME to a folder on another disk"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = "no permission: make the folder writable, or set XDG_CACHE_HOME to a folder that is"
    else:
        fix = f"{error.strerror or error}: set XDG_CACHE_HOME to a folder that can be written"
    return CacheError(f"cache {path} cannot be written; {fix}")

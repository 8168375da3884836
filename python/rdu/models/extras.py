"""The optional dependencies: importing one that is absent names the pip line that brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rdu.errors import MissingExtraError


@contextmanager
def needs(requirement: str) -> Iterator[None]:
    """Wrap an import; a missing package becomes `MissingExtraError` with ``pip install 'requirement'``."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{error.name or error} is not installed; run: pip install '{requirement}'") from error


LLM = "rdu-emulator[llm]"

"""Checked look-ups in a table of settings (``config.json``, GGUF metadata) that a stranger wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path

from rdu.errors import CheckpointError

LARGEST_SIZE = 2**31 - 1  # an emulated tensor dimension beyond this is a damaged number, not a model


class Settings:
    """A mapping whose every look-up names the file, the key, the value and what would be accepted.

    A key that is absent or null takes its default; without a default it is an error.

    Parameters
    ----------
    values : mapping
        Keys to JSON-like values.
    file : str
        The file they come from, for messages.
    prefix : str
        What stands before each key in messages (``rope_scaling.``).
    """

    def __init__(self, values: Mapping[str, object], file: str, prefix: str = "") -> None:
        self.values = values
        self.file = file
        self.prefix = prefix

    def error(self, key: str, accepted: str) -> CheckpointError:
        """Say what is wrong with ``key`` (not raised here)."""
        if self.values.get(key) is None:
            return CheckpointError(f"{self.file}: {self.prefix}{key} is missing; accepted: {accepted}")
        shown = repr(self.values[key])
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return CheckpointError(f"{self.file}: {self.prefix}{key} is {shown}; accepted: {accepted}")

    def has(self, key: str) -> bool:
        """Whether ``key`` is there and not null."""
        return self.values.get(key) is not None

    def size(self, key: str, default: int | None = None, *, smallest: int = 1, largest: int = LARGEST_SIZE) -> int:
        """A whole number from ``smallest`` to ``largest``."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
            raise self.error(key, f"a whole number from {smallest} to {largest}")
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        """A finite number above zero."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "a finite number above 0")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not (math.isfinite(number) and number > 0):
            raise self.error(key, "a finite number above 0")
        return number

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def choice(self, key: str, accepted: Collection[str], default: str | None = None) -> str:
        """One of the strings in ``accepted``."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in accepted:
            raise self.error(key, ", ".join(accepted))
        return value

    def token_ids(self, key: str, vocab_size: int) -> tuple[int, ...]:
        """A token id or a list of them; absent gives none."""
        value = self.values.get(key)
        if value is None:
            return ()
        ids = value if isinstance(value, list) else [value]
        for token in ids:
            if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < vocab_size:
                raise self.error(key, f"token ids from 0 to {vocab_size - 1}")
        return tuple(dict.fromkeys(ids))

    def section(self, key: str) -> Settings | None:
        """A table inside this one; None if absent or null."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.error(key, "a table or null")
        return Settings(value, self.file, f"{self.prefix}{key}.")


def read_json(path: Path) -> dict[str, object]:
    """The JSON object in a file; `CheckpointError` if it cannot be read or is none."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}); is the file complete?") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds a JSON {type(value).__name__}; accepted: an object with named keys")
    return value

"""One section of a resolved description, readable by key and by attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Section(Mapping[str, object]):
    """Read-only: ``dram.timings.trcd_rd`` is ``dram.timings["trcd_rd"]``."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __getattr__(self, name: str) -> object:
        if not name.startswith("_") and name in self._values:
            return self._values[name]
        raise AttributeError(f"no value {name!r}; there are {', '.join(self._values)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        return f"Section({', '.join(f'{key}={value!r}' for key, value in self._values.items())})"

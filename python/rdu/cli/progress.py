"""What the user sees while waiting: on stderr, only on a terminal, and gone when it is over."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Waiting:
    """A line with a bar; a new ``what`` starts a new one."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
        self._task: TaskID | None = None
        self._what = ""
        self._firings = (0, 0)

    def show(self, what: str, done: int | None = None, total: int | None = None, note: str = "") -> None:
        """Show how far ``what`` is; without a total the bar only moves."""
        if what != self._what:
            self.clear()
            self._progress.start()
            self._task = self._progress.add_task(what, total=total, note=note)
            self._what = what
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)

    def firings(self, count: int) -> None:
        """Progress of the engine, which counts the firings of each kernel call from 0."""
        before, last = self._firings
        self._firings = (before + last if count < last else before, count)
        if self._what:
            self.show(self._what, note=f"{sum(self._firings) / 1e6:.1f} M firings")

    def clear(self) -> None:
        """Take the line away."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._progress.stop()
        self._task, self._what = None, ""


@contextmanager
def waiting() -> Iterator[Waiting]:
    """A `Waiting` whose line is gone at the end, however that comes."""
    shown = Waiting()
    try:
        yield shown
    finally:
        shown.clear()

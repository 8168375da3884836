"""The docs cannot lie: the Python blocks of every page of docs/ run, in order, in one namespace a page.

So do the examples in the package's docstrings, and the short programs of examples/ that need no model.
"""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A file that the page shows: its name in the text, then its block.
FILE = re.compile(r"`(\w+\.toml)`[^`]*^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Pages with nothing to run are not listed.
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if BLOCK.search(page.read_text(encoding="utf-8"))]
PACKAGE = ROOT / "python"
# Modules whose docstrings have examples.
MODULES = [
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((PACKAGE / "rdu").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def run_page(page: Path) -> None:
    """Write the files that a page shows into the current directory, and run its blocks there."""
    text, namespace = page.read_text(encoding="utf-8"), {"__name__": page.stem}
    for file in FILE.finditer(text):
        Path(file[1]).write_text(file[2], encoding="utf-8")
    for block in BLOCK.finditer(text):
        # Blank lines before the code, so that a traceback shows the page's own line numbers.
        exec(compile("\n" * text.count("\n", 0, block.start(1)) + block[1], str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page)


def test_the_page_that_teaches_dataflow_is_run() -> None:
    assert ROOT / "docs" / "dataflow.md" in PAGES


def test_a_lie_is_found_at_its_line(tmp_path: Path) -> None:
    page = tmp_path / "lie.md"
    page.write_text("# x\n\n```python\na = 1\n```\n\n```python\nassert a == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError) as caught:
        run_page(page)
    assert caught.traceback[-1].lineno == 7


def test_the_first_graph() -> None:
    example = ROOT / "examples" / "first_graph.py"
    shown = subprocess.run([sys.executable, example], capture_output=True, text=True, check=True).stdout
    assert "2008 cycles, 2000 firings" in shown
    assert "deadlock after 0 cycles: src (after 0 firings) waits for a token on mac->src from mac" in shown


def test_the_short_path(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "short_path.py", tmp_path / "short_path.svg"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # The long path takes 4 + 3, 6 + 3 and 1 cycle of credit: so many slots, or four firings in 17 cycles.
    assert "an iteration takes 17/4 cycles" in shown
    assert "the short path needs 17 slots instead of 4" in shown
    assert [line.split(",")[0] for line in shown.splitlines()[-2:]] == [
        "3.0e+12 firings: 4.2500e+12 cycles",
        "3.0e+12 firings: 1.0000e+12 cycles",
    ]
    assert (tmp_path / "short_path.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_docstring(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0, "the lines above show what the example says and what it gives"


def test_docstrings_with_examples_are_found() -> None:
    assert {"rdu.builder.builder", "rdu.builder.program"} <= set(MODULES)

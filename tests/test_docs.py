"""The docs cannot lie: the Python blocks of every page of docs/ run, in order, in one namespace a page."""

from __future__ import annotations

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
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


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

"""The README cannot lie: its Python blocks run, in order, in one namespace."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
# A block may follow a comment that names the model it needs: <!-- needs: smollm2 -->
BLOCK = re.compile(r"(?:<!-- needs: (?P<needs>\w+) -->\s*)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
KNOWN_NEEDS = {"smollm2": pytest.mark.smollm2}


def blocks(text: str) -> list[tuple[int, str, str | None]]:
    """The Python blocks of a Markdown text: first line of the code, code, and what it needs."""
    return [
        (text.count("\n", 0, match.start("code")) + 1, match["code"], match["needs"]) for match in BLOCK.finditer(text)
    ]


def parameters() -> list[object]:
    """One test parameter per block of the README, marked with what it needs."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    return [
        pytest.param(line, code, id=f"line{line}", marks=[KNOWN_NEEDS[needs]] if needs else [])
        for line, code, needs in blocks(text)
    ]


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The names that one block leaves for the next; files that blocks write go to a directory of their own."""
    return {"__name__": "readme", "__directory__": tmp_path_factory.mktemp("readme")}


@pytest.mark.parametrize(("line", "code"), parameters())
def test_readme_block_runs(line: int, code: str, namespace: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(namespace["__directory__"]))
    # Blank lines before the code, so that a traceback shows the README's own line numbers.
    exec(compile("\n" * (line - 1) + code, str(README), "exec"), namespace)


def test_readme_has_blocks_and_they_compile() -> None:
    found = blocks(README.read_text(encoding="utf-8"))
    assert found
    for line, code, _ in found:
        ast.parse("\n" * (line - 1) + code, str(README))


def test_blocks_are_found_with_line_and_need() -> None:
    text = "# x\n```python\na = 1\n```\n\n```sh\nls\n```\n<!-- needs: smollm2 -->\n\n```python\nb = a\nc = b\n```\n"
    assert blocks(text) == [(3, "a = 1\n", None), (12, "b = a\nc = b\n", "smollm2")]

"""The pictures of docs/dataflow.md are what its code draws.

A Python block that is followed by a Mermaid block leaves that drawing in ``picture``; files that the page shows are
written by its blocks. After a change of the code or of the page, ``python tests/test_interchange_docs.py`` (with
``python`` in PYTHONPATH) draws them all anew.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "dataflow.md"
# An image that the page shows.
IMAGE = re.compile(r"!\[[^]]*\]\(([\w.]+)\)")
# A Python block, and the drawing that comes right after it.
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```mermaid\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def redrawn(text: str) -> str:
    """A page with its blocks run, in order, in one namespace, and its pictures drawn by them."""
    namespace: dict[str, object] = {"__name__": "page"}
    parts, end = [], 0
    for block in BLOCK.finditer(text):
        exec(compile("\n" * text.count("\n", 0, block.start(1)) + block[1], str(PAGE), "exec"), namespace)
        if block[2] is not None:
            parts += [text[end : block.start(2)], str(namespace.pop("picture"))]
            end = block.end(2)
    return "".join([*parts, text[end:]])


def test_the_pictures_are_what_the_code_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```mermaid") >= 5
    # None of them is one that no code draws.
    assert len(re.findall(r"^```mermaid$", text, re.MULTILINE)) == sum(b[2] is not None for b in BLOCK.finditer(text))
    assert redrawn(text) == text
    assert IMAGE.findall(text)
    for image in IMAGE.findall(text):
        assert (PAGE.parent / image).read_text(encoding="utf-8") == Path(image).read_text(encoding="utf-8"), image


def test_a_picture_that_lies_is_found() -> None:
    text = "```python\npicture = 'a\\n'\n```\n\n```mermaid\nb\n```\n"
    assert redrawn(text) == text.replace("b\n", "a\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        for image in IMAGE.findall(PAGE.read_text(encoding="utf-8")):
            shutil.copy(image, PAGE.parent)
        os.chdir(PAGE.parent)

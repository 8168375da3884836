"""Who may import whom: the layering of CONTRIBUTING.md, held for every file that exists.

Each rule is a function from a directory to its violations, one line each with file and line, so that the rules
themselves are tested on made-up trees at the end.
"""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# --- Rust ------------------------------------------------------------------------------------------------------------

# Crate -> the siblings it may depend on. A crate that is not listed here is a violation: decide its place first.
CRATES = {
    "dataflow": frozenset[str](),
    "memory": frozenset[str](),
    "kernels": frozenset[str](),
    "machine": frozenset({"dataflow", "memory", "kernels"}),
    "python": frozenset({"dataflow", "memory", "kernels", "machine"}),
}
BINDING = "python"
BINDING_LIBRARIES = frozenset({"pyo3", "numpy", "pythonize", "pyo3-log", "pyo3-ffi"})
MODEL_WORDS = re.compile("attention|llama", re.IGNORECASE)


def line_of(text: str, needle: str) -> int:
    """The first line that holds a needle (1 when none does, so that a message always has a line)."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if needle in line), 1)


def dependencies(manifest: dict[str, object]) -> set[str]:
    """The package names a manifest depends on, in every kind of dependency table and for every target."""
    names: set[str] = set()
    for key, table in manifest.items():
        if key in {"dependencies", "dev-dependencies", "build-dependencies"}:
            assert isinstance(table, dict)
            for name, spec in table.items():
                names.add(spec.get("package", name) if isinstance(spec, dict) else name)
        elif key == "target":
            assert isinstance(table, dict)
            for target in table.values():
                names |= dependencies(target)
    return names


def crate_violations(rust: Path) -> list[str]:
    """Crates that depend on a sibling they must not know, or on Python."""
    found = []
    for path in sorted(rust.glob("*/Cargo.toml")):
        crate, text = path.parent.name, path.read_text(encoding="utf-8")
        if crate not in CRATES:
            found.append(f"{path}:1: crate {crate!r} has no place in CRATES")
            continue
        for name in sorted(dependencies(tomllib.loads(text))):
            sibling = name.removeprefix("rdu-") if name.startswith("rdu-") else None
            if sibling is not None and sibling not in CRATES[crate]:
                found.append(f"{path}:{line_of(text, name)}: crate {crate!r} must not depend on {name!r}")
            if name in BINDING_LIBRARIES and crate != BINDING:
                found.append(f"{path}:{line_of(text, name)}: only crate {BINDING!r} may name {name!r}")
    return found


def binding_violations(rust: Path) -> list[str]:
    """Rust sources outside the binding crate that use one of its libraries."""
    use = re.compile(rf"\b(?:{'|'.join(sorted(name.replace('-', '_') for name in BINDING_LIBRARIES))})::")
    return [
        f"{path}:{number}: only crate {BINDING!r} may name {match[0].removesuffix('::')!r}"
        for path in sorted(rust.rglob("*.rs"))
        if path.relative_to(rust).parts[0] != BINDING
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := use.search(line.split("//")[0]))
    ]


def word_violations(rust: Path) -> list[str]:
    """Lines under rust/ that name a model: a decoder is a graph, and graphs come from Python."""
    return [
        f"{path}:{number}: the engine must not say {match[0]!r}"
        for path in sorted(rust.rglob("*"))
        if path.suffix in {".rs", ".toml", ".md"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := MODEL_WORDS.search(line))
    ]


# --- Python ----------------------------------------------------------------------------------------------------------

ENGINE_API = frozenset({"machine", "memory", "graph", "program", "run", "builder", "errors"})
OUTERMOST = frozenset({"studies", "serve", "cli"})
# Layer -> the layers it must not import. "" is `rdu` itself, the facade, which takes in everything below it; through it
# a layer could reach one it must not know.
FORBIDDEN = {
    **dict.fromkeys(ENGINE_API, frozenset({"compiler", "interchange", "models", "report"}) | OUTERMOST | {""}),
    "compiler": frozenset({"_core", "models", "report"}) | OUTERMOST | {""},
    "models": frozenset({"_core", "report"}) | OUTERMOST | {""},
    "report": frozenset({"_core", "models"}) | OUTERMOST | {""},
    # Beside the compiler and above the builder: it reads built programs and makes builders.
    "interchange": frozenset({"_core", "compiler", "models", "report"}) | OUTERMOST | {""},
    "studies": frozenset({"_core", "cli"}),
    "serve": frozenset({"_core", "cli"}),
    "cli": frozenset({"_core"}),
    "": frozenset({"_core", "cli"}),
    # `python -m rdu` is the command: the one module that starts it.
    "__main__": frozenset({"_core"}),
}
# Where a module is not listed above (an own small layer such as a test kit): the rules that hold for all.
ELSEWHERE = frozenset({"_core", "cli"})


def imported(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """The dotted names under ``rdu`` that a file imports anywhere in it, with their lines (``"rdu"`` = the facade)."""
    here = ["rdu", *path.relative_to(package).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "rdu")
        elif isinstance(node, ast.ImportFrom):
            parents = here[: len(here) - node.level + 1] if node.level else []
            base = [*parents, *(node.module.split(".") if node.module else [])]
            if base == ["rdu"]:
                # `from rdu import models` names a layer, `from rdu import load` takes from the facade.
                for alias in node.names:
                    yield node.lineno, f"rdu.{alias.name}" if is_module(package, alias.name) else "rdu"
            elif base[0] == "rdu":
                yield node.lineno, ".".join(base)


def is_module(package: Path, name: str) -> bool:
    """Whether a name in ``rdu`` is a module; ``rdu.machine`` is both a module and a function of the facade."""
    return name == "_core" or (package / name).is_dir() or (package / f"{name}.py").exists()


def import_violations(package: Path) -> list[str]:
    """Python files that import a layer they must not know."""
    found = []
    for path in sorted(package.rglob("*.py")):
        layer = path.relative_to(package).parts[0].removesuffix(".py")
        layer = "" if layer == "__init__" else layer
        for line, name in imported(path, package):
            target = name.split(".")[1] if "." in name else ""
            if target != layer and target in FORBIDDEN.get(layer, ELSEWHERE):
                found.append(f"{path}:{line}: {layer or 'rdu'!r} must not import {name!r}")
    return found


# --- sizes -----------------------------------------------------------------------------------------------------------


def sizes(root: Path) -> dict[Path, int]:
    """Lines of every source file of the engine and the package."""
    return {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for folder, pattern in (("rust", "*.rs"), ("python", "*.py"))
        for path in sorted((root / folder).rglob(pattern))
    }


# --- the rules hold --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [crate_violations, binding_violations, word_violations])
def test_rust_layers(rule) -> None:
    assert list((ROOT / "rust").glob("*/Cargo.toml")), "no crates found: the test looks in the wrong place"
    assert rule(ROOT / "rust") == []


def test_python_layers() -> None:
    package = ROOT / "python" / "rdu"
    assert list(package.rglob("*.py")), "no package found: the test looks in the wrong place"
    assert import_violations(package) == []


def test_files_are_small() -> None:
    lines = sizes(ROOT)
    longest = sorted(lines, key=lambda path: -lines[path])
    listing = "\n".join(f"{lines[path]:5} {path.relative_to(ROOT)}" for path in longest[:10])
    assert statistics.median(lines.values()) <= 120, listing
    assert sorted(lines.values())[int(0.9 * (len(lines) - 1))] <= 400, listing
    for path in longest:
        if lines[path] > 600:
            warnings.warn(f"{path.relative_to(ROOT)} has {lines[path]} lines: split it", stacklevel=1)


# --- and can fail ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "source", "violation"),
    [
        ("models/decoder.py", "import rdu.report.metrics\n", ":1: 'models' must not import 'rdu.report.metrics'"),
        ("models/decoder.py", "\nfrom rdu import report\n", ":2: 'models' must not import 'rdu.report'"),
        ("models/decoder.py", "def f():\n    from ..report import x\n", ":2: 'models' must not import 'rdu.report'"),
        ("models/decoder.py", "from .. import load\n", ":1: 'models' must not import 'rdu'"),
        ("report/table.py", "from ..models.config import C\n", ":1: 'report' must not import 'rdu.models.config'"),
        ("report/table.py", "from rdu.cli import main\n", ":1: 'report' must not import 'rdu.cli'"),
        ("compiler/lower.py", "from rdu._core import lower\n", ":1: 'compiler' must not import 'rdu._core'"),
        ("compiler/lower.py", "from rdu import _core\n", ":1: 'compiler' must not import 'rdu._core'"),
        ("interchange/dot.py", "from ..models import load\n", ":1: 'interchange' must not import 'rdu.models'"),
        ("interchange/dot.py", "from ..builder import Builder\n", None),
        ("run.py", "from . import interchange\n", ":1: 'run' must not import 'rdu.interchange'"),
        ("memory/dram.py", "from rdu import _core, report\n", ":1: 'memory' must not import 'rdu.report'"),
        ("memory/dram.py", "from rdu import _core\nfrom rdu.machine.parameter import nearest\n", None),
        ("run.py", "from . import report\n", ":1: 'run' must not import 'rdu.report'"),
        ("run/result.py", "from ..compiler import fuse\n", ":1: 'run' must not import 'rdu.compiler'"),
        ("serve/app.py", "import rdu.cli\n", ":1: 'serve' must not import 'rdu.cli'"),
        ("testing/programs.py", "from rdu import _core\n", ":1: 'testing' must not import 'rdu._core'"),
        ("__init__.py", "from .cli import main\n", ":1: 'rdu' must not import 'rdu.cli'"),
        ("run.py", "from rdu import _core\nfrom .errors import RunError\nfrom . import machine\n", None),
        ("machine/__init__.py", "from .sections import Hbm\nfrom rdu.machine.sections import Pcu\n", None),
        ("models/decoder.py", "import numpy\nfrom ..graph import Graph\nfrom .config import C\n", None),
        ("cli/run.py", "import rdu\nfrom rdu import load\nfrom rdu.report import table\n", None),
    ],
)
def test_an_import_that_breaks_the_layers_is_found(
    tmp_path: Path, file: str, source: str, violation: str | None
) -> None:
    for name in ("report", "models", "compiler", "cli", "interchange"):
        (tmp_path / name).mkdir()
    for name in ("errors.py", "machine.py", "graph.py"):
        (tmp_path / name).touch()
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(source, encoding="utf-8")
    assert import_violations(tmp_path) == ([] if violation is None else [f"{path}{violation}"])


@pytest.mark.parametrize(
    ("crate", "manifest", "violation"),
    [
        ("memory", "[dependencies]\nrdu-dataflow.workspace = true\n", ":2: crate 'memory' must not depend on"),
        ("kernels", "[dev-dependencies]\nrdu-machine = { path = '' }\n", ":2: crate 'kernels' must not depend on"),
        ("machine", "[target.x.dependencies]\npyo3 = '1'\n", ":2: only crate 'python' may name 'pyo3'"),
        ("machine", "[dependencies]\nnd = { package = 'numpy' }\n", ":2: only crate 'python' may name 'numpy'"),
        ("models", "[package]\n", ":1: crate 'models' has no place"),
        ("machine", "[dependencies]\nrdu-memory.workspace = true\nserde = '1'\n", None),
        ("python", "[dependencies]\npyo3 = '1'\nrdu-machine.workspace = true\n", None),
    ],
)
def test_a_crate_that_breaks_the_layers_is_found(
    tmp_path: Path, crate: str, manifest: str, violation: str | None
) -> None:
    path = tmp_path / crate / "Cargo.toml"
    path.parent.mkdir()
    path.write_text(manifest, encoding="utf-8")
    found = crate_violations(tmp_path)
    assert len(found) == (violation is not None)
    assert violation is None or found[0].startswith(f"{path}{violation}")


def test_forbidden_words_and_libraries_in_rust_are_found(tmp_path: Path) -> None:
    path = tmp_path / "machine" / "src" / "call.rs"
    path.parent.mkdir(parents=True)
    path.write_text("// pyo3::x in a comment is fine\nuse pyo3::prelude::*;\n// Llama\n", encoding="utf-8")
    assert binding_violations(tmp_path) == [f"{path}:2: only crate 'python' may name 'pyo3'"]
    assert word_violations(tmp_path) == [f"{path}:3: the engine must not say 'Llama'"]

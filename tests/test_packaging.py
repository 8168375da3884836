"""The files of the distribution agree with each other and are all there."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def requirement_name(requirement: str) -> str:
    """The distribution that a requirement names, in lower case with dashes."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, f"not a requirement: {requirement!r}"
    return match[0].lower().replace("_", "-")


def test_one_version() -> None:
    assert CARGO["workspace"]["package"]["version"] == PROJECT["version"]
    rdu = pytest.importorskip("rdu")
    assert rdu.__version__ == PROJECT["version"]


def test_installed_metadata_is_of_this_version() -> None:
    try:
        installed = importlib.metadata.version(PROJECT["name"])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("rdu-emulator is not installed")
    assert installed == PROJECT["version"], "installed from an older checkout: run `make install`"


def test_changelog_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## .*\b{re.escape(PROJECT['version'])}\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    "file",
    [PROJECT["readme"], *PROJECT["license-files"], "CHANGELOG.md", "CONTRIBUTING.md", "Cargo.lock", "rust/README.md"],
)
def test_a_promised_file_exists(file: str) -> None:
    assert (ROOT / file).is_file()
    assert (ROOT / file).stat().st_size > 0


def test_reading_order_names_seven_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = re.findall(r"^\d\. `([^`]+)`", text, re.MULTILINE)
    assert len(files) == 7
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_licence_is_apache() -> None:
    assert PROJECT["license"] == CARGO["workspace"]["package"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_package_is_typed() -> None:
    assert (ROOT / "python" / "rdu" / "py.typed").is_file()


def test_every_crate_takes_version_and_licence_from_the_workspace() -> None:
    members = CARGO["workspace"]["members"]
    assert sorted(members) == sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("rust/*/Cargo.toml"))
    for member in members:
        package = tomllib.loads((ROOT / member / "Cargo.toml").read_text(encoding="utf-8"))["package"]
        for key in ("version", "edition", "rust-version", "license", "publish"):
            assert package[key] == {"workspace": True}, f"{member}/Cargo.toml: {key}"
        assert (ROOT / member / "README.md").is_file(), f"{member} has no README.md"


def test_extra_all_is_all_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    rest = {line for name, lines in extras.items() if name != "all" for line in lines}
    assert set(extras["all"]) == rest
    # `maturin develop` resolves the extras before the package is there: a reference to itself would be looked up on the
    # package index, where the name may be anyone's.
    assert PROJECT["name"] not in {requirement_name(line) for line in rest}


def test_everything_imported_is_declared() -> None:
    """A module of the package imports the standard library, rdu, or a distribution that pyproject.toml names."""
    named = {requirement_name(line) for line in PROJECT["dependencies"]}
    for lines in PROJECT["optional-dependencies"].values():
        named |= {requirement_name(line) for line in lines}
    known = sys.stdlib_module_names | {"rdu"} | {name.replace("-", "_") for name in named}
    # The test kit is for users who have hypothesis; everything else must work without it.
    kit = {"hypothesis", "pytest"}
    undeclared = []
    for path in sorted((ROOT / "python").rglob("*.py")):
        allowed = known | kit if "testing" in path.parts else known
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            else:
                continue
            undeclared += [f"{path}:{node.lineno}: {name}" for name in names if name.split(".")[0] not in allowed]
    assert undeclared == []


def test_sources_packed_for_cargo_cover_its_targets() -> None:
    """Every target file the root manifest names is in the sdist, or cargo refuses the whole workspace there.

    And so is every module of benches and tests, or cargo cannot build them there.
    """
    packed = [entry["path"] for entry in PYPROJECT["tool"]["maturin"]["include"] if entry["format"] == "sdist"]
    targets = [CARGO["lib"]["path"]]
    for kind, folder in (("bench", "benches"), ("test", "tests"), ("example", "examples")):
        targets += [target.get("path", f"{folder}/{target['name']}.rs") for target in CARGO.get(kind, [])]
    targets += [
        str(path.relative_to(ROOT)) for folder in ("benches", "tests") for path in (ROOT / folder).rglob("*.rs")
    ]
    for target in targets:
        assert any(Path(target).match(pattern) for pattern in packed), f"{target} is not in [tool.maturin] include"
        assert (ROOT / target).is_file(), f"Cargo.toml names {target}, which does not exist"

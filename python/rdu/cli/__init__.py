"""The command ``rdu``: thin commands over the Python API. Exit codes: 0; 1 the run failed; 2 bad input; 130 Ctrl-C."""

from rdu.cli.main import main

__all__ = ["main"]

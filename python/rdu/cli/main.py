"""The group of commands, and what becomes of whatever they raise: one line, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import rdu
from rdu.errors import RduError, RunError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
COMMANDS = ("bench", "compare", "describe", "estimate", "losses", "pull", "run", "validate")


class Commands(click.Group):
    """Commands whose modules are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, sorted."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command ``name`` of module ``rdu.cli.name``."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"rdu.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rdu.__version__, prog_name="rdu")
def commands() -> None:
    """Emulate a reconfigurable dataflow unit: real weights, exact values, exact time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing that goes wrong shows a traceback."""
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal that cannot show a character gets a question mark, not a failure.
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            result = commands.main(args=arguments, prog_name="rdu", standalone_mode=False)
            return result if isinstance(result, int) else 0
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left; what Python still holds must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return failed("interrupted", INTERRUPTED)
    except click.ClickException as error:
        hint = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else None
        return failed(error.format_message() + (f" (see {hint} --help)" if hint else ""), BAD_INPUT)
    except RunError as error:
        return failed(str(error), FAILED)
    except (RduError, OSError) as error:
        return failed(str(error), BAD_INPUT)
    except Exception as error:
        return failed(f"a fault in rdu, please report it: {type(error).__name__}: {error}", FAILED)


def failed(message: str, code: int) -> int:
    """Say in one line what went wrong."""
    line = "; ".join(part.strip() for part in message.splitlines() if part.strip())
    print(f"error: {line}", file=sys.stderr)
    return code

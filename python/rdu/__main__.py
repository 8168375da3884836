"""``python -m rdu`` is the command ``rdu``."""

# Started by name, as the installed command is: no module of the package imports the command line.
from runpy import run_module

if __name__ == "__main__":
    run_module("rdu.cli", run_name="__main__", alter_sys=False)

"""``python -m rdu`` is the command ``rdu``."""

from rdu.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

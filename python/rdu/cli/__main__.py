"""``python -m rdu.cli`` (and, through it, ``python -m rdu``)."""

import sys

from rdu.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

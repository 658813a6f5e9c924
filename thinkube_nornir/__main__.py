"""`python -m thinkube_nornir`, and the console script of the same name."""

from __future__ import annotations

import sys

from thinkube_nornir.cli import run_command_line


def main() -> None:
    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()

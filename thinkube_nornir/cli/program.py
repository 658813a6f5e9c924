"""How this program is called, so that the commands it prints can be typed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def program() -> str:
    started = Path(sys.argv[0]).name
    return "python -m thinkube_nornir" if started in ("__main__.py", "-m", "-c") else "thinkube-nornir"


def command(arguments: Sequence[str], config: Path | None = None) -> str:
    """A command line to type, with the -c that this one had."""
    return f"{program()} {shlex.join([*arguments, *(['-c', str(config)] if config else [])])}"

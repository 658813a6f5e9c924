"""`python -m thinkube_nornir`, and the console script of the same name."""

from __future__ import annotations

import gc
import os
import sys
import threading

# Modules stay once they are loaded: with the default of 700, garbage collection looks at them over and over, for a
# tenth of the time that `list` takes.
gc.set_threshold(50_000)

from thinkube_nornir.program import STEP_THREAD, missing  # noqa: E402  # after the line above

try:
    from thinkube_nornir.cli import run_command_line
except ModuleNotFoundError as error:
    if not (lacking := missing(error)):
        raise
    print(f"error: {lacking}", file=sys.stderr)  # noqa: T201  # what prints for us may be what is missing
    sys.exit(2)


def main() -> None:
    status = run_command_line(sys.argv[1:])
    if any(thread.name.startswith(STEP_THREAD) for thread in threading.enumerate()):  # abandoned: nobody waits for them
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    gc.freeze()  # else Python looks at all that we imported once more before it ends: 0.08 s after a run
    sys.exit(status)


if __name__ == "__main__":
    main()

"""`python -m thinkube_nornir`, and the console script of the same name."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from types import FrameType

INTERRUPTED = 130


def _end(_signal: int, _frame: FrameType | None) -> None:
    """End at once and quietly: while modules are imported nothing was done yet, and nothing has to be put in order."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


_main_thread = threading.current_thread() is threading.main_thread()
_before = signal.signal(signal.SIGINT, _end) if _main_thread else None

# Modules stay once they are loaded: with the default of 700, garbage collection looks at them over and over, for a
# tenth of the time that `list` takes.
gc.set_threshold(50_000)

from thinkube_nornir.program import STEP_THREAD, missing  # noqa: E402  # after the lines above

try:
    from thinkube_nornir.cli import run_command_line
except ModuleNotFoundError as error:
    if not (lacking := missing(error)):
        raise
    print(f"error: {lacking}", file=sys.stderr)  # noqa: T201  # what prints for us may be what is missing
    sys.exit(2)
finally:
    if _main_thread:
        signal.signal(signal.SIGINT, _before)


def _deliver_again(lost: sys.UnraisableHookArgs) -> None:
    """A Ctrl-C that came while Python was in a callback, where it raises nothing, comes once more."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


def main() -> None:
    sys.unraisablehook = _deliver_again
    try:
        status = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # before it could take one, or after
        _end(signal.SIGINT, None)
    signal.signal(signal.SIGINT, lambda *_: os._exit(status))  # how it ends is decided
    abandoned = any(thread.name.startswith(STEP_THREAD) for thread in threading.enumerate())  # nobody waits for them
    if abandoned or status == INTERRUPTED:  # of itself Python may end a program that was interrupted by the signal
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    gc.freeze()  # else Python looks at all that we imported once more before it ends: 0.08 s after a run
    sys.exit(status)


if __name__ == "__main__":
    main()

"""Programs of this machine that the full lab needs, and running them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from thinkube_nornir.errors import CommandFailed, ConfigError, Problem

PACKAGES: Mapping[str, str] = {
    "lxd": "lxd",
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "newuidmap": "uidmap",
    "gpg": "gpg",
    "ip": "iproute2",
    "unshare": "util-linux",
    "sysctl": "procps",
}
"""Each program, and Debian's package that has it."""
_DEADLINE = 60.0


def require() -> None:
    """Check that this machine can have a full lab.

    Raises:
        ConfigError: it is not Linux, this is not root, or programs are missing.
    """
    problems = []
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        problems.append(Problem("full lab", "it needs root, for containers and their network", "run it with sudo"))
    lacking = sorted({package for program, package in PACKAGES.items() if shutil.which(program, path=_PATH) is None})
    if lacking:
        fix = f"`apt-get install --no-install-recommends {' '.join(lacking)}`"
        problems.append(Problem("full lab", f"this machine lacks {', '.join(lacking)}", fix))
    if problems:
        raise ConfigError(problems)


_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def environment_of_programs() -> dict[str, str]:
    """Return what they are started with: a user's PATH may lack what is for root."""
    return {**os.environ, "PATH": _PATH, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def call(
    *argv: str, accept: Sequence[int] = (0,), deadline: float = _DEADLINE, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end.

    Raises:
        CommandFailed: it ended with a status that is not accepted, or did not end in time.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, timeout=deadline, env=environment_of_programs(), check=False
        )
    except subprocess.TimeoutExpired:
        what = f"`{argv[0]}` did not end within {deadline:g} s"
        raise CommandFailed(what, status=-1, stdout=b"", stderr=b"", why=" ".join(argv)) from None
    if done.returncode not in accept:
        why = f"{' '.join(argv)}\n{done.stderr.decode(errors='replace').strip()[-2000:]}"
        what = f"`{argv[0]}` ended with {done.returncode}"
        raise CommandFailed(what, status=done.returncode, stdout=done.stdout, stderr=done.stderr, why=why)
    return done

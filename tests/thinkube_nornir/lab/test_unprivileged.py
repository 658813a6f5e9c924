"""The light lab needs no root: its tests run again as a user that has none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

_NOBODY = 54321
# env: setpriv itself still finds programs by the rights of root
_BECOME = ["setpriv", "--reuid", str(_NOBODY), "--regid", str(_NOBODY), "--clear-groups", "env"]
_TESTS = Path(__file__).parent
_CHECKOUT = _TESTS.parents[2]

pytestmark = [pytest.mark.lab, pytest.mark.root, pytest.mark.slow]


def _interpreter() -> str:
    """A Python of this version that any user may run."""
    version = str(sys.version_info[:2])
    for candidate in (sys.executable, "/usr/bin/python3"):
        probe = [*_BECOME, candidate, "-c", "import sys; print(sys.version_info[:2])"]
        found = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=10)
        if found.stdout.strip() == version:
            return candidate
    pytest.skip("no Python of this version can be run by an ordinary user")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    "module", ["test_hosts.py", "test_emulated.py", "test_faults.py", "test_snapshot.py", "test_life.py"]
)
def test_an_ordinary_user_gets_the_same_lab(module: str) -> None:
    """Every promise about hosts, tools, faults and life holds for a uid that owns nothing."""
    folder = tempfile.mkdtemp(prefix="lab-user-")
    os.chown(folder, _NOBODY, _NOBODY)
    path = os.pathsep.join([str(_CHECKOUT), sysconfig.get_path("purelib")])
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/tests", str(_TESTS / module)]
    try:
        result = subprocess.run(
            [*_BECOME, _interpreter(), *tests],
            env=env, cwd=_CHECKOUT, capture_output=True, text=True, timeout=170, check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)

    assert result.returncode == 0, result.stdout[-6000:]

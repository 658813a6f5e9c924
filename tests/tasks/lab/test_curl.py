"""The lab's curl beside the real one of this machine: the same exit code and words for the same mistake."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest

from tasks.lab.curl import curl
from tests.tasks.lab.fake_lab import lab
from thinkube_nornir.lab.emulation import Call, Reply

REAL = shutil.which("curl")
MISTAKES = [
    (("--nope", "http://127.0.0.1/"), ""),
    (("http://127.0.0.1/", "--max-time"), ""),
    ((), ""),
    (
        (
            "-s",
            "-S",
        ),
        "",
    ),
    (("-s", "-S", "foo://x/"), ""),
    (("-s", "-S", "--config", "-"), ""),
    (("-s", "-S", "--config", "-"), 'url = "foo://x/"\nheader = "Authorization: Bearer x"\n'),
    (("-s", "-S", "https://no-such-name.invalid/"), ""),
]


@pytest.mark.skipif(REAL is None, reason="this machine has no curl")
@pytest.mark.parametrize(("argv", "stdin"), MISTAKES)
def test_mistakes_are_told_as_by_the_real_one(argv: tuple[str, ...], stdin: str) -> None:
    """An unknown option, a missing value, no URL, another protocol, an unknown name; also by a configuration."""
    done = subprocess.run([str(REAL), *argv], input=stdin.encode(), capture_output=True, timeout=30, check=False)
    reply = asyncio.run(_emulated(Call(lab().hosts["tkc"], ("/usr/bin/curl", *argv), stdin.encode())))

    assert (reply.status, _plain(str(reply.stderr))) == (done.returncode, _plain(done.stderr.decode()))


async def _emulated(call: Call) -> Reply:
    return await curl(call)


def _plain(told: str) -> list[str]:
    """Releases since 8.0 say no more than `not supported`."""
    return told.replace(" or disabled in libcurl", "").splitlines()

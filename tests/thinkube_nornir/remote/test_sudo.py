"""Root by sudo against real OpenSSH and real sudo, with throw-away users."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.light_lab import eventually, processes
from tests.openssh import Server, needs_sshd, start_sshd
from thinkube_nornir.command import Command
from thinkube_nornir.errors import DeadlinePassed, Refused, Unreachable
from thinkube_nornir.remote.connection import SSHHost
from thinkube_nornir.remote.host_lock import FILE
from thinkube_nornir.secret import Secret

pytestmark = [
    pytest.mark.openssh,
    pytest.mark.root,
    needs_sshd,
    pytest.mark.skipif(os.getuid() != 0, reason="makes users, so it needs root"),
    pytest.mark.skipif(shutil.which("sudo") is None, reason="sudo is not installed"),
]

TIMEOUT = 20.0


@dataclass(frozen=True)
class User:
    name: str
    password: Secret


@pytest.fixture(scope="module")
def users() -> Iterator[dict[str, User]]:
    """`asked` gives a password and gets a pseudo-terminal from sudo, `free` needs none, `none` may not use sudo."""
    made = {kind: User(f"tk{kind}{secrets.token_hex(3)}", Secret(secrets.token_hex(8))) for kind in RULES}
    rules = Path(f"/etc/sudoers.d/{made['asked'].name}")
    try:
        for user in made.values():
            subprocess.run(["useradd", "-M", "-d", "/", "-s", "/bin/sh", user.name], check=True)
            entry = f"{user.name}:{user.password.reveal()}".encode()
            subprocess.run(["chpasswd", "-c", "SHA256", "-s", "1000"], input=entry, check=True)
        rules.write_text("".join(RULES[kind].format(user.name) for kind, user in made.items()))
        rules.chmod(0o440)
        yield made
    finally:
        rules.unlink(missing_ok=True)
        for user in made.values():
            subprocess.run(["userdel", "-f", user.name], check=True, capture_output=True)


RULES = {
    "asked": "{0} ALL=(ALL) ALL\nDefaults:{0} use_pty, timestamp_type=global\n",
    "free": "{0} ALL=(ALL) NOPASSWD: ALL\n",
    "none": "",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Not below pytest's own folder, which other users may not enter."""
    with tempfile.TemporaryDirectory(prefix="thinkube-sshd-") as folder:
        server = start_sshd(Path(folder))
        Path(folder).chmod(0o755)
        yield server
        server.stop()


def connect(server: Server, user: User, *, password: Secret | None = None) -> SSHHost:
    return SSHHost(server.login(user=user.name, sudo_password=password))


def root(*argv: str, alters: bool = False) -> Command:
    return Command(argv, root=True, alters=alters)


def test_password_makes_root_once(server: Server, users: dict[str, User]) -> None:
    """The root shell starts with the password; user and root commands keep their own identity."""
    host = connect(server, users["asked"], password=users["asked"].password)

    done = host.execute([root("id", "-u"), Command(("id", "-un")), root("cat", "/etc/sudoers")], timeout=TIMEOUT)

    assert [d.text for d in done[:2]] == ["0", users["asked"].name]
    assert done[2].status == 0
    host.close()


def test_no_password_is_sent_where_none_is_asked(server: Server, users: dict[str, User]) -> None:
    """With NOPASSWD the password stays here: it would end up as a command in the root shell."""
    host = connect(server, users["free"], password=users["asked"].password)

    done = host.execute([root("id", "-u")], timeout=TIMEOUT)[0]

    assert (done.text, done.stderr) == ("0", b"")
    host.close()


def test_wrong_password_is_tried_once(server: Server, users: dict[str, User]) -> None:
    """A wrong password is a clear error at once, also right after a right one: no cached success hides it."""
    good = connect(server, users["asked"], password=users["asked"].password)
    good.execute([root("true")], timeout=TIMEOUT)
    host = connect(server, users["asked"], password=Secret("not-the-password"))

    with pytest.raises(Unreachable, match="does not accept the password"):
        host.execute([root("true")], timeout=TIMEOUT)

    assert host.execute([Command(("echo", "user"))], timeout=TIMEOUT)[0].text == "user"
    good.close()
    host.close()


def test_missing_password_and_missing_right_are_told_apart(server: Server, users: dict[str, User]) -> None:
    """sudo that asks and gets nothing, and sudo that refuses: each says what to do."""
    for kind, password, said in (
        ("asked", None, "asks for a password and none is given"),
        ("none", users["none"].password, "did not start a root shell"),
    ):
        host = connect(server, users[kind], password=password)
        with pytest.raises(Unreachable, match=said):
            host.execute([root("true")], timeout=TIMEOUT)
        host.close()


def test_password_is_nowhere_to_be_seen(server: Server, users: dict[str, User]) -> None:
    """While a root command runs, the password is in no argument list, no environment and no log."""
    password = users["asked"].password
    host = connect(server, users["asked"], password=password)
    look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true"

    seen = host.execute([root("sh", "-c", look)], timeout=TIMEOUT)[0].stdout

    assert users["asked"].name.encode() in seen
    assert password.reveal().encode() not in seen
    assert password.reveal() not in server.log
    host.close()


def test_deadline_ends_root_processes_behind_a_pseudo_terminal(
    server: Server, users: dict[str, User], tmp_path: Path
) -> None:
    """sudo's use_pty puts the command in another session; its processes are ended all the same."""
    host = connect(server, users["asked"], password=users["asked"].password)
    host.execute([root("true")], timeout=TIMEOUT)
    pids = tmp_path / "pids"
    script = f"{{ echo $$; sleep 98 & echo $!; setsid sleep 99 & echo $!; }} >{pids}; wait"

    with pytest.raises(DeadlinePassed):
        host.execute([root("sh", "-c", script, alters=True)], timeout=1.5)

    numbers = pids.read_text().split()
    assert len(numbers) == 3
    assert not [n for n in numbers if _runs(n)]
    host.close()


def test_second_controller_is_refused_by_name(server: Server, users: dict[str, User]) -> None:
    """While one controller's connection lives, another may look but not alter; after it, it may."""
    first, second = connect(server, users["free"]), connect(server, users["free"])
    second._host_lock._me = "operator@elsewhere, process 7"
    first.execute([root("true", alters=True)], timeout=TIMEOUT)

    assert second.execute([root("id", "-u")], timeout=TIMEOUT)[0].text == "0"
    with pytest.raises(Refused) as caught:
        second.execute([root("true", alters=True)], timeout=TIMEOUT)
    assert f"process {os.getpid()}" in caught.value.why
    daemon = root("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!", alters=True)
    pid = first.execute([daemon], timeout=TIMEOUT)[0].text
    first.close()

    free = root("flock", "-w", "20", FILE, "true")
    assert second.execute([free], timeout=30)[0].status == 0, "a daemon that the first one started keeps the lock"
    second.execute([root("true", alters=True), root("kill", pid, alters=True)], timeout=TIMEOUT)
    second.close()


@pytest.mark.parametrize("kind", ["free", "asked"])
def test_nothing_of_the_lock_is_left_on_the_host(server: Server, users: dict[str, User], kind: str) -> None:
    """Its file goes with the connection; one that waits for its own former connection gets a lock that others see."""
    user = users[kind]
    first, second, other = (connect(server, user, password=user.password) for _ in range(3))
    other._host_lock._me = "operator@elsewhere, process 7"
    assert eventually(lambda: not Path(FILE).exists()), "a connection of an earlier test is still there"
    assert eventually(lambda: not processes("flock -w 10 9"))
    first.execute([root("true", alters=True)], timeout=TIMEOUT)
    waiting = threading.Thread(target=lambda: second.execute([root("true", alters=True)], timeout=TIMEOUT))
    waiting.start()
    assert eventually(lambda: bool(processes("flock -w 10 9")))
    first.close()
    waiting.join()

    with pytest.raises(Refused):
        other.execute([root("true", alters=True)], timeout=TIMEOUT)
    second.close()

    assert eventually(lambda: not Path(FILE).exists())
    other.close()


def test_two_root_shells_share_the_lock(server: Server, users: dict[str, User], tmp_path: Path) -> None:
    """Two altering steps of one controller run at the same time on one host."""
    host = connect(server, users["free"])
    wait = "touch $1; while [ ! -e $2 ]; do sleep 0.02; done"
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    other = threading.Thread(
        target=lambda: host.execute([root("sh", "-c", wait, "x", a, b, alters=True)], timeout=TIMEOUT)
    )
    other.start()

    host.execute([root("sh", "-c", wait, "x", b, a, alters=True)], timeout=TIMEOUT)

    other.join()
    host.close()


def _runs(pid: str) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"

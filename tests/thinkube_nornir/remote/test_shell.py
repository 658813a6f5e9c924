"""Framing and quoting, on every POSIX shell that this machine has."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local_shell import KINDS, LocalChannel, LocalHost, each_shell
from thinkube_nornir.command import Command
from thinkube_nornir.errors import ThinkubeError, Unreachable
from thinkube_nornir.remote.shell import Lost, Shell, TimedOut
from thinkube_nornir.secret import Secret

ARGUMENT = st.binary(max_size=40).filter(lambda data: b"\0" not in data)


@pytest.fixture(scope="module", params=KINDS)
def host(request: pytest.FixtureRequest) -> Iterator[LocalHost]:
    host = LocalHost(request.param)
    yield host
    host.close()


@settings(max_examples=60)
@given(arguments=st.lists(ARGUMENT, max_size=5))
def test_any_argument_list_arrives_byte_for_byte(host: LocalHost, arguments: list[bytes]) -> None:
    """No quote, newline, blank, escape or undecodable byte changes an argument; nothing is taken apart."""
    words = [word.decode(errors="surrogateescape") for word in arguments]

    done = host.execute([Command(("printf", "%s\\0", *words))])[0]

    assert done.stdout == (b"".join(word + b"\0" for word in arguments) or b"\0")


@settings(max_examples=30)
@given(data=st.binary(max_size=6000))
def test_any_stdin_and_output_arrive_byte_for_byte(host: LocalHost, data: bytes) -> None:
    """What goes in comes out, with NUL bytes and without a final newline."""
    done = host.execute([Command(("cat",), stdin=data), Command(("echo", "next"))])

    assert [d.stdout for d in done] == [data, b"next\n"]


def test_batch_keeps_statuses_and_streams_apart(host: LocalHost) -> None:
    """Each command of a batch has its own status, stdout and stderr."""
    commands = [Command(("sh", "-c", f"echo o{n}; echo e{n} >&2; exit {n}")) for n in range(20)]

    done = host.execute(commands)

    expected = [(n, f"o{n}\n".encode(), f"e{n}\n".encode()) for n in range(20)]
    assert [(d.status, d.stdout, d.stderr) for d in done] == expected


def test_command_cannot_eat_the_script(host: LocalHost) -> None:
    """A program without stdin reads nothing: the commands after it still run."""
    done = host.execute([Command(("cat",)), Command(("echo", "after"))])

    assert [d.stdout for d in done] == [b"", b"after\n"]


@each_shell
def test_nothing_runs_of_a_script_that_is_cut_off(kind: str, tmp_path: Path) -> None:
    """When the link is cut in the middle, no program gets a part of its stdin, and none before it runs."""
    host = LocalHost(kind)
    target = tmp_path / "target"
    sent: list[bytes] = []
    host.channel.send = lambda data, _: sent.append(data)  # type: ignore[method-assign,assignment]
    commands = [Command(("touch", f"{target}1")), Command(("tee", str(target)), stdin=b"x" * 10_000)]
    host.shell.send(commands, time.monotonic() + 10)

    stdin = host.channel.process.stdin
    assert stdin is not None
    stdin.write(sent[0][: len(sent[0]) // 2])
    stdin.close()
    host.channel.process.wait(10)

    assert list(tmp_path.iterdir()) == []
    host.close()


def test_program_that_leaves_its_stdin_unread_does_no_harm(host: LocalHost) -> None:
    """A megabyte nobody reads neither blocks nor shifts the frames."""
    done = host.execute([Command(("true",), stdin=b"x" * 1_000_000), Command(("echo", "after"))])

    assert [(d.status, d.stdout) for d in done] == [(0, b""), (0, b"after\n")]


def test_marker_is_in_no_environment_and_no_argument_list(host: LocalHost) -> None:
    """What a program can see of the shell does not tell the marker, so no output can imitate an answer."""
    script = "cat /proc/$PPID/environ /proc/$PPID/cmdline /proc/self/environ; env; ps -ef || true"
    done = host.execute([Command(("sh", "-c", script))])[0]

    assert host.shell._marker not in done.stdout


def test_marker_stays_out_of_an_environment_that_exports_our_names() -> None:
    """Even when the host exports variables of the names we use, the marker is not exported with them."""
    host = LocalHost("dash", {"thinkube_m": "x", "thinkube_s": "x"})

    assert b"thinkube_m" not in host.execute([Command(("env",))])[0].stdout
    host.close()


def test_environment_is_for_one_program_alone(host: LocalHost) -> None:
    """Variables of a command reach it with any value and not the next; the locale is C."""
    value = "it's \n $HOME"
    commands = [Command(("sh", "-c", 'printf %s "$A$LC_ALL"'), env={"A": value}), Command(("sh", "-c", "echo $A"))]

    done = host.execute(commands)

    assert [d.stdout.decode() for d in done] == [value + "C", "\n"]


@pytest.mark.parametrize(
    "arguments", [["-e", "/"], ["-e", "/none"], ["a", "=", "b"], ["5", "-gt", "4"], [""], [], ["a", "b"]]
)
def test_the_shells_own_test_answers_as_the_program(host: LocalHost, arguments: list[str]) -> None:
    """It is not started, which is faster; its status is the same, also where the arguments make no sense."""
    program = subprocess.run(["test", *arguments], check=False, capture_output=True)

    assert host.execute([Command(("test", *arguments))])[0].status == program.returncode


def test_nul_and_bad_variable_names_are_refused(host: LocalHost) -> None:
    """What no program could get is an error before anything is sent."""
    for command in (Command(("echo", "a\0b")), Command(("echo",), env={"A;reboot": "1"})):
        with pytest.raises(ThinkubeError):
            host.execute([command])
    assert host.execute([Command(("echo", "well"))])[0].text == "well"


def test_ten_megabytes_without_newline(host: LocalHost) -> None:
    """Bulk output is found complete; long lines are no trouble."""
    done = host.execute([Command((sys.executable, "-c", "print('x' * 10_000_000, end='')"))])[0]

    assert len(done.stdout) == 10_000_000


@each_shell
def test_deadline_tells_what_was_seen(kind: str) -> None:
    """A command past its deadline is named with the last of its output."""
    host = LocalHost(kind)

    with pytest.raises(TimedOut) as caught:
        host.execute([Command(("true",)), Command(("sh", "-c", "echo working; exec sleep 2"))], timeout=0.7)

    assert caught.value.command.argv[0] == "sh"
    assert b"working" in caught.value.seen
    host.close()


@each_shell
def test_shell_that_ends_is_lost(kind: str) -> None:
    """The end of the shell in the middle of an answer is Lost, at once."""
    host = LocalHost(kind)
    started = time.monotonic()

    with pytest.raises(Lost):
        host.execute([Command(("sh", "-c", "kill -9 $PPID; sleep 0.2"))])

    assert time.monotonic() - started < 10
    assert not host.shell.usable
    host.close()


SUDO_RS = """
ask() { printf '[sudo: %s] Password: ' "$1" >&2; IFS= read -r given; echo >&2; }
ask "$1"; [ "$given" = right ] || { echo 'sudo: Authentication failed, try again.' >&2; ask "$1"; }
echo "$2"; exec sh
"""
"""How sudo-rs asks, with our prompt inside its own words.

Source: trifectatechfoundation/sudo-rs@v0.2.14 src/pam/converse.rs
Source: trifectatechfoundation/sudo-rs@v0.2.14 src/pam/rpassword.rs
"""


@pytest.mark.parametrize("right", [True, False])
def test_sudo_rs_gets_the_password_once(right: bool) -> None:
    """Our prompt is found in its words; a second question ends it, so that no account is locked."""
    channel = LocalChannel(["sh", "-c", SUDO_RS, "sudo", "the-prompt", "ready"])
    shell = Shell(channel, home=False)
    deadline = time.monotonic() + 10
    try:
        if right:
            shell.answer_sudo("the-prompt", "ready", Secret("right"), deadline)
            done = shell.execute([Command(("echo", "root"))], deadline, lambda: False)[0]
            assert (done.text, done.stderr) == ("root", b"")
        else:
            with pytest.raises(Unreachable, match="does not accept the password"):
                shell.answer_sudo("the-prompt", "ready", Secret("wrong"), deadline)
    finally:
        channel.close()

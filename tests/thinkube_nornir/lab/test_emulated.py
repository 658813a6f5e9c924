"""Emulated tools as a program in the host meets them, the lab's own for privilege and accounts among them."""

from __future__ import annotations

import pytest

from tests.light_lab import RunningLab, eventually

pytestmark = pytest.mark.lab


def test_a_tool_gets_arguments_stdin_environment_and_folder(lab: RunningLab) -> None:
    """Everything about the call reaches the handler; its status and both outputs come back."""
    answer = lab.ssh("tkc", "cd /etc; GREETING=hi snap-stdin echo 'a b' \"$(printf '\\351')\"", stdin=b"\0\xff")

    assert (answer.status, answer.stdout) == (3, b"\0\xff")
    assert answer.stderr.decode() == "ops /etc hi ['a b', '\\udce9']"


def test_a_tool_without_stdin_leaves_it_to_others(lab: RunningLab) -> None:
    """A tool in a script that is read from stdin does not eat the script."""
    assert lab.ssh("tkc", "sh", stdin=b"snap version\necho next\n").text == "snap 2.63\nnext"


def test_tools_stand_where_the_emulation_puts_them(lab: RunningLab) -> None:
    """Also in folders that the machine does not have, and on sudo's path."""
    assert lab.ssh("tkc", "/snap/bin/deep.tool version; sudo deep.tool version").text == "snap 2.63\nsnap 2.63"


def test_a_tool_takes_the_place_of_a_link(lab: RunningLab) -> None:
    """A program with several names, as iptables is, keeps its others."""
    assert lab.ssh("tkc", "one-of-many version; multi").text == "snap 2.63\nmulti"


def test_an_unknown_verb_is_the_tools_own_error(lab: RunningLab) -> None:
    """Never a silent success."""
    assert lab.ssh("tkc", "snap fly").status == 64


def test_a_handler_that_fails_is_no_success(lab: RunningLab) -> None:
    """A fault of the emulation is told as one, with a status of its own."""
    answer = lab.ssh("tkc", "snap crash")

    assert answer.status == 70
    assert b"emulation of snap failed: ValueError" in answer.stderr


def test_a_killed_tool_ends_its_handler(lab: RunningLab) -> None:
    """What a real tool would have stopped doing, the emulation stops doing."""
    lab.ssh("tkw1", "timeout 0.3 snap hang")

    assert eventually(lambda: lab.ssh("tkw1", "snap hung").text == "ended")


def test_a_handler_runs_programs_in_the_host(lab: RunningLab) -> None:
    """Status, both outputs, and the host's own name; past its time it is ended."""
    answer = lab.ssh("tkc", "snap run sh -c 'uname -n; echo e >&2; exit 5'")

    assert (answer.status, answer.text, answer.stderr) == (5, "tkc.example.org", b"e\n")
    assert lab.ssh("tkc", "snap run sleep 60").status == 124
    assert lab.ssh("tkc", "snap run no-such-program").status == 127


def test_sudo_runs_as_root_where_no_password_is_set(lab: RunningLab) -> None:
    """Name, home and path are root's; the caller's environment is not kept; the status is the program's."""
    answer = lab.ssh("tkc", "X=1 sudo -n sh -c 'echo $USER $HOME ${X-none} $SUDO_USER; exit 9'")

    assert (answer.status, answer.text) == (9, "root /root none ops")


@pytest.mark.parametrize(
    ("command", "stdin", "status", "stderr"),
    [
        ("sudo -n true", "", 1, "sudo: a password is required"),
        ("sudo -k -S -p '' id -un", "correct horse\n", 0, ""),
        ("sudo -kSp '' id -un", "wrong\n", 1, "sudo: 1 incorrect password attempt"),
        ("sudo -k -S -p '' id -un", "wrong\ncorrect horse\n", 0, "Sorry, try again."),
        ("sudo -S -p '' id -un", "", 1, "sudo: no password was provided"),
        ("sudo -S -p '' id -un", "a\nb\nc\n", 1, "sudo: 3 incorrect password attempts"),
        ("sudo true", "", 1, "sudo: a terminal is required"),
    ],
)
def test_sudo_asks_for_the_labs_password(lab: RunningLab, command: str, stdin: str, status: int, stderr: str) -> None:
    """On stdin only, never from a cache."""
    answer = lab.ssh("bcn1", command, stdin.encode())

    assert answer.status == status
    assert stderr in answer.stderr.decode()
    assert answer.text == ("root" if status == 0 else "")


def test_sudo_leaves_what_follows_the_password(lab: RunningLab) -> None:
    """The program reads on where sudo stopped: a script may follow on the same stdin."""
    answer = lab.ssh("bcn1", "sudo -k -S -p '' sh", b"correct horse\nid -un\n")

    assert answer.text == "root"


@pytest.mark.parametrize(
    "command", ["sudo --preserve true", "sudo -Z true", "sudo", "sudo no-such-program", "sudo -u x id"]
)
def test_sudo_refuses_what_it_does_not_know(lab: RunningLab, command: str) -> None:
    """An unknown option, user or program is an error, with a word why."""
    answer = lab.ssh("tkc", command)

    assert answer.status == 1
    assert answer.stderr


def test_group_membership_comes_and_goes(lab: RunningLab) -> None:
    """usermod appends, gpasswd takes away; id, getent and /etc/group tell the same."""
    lab.ssh("tkc", "sudo groupadd --system microk8s && sudo usermod -aG microk8s ops")
    assert lab.ssh("tkc", "id -nG ops; getent group microk8s").text == "ops sudo microk8s\nmicrok8s:x:0:ops"

    lab.ssh("tkc", "sudo gpasswd -d ops microk8s")
    assert lab.ssh("tkc", "id -nG; getent group microk8s").text == "ops sudo\nmicrok8s:x:0:"

    assert lab.ssh("tkc", "sudo groupdel microk8s && getent group microk8s").status == 2


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("usermod -G sudo ops", 2),
        ("usermod -aG nobodys ops", 6),
        ("usermod -aG sudo stranger", 6),
        ("gpasswd -d ops nobodys", 3),
        ("gpasswd -d root sudo", 3),
        ("groupadd sudo", 9),
        ("groupadd -f sudo", 0),
        ("groupadd --gid 5 new", 2),
        ("groupdel nobodys", 6),
        ("id stranger", 1),
        ("id --wrong", 1),
    ],
)
def test_account_tools_answer_with_the_real_tools_status(lab: RunningLab, command: str, status: int) -> None:
    """`usermod -G` without -a would drop groups: here it is refused, and changes nothing."""
    before = lab.ssh("tkw1", "cat /etc/group /etc/passwd").stdout

    assert lab.ssh("tkw1", command).status == status
    assert lab.ssh("tkw1", "cat /etc/group /etc/passwd").stdout == before


def test_only_sudo_makes_a_caller_root(lab: RunningLab) -> None:
    """`id -u` is 0 with sudo alone, and an account's number is that of the files it owns."""
    command = "id -u; sudo id -u; touch x; chown ops x; id -u ops; stat -c %u x"

    assert lab.ssh("tkc", command).text.split() == ["1000", "0", "0", "0"]


def test_who_am_i_depends_on_sudo(lab: RunningLab) -> None:
    """Though there is one uid, names tell who is at work."""
    assert lab.ssh("tkc", "whoami; id -un; sudo whoami; sudo id -un; sudo -u ops whoami").text.split() == [
        "ops", "ops", "root", "root", "ops",
    ]  # fmt: skip

"""What a light lab's host is to somebody who logs in. test_unprivileged.py runs these again without root."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import paramiko
import pytest

from tests.light_lab import RunningLab, eventually, inventory, processes, run
from thinkube_nornir.command import Command
from thinkube_nornir.lab.client import apply_lab, lab_config
from thinkube_nornir.remote.connection import SSHHost, login_of
from thinkube_nornir.remote.host_lock import FILE

pytestmark = pytest.mark.lab


def test_status_and_both_outputs_come_back_apart(lab: RunningLab) -> None:
    """A command's status, stdout and stderr are what the program gave."""
    answer = lab.ssh("tkc", "echo out; echo err >&2; exit 7")

    assert (answer.status, answer.stdout, answer.stderr) == (7, b"out\n", b"err\n")


def test_a_login_finds_the_accounts_own_programs_first(lab: RunningLab) -> None:
    """As on Ubuntu: in ~/.local/bin and ~/bin, which a command without a login shell does not look through."""
    lab.ssh(
        "tkc", "mkdir -p ~/.local/bin ~/bin && for p in .local/bin/env bin/own; do install -m 755 /bin/true ~/$p; done"
    )

    found = lab.ssh("tkc", "command -v env; bash -lc 'command -v env own'")

    assert found.text.splitlines()[0] == "/usr/bin/env"
    assert [path.partition("/home/")[2].partition("/")[2] for path in found.text.splitlines()[1:]] == [
        ".local/bin/env",
        "bin/own",
    ]


def test_bytes_survive_in_both_directions(lab: RunningLab) -> None:
    """A megabyte of every byte value comes back as it was sent."""
    blob = bytes(range(256)) * 4096

    assert lab.ssh("tkc", "cat", stdin=blob).stdout == blob


def test_a_signal_that_ends_a_command_is_reported_as_one(lab: RunningLab) -> None:
    """SSH's exit-signal, which paramiko shows as -1, and no invented status."""
    assert lab.ssh("tkc", "kill -KILL $$").status == -1


def test_standard_input_can_be_opened_by_name(lab: RunningLab) -> None:
    """stdin is a pipe, as under sshd: `install /dev/stdin FILE` works."""
    assert lab.ssh("tkc", "install -m 0600 /dev/stdin /tmp/x && cat /tmp/x", stdin=b"text").stdout == b"text"


def test_many_channels_of_one_connection_run_at_once(lab: RunningLab) -> None:
    """A reader that waits for a writer on another channel is no deadlock."""
    with lab.connected("tkc") as client:
        run(client, "mkfifo /tmp/fifo")
        readers = [client.exec_command("cat /tmp/fifo", timeout=20)[1]]
        readers += [client.exec_command(f"echo {n}", timeout=20)[1] for n in range(20)]
        run(client, "echo through > /tmp/fifo")

        assert [reader.read() for reader in readers] == [b"through\n", *(b"%d\n" % n for n in range(20))]


def test_a_terminal_is_a_real_one(lab: RunningLab) -> None:
    """A shell that was asked for a terminal has one, of the size asked for."""
    with lab.connected("tkc") as client:
        _, out, _ = client.exec_command("tty && stty size", get_pty=True, timeout=20)

        assert out.read().split() == [b"/dev/pts/0", b"24", b"80"]


@pytest.mark.parametrize(("host", "name"), [("bcn1", "bcn1"), ("tkc", "tkc.example.org")])
def test_virtual_machines_are_called_by_their_full_name(lab: RunningLab, host: str, name: str) -> None:
    """The kernel's name, /etc/hostname and /etc/hosts agree; only baremetal hosts use the short one."""
    answer = lab.ssh(host, "uname -n; cat /etc/hostname; getent hosts $(uname -n) | grep -c .")

    assert answer.text.split() == [name, name, "1"]


def test_hosts_share_nothing_with_each_other_or_the_machine(lab: RunningLab) -> None:
    """A file, a process and a listening port of one host are unseen elsewhere."""
    lab.ssh("tkc", "touch /etc/only-here /var/lib/only-here /usr/local/lib/only-here")

    seen = lab.ssh("tkw1", "ls /etc/only-here /var/lib/only-here /usr/local/lib/only-here; ps -e | wc -l")

    assert seen.stdout.strip() in (b"4", b"5")
    assert not Path("/etc/only-here").exists()
    assert not Path("/usr/local/lib/only-here").exists()


@pytest.mark.parametrize(
    "command",
    [
        "echo x >> /etc/hosts",
        "mkdir -p /etc/netplan && echo x > /etc/netplan/new.yaml",
        "chmod 0600 /etc/passwd && chmod 0644 /etc/passwd",
        "sed -i 's/x/x/' /etc/group",
        "echo x > /usr/local/bin/new && rm /usr/local/bin/new",
        "rm /usr/bin/factor && ! test -e /usr/bin/factor",
        "mkdir /var/snap /srv/x /opt/new",
        "chown bin:sudo /etc/hosts",
        "mkdir -m 0700 ~/.kube && echo x > ~/.kube/config",
        "mount -t tmpfs none /mnt && umount /mnt",
        "mv /etc/hostname /etc/hostname.new && mv /etc/hostname.new /etc/hostname",
    ],
)
def test_the_file_system_can_be_changed_as_by_root(lab: RunningLab, command: str) -> None:
    """What root may do to files on a server works here, with and without root on the machine."""
    answer = lab.ssh("tkw1", f"set -e; {command}")

    assert (answer.status, answer.stderr) == (0, b"")


def test_only_the_login_user_with_the_labs_key_gets_in(lab: RunningLab) -> None:
    """Another user, another key: no."""
    place = lab.info.hosts["tkc"]
    own = paramiko.Ed25519Key.from_private_key_file(str(lab.info.key_file))
    for user, key in (("root", own), (place.user, paramiko.ECDSAKey.generate())):
        with socket.create_connection((place.address, place.port), timeout=10) as link:
            transport = paramiko.Transport(link)
            try:
                transport.start_client(timeout=10)
                with pytest.raises(paramiko.AuthenticationException):
                    transport.auth_publickey(user, key)
            finally:
                transport.close()


def test_every_host_has_a_key_of_its_own(lab: RunningLab) -> None:
    """Three hosts, three keys, all in known_hosts."""
    keys = {line.split()[2] for line in lab.info.known_hosts.read_text().splitlines()}

    assert len(keys) == len(lab.info.hosts) == 3


def test_a_program_ends_when_its_connection_does(lab: RunningLab) -> None:
    """The command and its children are gone; what made a session of its own lives on, as under sshd."""
    tag = f"9{os.getpid()}"
    with lab.connected("tkc") as client:
        client.exec_command(f"setsid sleep {tag}3 & sleep {tag}1 & trap '' HUP; sleep {tag}2; echo never", timeout=20)
        assert eventually(lambda: len(processes(f"sleep {tag}")) >= 3)

    assert eventually(lambda: not processes(f"sleep {tag}1") and not processes(f"sleep {tag}2"))
    assert processes(f"sleep {tag}3")
    lab.ssh("tkc", f"kill $(ps -eo pid,args | grep '[s]leep {tag}3' | cut -c1-8)")


def test_a_background_program_outlives_its_command(lab: RunningLab) -> None:
    """A connection that is closed in peace after the command has ended kills nothing."""
    lab.ssh("tkc", "sleep 30 >/dev/null 2>&1 </dev/null & echo $! > /tmp/pid")

    assert lab.ssh("tkc", "kill $(cat /tmp/pid)").status == 0


def test_forwards_reach_what_the_lab_names(lab: RunningLab) -> None:
    """A port in `ports` is reached through any host, by the address it has there."""
    with lab.connected("tkw1") as client:
        transport = client.get_transport()
        assert transport is not None
        channel = transport.open_channel("direct-tcpip", ("10.0.0.1", 16443), ("127.0.0.1", 0), timeout=10)

        assert channel.recv(5) == b"hello"


def test_forwards_reach_nothing_else(lab: RunningLab) -> None:
    """The machine's own ports, and the world, are refused."""
    with socket.create_server(("127.0.0.1", 0)) as server, lab.connected("tkw1") as client:
        transport = client.get_transport()
        assert transport is not None
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", server.getsockname(), ("127.0.0.1", 0), timeout=10)


def test_a_program_holds_no_descriptor_but_its_own(lab: RunningLab) -> None:
    """0, 1 and 2, and the one that `ls` opens: a leaked one would keep a channel open for ever."""
    assert lab.ssh("tkc", "exec ls /proc/self/fd").text.split() == ["0", "1", "2", "3"]


def test_the_machines_own_python_cannot_be_changed(lab: RunningLab) -> None:
    """The hosts see the interpreter's folder, and may not write to it: at most to their own copy."""
    folder = Path(sys.base_prefix).resolve()

    lab.ssh("tkc", f"touch {folder}/written-by-a-lab-host")

    assert lab.ssh("tkc", f"ls {folder}/bin/python3").status == 0
    assert not (folder / "written-by-a-lab-host").exists()


def test_a_script_may_clear_up_when_its_connection_is_lost(lab: RunningLab) -> None:
    """The shell above it ends at SIGHUP, at once; the script has its time, and nothing of the session stays."""
    script = "trap 'sleep 0.5; rm /tmp/unfinished; exit 143' HUP; touch /tmp/unfinished; while :; do sleep 0.1; done"
    with lab.connected("tkc") as client:
        client.exec_command(f'sh -c "{script}" & wait')
        assert eventually(lambda: lab.ssh("tkc", "test -e /tmp/unfinished").status == 0)

    assert eventually(lambda: lab.ssh("tkc", "test -e /tmp/unfinished").status == 1)


@pytest.mark.parametrize("host", ["tkc", "tkw1"] * 3)
def test_no_lock_is_left_on_a_host(lab: RunningLab, host: str) -> None:
    """A connection that ends is hung up, too: which of the two its root shell notices first is chance."""
    hosts = inventory()
    apply_lab(hosts, lab.info)
    connection = SSHHost(login_of(hosts.hosts[host], lab_config(lab.config, lab.info), {}))

    connection.execute([Command(("true",), root=True, alters=True)], timeout=20)
    held = lab.ssh(host, f"ls {FILE}").text
    connection.close()

    assert held == FILE
    assert eventually(lambda: lab.ssh(host, f"ls {FILE}").status != 0)

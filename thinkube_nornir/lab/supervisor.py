"""The process that holds all of the lab's hosts: a pid namespace that ends when the lab process does."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from thinkube_nornir.lab import base_layer, kernel
from thinkube_nornir.lab.root import HostSpec, build
from thinkube_nornir.lab.spawner import Spawner

_STAGES = ("/mnt", "/media", "/srv", "/tmp")  # noqa: S108 - covered by a private tmpfs; the machine's own is untouched

REFUSED = """\
this machine does not let an ordinary process make namespaces, or grants them no rights;
on Ubuntu: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root;
elsewhere: sudo sysctl user.max_user_namespaces=10000;
in a container: give it --privileged, or --cap-add SYS_ADMIN with seccomp and AppArmor unconfined;
or use real hosts: `target: ssh` in config.yaml
"""


class Supervisor:
    """The lab process's hold on its hosts.

    Args:
        channels: for each host the socket on which its process 1 takes requests.
        life: while this is open the hosts live.
    """

    def __init__(self, pid: int, channels: dict[str, socket.socket], life: int, errors: int) -> None:
        self._pid = pid
        self.channels = channels
        self._life = life
        self._errors = errors

    def end(self) -> None:
        """End every process in every host and wait for that."""
        os.close(self._life)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def error(self) -> str:
        """What the supervisor or a host said before it died."""
        os.set_blocking(self._errors, False)
        try:
            return os.read(self._errors, 65536).decode(errors="replace").strip()
        except BlockingIOError:
            return ""


def fork_supervisor(specs: Sequence[HostSpec], not_inherited: Sequence[int] = ()) -> Supervisor:
    """Fork the supervisor, without the descriptors `not_inherited`.

    Call it before there is a thread or an event loop: the hosts are forks of this process.
    """
    pairs = {spec.name: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for spec in specs}
    life, our_life = os.pipe()
    read_errors, errors = os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd in (our_life, read_errors, *not_inherited):
            os.close(fd)
        for mine, _ in pairs.values():
            mine.close()
        _carefully(errors, lambda: _hold(specs, {name: theirs for name, (_, theirs) in pairs.items()}, life, errors))
    os.close(life)
    os.close(errors)
    for _, theirs in pairs.values():
        theirs.close()
    return Supervisor(pid, {name: mine for name, (mine, _) in pairs.items()}, our_life, read_errors)


def _carefully(errors: int, work: Callable[[], None]) -> NoReturn:
    """Do the work in a forked child and exit; an error goes to the lab process as text that a person can act on."""
    status = 1
    try:
        work()
        status = 0
    except OSError as error:
        os.write(errors, str(error.strerror).encode() + b": " + str(error.filename or "").encode() + b"\n")
        os.write(errors, _advice(error).encode())
    except Exception:
        os.write(errors, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _advice(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EINVAL, errno.ENOSYS):
        return REFUSED
    return ""


def _hold(specs: Sequence[HostSpec], channels: dict[str, socket.socket], life: int, errors: int) -> None:
    os.chdir("/")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    _unshare_user()
    pid = os.fork()
    if pid == 0:
        _carefully(errors, lambda: _keep(specs, channels, life, errors))
    for channel in channels.values():
        channel.close()
    os.waitpid(pid, 0)


def _unshare_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEWUSER | kernel.NEWNS | kernel.NEWPID)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    kernel.mount("none", Path("/"), flags=kernel.REC | kernel.PRIVATE)


def _keep(specs: Sequence[HostSpec], channels: dict[str, socket.socket], life: int, errors: int) -> None:
    """Process 1 of the lab: when it exits the kernel ends all that it holds."""
    stage = _stage()
    kernel.mount("lab", stage, "tmpfs", 0, "mode=0755")
    (stage / "base_layer").mkdir()
    (stage / "hosts").mkdir()
    base_layer.build(stage / "base_layer", frozenset(spec.login_user for spec in specs))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    for spec in specs:
        if os.fork() == 0:
            _carefully(errors, partial(_isolate, spec, stage, channels, errors))
    for channel in channels.values():
        channel.close()
    os.read(life, 1)


def _stage() -> Path:
    """An existing folder to cover, in which nothing is that a host needs to see."""
    for name in _STAGES:
        if Path(name).is_dir() and not Path(sys.base_prefix).resolve().is_relative_to(name):
            return Path(name)
    raise FileNotFoundError(errno.ENOENT, "none of these folders can be a mount point", ", ".join(_STAGES))


def _isolate(spec: HostSpec, stage: Path, channels: dict[str, socket.socket], errors: int) -> None:
    for name, channel in channels.items():
        if name != spec.name:
            channel.close()
    kernel.unshare(kernel.NEWNS | kernel.NEWNET | kernel.NEWUTS | kernel.NEWIPC | kernel.NEWPID)
    if os.fork() == 0:
        _carefully(errors, partial(_serve, spec, stage, channels[spec.name]))


def _serve(spec: HostSpec, stage: Path, channel: socket.socket) -> None:
    shown = build(spec, stage / "base_layer", stage / "hosts" / spec.name)
    kernel.raise_loopback()
    Spawner(channel, shown).serve()

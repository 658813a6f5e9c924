"""The full lab as a whole: up, status, down; each can be called again from whatever was left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from thinkube_nornir.full_lab import daemon, machines, namespace
from thinkube_nornir.full_lab.image import image
from thinkube_nornir.full_lab.layout import Layout
from thinkube_nornir.full_lab.programs import call, require
from thinkube_nornir.lock import wait_for
from thinkube_nornir.program import command

ROOT = Path("/var/lib/thinkube-nornir")
"""Containers need paths that are short, and a disk; an operator's own folder may be neither."""
_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES_NEEDED = 1024  # with the kernel's 128, the fifteenth machine boots without a network
_ALONE = 300.0


@dataclass(frozen=True)
class FullLab:
    """Where a project's full lab is, whether it is up or not."""

    state: Path
    """The project's state folder; each has a lab of its own."""

    @property
    def name(self) -> str:
        return f"lab-{hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:8]}"

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    @property
    def lxd(self) -> Path:
        return self.folder / "lxd"

    @property
    def key(self) -> Path:
        """The private key that machines accept."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For people: how `ssh bcn1` gets there from inside of the lab's network."""
        return self.folder / "ssh_config"

    @property
    def log(self) -> Path:
        return self.folder / "lxd.log"

    @property
    def record(self) -> Path:
        return self.folder / "lab.json"


@dataclass(frozen=True)
class Status:
    since: float
    """Seconds since the epoch."""
    fingerprint: str
    """Of the layout that it was started for."""
    emulated: tuple[str, ...]
    machines: Mapping[str, str]
    """Each machine's state in LXD's words; empty when LXD does not answer."""
    logins: Mapping[str, str]
    """Each machine's `user@address`."""

    ready: bool
    """Whether its start came to its end."""

    @property
    def whole(self) -> bool:
        return self.ready and all(self.machines.get(name) == "Running" for name in self.logins)


def status(lab: FullLab) -> Status | None:
    """What there is of it; None when there is nothing. Nothing is started."""
    return _status(lab) if lab.record.exists() else None


def _status(lab: FullLab) -> Status:
    kept = json.loads(lab.record.read_text())
    lxd = daemon.client(lab.lxd)
    found = machines.states(lxd) if lxd is not None else {}
    return Status(
        kept["since"], kept["fingerprint"], tuple(kept["emulated"]), found, kept["logins"], lab.ssh_config.exists()
    )


def up(lab: FullLab, layout: Layout, say: Callable[[str], None]) -> Status:
    """The lab of this layout, started when it is not up; one of another layout is removed first.

    Raises:
        ConfigError: this machine cannot have one.
        ThinkubeError: something did not start; `down` removes what did.
    """
    require()
    with _alone(lab):
        found = status(lab)
        if found and found.fingerprint == layout.fingerprint and found.whole:
            return found
        if found and found.fingerprint != layout.fingerprint:
            say("full lab: the inventory has changed since it started; it starts anew, as empty as at first")
            _remove(lab)
        began = time.monotonic()
        _start(lab, layout, say)
        say(f"full lab: {len(layout.machines)} machines after {time.monotonic() - began:.0f} s")
        return _status(lab)


def status_lines(lab: FullLab) -> list[str]:
    """What `lab status` prints of it; nothing where there is none."""
    found = status(lab)
    if found is None:
        return []
    age = int(time.time() - found.since)
    lines = [f"full lab: {len(found.logins)} machines, for {age // 60} min {age % 60} s"]
    log_in = f"ip netns exec {lab.name} ssh -F {lab.ssh_config}"
    lines += [f"  {name:12} {found.machines.get(name, 'gone').lower():8} {log_in} {name}" for name in found.logins]
    lines += [] if found.whole else [f"not whole: `{command('lab', 'up', '--full')}` starts what is missing"]
    return [*lines, f"emulated: {', '.join(found.emulated)}"]


def down(lab: FullLab) -> int:
    """Remove all of it, also what a crash left; return how many machines it had."""
    if not (lab.folder.exists() or namespace.exists(lab.name)):
        return 0
    require()
    with _alone(lab):
        found = status(lab)
        _remove(lab)
    return len(found.logins) if found else 0


def _start(lab: FullLab, layout: Layout, say: Callable[[str], None]) -> None:
    made = image(layout.packages, say)
    lab.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    logins = {m.name: f"{m.user}@{m.links[0].address.partition('/')[0]}" for m in layout.machines}
    lab.record.write_text(
        json.dumps(
            {
                "since": time.time(),
                "fingerprint": layout.fingerprint,
                "emulated": layout.emulated,
                "logins": logins,
            }
        )
    )
    if int(_INSTANCES.read_text()) < _INSTANCES_NEEDED:
        _INSTANCES.write_text(str(_INSTANCES_NEEDED))
    if not lab.key.exists():
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(lab.key))
    namespace.create(lab.name, layout.networks)
    lxd = daemon.start(lab.lxd, lab.name, lab.log)
    machines.prepare(lxd, made)
    machines.start(lxd, layout.machines, lab.key.with_suffix(".pub").read_text().strip(), say)
    keys = {m.name: machines.host_key(lxd, m.name) for m in layout.machines}
    lines = [f"{logins[name].partition('@')[2]} {key}" for name, key in keys.items()]
    lab.known_hosts.write_text("\n".join(lines) + "\n")
    lab.ssh_config.write_text("".join(_ssh_config(lab, name, login) for name, login in logins.items()))


def _ssh_config(lab: FullLab, name: str, login: str) -> str:
    user, _, address = login.partition("@")
    return (
        f"Host {name}\n  HostName {address}\n  User {user}\n  IdentityFile {lab.key}\n"
        f"  UserKnownHostsFile {lab.known_hosts}\n"
    )


def _remove(lab: FullLab) -> None:
    """A daemon that is gone is started once more, because it alone knows how to take its containers apart."""
    if lab.lxd.exists():
        namespace.create(lab.name, ())
        machines.remove_all(daemon.start(lab.lxd, lab.name, lab.log))
        daemon.stop(lab.lxd)
    namespace.remove(lab.name)
    shutil.rmtree(lab.folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        ROOT.rmdir()  # of the last one


def _alone(lab: FullLab) -> AbstractContextManager[None]:
    """No two commands start or remove it at once."""
    return wait_for(lab.state / "full-lab.lock", _ALONE)

"""A lab host's own root directory, a tmpfs with overlays of the machine's folders; built in the host's namespaces."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from thinkube_nornir.lab import kernel
from thinkube_nornir.lab.base_layer import OVERLAID

DISK_SIZE = "50%"
SOCKET = "/run/lab/socket"
PYTHON = os.path.realpath(sys.executable)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_FOLDERS = {
    "root": 0o700, "home": 0o755, "mnt": 0o755, "media": 0o755, "srv": 0o755, "boot": 0o755, "tmp": 0o1777,
    "var/lib": 0o755, "var/log": 0o755, "var/cache": 0o755, "var/spool": 0o755, "var/backups": 0o755, "var/tmp": 0o1777,
}  # fmt: skip
PROFILE = """\
# ~/.profile: read by login shells.
if [ -d "$HOME/bin" ]; then
    PATH="$HOME/bin:$PATH"
fi
if [ -d "$HOME/.local/bin" ]; then
    PATH="$HOME/.local/bin:$PATH"
fi
"""
"""What Ubuntu's /etc/skel gives a new account that matters here; the machine's own /etc/skel may be another one's."""


@dataclass(frozen=True)
class HostSpec:
    """What a host's root directory and kernel name are made from."""

    name: str
    hostname: str
    login_user: str


def build(spec: HostSpec, base_layer: Path, disk: Path) -> tuple[int, int]:
    """Build the root directory of a host below `disk`, enter it and return descriptors of `disk` and `ground`.

    `disk` becomes one tmpfs for all the host ever writes, but for /run: `up` and `work` of its overlays, and `root`.
    """
    disk.mkdir()
    kernel.mount("disk", disk, "tmpfs", kernel.NOSUID, f"size={DISK_SIZE},mode=0755")
    opened = os.open(disk, os.O_PATH), os.open(base_layer, os.O_PATH)
    root = disk / "root"
    root.mkdir()
    kernel.mount(str(root), root, flags=kernel.BIND)
    for name, mode in _FOLDERS.items():
        _folder(root / name, mode)
    _folder(root / "home" / spec.login_user, 0o750)
    (root / "home" / spec.login_user / ".profile").write_text(PROFILE)
    (root / "var/run").symlink_to("/run")
    for name in ("etc", *OVERLAID):
        _build_over(Path("/", name), base_layer, disk)
    _mount_kernel(root)
    _bind_python(root)
    _name(root / "etc", spec.hostname)
    kernel.enter(root)
    return opened


def _folder(path: Path, mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)


def _build_over(folder: Path, base_layer: Path, disk: Path) -> None:
    target = disk / "root" / folder.name
    if folder.is_symlink():
        target.symlink_to(folder.readlink())
        return
    if not folder.is_dir():
        return
    lower = str(base_layer / folder.name) + ("" if folder.name == "etc" else f":{folder}")
    up, work = disk / "up" / folder.name, disk / "work" / folder.name
    for path in (target, up, work):
        path.mkdir(parents=True)
    kernel.mount("overlay", target, "overlay", 0, f"userxattr,lowerdir={lower},upperdir={up},workdir={work}")


def _mount_kernel(root: Path) -> None:
    for name in ("proc", "sys", "dev", "run"):
        (root / name).mkdir()
    kernel.mount("proc", root / "proc", "proc")
    try:
        kernel.mount("sysfs", root / "sys", "sysfs", kernel.RDONLY)
    except OSError as error:
        if error.errno != errno.EPERM:  # a container hides parts of /sys, and then grants no other view of it
            raise
    kernel.mount("run", root / "run", "tmpfs", kernel.NOSUID | kernel.NODEV, "mode=0755,size=64m")
    (root / "run/lab").mkdir()
    (root / "run/lock").mkdir(mode=0o1777)
    _mount_devices(root / "dev")


def _mount_devices(dev: Path) -> None:
    kernel.mount("dev", dev, "tmpfs", kernel.NOSUID, "mode=0755,size=1m")
    for name in _DEVICES:
        (dev / name).touch()
        kernel.mount(f"/dev/{name}", dev / name, flags=kernel.BIND)
    (dev / "kmsg").touch()
    kernel.mount("/dev/null", dev / "kmsg", flags=kernel.BIND)  # the machine's own log is none of a host's
    (dev / "pts").mkdir()
    kernel.mount("devpts", dev / "pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")
    (dev / "shm").mkdir()
    kernel.mount("shm", dev / "shm", "tmpfs", kernel.NOSUID | kernel.NODEV, "mode=1777,size=64m")
    for name, target in {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "fd/0",
        "stdout": "fd/1",
        "stderr": "fd/2",
    }.items():
        (dev / name).symlink_to(target)


def _bind_python(root: Path) -> None:
    """The tools in a host are run by the interpreter that runs the lab; show it where /usr and /opt do not hold it."""
    prefix = Path(sys.base_prefix).resolve()
    target = root / prefix.relative_to("/")
    if (root / PYTHON.lstrip("/")).exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    kernel.mount(str(prefix), target, flags=kernel.BIND | kernel.REC)
    kept = os.statvfs(prefix).f_flag & kernel.LOCKED
    kernel.mount("none", target, flags=kernel.BIND | kernel.REMOUNT | kernel.RDONLY | kept)


def _name(etc: Path, hostname: str) -> None:
    short = hostname.split(".")[0]
    names = hostname if short == hostname else f"{hostname} {short}"
    _replace(etc / "hostname", f"{hostname}\n")
    _replace(etc / "hosts", f"127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n")
    kernel.set_hostname(hostname)


def _replace(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)

"""The image of a lab machine: Ubuntu 24.04 from its own archive, built once and kept.

What it needs to run in a container was found by its failing without (each line of `_prepare` names what it is for).
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.full_lab.programs import call

ARCHIVE = "http://archive.ubuntu.com/ubuntu"
SUITE = "noble"
CACHE = Path("/var/cache/thinkube-nornir/images")
FIRST_BOOT = "/etc/lab/first-boot"
"""A script that a machine runs before anybody can log in."""
_KEYRING = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
_KEYRING_DIGEST = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
"""SHA-256 of that package, which has Ubuntu's key F6ECB3762474EDA9D21B7022871920D1991BC93C of 2018."""
_BUILD = 1500.0  # seconds that a download through a slow line may take

_ALWAYS = (
    "systemd", "systemd-sysv", "systemd-resolved", "libnss-resolve", "dbus", "libpam-systemd",
    "udev",  # without it systemd-networkd waits for ever for its links
    "openssh-server", "sudo", "python3", "netplan.io", "iproute2", "iputils-ping", "procps", "kmod",
    "ca-certificates", "ubuntu-keyring", "apt-utils",
)  # fmt: skip
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
_UNIT = f"""\
[Unit]
Description=What the lab gives this machine: its user, its key
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target ssh.service ssh.socket systemd-networkd.service
ConditionPathExists={FIRST_BOOT}
[Service]
Type=oneshot
ExecStart={FIRST_BOOT}
[Install]
WantedBy=sysinit.target
"""


@dataclass(frozen=True)
class Image:
    metadata: Path
    root: Path
    """A squashfs of the machine's root directory."""


def image(packages: Sequence[str], say: Callable[[str], None]) -> Image:
    """The image with these packages beside those that every machine needs; built when there is none yet.

    Raises:
        ThinkubeError: the archive cannot be reached, or does not have them.
    """
    recipe = [ARCHIVE, SUITE, sorted({*_ALWAYS, *packages}), _UNIT, Path(__file__).read_text()]
    folder = CACHE / hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    made = Image(folder / "metadata.tar.xz", folder / "root.squashfs")
    if not folder.is_dir():
        say(f"full lab: building the image of Ubuntu {SUITE}, which takes minutes and is kept in {CACHE}")
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE, prefix="build-") as work:
            _build(Path(work), sorted({*_ALWAYS, *packages}))
            Path(work, "image").rename(folder)
    return made


def _build(work: Path, packages: Sequence[str]) -> None:
    keyring = _keyring(work)
    sources = work / "ubuntu.sources"
    suites = f"{SUITE} {SUITE}-updates {SUITE}-security"
    sources.write_text(
        f"Types: deb\nURIs: {ARCHIVE}\nSuites: {suites}\nComponents: main universe\nSigned-By: {keyring}\n"
    )
    root = work / "root"
    call(
        "mmdebstrap", "--mode=root", "--variant=minbase", "--quiet", '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io", *[f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT],
        f"--include={','.join(packages)}", SUITE, str(root), str(sources), deadline=_BUILD,
    )  # fmt: skip
    _prepare(root)
    made = work / "image"
    made.mkdir()
    call("mksquashfs", str(root), str(made / "root.squashfs"), "-comp", "lz4", "-noappend", "-quiet", "-no-progress")
    metadata = work / "metadata.yaml"
    what = {"architecture": platform.machine(), "creation_date": 1, "properties": {"os": "ubuntu", "release": SUITE}}
    metadata.write_text(json.dumps(what))
    with tarfile.open(made / "metadata.tar.xz", "w:xz") as archive:
        archive.add(metadata, "metadata.yaml")


def _keyring(work: Path) -> Path:
    """Ubuntu's keys, which Debian does not have, from Ubuntu's own package; its digest stands here."""
    from urllib.error import URLError
    from urllib.request import urlopen

    package = work / "keyring.deb"
    try:
        with urlopen(f"{ARCHIVE}/{_KEYRING}", timeout=30) as answer:  # noqa: S310 an address that is built in
            content: bytes = answer.read()
    except (URLError, TimeoutError) as error:
        raise ThinkubeError(
            f"Ubuntu's archive {ARCHIVE} cannot be reached", why=str(error), fix="see this machine's network and proxy"
        ) from None
    seen = hashlib.sha256(content).hexdigest()
    if seen != _KEYRING_DIGEST:
        why = f"expected: {_KEYRING_DIGEST}\nseen: {seen}"
        raise ThinkubeError(f"{_KEYRING} is not what it was", why=why, fix="nothing from this archive is trusted")
    package.write_bytes(content)
    call("dpkg-deb", "-x", str(package), str(work / "keyring"))
    return work / "keyring/usr/share/keyrings/ubuntu-archive-keyring.gpg"


def _prepare(root: Path) -> None:
    """Make of an installed system one that machines are copied from."""
    (root / "etc/machine-id").write_text("")
    for key in root.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    for name in ("subuid", "subgid"):  # ranges that fit into the machine's own, for containers in it
        (root / "etc" / name).write_text("root:100000:1000000\n")
    resolv_conf = root / "etc/resolv.conf"
    resolv_conf.unlink(missing_ok=True)
    resolv_conf.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (root / "etc/systemd/system/lab-first-boot.service").write_text(_UNIT)
    enabled = ("systemd-networkd", "systemd-resolved", "ssh.socket", "lab-first-boot")
    call("chroot", str(root), "systemctl", "enable", "--quiet", *enabled)
    # no user namespace may register a binary format, and a machine is ready without the Internet
    call("chroot", str(root), "systemctl", "mask", "--quiet", "systemd-binfmt", "systemd-networkd-wait-online")
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)

"""The full lab itself: Ubuntu's own systemd, OpenSSH, sudo and snapd, and the program speaking to them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from thinkube_nornir.errors import ConfigError
from thinkube_nornir.full_lab import daemon, lab, namespace
from thinkube_nornir.full_lab.image import ARCHIVE, CACHE, SUITE
from thinkube_nornir.full_lab.programs import require

pytestmark = [pytest.mark.root, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
PASSWORD = "it's; secret"


def _lacking() -> str:
    try:
        require()
        if not any(CACHE.glob("[0-9a-f]*")):
            with urlopen(f"{ARCHIVE}/dists/{SUITE}/Release", timeout=10):  # noqa: S310 an address of ours
                pass
    except (ConfigError, URLError, TimeoutError) as error:
        return f"no full lab here: {error}"
    return ""


class Project:
    """The shipped project with two of its hosts; sudo of tkc asks for a password."""

    def __init__(self, folder: Path) -> None:
        for name in ("tasks", "templates"):
            (folder / name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "inventory", folder / "inventory")
        hosts = yaml.safe_load((folder / "inventory/hosts.yaml").read_text())
        kept = {name: hosts[name] for name in ("bcn1", "tkc")}
        kept["tkc"]["data"] |= {"lab_sudo_password": PASSWORD, "parent_host": "bcn1"}
        (folder / "inventory/hosts.yaml").write_text(yaml.safe_dump(kept))
        config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"target": "full-lab"}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.folder = folder
        self.lab = lab.FullLab(folder / ".thinkube")

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "THINKUBE_SUDO_PASSWORD": PASSWORD}
        command = [sys.executable, "-m", "thinkube_nornir", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=1800, check=False
        )

    def ssh(self, name: str, command: str) -> subprocess.CompletedProcess[str]:
        inside = ("ip", "netns", "exec", self.lab.name, "ssh", "-F", str(self.lab.ssh_config), name, command)
        return subprocess.run(inside, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    if lacking := _lacking():
        pytest.skip(lacking)
    made = Project(tmp_path_factory.mktemp("full"))
    up = made("lab", "up", "--full")
    assert up.returncode == 0, up.stdout + up.stderr
    yield made
    made("lab", "down")


def test_machines_are_ubuntu_with_its_own_systemd(project: Project) -> None:
    """Nothing in them answers for something else."""
    said = project.ssh("bcn1", ". /etc/os-release; echo $VERSION_ID; systemctl is-system-running; cat /proc/1/comm")

    assert said.stdout.split() == ["24.04", "running", "systemd"], said.stderr


def test_the_program_reaches_them_as_real_hosts(project: Project) -> None:
    """By SSH with the keys read from their disks, by sudo with its password; what fails is what they lack."""
    planned = project("plan", "phase5")

    failed = {line.split()[4].rstrip(":") for line in planned.stdout.splitlines() if line.split()[1:2] == ["failed"]}
    assert failed == {"snap_store_answers", "registries_answer"}, planned.stdout + planned.stderr
    assert PASSWORD not in planned.stdout + planned.stderr


def test_nothing_leads_out_of_its_network(project: Project) -> None:
    """No package of a run can leave for the network that this machine is in, or for the Internet."""
    for address in ("8.8.8.8", "192.168.191.1", "10.0.0.1"):
        assert "unreachable" in project.ssh("bcn1", f"ping -c1 -W1 {address}").stdout.lower()
    inside = ("ip", "netns", "exec", project.lab.name, "ip", "route", "get", "8.8.8.8")
    assert b"No route to host" in subprocess.run(inside, capture_output=True, check=False).stderr


def test_up_repairs_what_is_not_up(project: Project) -> None:
    """A machine that was stopped; and LXD itself, killed: its machines go on, and are found again."""
    lxd = daemon.client(project.lab.lxd)
    assert lxd is not None
    lxd.instances.get("tkc").stop(force=True, wait=True)
    _kill_lxd(project)

    assert "not whole" in project("lab", "status").stdout
    up = project("lab", "up", "--full")

    assert up.returncode == 0, up.stderr
    assert project.ssh("tkc", "hostname").stdout == "tkc\n"


def _kill_lxd(project: Project) -> None:
    """The daemon alone, and not the monitors of its containers."""
    for process in daemon._processes(project.lab.lxd):
        if b"containers" not in Path(f"/proc/{process}/cmdline").read_bytes():
            os.kill(process, signal.SIGKILL)


def test_down_leaves_nothing(project: Project) -> None:
    """No process, no mount, no link, no folder, also after LXD was killed. A second one has nothing to do."""
    _kill_lxd(project)

    assert project("lab", "down").stdout.startswith("lab: ended, with its 2 hosts")

    assert daemon._processes(project.lab.lxd) == []
    assert str(project.lab.folder) not in Path("/proc/self/mounts").read_text()
    assert not namespace.exists(project.lab.name)
    assert not project.lab.folder.exists()
    assert project("lab", "down").stdout == "lab: none was running\n"

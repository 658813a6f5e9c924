"""What makes the image of the full lab a machine: plain text, made from plain values."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from thinkube_nornir.errors import ConfigError
from thinkube_nornir.full_lab import lab, machines, programs
from thinkube_nornir.full_lab.layout import Link, Machine

MACHINE = Machine(
    "tkc",
    "tkc",
    "ops",
    (Link("lan", "192.168.1.110/24", "192.168.1.1"), Link("pods", "10.9.0.2/16")),
    "o'pen; rm -rf /",
)


def test_a_machine_has_its_addresses_and_one_way_out() -> None:
    """Links are eth0, eth1 and so on, in their order; a link without a gateway is no default route."""
    links = json.loads(machines._netplan(MACHINE))["network"]["ethernets"]

    assert {name: link["addresses"] for name, link in links.items()} == {
        "eth0": ["192.168.1.110/24"],
        "eth1": ["10.9.0.2/16"],
    }
    assert links["eth0"]["routes"] == [{"to": "default", "via": "192.168.1.1"}]
    assert "routes" not in links["eth1"]


@pytest.mark.parametrize(
    ("password", "rule"), [("", "ops ALL=(ALL) NOPASSWD: ALL"), ("o'pen; rm -rf /", "ops ALL=(ALL) ALL")]
)
def test_the_first_boot_makes_the_user_whatever_the_password_is(tmp_path: Path, password: str, rule: str) -> None:
    """A shell reads the script: what is in a password or key is data. Here the programs are stand-ins that note it."""
    noted = tmp_path / "noted"
    for name in ("chpasswd", "useradd", "install", "chown", "chmod", "ssh-keygen", "id"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        what = f"[ {name} = chpasswd ] && cat >>{noted}; [ {name} != id ]"
        program.write_text(f"#!/bin/sh\n{what}\n")
        program.chmod(0o755)
    script = machines._first_boot(Machine("m", "m", "ops", (), password), "ssh-ed25519 AAA 'quoted'")
    here = script.replace("/home/ops", str(tmp_path)).replace("/etc/sudoers.d", str(tmp_path))
    (tmp_path / ".ssh").mkdir()

    done = subprocess.run(
        ["sh", "-e"],
        input=here.encode(),
        env={"PATH": f"{tmp_path}/bin:/bin:/usr/bin"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "90-lab").read_text() == f"{rule}\n"
    assert (tmp_path / ".ssh/authorized_keys").read_text() == "ssh-ed25519 AAA 'quoted'\n"
    assert (noted.read_text() if noted.exists() else "") == (f"ops:{password}\n" if password else "")


def test_all_that_a_machine_lacks_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, and the packages with the command that installs them."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name in ("lxd", "mksquashfs") else name)

    with pytest.raises(ConfigError) as raised:
        programs.require()

    what = [str(problem) for problem in raised.value.problems]
    assert "needs root" in what[0]
    assert what[1].endswith("lacks lxd, squashfs-tools (`apt-get install --no-install-recommends lxd squashfs-tools`)")


def test_where_there_is_no_full_lab_nothing_is_said_or_ended(tmp_path: Path) -> None:
    """Asking costs no root, and starts nothing."""
    here = lab.FullLab(tmp_path)

    assert lab.status_lines(here) == []
    assert lab.down(here) == 0


def test_each_project_has_a_full_lab_of_its_own(tmp_path: Path) -> None:
    """By its state folder; the name is that of a network namespace, too, and LXD's socket must have a short path."""
    one, other = lab.FullLab(tmp_path / "one"), lab.FullLab(tmp_path / "other")

    assert one.name != other.name
    assert len(str(one.lxd / "unix.socket")) < 100

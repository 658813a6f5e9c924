"""What NVIDIA's toolkit makes of containerd's configuration, by its version, containerd's version, and its settings."""

from __future__ import annotations

import asyncio
import tomllib
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.lab import gpu_toolkit
from tasks.lab.microk8s import containerd
from tasks.lab.state import machine
from tasks.phase6_extended_services.gpu_operator.containerd_facts import DROP_IN_FOLDER, parse_runtimes, will_have
from tests.tasks.lab.fake_lab import FakeLab, lab
from thinkube_nornir.lab.emulation import LabHost

OLD, NEW = "v1.17.8-ubuntu20.04", "v1.18.1"
DROP_IN = f"{DROP_IN_FOLDER}/99-nvidia.toml"
PLACES = {
    "CONTAINERD_CONFIG": containerd.TEMPLATE_FILE,
    "CONTAINERD_SOCKET": "/var/snap/microk8s/common/run/containerd.sock",
    "CONTAINERD_SET_AS_DEFAULT": "false",
}
OURS = {
    OLD: {**PLACES, "RUNTIME_EXECUTABLE_PATH": "/bin/false"},
    NEW: {**PLACES, "RUNTIME_DROP_IN_CONFIG": DROP_IN, "RUNTIME_CONFIG_SOURCE": "file=/dev/null"},
}


def node(minor: int, *, foreign: bool = False) -> LabHost:
    made: FakeLab = lab()
    host: LabHost = made.hosts["tkc"]
    host.files.write(containerd.TEMPLATE_FILE, containerd.TEMPLATE)
    machine(host).node = SimpleNamespace(minor=(1, minor))
    if foreign:
        host.files.write("/usr/bin/containerd", "", 0o755)
    containerd.load(host)
    return host


def install(host: LabHost, version: str, env: dict[str, str]) -> None:
    asyncio.run(gpu_toolkit.install(host, version, env))
    containerd.load(host)


def plugin(host: LabHost) -> dict[str, Any]:
    found: dict[str, Any] = containerd.effective(host)["plugins"]
    return dict(next(found[name] for name in (containerd.NEW_PLUGIN, containerd.PLUGIN) if name in found))


@pytest.mark.parametrize(("version", "minor"), [(OLD, 32), (OLD, 35), (NEW, 35)])
@pytest.mark.parametrize("foreign", [False, True])
def test_our_settings_add_the_runtimes_and_change_nothing_else(version: str, minor: int, foreign: bool) -> None:
    """Also beside Docker's containerd; the runtime is not the default one, and lasts."""
    host = node(minor, foreign=foreign)
    before = plugin(host)

    install(host, version, OURS[version])

    after = plugin(host)
    assert after["cni"] == before["cni"]
    assert after["containerd"]["default_runtime_name"] == "runc"
    assert set(after["containerd"]["runtimes"]) == {*before["containerd"]["runtimes"], *gpu_toolkit.MODES}
    assert containerd.refusal(host, "nvidia") == containerd.refusal(host, "") == ""
    assert will_have(host.files.read(containerd.TEMPLATE_FILE).decode(), "nvidia") == ""
    assert "${SNAP_DATA}" in host.files.read(containerd.TEMPLATE_FILE).decode()


@pytest.mark.parametrize("version", [OLD, NEW])
def test_by_default_the_first_containerd_on_path_is_asked(version: str) -> None:
    """Docker's has no CRI: MicroK8s' containerd then does not start, or has none of its settings."""
    host = node(32, foreign=True)

    install(host, version, PLACES)

    broken = containerd.refusal(host, "") == "containerd is not running"
    assert broken or "cni" not in plugin(host)


def test_settings_of_the_addon_keep_the_paths_of_one_revision() -> None:
    """From containerd.toml the paths come into the drop-in, and stay there when the snap is refreshed."""
    host = node(34)
    install(host, NEW, {**PLACES, "RUNTIME_CONFIG_SOURCE": f"file={containerd.CONFIG_FILE}"})

    machine(host).node = SimpleNamespace(minor=(1, 35))
    containerd.load(host)

    assert "/7600/" in plugin(host)["cni"]["conf_dir"]


def test_older_containerd_loses_its_settings_to_a_small_drop_in() -> None:
    """Why the newer operator is refused on MicroK8s up to 1.34."""
    host = node(34)

    install(host, NEW, OURS[NEW])

    assert "cni" not in plugin(host)


@pytest.mark.parametrize("version", [OLD, NEW])
def test_toolkit_takes_its_runtimes_away_when_it_ends(version: str) -> None:
    """An import of its empty folder may stay in the template."""
    host = node(35)
    install(host, version, OURS[version])

    asyncio.run(gpu_toolkit.remove(host))
    containerd.load(host)

    assert "nvidia" not in parse_runtimes(containerd.effective(host)).binaries
    assert "nvidia" not in parse_runtimes(tomllib.loads(host.files.read(containerd.TEMPLATE_FILE).decode())).binaries
    assert not host.files.exists(DROP_IN)

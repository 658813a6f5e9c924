"""docs/requirements.md says what the code holds: both are compared, so that neither runs ahead."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tasks.phase6_extended_services.cert_manager.resources import REPOSITORY as CERT_MANAGER
from tasks.phase6_extended_services.gpu_operator.chart import REPOSITORY as GPU_OPERATOR
from tasks.phase6_extended_services.ingress.controllers import REPOSITORY as TRAEFIK
from tasks.shared.hosts import supported

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/requirements.md").read_text()


def _row(name: str) -> str:
    """What the table says of something, up to the next column."""
    return next(line.split("|")[2] for line in TEXT.splitlines() if line.startswith(f"| {name} |"))


def test_supported_versions_are_those_of_the_code() -> None:
    """Not one more, and not one less."""
    assert re.findall(r"\d\d\.\d\d", _row("operating system of the nodes")) == list(supported.UBUNTU)
    assert re.findall(r"1\.\d+", _row("MicroK8s channel")) == list(supported.MICROK8S)
    assert ".".join(map(str, supported.SNAPD)) in _row("snapd")
    assert ".".join(map(str, supported.FIRST_WITH_SUDO_RS)) in _row("sudo")
    assert f"control plane {supported.CONTROL_PLANE_MEMORY}, worker {supported.WORKER_MEMORY}" in _row("memory")
    assert supported.NODE_DISK in _row("free disk for images and volumes")


def test_the_controllers_python_is_that_of_the_package() -> None:
    """pyproject.toml decides."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]

    assert needed == ">=" + re.findall(r"3\.\d+", _row("Python of the controller"))[0]


def test_every_port_is_listed() -> None:
    """With its use, and to whom it is open."""
    table = dict(re.findall(r"^\| (\d+)/tcp \| ([^|]+?) \|", TEXT, re.MULTILINE))
    expected = supported.CONTROL_PLANE_PORTS | supported.NODE_PORTS | supported.OWN_PORTS

    assert {int(port): use for port, use in table.items()} == expected
    assert f"| {supported.OVERLAY_PORT}/udp |" in TEXT


def test_every_source_is_listed() -> None:
    """Registries, repositories of charts, and what a proxy must leave alone."""
    charts = [url.split("/")[2] for url in (TRAEFIK, GPU_OPERATOR, CERT_MANAGER)]
    for word in (*supported.REGISTRIES, *charts, supported.POD_NETWORK, supported.SERVICE_NETWORK):
        assert word in TEXT, word


def test_the_readme_leads_there() -> None:
    """Who reads only the README finds it."""
    assert "(docs/requirements.md)" in (ROOT / "README.md").read_text()

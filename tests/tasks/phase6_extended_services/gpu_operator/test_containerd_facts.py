"""containerd's own account of its configuration, and whether its template makes a runtime last."""

from __future__ import annotations

import tomllib

import pytest

from tasks.lab.microk8s.containerd import TEMPLATE
from tasks.phase6_extended_services.gpu_operator.containerd_facts import (
    DROP_IN_FOLDER,
    parse_dump,
    parse_runtimes,
    will_have,
)
from thinkube_nornir.command import Command, Completed

OLD, NEW = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"


def added(plugin: str) -> str:
    return f'[plugins."{plugin}".containerd.runtimes.nvidia.options]\nBinaryName = "/n/r"\n'


def dumped(text: str, status: int = 0, stderr: str = "") -> Completed:
    return Completed(Command(("containerd",)), status, text.encode(), stderr.encode())


def test_runtimes_are_read_from_both_versions() -> None:
    """The newer one calls the plugin differently; the shipped template has no nvidia."""
    shipped = parse_runtimes(tomllib.loads(TEMPLATE))

    assert set(shipped.binaries) == {"runc", "kata", "nvidia-container-runtime"}
    assert shipped.default == "${RUNTIME}"
    assert parse_dump(dumped(f'version = 3\n[plugins."io.containerd.cri.v1.images"]\n{added(NEW)}')).binaries == {
        "nvidia": "/n/r"
    }
    assert parse_dump(dumped(added(OLD))).binaries == {"nvidia": "/n/r"}


def test_containerd_that_cannot_read_its_files_says_why() -> None:
    """No runtimes are known then, and the last line is the reason."""
    found = parse_dump(dumped("", 1, "warning: something\ncontainerd: failed to load TOML: /a/b.toml\n"))

    assert (found.binaries, found.trouble) == ({}, "containerd: failed to load TOML: /a/b.toml")
    assert parse_dump(dumped("", 3)).trouble == "it ended with status 3"
    assert "Expected" in parse_dump(dumped("broken [")).trouble


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEMPLATE, "has no runtime nvidia (it has runc, nvidia-container-runtime, kata)"),
        (f"{TEMPLATE}{added(OLD)}", ""),
        (f'imports = ["{DROP_IN_FOLDER}/*.toml"]\n{TEMPLATE}', ""),
        (f'imports = ["/etc/containerd/conf.d/*.toml"]\n{TEMPLATE}', "has no runtime nvidia"),
        ("broken [", "cannot be read"),
        (None, "has no runtime nvidia (it has none)"),
    ],
)
def test_runtime_lasts_when_the_template_has_or_imports_it(text: str | None, told: str) -> None:
    """What is only in containerd.toml is gone with the next start."""
    found = will_have(text, "nvidia")

    assert told in found
    assert bool(told) is bool(found)

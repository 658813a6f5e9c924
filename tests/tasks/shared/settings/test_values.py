"""The forms of values that reach a host or the API: what is meant is taken, what could do harm or never work is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.phase6_extended_services.cert_manager.settings import mail, resolver
from tasks.shared.settings import values

DIGEST = f"@sha256:{'0' * 64}"
FORMS: dict[Callable[[str], str], tuple[tuple[str, ...], tuple[str, ...]]] = {
    values.image: (
        (
            "docker.io/library/busybox:1.36.1",
            "busybox:1",
            "reg.example:5000/a/b_c:v1",
            f"x{DIGEST}",
            f"x:latest{DIGEST}",
        ),
        (
            "busybox",
            "x:latest",
            "a b:1",
            "x:1 --privileged",
            "-x:1",
            "X:1",
            "x:1\n",
            "http://x/y:1",
            "x@sha256:12",
            "../x:1",
        ),
    ),
    values.addon: (("dns", "hostpath-storage", "helm3"), ("Dns", "dns --force", "-dns", "dns;id", "")),
    values.domain: (
        ("home.example", "a.b.c"),
        (
            "home",
            "home.example.",
            "Home.example",
            "a..b",
            "-a.example",
            "1.2.3.4",
            f"{'a' * 64}.example",
            "a.example\n",
        ),
    ),
    values.label: (("ingress", "a", "a-1"), ("", "A", "a_b", "-a", "a-", "a" * 64, "a.b", "a\n")),
    values.chart_version: (("v1.20.3", "41.3.0", "1.2.3-rc.1"), ("latest", "1.2", "v1.2.3 --devel", "1.2.3\n")),
    values.chart_source: (
        ("https://charts.example/", "oci://reg.example:5000/charts", "/srv/charts"),
        ("charts", "file:///x", "https://a b", "https:///x", "--repo=x", "/srv/a b", "https://a;id"),
    ),
    values.manifest_source: (
        ("https://a.example/x.yaml", "/srv/x.yaml"),
        ("http://a.example/x", "x.yaml", "https://a.example/$(id)", "/srv/x y"),
    ),
    values.registry: (("registry.k8s.io", "mirror.home.example:5000"), ("https://x", "x/y", "a b", "-x", "")),
    values.user: (("ops", "_x", "a-b"), ("", "Ops", "1a", "a b", "../a", "root\n", "a" * 33)),
    values.file_name: (("id_ed25519", "a.b"), ("", ".", "..", "../x", "a/b", "a b", "-x", "a\n")),
    values.interface_name: (("br0", "enp3s0.7", "lxdbr0"), ("", "a" * 16, "a b", "../x", "a/b", "-x")),
    values.package: (("nfs-common", "g++"), ("", "a b", "-y", "A", "a;id")),
    values.lxd_image: (("ubuntu:24.04", "images:debian/12"), ("", "-x", "a b", "$(id)")),
    values.product: (("any", "NVIDIA-GeForce-RTX-3090"), ("", "a b", "-a", "a/b", "a" * 64)),
    values.channel: (("1.35/stable",), ("1.35", "latest/stable", "1.35/stable ", "9999.1/edge")),
    values.size: (("48GB", "5 KiB"), ("0GB", "-1GB", "48", "48gb", "1e9GB", "٣GB", f"{'9' * 30}GB")),
    values.text: (("RTX 3090",), ("", " ", "a\nb", "a\x1b[31m")),
    mail: (("admin@home.example",), ("a", "a@b", "a b@c.example", "a@example.com", 'a"@c.example')),
    resolver: (("8.8.8.8:53",), ("8.8.8.8", "dns.google:53", "8.8.8.8:0", "8.8.8.8:٥٣", "8.8.8.8:99999")),
}


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, (good, _) in FORMS.items() for text in good])
def test_what_is_meant_is_taken(form: Callable[[str], str], text: str) -> None:
    """As it is."""
    assert form(text) == text


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, (_, bad) in FORMS.items() for text in bad])
def test_what_would_not_work_is_refused(form: Callable[[str], str], text: str) -> None:
    """With what it must be."""
    with pytest.raises(ValueError, match="must be"):
        form(text)

"""The settings of the pods by which verify tries scheduling, names and ingress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Le

from tasks.shared.settings.values import Domain, Image


class Settings:
    """Probes of verify."""

    probe_image: Image = "docker.io/library/busybox:1.36.1"
    """What the pods run that verify scheduling, names and ingress."""
    dns_probe_names: Sequence[Domain] = ("ubuntu.com", "github.com", "cloudflare.com")
    """Public names that pods must be able to resolve."""
    dns_settle_seconds: Annotated[float, Ge(0), Le(3600)] = 30  # what CoreDNS keeps in its cache
    """How long a wrong answer may last after a change before verify says no."""

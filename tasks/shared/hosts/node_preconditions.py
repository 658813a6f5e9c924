"""What every host must have before it may become a node, control plane or worker: checked before any change."""

from __future__ import annotations

from tasks.shared.hosts import host_requirements, network_requirements
from thinkube_nornir.component import chain, step

CHECKS = (*host_requirements.CHECKS, *network_requirements.CHECKS)

PRECONDITIONS = chain(
    *[step(check, early=True) for check in CHECKS],
    facts=lambda _: (*host_requirements.FACTS, *network_requirements.FACTS),
)

"""The lab as a target of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinkube_nornir.lab import client
from thinkube_nornir.target import Prepared, Say

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.config import Config
    from thinkube_nornir.lab.client import LabInfo


class LabTarget:
    """The running lab for this inventory, started when there is none."""

    def prepare(self, config: Config, inventory: Inventory, say: Say) -> Prepared:
        say("lab    these hosts are emulated on this machine; no real one is touched")
        info = client.ensure_lab(config, inventory, say)
        client.apply_lab(inventory, info)
        return Prepared(client.lab_config(config, info), _scope(info), info.emulated)

    def up(self, config: Config, inventory: Inventory, say: Say) -> list[str]:
        return client.status_lines(client.ensure_lab(config, inventory, say))

    def status(self, config: Config) -> list[str]:
        info = client.lab_status(config)
        return client.status_lines(info) if info else []

    def down(self, config: Config) -> int:
        info = client.lab_down(config)
        return len(info.hosts) if info else 0

    def scope(self, config: Config) -> str:
        info = client.lab_status(config)
        return _scope(info) if info else "lab"


def _scope(info: LabInfo) -> str:
    """A lab that was started anew has other hosts, where nothing is managed yet."""
    return f"lab {info.pid} {info.since:.3f}"


TARGET = LabTarget()

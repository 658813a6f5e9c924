"""The full lab as a target of the engine: this process enters its network, where the inventory's addresses are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from thinkube_nornir.config import SSHSettings
from thinkube_nornir.full_lab import lab as full
from thinkube_nornir.full_lab import namespace
from thinkube_nornir.full_lab.layout import layout_of
from thinkube_nornir.target import Prepared, Say
from thinkube_nornir.task_modules import import_package

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.config import Config

NAME = "full-lab"


class FullLabTarget:
    """The running full lab for this inventory, started when there is none."""

    def prepare(self, config: Config, inventory: Inventory, say: Say) -> Prepared:
        say("full lab: these hosts are containers on this machine; no real one is touched")
        place = full.FullLab(config.state)
        layout = layout_of(import_package(config.tasks), inventory)
        status = full.up(place, layout, say)
        for machine in layout.machines:
            host = inventory.hosts[machine.name]
            host.hostname, host.port = machine.links[0].address.partition("/")[0], 22
            host.username, host.password = machine.user, None
        namespace.enter(place.name)
        ssh = SSHSettings(
            known_hosts=place.known_hosts, key_file=place.key, agent=False, keepalive=config.ssh.keepalive
        )
        return Prepared(replace(config, ssh=ssh), _scope(status), status.emulated)

    def up(self, config: Config, inventory: Inventory, say: Say) -> list[str]:
        full.up(full.FullLab(config.state), layout_of(import_package(config.tasks), inventory), say)
        return self.status(config)

    def status(self, config: Config) -> list[str]:
        return full.status_lines(full.FullLab(config.state))

    def down(self, config: Config) -> int:
        return full.down(full.FullLab(config.state))

    def scope(self, config: Config) -> str:
        status = full.status(full.FullLab(config.state))
        return _scope(status) if status else NAME


def _scope(status: full.Status) -> str:
    """A lab that was started anew has other hosts, where nothing is managed yet."""
    return f"{NAME} {status.since:.3f}"


TARGET = FullLabTarget()

"""The inventory of a Nornir plugin that config.yaml names, in the form of the files: it is held to the same rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from nornir.core.inventory import Inventory
from nornir.core.plugins.inventory import INVENTORY_PLUGIN_PATH, InventoryPluginRegister

from thinkube_nornir.config import INVENTORY_FILES
from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import Problem
from thinkube_nornir.settings.yaml_source import Location, Source


@dataclass
class PluginSource(Source):
    """What a plugin gave has no lines: a place in it is named by its keys."""

    def where(self, location: Location = ()) -> str:
        return ": ".join(filter(None, (self.shown, ".".join(map(str, location)))))


def read_plugin(name: str, options: Mapping[str, Any]) -> tuple[Source, Source, Source]:
    """Return hosts, groups and defaults; what is wrong with the plugin stands among the problems of the first."""
    hosts, groups, defaults = (PluginSource(f"inventory plugin {name}") for _ in range(3))
    installed = {point.name: point for point in metadata.entry_points(group=INVENTORY_PLUGIN_PATH)}
    if name not in installed and name not in InventoryPluginRegister.available:
        known = did_you_mean(name, sorted({*installed, *INVENTORY_FILES}))
        hosts.problems.append(Problem("config.yaml: inventory.plugin", f"no plugin {name} is installed", known))
        return hosts, groups, defaults
    try:
        plugin = InventoryPluginRegister.available.get(name) or installed[name].load()
        loaded: Inventory = plugin(**options).load()
        hosts.value = {host.name: _plain(host.dict()) for host in loaded.hosts.values()}
        groups.value = {group.name: _plain(group.dict()) for group in loaded.groups.values()}
        defaults.value = _plain(loaded.defaults.dict())
    except Exception as error:  # the plugin's own code: whatever it raises is said as it is
        what = f"cannot be loaded: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        hosts.problems.append(Problem(hosts.shown, what, "see its `options` in config.yaml"))
    return hosts, groups, defaults


def _plain(element: Mapping[str, Any]) -> dict[str, Any]:
    """A host, a group or the defaults as YAML could have them: text for what YAML has no word for."""
    plain: dict[str, Any] = json.loads(json.dumps({k: v for k, v in element.items() if k != "name"}, default=str))
    return plain

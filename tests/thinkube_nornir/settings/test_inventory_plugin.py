"""An inventory plugin of Nornir's that config.yaml names: asked, and held to what the files are held to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from nornir.core.inventory import Defaults, Group, Groups, Host, Hosts, Inventory, ParentGroups
from nornir.core.plugins.inventory import InventoryPluginRegister

from tests.small_project import write_project
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.project import load_hosts


class Rack:
    """A source of hosts, such as a CMDB."""

    def __init__(self, first: str, **settings: Any) -> None:
        self.first, self.settings = first, settings

    def load(self) -> Inventory:
        defaults = Defaults(username="ops", data={"domain": "example.org"})
        groups = Groups({"control": Group("control", data={"channel": "1.35/stable"}, defaults=defaults)})
        member = ParentGroups([groups["control"]])
        host = Host("tkc", hostname=self.first, groups=member, data=self.settings, defaults=defaults)
        return Inventory(hosts=Hosts({"tkc": host}), groups=groups, defaults=defaults)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    InventoryPluginRegister.register("Rack", Rack)
    yield tmp_path
    InventoryPluginRegister.deregister("Rack")


def configured(inventory: str) -> Path:
    text = Path("config.yaml").read_text()
    Path("config.yaml").write_text(f"{text}inventory: {inventory}\n")
    return Path("config.yaml")


def problems(inventory: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_hosts(configured(inventory))
    return [str(problem) for problem in caught.value.problems]


def test_a_plugins_hosts_groups_and_defaults_are_taken() -> None:
    """With its options as they stand in config.yaml."""
    _, _, (host,) = load_hosts(configured("{plugin: Rack, options: {first: 10.0.0.7, rack: 4}}"))

    assert (host.name, host.hostname, host.username) == ("tkc", "10.0.0.7", "ops")
    assert (host["rack"], host["channel"], host["domain"]) == (4, "1.35/stable", "example.org")
    assert host.has_parent_group("control")


@pytest.mark.parametrize("plugin", ["YAMLInventory", "SimpleInventory"])
def test_plugins_that_read_files_of_this_form_are_honoured(plugin: str) -> None:
    """Those of nornir-utils and of Nornir itself."""
    _, _, hosts = load_hosts(configured(f"{{plugin: {plugin}, options: {{host_file: inventory/hosts.yaml}}}}"))

    assert [host.name for host in hosts] == ["tkc", "tkw1", "tkw2", "dns1"]


def test_what_a_plugin_gives_is_checked_like_a_file() -> None:
    """There is no line to point at, so that its keys name the place."""
    assert problems("{plugin: Rack, options: {first: 10.0.0.300}}") == [
        "inventory plugin Rack: tkc.hostname: tkc.hostname: should be an IP address, and is none, not '10.0.0.300'"
    ]


@pytest.mark.parametrize(
    ("inventory", "says"),
    [
        ("{plugin: YAMLInventori}", "no plugin YAMLInventori is installed (did you mean YAMLInventory?)"),
        ("{plugin: Rack}", "inventory plugin Rack: cannot be loaded: TypeError: "),
        ("{plugin: Rack, options: {frist: x}}", "(see its `options` in config.yaml)"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(inventory: str, says: str) -> None:
    """Whatever goes wrong in it is its own, and no fault of this program."""
    assert says in "\n".join(problems(inventory))


def test_a_plugins_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords come from the sources under `secrets`, whatever gives the hosts."""
    monkeypatch.setattr(Host, "dict", lambda host: {"name": host.name, "password": "sesame"})

    reported = problems("{plugin: Rack, options: {first: a}}")

    assert (
        "tkc.password is not a known name (never in a file of the inventory: give it as THINKUBE_SSH_PASS"
        in reported[0]
    )
    assert "sesame" not in "".join(reported)


def test_values_that_yaml_has_no_word_for_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A date from a database is no reason to stop."""
    monkeypatch.setattr(Host, "dict", lambda host: {"name": host.name, "data": {"bought": date(2026, 1, 2)}})

    _, _, (host,) = load_hosts(configured("{plugin: Rack, options: {first: a}}"))

    assert host["bought"] == "2026-01-02"

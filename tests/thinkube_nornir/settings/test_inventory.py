"""The inventory: Nornir's form, every mistake with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import pytest
from annotated_types import Ge
from nornir_utils.plugins.inventory import YAMLInventory  # type: ignore[import-untyped]
from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict

from thinkube_nornir.config import Config
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.settings.inventory import built_in_names, load_installation, load_inventory
from thinkube_nornir.settings.schema import HostSettings, Mistake, Schema


@with_config(ConfigDict(extra="forbid"))
class Settings(TypedDict, total=False):
    colour: Annotated[str, AfterValidator(str.lower)]
    weight: Annotated[int, Ge(1)]


def too_heavy(hosts: Mapping[str, HostSettings]) -> Iterator[Mistake]:
    for host in hosts.values():
        if host.settings.get("weight", 0) > 100:
            yield Mistake("too heavy", "eat less", host.name, "weight")
        if "weight" not in host.settings and "weight" not in host.mistaken:
            yield Mistake(f"{host.name} has no weight", "", host.name)


SCHEMA = Schema(Settings, (too_heavy,))
HOSTS = """\
web1:
  hostname: 10.0.0.1
  port: 2222
  groups: [web]
  data:
    colour: Red
web2:
  hostname: 10.0.0.2
  groups:
    - web
    - spare
  connection_options:
    ssh:
      port: 22
      extras: {banner_timeout: 5}
"""
GROUPS = """\
all_web: {data: {colour: blue, weight: 5}}
web:
  groups: [all_web]
  username: www
spare:
"""
DEFAULTS = "username: ops\ndata: {weight: 7}\n"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inventory").mkdir()
    (tmp_path / "tasks").mkdir()
    write(HOSTS, GROUPS, DEFAULTS)
    return Config(tmp_path, "lab", tmp_path, tmp_path, tmp_path / "inventory", tmp_path)


def write(hosts: str, groups: str = GROUPS, defaults: str = DEFAULTS) -> None:
    for name, text in (("hosts", hosts), ("groups", groups), ("defaults", defaults)):
        Path(f"inventory/{name}.yaml").write_text(text)


def problems(config: Config, schema: Schema | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_inventory(config, schema)
    return [str(problem) for problem in caught.value.problems]


def test_the_inventory_is_the_one_nornir_utils_loads(config: Config) -> None:
    """The same files mean the same to those who use Nornir without us."""
    write(HOSTS, GROUPS.replace("spare:", "spare: {}"))
    files = [f"inventory/{name}.yaml" for name in ("hosts", "groups", "defaults")]

    ours, theirs = load_inventory(config), YAMLInventory(*files).load()

    assert ours.dict() == theirs.dict()
    for name, host in ours.hosts.items():
        assert host.extended_data() == theirs.hosts[name].extended_data()
        assert (host.username, host.port) == (theirs.hosts[name].username, theirs.hosts[name].port)
    assert ours.hosts["web2"].has_parent_group("all_web")
    assert ours.hosts["web2"].get_connection_parameters("ssh").extras == {"banner_timeout": 5}


def test_settings_have_the_form_the_schema_gives_them(config: Config) -> None:
    """What two operators spell in two ways reaches the components in one."""
    assert load_inventory(config, SCHEMA).hosts["web1"]["colour"] == "red"
    assert load_inventory(config).hosts["web1"]["colour"] == "Red"


def test_groups_and_defaults_may_be_absent(config: Config) -> None:
    """A handful of hosts needs no more than hosts.yaml."""
    write("web1: {hostname: 10.0.0.1}\n")
    Path("inventory/groups.yaml").unlink()
    Path("inventory/defaults.yaml").unlink()

    assert list(load_inventory(config).hosts) == ["web1"]


def test_all_mistakes_of_the_three_files_are_reported_at_once(config: Config) -> None:
    """Wrong names, wrong shapes and unknown names, in Nornir's keys and in settings."""
    write(
        "Web_1:\n  hostname: 10.0.0.1\nweb2:\n  hostnme: x\n  port: 70000\n  password: hidden\n  groups: [wep]\n"
        "web3:\n  data:\n    colr: red\n    weight: heavy\n  ansible_host: x\n",
        "a b: {}\nweb:\n  data: {weight: 0}\n",
        "groups: [web]\ndata: [1]\n",
    )

    assert problems(config, SCHEMA) == [
        "inventory/hosts.yaml:1: 'Web_1' cannot be a name here "
        "(use lower case letters, digits and hyphens, as in a DNS name)",
        "inventory/hosts.yaml:5: web2.port: should be less than or equal to 65535, not 70000",
        "inventory/hosts.yaml:4: web2.hostnme is not a known name (did you mean hostname?)",
        "inventory/hosts.yaml:6: web2.password is not a known name "
        "(never in a file of the inventory: give it as THINKUBE_SSH_PASSWORD, see `secrets` in config.yaml)",
        "inventory/hosts.yaml:12: web3.ansible_host is not a known name (Nornir calls it hostname)",
        "inventory/hosts.yaml:11: web3.data.weight: should be a valid integer, not 'heavy'",
        "inventory/hosts.yaml:10: web3.data.colr is not a known name (did you mean colour?)",
        "inventory/groups.yaml:1: 'a b' cannot be a name here (use letters, digits, hyphens and underscores)",
        "inventory/groups.yaml:3: web.data.weight: should be greater than or equal to 1, not 0",
        "inventory/defaults.yaml:2: data: should be a mapping",
        "inventory/defaults.yaml:1: groups is not a known name "
        "(there are: hostname, port, username, platform, data, connection_options)",
        "inventory/hosts.yaml:7: web2: there is no group wep (did you mean web?)",
        "inventory/hosts.yaml:1: Web_1 has no weight",
        "inventory/hosts.yaml:3: web2 has no weight",
    ]


def test_a_host_that_stands_twice_is_a_mistake(config: Config) -> None:
    """The second of two hosts of one name would silently replace the first."""
    write(HOSTS + "web1: {hostname: 10.0.0.9}\n")

    assert problems(config) == ["inventory/hosts.yaml:16: web1 stands here twice, first in line 1 (remove one of them)"]


def test_groups_that_contain_each_other_are_named(config: Config) -> None:
    """Nornir would recurse for ever; each cycle is reported once."""
    write(HOSTS, "spare: {groups: [x]}\nx:\n  groups: [y]\ny: {groups: [x, web]}\nweb: {}\n")

    assert problems(config) == ["inventory/groups.yaml:4: groups contain each other: x -> y -> x"]


def test_a_name_is_a_host_or_a_group(config: Config) -> None:
    """On the command line the two could not be distinguished."""
    write("dns: {hostname: 10.0.0.1}\n", "dns: {}\n")

    assert problems(config) == [
        "inventory/hosts.yaml:1: dns is a host and, at inventory/groups.yaml:1, a group (rename one of them)"
    ]


@pytest.mark.parametrize("hostname", ["10.0.0.1", "fe80::1%eth0", "web-1.example.org", "bastion_host", "WEB1", "x"])
def test_a_hostname_is_an_address_or_a_name(config: Config, hostname: str) -> None:
    """Also a Host of the ssh_config, which is no DNS name."""
    write(f"web1: {{hostname: '{hostname}', username: 'ops-1'}}\n", "", "")

    assert load_inventory(config).hosts["web1"].hostname == hostname


@pytest.mark.parametrize(
    ("key", "value"),
    [("hostname", v) for v in ("", " ", "../../../etc/passwd", "10.91.0.300", "10.1", "a b", "-x", "fe80::g", "a..b")]
    + [("username", v) for v in ("", "root:x", "-oProxyCommand=x", "a b", "1st")],
)
def test_what_cannot_be_reached_or_logged_in_as_is_a_mistake(config: Config, key: str, value: str) -> None:
    """Found in the file, and not when a connection fails, or a command takes it for an option."""
    write(f"web1:\n  {key}: '{value}'\n", "", "")

    assert [p.partition(": should be")[0] for p in problems(config)] == [f"inventory/hosts.yaml:2: web1.{key}"]


def test_a_file_that_is_no_yaml_brings_no_false_problems(config: Config) -> None:
    """Of what stands in it nobody can say that it is missing."""
    write(HOSTS, "web: {data: {weight: 5}\nx: [", "")

    assert len(problems(config, SCHEMA)) == 1


def test_a_missing_groups_file_is_one_problem(config: Config) -> None:
    """And not one for each host, and one for each setting that stood there."""
    write(HOSTS, GROUPS, "")
    Path("inventory/groups.yaml").unlink()

    assert problems(config, SCHEMA) == [
        "inventory/groups.yaml: is missing or empty, and hosts are in web, spare "
        "(write into it what the hosts of each group have in common)"
    ]


def test_two_hosts_do_not_share_an_address(config: Config) -> None:
    """One machine under two names would be changed by two steps at once; another port is another machine."""
    write("a: {hostname: 10.0.0.1}\nb: {hostname: 10.0.0.1, port: 2222}\nc: {hostname: 10.0.0.1}\n")

    assert problems(config) == ["inventory/hosts.yaml:3: c and a have the same hostname 10.0.0.1"]


@pytest.mark.parametrize("text", ["", "# none yet\n", "{}\n"])
def test_an_inventory_without_hosts_is_a_mistake(config: Config, text: str) -> None:
    """Running on nothing would be green."""
    write(text)

    assert problems(config) == ["inventory/hosts.yaml: no hosts (add the first one)"]


def test_hosts_yaml_must_be_there_and_a_mapping(config: Config) -> None:
    """A file that is missing, or a list, is reported and no traceback."""
    write("- web1\n")
    assert problems(config) == ["inventory/hosts.yaml:1: must be a mapping from names to their keys"]

    Path("inventory/hosts.yaml").unlink()
    assert problems(config) == ["inventory/hosts.yaml: cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    ("groups", "defaults", "where"),
    [
        (GROUPS, DEFAULTS.replace("7", "700"), "inventory/defaults.yaml:2"),
        (GROUPS + "  data:\n    weight: 500\n", DEFAULTS, "inventory/groups.yaml:7"),
    ],
)
def test_a_mistake_points_to_where_the_host_has_the_setting_from(
    config: Config, groups: str, defaults: str, where: str
) -> None:
    """Own, group's or default: the line is the one to edit, and is reported once for all its hosts."""
    write("a: {hostname: 10.0.0.1, groups: [spare]}\nb: {hostname: 10.0.0.2, groups: [spare]}\n", groups, defaults)

    assert problems(config, SCHEMA) == [f"{where}: too heavy (eat less)"]


def test_a_refused_value_is_not_called_missing_too(config: Config) -> None:
    """One mistake, one message."""
    write("a: {hostname: x, data: {weight: none}}\n", "{}\n", "{}\n")

    assert problems(config, SCHEMA) == [
        "inventory/hosts.yaml:1: a.data.weight: should be a valid integer, not 'none'",
    ]


def test_config_and_inventory_are_reported_together() -> None:
    """Mistakes of config.yaml, of the tasks folder and of the inventory come in one list."""
    Path("config.yaml").write_text("target: ssh\nworkers: no\n")
    write("a: {hostnam: x}\n")

    def schema_of(config: Config) -> Schema | None:
        raise ConfigError([Problem("tasks/__init__.py", "PHASES is missing")])

    with pytest.raises(ConfigError) as caught:
        load_installation(Path("config.yaml"), schema_of)

    assert [problem.where for problem in caught.value.problems] == [
        "config.yaml:2",
        "tasks/__init__.py",
        "inventory/hosts.yaml:1",
    ]


def test_a_sound_installation_is_config_and_inventory() -> None:
    """What config.yaml names is what is loaded, under whatever file name."""
    Path("config.yaml").write_text("target: ssh\ninventory: {options: {host_file: hosts2.yaml}}\n")
    Path("hosts2.yaml").write_text("a: {hostname: x}\n")

    config, inventory = load_installation(Path("config.yaml"), lambda _: None)

    assert config.host_file == Path("hosts2.yaml").absolute()
    assert list(inventory.hosts) == ["a"]


def test_what_the_inventory_does_not_say_is_built_in(config: Config) -> None:
    """Defaults of the tasks folder hold for every host, behind all that the inventory says."""
    write(HOSTS, GROUPS, "data: {weight: 7}\n")
    schema = Schema(Settings, defaults={"weight": 1, "colour": "grey"})

    web1, web2 = load_inventory(config, schema).hosts.values()

    assert (web1["colour"], web2["colour"]) == ("red", "blue")
    write("web3: {hostname: 10.0.0.3}\n", GROUPS, "data: {weight: 7}\n")
    (web3,) = load_inventory(config, schema).hosts.values()
    assert (web3["colour"], web3["weight"]) == ("grey", 7)
    assert built_in_names(config, schema) == {"colour"}


def test_a_mistake_about_a_built_in_setting_points_at_the_host(config: Config) -> None:
    """There is no line of defaults.yaml to point at."""
    write("a: {hostname: 10.0.0.1}\n", "", "")

    with pytest.raises(ConfigError) as raised:
        load_inventory(config, Schema(Settings, (too_heavy,), defaults={"weight": 700}))

    assert [str(problem) for problem in raised.value.problems] == ["inventory/hosts.yaml:1: too heavy (eat less)"]

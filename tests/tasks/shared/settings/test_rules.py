"""The settings of an installation: each rule seen to fail on the example inventory with one thing changed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nornir.core.inventory import Inventory

from tasks.shared.settings import values
from tests import product_settings
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.settings.inventory import load_installation

ROOT = Path(__file__).parents[4]


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    shutil.copy(ROOT / "config.yaml", tmp_path)
    for folder in ("tasks", "templates"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load() -> Inventory:
    return load_installation(Path("config.yaml"), lambda _: product_settings.schema())[1]


def edit(name: str, host: str, old: str, new: str) -> int:
    """Replace the first `old` after the line `host:`; return its line number."""
    path = Path("inventory") / name
    text = path.read_text()
    start = re.search(rf"^{host}:", text, re.MULTILINE)
    assert start, host
    at = text.index(old, start.start())
    path.write_text(text[:at] + new + text[at + len(old) :])
    return text.count("\n", 0, at) + 1


def problems() -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load()
    return [str(problem) for problem in caught.value.problems]


def test_the_example_is_sound(installation: Path) -> None:
    """The inventory that a fresh checkout brings has no mistake, and the members it should have."""
    inventory = load()

    def members(group: str) -> set[str]:
        return {host.name for host in inventory.hosts.values() if host.has_parent_group(group)}

    assert list(inventory.hosts) == ["bcn1", "bcn2", "dns1", "tkc", "tkw1"]
    assert members("baremetal") == {"bcn1", "bcn2"}
    assert members("microk8s_control_plane") == {"tkc"}
    assert members("microk8s_workers") == {"tkw1", "bcn1"}
    assert members("lxd_containers") == {"dns1", "tkc", "tkw1"}
    assert members("zerotier_nodes") == set(inventory.hosts)
    assert inventory.hosts["bcn1"]["microk8s_channel"] == "1.35/stable"
    assert inventory.hosts["tkc"]["gpu_passthrough"] is True


CASES = [
    # address plan
    ("hosts.yaml", "tkc", "lan_ip: 192.168.1.110", "lan_ip: 192.168.2.110", "lan_ip 192.168.2.110 is outside"),
    ("hosts.yaml", "tkc", "192.168.191.110", "192.168.190.110", "zerotier_ip 192.168.190.110 is outside"),
    ("hosts.yaml", "tkc", "192.168.100.10", "192.168.101.10", "internal_ip 192.168.101.10 is outside"),
    ("hosts.yaml", "tkc", "lan_ip: 192.168.1.110", "lan_ip: 192.168.1.255", "lan_ip 192.168.1.255 is the network's"),
    (
        "hosts.yaml",
        "tkc",
        "lan_ip: 192.168.1.110",
        "lan_ip: 192.168.1.101",
        "tkc: lan_ip 192.168.1.101 is taken by bcn1",
    ),
    ("hosts.yaml", "tkc", "lan_ip: 192.168.1.110", "lan_ip: 192.168.1.1", "is taken by network_gateway"),
    ("hosts.yaml", "tkc", "192.168.100.10", "192.168.100.50", "tkc: internal_ip 192.168.100.50 is taken by dns1"),
    (
        "hosts.yaml",
        "tkc",
        "192.168.191.110",
        "192.168.191.203",
        "zerotier_ip 192.168.191.203 is inside the load balancer",
    ),
    ("hosts.yaml", "tkc", "lan_ip: 192.168.1.110", "lan_ip: 192.168.1", "must be an IPv4 address"),
    (
        "defaults.yaml",
        "data",
        "network_cidr: 192.168.1.0/24",
        "network_cidr: 192.168.1.0",
        "the prefix length is missing",
    ),
    ("defaults.yaml", "data", "network_cidr: 192.168.1.0/24", "network_cidr: 192.168.1.7/24", "has host bits set"),
    (
        "defaults.yaml",
        "data",
        "internal_gateway: 192.168.100.1",
        "internal_gateway: 192.168.100.2",
        "internal_gateway must",
    ),
    ("defaults.yaml", "data", "zerotier_cidr: 192.168.191.0/24", "zerotier_cidr: 192.168.0.0/16", "overlaps"),
    # load balancer
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.191.206-192.168.191.205",
        "must start with the lower address",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.191.200",
        "must be two addresses such as",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.191.200-205",
        "must be two addresses such as",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.191.250-192.168.191.255",
        "or its broadcast address",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.191.250-192.168.192.5",
        "is not inside one network (192.168.1.0/24 and 192.168.191.0/24)",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 10.0.0.1-10.0.0.5",
        "is not inside one network",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.1.105-192.168.1.110",
        "tkc: lan_ip 192.168.1.110 is inside the load balancer",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.1.1-192.168.1.9",
        "network_gateway 192.168.1.1 is inside the load balancer",
    ),
    (
        "defaults.yaml",
        "data",
        "load_balancer_range: 192.168.191.200-192.168.191.205",
        "load_balancer_range: 192.168.191.200-192.168.191.200",
        "secondary_ingress_ip 192.168.191.201 is outside",
    ),
    (
        "defaults.yaml",
        "data",
        "knative: true",
        "secondary_ingress_ip: 192.168.191.206\n  knative: true",
        "secondary_ingress_ip 192.168.191.206 is outside",
    ),
    (
        "defaults.yaml",
        "data",
        "knative: true",
        "primary_ingress_ip: 192.168.191.201\n  knative: true",
        "both ingresses have 192.168.191.201",
    ),
    (
        "defaults.yaml",
        "data",
        "zerotier_cidr: 192.168.191.0/24",
        "zerotier_cidr: 192.168.191.0/25",
        "is not inside one network",
    ),
    ("defaults.yaml", "data", "knative: true", "metallb_ip_end_octet: 205", "write load_balancer_range: 192.168"),
    # ingress
    (
        "groups.yaml",
        "microk8s_control_plane",
        "secondary_nginx_class: nginx-kn",
        "secondary_nginx_class: nginx",
        "primary_nginx_class and secondary_nginx_class are both nginx",
    ),
    (
        "groups.yaml",
        "microk8s_control_plane",
        "primary_nginx_class: nginx",
        "primary_nginx_class: traefik",
        "primary_ingress_class and primary_nginx_class are both traefik",
    ),
    ("groups.yaml", "microk8s_control_plane", "ingress-kn", "ingress", "ingress_namespace and ingress_kn_namespace"),
    ("groups.yaml", "microk8s_control_plane", "traefik-kn", "public-kn", "secondary_ingress_class public-kn is taken"),
    ("groups.yaml", "microk8s_control_plane", "ingress-kn", "kube-system", "kube-system is taken by another part"),
    ("groups.yaml", "microk8s_control_plane", "traefik-kn", "Traefik_kn", "must be a name of small letters"),
    ("groups.yaml", "microk8s_control_plane", "41.3.0", '"41.3"', "must be a chart's full version"),
    (
        "groups.yaml",
        "microk8s_control_plane",
        "traefik_chart_version: 41.3.0",
        "ingress_nginx_chart_version: 4.13.3",
        "ingress-nginx is retired: write traefik_chart_version",
    ),
    # groups
    (
        "hosts.yaml",
        "tkc",
        "microk8s_control_plane",
        "microk8s_workers",
        "microk8s_control_plane must have exactly one host",
    ),
    ("hosts.yaml", "tkw1", "microk8s_workers", "microk8s_control_plane", "exactly one host, not tkc, tkw1"),
    ("hosts.yaml", "bcn1", "microk8s_workers", "microk8s", "bcn1 is in microk8s, so it must be in one of"),
    ("hosts.yaml", "bcn2", "lxd_secondary", "lxd_primary", "lxd_primary must have exactly one host, not bcn1, bcn2"),
    ("hosts.yaml", "dns1", "dns_containers", "lxd_containers", "dns1 must be in exactly one of"),
    ("hosts.yaml", "dns1", "dns_containers", "dns_containers, workers", "not in dns_containers and workers"),
    ("hosts.yaml", "dns1", "parent_host: bcn2", "parent_host: tkc", "dns1: parent_host tkc is not in baremetal"),
    ("hosts.yaml", "dns1", "parent_host: bcn2", "parent_host: bcn9", "dns1: parent_host bcn9 is not in baremetal"),
    (
        "hosts.yaml",
        "tkw1",
        "data:\n",
        "data:\n    microk8s_channel: 1.31/stable\n",
        "tkw1 has microk8s_channel 1.31/stable",
    ),
    # required
    ("hosts.yaml", "tkc", "    lan_ip: 192.168.1.110\n", "", "tkc: setting lan_ip is missing"),
    ("hosts.yaml", "bcn1", "    lan_ip: 192.168.1.101\n", "", "bcn1: setting lan_ip is missing"),
    ("hosts.yaml", "dns1", "    zerotier_ip: 192.168.191.1\n", "", "dns1: setting zerotier_ip is missing"),
    ("hosts.yaml", "dns1", "    memory: 2GB\n", "", "dns1: setting memory is missing"),
    ("groups.yaml", "headless", "    server_type: headless\n", "    {}\n", "bcn2: setting server_type is missing"),
    ("defaults.yaml", "data", "  domain_name: home.example", "", "setting domain_name is missing"),
    # GPUs
    ("hosts.yaml", "tkc", '    pci_slot: "0000:01:00.0"\n', "", "tkc: gpu_passthrough needs a pci_slot"),
    ("hosts.yaml", "tkc", "gpu_passthrough_vms, ", "", "tkc: pci_slot is set, and gpu_passthrough is not"),
    ("hosts.yaml", "dns1", "data:\n", "data:\n    gpu_passthrough: true\n", "dns1: gpu_passthrough is true, but group"),
    ("hosts.yaml", "tkc", "data:\n", "data:\n    gpu_passthrough: false\n", "tkc: gpu_passthrough is false"),
    (
        "hosts.yaml",
        "tkc",
        '"0000:01:00.0"',
        '"0000:02:00.0"',
        "tkc: 0000:02:00.0 is not among bcn2's assigned_pci_slots",
    ),
    ("hosts.yaml", "dns1", "data:\n", "data:\n    pci_slot: 01:00.0\n", "tkc and dns1 both get 0000:01:00.0 of bcn2"),
    ("hosts.yaml", "tkc", '"0000:01:00.0"', "1:0", "must be a PCI slot"),
    # sizes
    (
        "hosts.yaml",
        "tkc",
        "memory: 48GB",
        "memory: 63GB",
        "bcn2 has memory 64GB, its VMs need more: dns1 2GB, tkc 63GB",
    ),
    ("hosts.yaml", "bcn2", "memory: 64GB", "memory: 46GiB", "bcn2 has memory 46GiB, its VMs need more"),
    ("hosts.yaml", "tkc", "cpu_cores: 12", "cpu_cores: 16", "bcn2 has cpu_cores 16, its VMs need more"),
    ("hosts.yaml", "tkc", "disk_size: 700GB", "disk_size: 1TB", "bcn2 has disk_size 1TB, its VMs need more"),
    ("hosts.yaml", "tkc", "memory: 48GB", "memory: 48", "memory: should be a valid string, not 48 (put it in quotes)"),
    ("hosts.yaml", "tkc", "memory: 48GB", "memory: 48gb", "must be a whole number with unit"),
    # shapes
    ("defaults.yaml", "data", "8056c2e21c000001", "8056c2e2", "must be the network's 16 hexadecimal digits"),
    ("defaults.yaml", "data", "domain_name: home.example", "domain_name: home", "must be a domain name"),
    ("defaults.yaml", "data", "domain_name: home.example", "domain_name: 999.999.999.999", "must be a domain name"),
    ("groups.yaml", "microk8s", "1.35/stable", "latest", "must be a track and risk such as 1.35/stable"),
    ("groups.yaml", "microk8s", "1.35/stable", "1.32", "should be a valid string, not 1.32 (put it in quotes)"),
    ("groups.yaml", "microk8s", "token_ttl", "token_tll", "is not a known name (did you mean token_ttl?)"),
]


@pytest.mark.parametrize(("file", "host", "old", "new", "expected"), CASES, ids=[case[4][:40] for case in CASES])
def test_each_rule_is_seen_to_fail(installation: Path, file: str, host: str, old: str, new: str, expected: str) -> None:
    """One change to the sound example, and the mistake is reported."""
    edit(file, host, old, new)

    assert expected in "\n".join(problems())


def test_a_mistake_that_all_hosts_see_is_reported_once(installation: Path) -> None:
    """A wrong default is one mistake with its line, not one for each of fifty hosts."""
    line = edit("defaults.yaml", "data", "network_gateway: 192.168.1.1", "network_gateway: 192.168.2.1")

    assert problems() == [f"inventory/defaults.yaml:{line}: network_gateway 192.168.2.1 is outside 192.168.1.0/24"]


def test_a_missing_default_is_reported_once(installation: Path) -> None:
    """What no host has is missing in one place."""
    edit("defaults.yaml", "data", "system_username: thinkube", "")

    (problem,) = problems()
    assert problem.startswith("inventory/defaults.yaml:")
    assert problem.endswith("setting system_username is missing (add it to the data of the defaults)")


def test_a_small_installation_needs_a_handful_of_settings(installation: Path) -> None:
    """Two plain servers with a pool in their LAN: no overlay, no VMs, no name server of their own."""
    settings: dict[str, Any] = {
        "domain_name": "home.example",
        "system_username": "ops",
        "network_cidr": "192.168.1.0/24",
    }
    settings |= {"dns_servers": ["9.9.9.9"], "load_balancer_range": "192.168.1.240-192.168.1.245"}
    hosts = {
        name: {"hostname": ip, "groups": [group], "data": {"lan_ip": ip}}
        for name, ip, group in (
            ("one", "192.168.1.10", "microk8s_control_plane"),
            ("two", "192.168.1.11", "microk8s_workers"),
        )
    }
    Path("inventory/hosts.yaml").write_text(yaml.safe_dump(hosts))
    Path("inventory/defaults.yaml").write_text(yaml.safe_dump({"data": settings}))

    assert list(load().hosts) == ["one", "two"]


def test_the_internal_network_is_one_of_its_own_on_each_parent(installation: Path) -> None:
    """The same internal address on two parents is no clash: nothing connects the two networks."""
    edit("hosts.yaml", "tkw1", "192.168.100.11", "192.168.100.10")

    assert load().hosts["tkw1"]["internal_ip"] == "192.168.100.10"


def test_the_short_form_of_a_slot_is_the_same_slot(installation: Path) -> None:
    """01:00.0, with or without quotes, and 0000:01:00.0 are one slot for every component."""
    edit("hosts.yaml", "tkc", '"0000:01:00.0"', "01:00.0")
    edit("hosts.yaml", "bcn2", '["0000:01:00.0"]', '["01:00.0"]')

    inventory = load()

    assert inventory.hosts["tkc"]["pci_slot"] == "0000:01:00.0"
    assert inventory.hosts["bcn2"]["assigned_pci_slots"] == ["0000:01:00.0"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("48GB", 48 * 10**9), ("48GiB", 48 * 2**30), ("2TB", 2 * 10**12), ("5kB", 5000), ("5 KiB", 5120)],
)
def test_a_size_is_what_lxd_means_by_it(text: str, size: int) -> None:
    """GB is a power of ten and GiB a power of two."""
    assert values.size_bytes(text) == size


@given(text=st.text(st.sampled_from("0123456789abcdef:.G kMiB/"), max_size=20))
def test_normal_forms_are_their_own_normal_form(text: str) -> None:
    """Whatever is accepted comes back the same when it is read again; what is not is a ValueError."""
    shapes: list[Any] = [values.address, values.network, values.interface, values.pci_slot, values.size]
    for shape in shapes:
        try:
            once = shape(text)
        except ValueError:
            continue
        assert shape(once) == once


NAMES = st.sampled_from(
    [*product_settings.schema().settings.__annotations__, "hostname", "port", "groups", "data", "connection_options"]
)
LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["x", "192.168.1.9", "10.0.0.0/8", "bcn1"])
)
ANYTHING = st.recursive(LEAF, lambda some: st.lists(some, max_size=3) | st.dictionaries(NAMES, some, max_size=4))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hosts=ANYTHING, data=st.dictionaries(NAMES, ANYTHING), groups=ANYTHING, defaults=ANYTHING, config=ANYTHING)
def test_no_content_ends_in_another_error(
    installation: Path, hosts: Any, data: Any, groups: Any, defaults: Any, config: Any
) -> None:
    """Whatever stands in the files, the answer is an inventory or a list of problems, never a traceback."""
    entry = {"bcn1": {"groups": ["baremetal", "microk8s"], "data": data}, "bcn2": hosts}
    for name, value in (("hosts", entry), ("groups", groups), ("defaults", {"data": data, "port": defaults})):
        Path(f"inventory/{name}.yaml").write_text(yaml.safe_dump(value))
    Path("config.yaml").write_text(yaml.safe_dump({"ssh": config, "concurrency": config, "inventory": config}))

    assert all(problem for problem in problems())


def test_the_examples_versions_are_the_defaults() -> None:
    """Who copies the example, and who leaves a version out, get the same."""
    groups = yaml.safe_load((ROOT / "inventory/groups.yaml").read_text())
    example = {name: value for group in groups.values() for name, value in (group.get("data") or {}).items()}

    pinned = {name: value for name, value in product_settings.defaults().items() if name in example}
    assert pinned == {name: example[name] for name in pinned}

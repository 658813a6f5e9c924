"""Look-ups from nodes and pods: BIND's zones, resolved's routing, CoreDNS behind the cluster's DNS service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.lab.dns import Query, Zone, ask_bind
from tasks.lab.microk8s.node import node_of
from tasks.lab.pod_tools import pod_resolv_conf, resolve_in_pod
from tasks.lab.pods import runtime
from tests.tasks.lab.fake_lab import FakeLab, lab
from thinkube_nornir.lab.kube import ImagePullError, KubeApi, PodExit

INSTALL = ("snap", "install", "microk8s", "--classic", "--channel=1.35/stable")
DROP_IN = "/etc/systemd/resolved.conf.d/10-thinkube.conf"
TO_BIND = "[Resolve]\nDNS=192.168.191.1\nDomains=~example.org\n"


def cluster() -> tuple[FakeLab, KubeApi]:
    here = lab()
    here.sh("tkc", *INSTALL)
    node = node_of(here.hosts["tkc"])
    assert node is not None
    return here, node.api


def set_corefile(here: FakeLab, api: KubeApi, text: str) -> None:
    found = api.get("v1", "ConfigMap", "coredns", "kube-system")
    assert found is not None
    here.act(lambda: api.update({**found, "data": {"Corefile": text}}))


def in_pod(here: FakeLab, name: str, kind: str = "A") -> tuple[str, tuple[str, ...]]:
    node = node_of(here.hosts["tkc"])
    assert node is not None
    asked, found = resolve_in_pod(node, "default", name, kind)
    return asked, found.records


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "records"),
    [
        ("example.org", "A", "NOERROR", ("192.168.191.200",)),
        ("dns.example.org", "A", "NOERROR", ("192.168.191.1",)),
        ("tkw1.example.org", "A", "NOERROR", ("192.168.191.111",)),
        ("x-1.example.org", "A", "NOERROR", ("192.168.191.200",)),
        ("a.b.example.org", "A", "NOERROR", ("192.168.191.200",)),
        ("x-1.kn.example.org", "A", "NOERROR", ("192.168.191.201",)),
        ("kn.example.org", "A", "NOERROR", ()),
        ("_acme-challenge.example.org", "TXT", "NOERROR", ()),
        ("x.tkc.example.org", "A", "NXDOMAIN", ()),
        ("nosuch.invalid", "A", "NXDOMAIN", ()),
    ],
)
def test_bind_answers_the_zones_of_phase_4(name: str, kind: str, rcode: str, records: tuple[str, ...]) -> None:
    """Apex and wildcard to the ingress; a wildcard covers no name below one that exists, and hides ACME's records."""
    found = ask_bind(lab(), Query(name, kind))

    assert (found.rcode, found.records) == (rcode, records)


def test_a_node_resolves_the_domain_only_after_resolved_was_restarted() -> None:
    """The drop-in counts at the next start; other names still work then."""
    here = lab()
    here.hosts["tkc"].files.write(DROP_IN, TO_BIND)
    before = here.sh("tkc", "getent", "hosts", "x.example.org").status

    here.sh("tkc", "systemctl", "restart", "systemd-resolved")

    assert before == 2
    assert here.sh("tkc", "getent", "hosts", "x.example.org").stdout == "192.168.191.200 x.example.org\n"
    assert "203.0.113." in str(here.sh("tkc", "resolvectl", "query", "github.com").stdout)


def test_a_search_domain_breaks_public_names_in_pods() -> None:
    """A domain without `~` becomes a search suffix; with ndots:5 the wildcard answers for every public name."""
    here, api = cluster()
    set_corefile(here, api, ".:53 {\n reload\n forward . 192.168.191.1\n}\n")
    here.sh("tkc", "kubectl")
    good = in_pod(here, "github.com")
    here.hosts["tkc"].files.write(DROP_IN, "[Resolve]\nDNS=192.168.191.1\nDomains=example.org\n")

    here.sh("tkc", "systemctl", "restart", "systemd-resolved")

    node = here.hosts["tkc"]
    assert good[0] == "github.com"
    assert "example.org" in pod_resolv_conf(node, "default").splitlines()[0].split()
    assert in_pod(here, "github.com") == ("github.com.example.org", ("192.168.191.200",))
    assert in_pod(here, "github.com.")[0] == "github.com"


def test_only_a_program_in_a_pod_sees_the_search_list() -> None:
    """busybox' nslookup skips it for a name with a dot, so it says nothing of the wildcard; ping shows the ingress."""
    here, api = cluster()
    set_corefile(here, api, ".:53 {\n reload\n forward . 192.168.191.1\n}\n")
    here.hosts["tkc"].files.write(DROP_IN, "[Resolve]\nDNS=192.168.191.1\nDomains=example.org\n")
    here.sh("tkc", "systemctl", "restart", "systemd-resolved")

    asked = run_pod(here, "busybox:1.36", "nslookup", "github.com")
    pinged = run_pod(here, "busybox:1.36", "ping", "-q", "-c", "1", "-W", "1", "github.com")

    assert b"192.168.191.200" not in asked.log
    assert b"203.0.113." in asked.log
    assert pinged.log.startswith(b"PING github.com (192.168.191.200): 56 data bytes\n")
    assert run_pod(here, "busybox:1.36", "ping", "-c", "1", "nosuch.invalid.").log == (
        b"ping: bad address 'nosuch.invalid.'\n"
    )


def test_a_single_label_is_asked_below_each_search_domain() -> None:
    """nslookup asks for A and AAAA of each, and never for the label itself."""
    here, _ = cluster()

    found = run_pod(here, "busybox:1.36", "nslookup", "kubernetes")

    assert found.code == 1
    assert found.log.count(b"Name:\tkubernetes.default.svc.cluster.local\nAddress: 10.152.183.1\n") == 1
    assert found.log.count(b"** server can't find kubernetes.svc.cluster.local: NXDOMAIN\n") == 2
    assert b"find kubernetes:" not in found.log


def test_a_public_server_first_in_the_same_list_hides_the_domain() -> None:
    """The servers of one list are not tried in turn: the first that answers, answers NXDOMAIN too."""
    here = lab()
    here.hosts["tkc"].files.write(DROP_IN, "[Resolve]\nDNS=8.8.8.8 192.168.191.1\nDomains=~example.org\n")
    here.sh("tkc", "systemctl", "restart", "systemd-resolved")

    assert here.sh("tkc", "resolvectl", "query", "x.example.org").status == 1


def test_a_stopped_bind_is_noticed() -> None:
    """Look-ups of the domain time out, and nothing else does."""
    here = lab()
    here.hosts["tkc"].files.write(DROP_IN, TO_BIND)
    here.sh("tkc", "systemctl", "restart", "systemd-resolved")
    here.sh("dns1", "systemctl", "stop", "named")

    reply = here.sh("tkc", "resolvectl", "query", "x.example.org")

    assert reply.status == 1
    assert "attempts to contact name servers" in str(reply.stderr)
    assert here.sh("tkc", "getent", "hosts", "github.com").status == 0


def test_names_outside_the_routing_domain_are_asked_of_both() -> None:
    """BIND's answer counts for a name of the Internet, too: the routing domain keeps nothing away from it."""
    here = lab()
    here.hosts["tkc"].files.write(DROP_IN, TO_BIND)
    here.sh("tkc", "systemctl", "restart", "systemd-resolved")
    here.state["zones"] = [*here.state["zones"], Zone("github.com", {"@": {"A": ("10.9.9.9",)}})]

    assert here.sh("tkc", "getent", "hosts", "github.com").stdout == "10.9.9.9        github.com\n"
    here.sh("dns1", "systemctl", "stop", "named")
    assert "203.0.113." in str(here.sh("tkc", "getent", "hosts", "github.com").stdout)
    assert here.sh("tkc", "getent", "hosts", "nosuch.example").status == 2


def test_a_links_search_domain_routes_as_the_global_one() -> None:
    """With as many labels both are asked; the longer one wins alone."""
    here = lab()
    here.hosts["tkc"].files.write(DROP_IN, TO_BIND)
    here.sh("tkc", "systemctl", "restart", "systemd-resolved")
    here.sh("dns1", "systemctl", "stop", "named")
    timeout = str(here.sh("tkc", "resolvectl", "query", "x.example.org").stderr)

    settings: Any = here.hosts["tkc"].settings
    settings["dns_search_domains"] = ["example.org"]

    assert "All attempts" in timeout
    assert "not found" in str(here.sh("tkc", "resolvectl", "query", "x.example.org").stderr)


def test_resolvectl_wraps_long_lists() -> None:
    """What does not fit into 80 columns stands below, indented."""
    here = lab()
    domains = [f"~number-{n}.very-long-domain.example" for n in range(4)]
    here.hosts["tkc"].files.write(DROP_IN, f"[Resolve]\nDNS=192.168.191.1\nDomains={' '.join(domains)}\n")
    here.sh("tkc", "systemctl", "restart", "systemd-resolved")

    lines = str(here.sh("tkc", "resolvectl", "domain").stdout).splitlines()

    assert lines[:2] == [f"Global: {domains[0]} {domains[1]}", f"        {domains[2]} {domains[3]}"]
    assert str(here.sh("tkc", "resolvectl", "dns").stdout).splitlines()[0] == "Global: 192.168.191.1"


def test_pods_resolve_through_the_served_corefile() -> None:
    """A change of the ConfigMap is taken by plugin reload; a wrong file is ignored and the old one serves on."""
    here, api = cluster()
    stock = in_pod(here, "x.example.org")
    good = ".:53 {\n reload\n kubernetes cluster.local\n forward example.org 192.168.191.1\n forward . 8.8.8.8\n}\n"

    set_corefile(here, api, good)
    first = in_pod(here, "x.example.org")
    set_corefile(here, api, ".:53 {\n nosuch\n}\n")

    assert stock == ("x.example.org", ())
    assert first == ("x.example.org", ("192.168.191.200",))
    assert in_pod(here, "x.example.org") == first
    assert in_pod(here, "kubernetes.default")[1] == ("10.152.183.1",)
    assert in_pod(here, "kube-dns.kube-system.svc.cluster.local")[1] == ("10.152.183.10",)


def test_coredns_ends_with_a_wrong_file_when_it_starts() -> None:
    """After a restart of the pod nobody answers."""
    here, api = cluster()
    set_corefile(here, api, ".:53 {\n nosuch\n}\n")

    for pod in api.list("v1", "Pod", "kube-system"):
        here.act(lambda pod=pod: api.remove(pod))  # type: ignore[misc]

    assert "CrashLoopBackOff" in json.dumps(api.list("v1", "Pod", "kube-system"))
    assert in_pod(here, "github.com")[1] == ()


def run_pod(here: FakeLab, image: str, *command: str) -> Any:
    container = {"image": image, "command": list(command)}
    pod = {"metadata": {"name": "probe", "namespace": "default"}, "spec": {"containers": [container]}}

    async def run() -> PodExit | None:
        return await runtime(here)(pod, "tkc.example.org")

    return here.do(run())


def test_a_pods_command_runs_with_the_pods_own_names() -> None:
    """Its resolv.conf names the DNS service; nslookup prints as busybox does and fails on NXDOMAIN."""
    here, _ = cluster()

    resolv = run_pod(here, "busybox:1.36", "cat", "/etc/resolv.conf")
    found = run_pod(here, "busybox:1.36", "nslookup", "kubernetes.default.svc.cluster.local")
    missing = run_pod(here, "busybox:1.36", "nslookup", "nosuch.invalid")

    assert b"nameserver 10.152.183.10\n" in resolv.log
    assert found.code == 0
    assert found.log == (
        b"Server:\t\t10.152.183.10\nAddress:\t10.152.183.10:53\n\n"
        b"Name:\tkubernetes.default.svc.cluster.local\nAddress: 10.152.183.1\n\n\n"
    )
    assert run_pod(here, "busybox", "nslookup", "tkc.example.org", "192.168.191.1").log.count(b"192.168.191.110") == 1
    assert missing.code == 1
    assert b"** server can't find nosuch.invalid: NXDOMAIN" in missing.log
    assert run_pod(here, "busybox", "sleep", "infinity") is None


def test_an_image_of_an_unknown_registry_cannot_be_pulled() -> None:
    """The pod waits with the reason; so does one whose node cannot resolve the registry."""
    here, _ = cluster()

    with pytest.raises(ImagePullError, match="no such host"):
        run_pod(here, "registry.invalid/busybox", "true")
    here.sh("tkc", "systemctl", "stop", "systemd-resolved")
    with pytest.raises(ImagePullError):
        run_pod(here, "busybox", "true")

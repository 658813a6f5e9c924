"""What a running CoreDNS answers with a given Corefile."""

from __future__ import annotations

import pytest

from tasks.lab.coredns import Surroundings, answer, start
from tasks.lab.corefile import CorefileError
from tasks.lab.dns import Answer, Query

SERVICES = {"kubernetes.default.svc.cluster.local": Answer("NOERROR", ("10.152.183.1",), True)}
AROUND = Surroundings(
    cluster=lambda q: SERVICES.get(q.name, Answer("NXDOMAIN")),
    upstream=lambda server, q: (
        Answer("TIMEOUT") if server == "192.0.2.9" else Answer("NOERROR", (f"{server} {q.name}",))
    ),
    resolv_conf=("9.9.9.9",),
)
KUBERNETES = "kubernetes cluster.local in-addr.arpa {\n fallthrough in-addr.arpa\n }\n"


def asked(corefile: str, name: str, kind: str = "A", version: str = "1.10.1") -> Answer:
    return answer(start(corefile, version, AROUND.resolv_conf), Query(name, kind), AROUND)


def test_the_most_specific_zone_answers() -> None:
    """An ACME name goes to the public server although its parent zone goes to BIND."""
    text = (
        "example.org {\n forward . 192.168.191.1\n}\n_acme-challenge.example.org {\n forward . 8.8.8.8\n}\n"
        ".:53 {\n forward . 1.1.1.1\n}\n"
    )

    assert asked(text, "x.example.org").records == ("192.168.191.1 x.example.org",)
    assert asked(text, "_acme-challenge.example.org", "TXT").records == ("8.8.8.8 _acme-challenge.example.org",)
    assert asked(text, "notexample.org").records == ("1.1.1.1 notexample.org",)


def test_a_name_without_a_block_is_refused() -> None:
    """Without a block for the root, other names get REFUSED."""
    assert asked("example.org {\n forward . 1.1.1.1\n}\n", "github.com").rcode == "REFUSED"


def test_cluster_names_are_not_forwarded_unless_they_fall_through() -> None:
    """NXDOMAIN of a service stays; a reverse name outside the cluster goes on to the upstream."""
    text = ".:53 {\n" + KUBERNETES + " forward . 1.1.1.1\n}\n"

    assert asked(text, "kubernetes.default.svc.cluster.local").records == ("10.152.183.1",)
    assert asked(text, "nosuch.default.svc.cluster.local").rcode == "NXDOMAIN"
    assert asked(text, "1.1.168.192.in-addr.arpa", "PTR").rcode == "NOERROR"


def test_resolv_conf_is_read_where_the_pod_runs() -> None:
    """`forward . /etc/resolv.conf` asks the servers named there."""
    assert asked(".:53 {\n forward . /etc/resolv.conf\n}\n", "github.com").records == ("9.9.9.9 github.com",)


def test_a_stub_in_resolv_conf_is_a_loop_and_ends_it() -> None:
    """Plugin loop finds the stub on 127.0.0.53; without the plugin, or with explicit servers, CoreDNS starts."""
    with pytest.raises(CorefileError, match="plugin/loop"):
        start(".:53 {\n forward . /etc/resolv.conf\n loop\n}\n", "1.10.1", ("127.0.0.53",))

    start(".:53 {\n forward . 8.8.8.8\n loop\n}\n", "1.10.1", ("127.0.0.53",))


def test_several_forwards_need_coredns_1_10() -> None:
    """Older ones refuse the second; newer ones ask the first whose zone fits."""
    text = ".:53 {\n forward example.org 192.168.191.1\n forward . 1.1.1.1\n}\n"

    with pytest.raises(CorefileError, match="only be used once"):
        start(text, "1.9.3", ())
    assert asked(text, "a.example.org").records == ("192.168.191.1 a.example.org",)
    assert asked(text, "github.com").records == ("1.1.1.1 github.com",)


def test_a_dead_upstream_is_passed_over() -> None:
    """The next server answers; with none left it is SERVFAIL."""
    assert asked(".:53 {\n forward . 192.0.2.9 1.1.1.1\n}\n", "github.com").records == ("1.1.1.1 github.com",)
    assert asked(".:53 {\n forward . 192.0.2.9\n}\n", "github.com").rcode == "SERVFAIL"


def test_hosts_knows_no_wildcards() -> None:
    """A `*` entry never matches; exact names do, before everything else."""
    text = (
        ".:53 {\n hosts {\n  10.0.0.1 *.example.org\n  10.0.0.2 a.example.org\n"
        "  fallthrough\n }\n forward . 1.1.1.1\n}\n"
    )

    assert asked(text, "a.example.org").records == ("10.0.0.2",)
    assert asked(text, "b.example.org").records == ("1.1.1.1 b.example.org",)


def test_rewrite_changes_the_name_that_is_asked() -> None:
    """A regular expression with groups, and an exact name."""
    text = (
        ".:53 {\n rewrite name regex (.*)\\.kn\\.example\\.org {1}.default.svc.cluster.local\n"
        " rewrite name old.org new.org\n forward . 1.1.1.1\n}\n"
    )

    assert asked(text, "app.kn.example.org").records == ("1.1.1.1 app.default.svc.cluster.local",)
    assert asked(text, "old.org").records == ("1.1.1.1 new.org",)


def test_template_answers_by_itself() -> None:
    """`rcode NXDOMAIN` and a fixed answer."""
    text = (
        "a.org {\n template IN TXT {\n  rcode NXDOMAIN\n }\n"
        ' template IN A {\n  answer "{{ .Name }} 60 IN A 10.9.9.9"\n }\n}\n'
    )

    assert asked(text, "a.org", "TXT").rcode == "NXDOMAIN"
    assert asked(text, "x.a.org").records == ("10.9.9.9",)


def test_a_domain_served_by_templates_has_addresses_and_nothing_else() -> None:
    """As an installation without name servers has it: an AAAA query is answered, without records."""
    text = (
        'a.org {\n template IN A {\n  answer "{{ .Name }} 60 IN A 10.9.9.9"\n }\n'
        ' template IN ANY {\n  rcode NOERROR\n  authority "a.org. 60 IN SOA a.org. a.org. 1 60 60 60 60"\n }\n}\n'
    )

    assert asked(text, "a.org").records == asked(text, "x.y.a.org").records == ("10.9.9.9",)
    assert asked(text, "a.org", "AAAA") == Answer("NOERROR", (), authoritative=True)
    assert asked(text, "notinside.org").rcode == "REFUSED"


def test_what_no_plugin_answers_is_a_failure() -> None:
    """An expression that does not fit, a name that is not in `hosts`, and a chain that ends."""
    assert asked("a.org {\n template IN A {\n  match ^b\n  rcode NOERROR\n }\n}\n", "c.a.org").rcode == "SERVFAIL"
    assert asked("a.org {\n hosts {\n  10.0.0.2 a.org\n }\n}\n", "b.a.org").rcode == "SERVFAIL"
    assert asked("a.org {\n hosts {\n  10.0.0.2 a.org\n }\n}\n", "a.org", "AAAA") == Answer("NOERROR", (), True)
    assert asked("a.org {\n errors\n}\n", "a.org").rcode == "SERVFAIL"
    assert asked("a.org {\n ready\n}\n", "a.org").rcode == "REFUSED"

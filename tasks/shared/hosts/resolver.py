"""systemd-resolved: to which servers a host sends the domain's names, and which of its drop-ins have a say in that.

The global servers are asked for names that no routing domain matches, too: only a link can be kept out of them.

Source: redhat-plumbers/systemd-rhel9@fc7505713e60 src/resolve/resolved-dns-scope.c (dns_scope_good_domain)
"""

from __future__ import annotations

import re
from functools import wraps

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import expect
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.component import StepFunction
from thinkube_nornir.context import component_of, context, hosts_in, setting
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import all_of, passed, unchanged
from thinkube_nornir.remote import change, read, undo

DROP_INS = "/etc/systemd/resolved.conf.d"
DROP_IN = f"{DROP_INS}/10-thinkube.conf"
_EVERYWHERE = (
    "/etc/systemd/resolved.conf",
    DROP_INS,
    "/run/systemd/resolved.conf.d",
    "/usr/lib/systemd/resolved.conf.d",
)
_ASIDE = "set-aside:"
_NO_SERVERS = "left out: no name servers in the inventory, CoreDNS serves the domain"


def grep(pattern: str, *places: str) -> Fact[tuple[str, ...]]:
    """The `.conf` files that hold a line like this; none where there is no such folder."""
    argv = ("grep", "-rlsE", "--include=*.conf", pattern, *places)
    return Fact(f"{pattern} in {places[-1]}", argv, lambda d: tuple(sorted(d.text.splitlines())), accept=(0, 1, 2))


def parse_global(done: Completed) -> tuple[str, ...]:
    """The global part of `resolvectl dns` or `resolvectl domain`; nothing when resolved does not run.

    Lists are wrapped at 80 columns, and go on below, indented.

    >>> from thinkube_nornir.command import Command
    >>> parse_global(Completed(Command(("resolvectl",)), 0, b"Global: ~a\\n        ~b\\nLink 2 (eth0): ~c\\n", b""))
    ('~a', '~b')

    Source: redhat-plumbers/systemd-rhel9@02d5550437a1 src/resolve/resolvectl.c (status_print_strv_ifindex)
    """
    found = re.search(r"^Global:(.*(?:\n\s.*)*)", done.text, re.MULTILINE)
    return tuple(found[1].split()) if found else ()


CAPTURES_ALL = grep(r"^Domains=(.*[[:space:]])?~\.([[:space:]]|$)", DROP_INS)
_SAYS = grep("^(DNS|Domains)=", *_EVERYWHERE)
_SERVERS = Fact("resolved's servers", ("resolvectl", "dns"), parse_global, accept=None)
_DOMAINS = Fact("resolved's domains", ("resolvectl", "domain"), parse_global, accept=None)
FACTS = (CAPTURES_ALL, _SAYS, _SERVERS, _DOMAINS)


def bind_address(task: Task) -> str | None:
    """Of the DNS host, in the overlay if it is there; None without a DNS host: then CoreDNS serves the domain itself.

    Raises:
        ConfigError: hosts are in group dns, and none has an address.
    """
    servers = hosts_in(task, "dns") or hosts_in(task, "dns_servers")
    for name in ("zerotier_ip", "lan_ip"):
        for host in servers:
            if host.get(name):
                return str(host[name])
    if not servers:
        return None
    what = "no host of group dns_servers has a zerotier_ip or lan_ip"
    raise ConfigError([Problem("inventory", what, "CoreDNS must forward to it")])


def is_sent_to_bind(task: Task) -> bool:
    return DROP_IN in read(task, _SAYS)


def without_name_servers(task: Task) -> str:
    return "" if bind_address(task) else _NO_SERVERS


def with_name_servers(check: StepFunction) -> StepFunction:
    """A check that means something only where BIND serves the domain, and nodes are sent there for it."""

    @wraps(check)
    def guarded(task: Task) -> Result:
        return check(task) if bind_address(task) else passed(task, _NO_SERVERS)

    return guarded


def set_aside_conflicts(task: Task) -> Result:
    """Drop-ins that draw every name to their own servers; without `.conf` at its end resolved does not read a file."""
    if not bind_address(task):
        return put_back_conflicts(task)
    conflicts = _capturing(task)
    if not conflicts:
        return unchanged(task, "no drop-in captures all names")
    moved = [
        change(task, f"set {path} aside", "mv", "--no-clobber", path, _aside(path), root=True, key=f"{_ASIDE}{path}")
        for path in conflicts
    ]
    return all_of(task, *moved)


def put_back_conflicts(task: Task) -> Result:
    results = []
    for record in context(task).change_log.changes(host=task.host.name, component=component_of(task)):
        if record.key.startswith(_ASIDE):
            path = record.key.removeprefix(_ASIDE)
            summary, back = f"put {path} back", ("mv", "--no-clobber", _aside(path), path)
            results.append(undo(task, record.key, summary, *back, root=True))
    return all_of(task, *results) if results else unchanged(task, "no drop-in is set aside")


def _aside(path: str) -> str:
    return f"{path}.before-thinkube"


def _capturing(task: Task) -> list[str]:
    return [path for path in read(task, CAPTURES_ALL) if path != DROP_IN]


@with_name_servers
def no_drop_in_captures_all_names(task: Task) -> Result:
    found = _capturing(task)
    why, fix = f"Domains=~. stands in {', '.join(found)}", f"{set_up(task)}; it sets such files aside"
    expect(not found, "a drop-in of systemd-resolved captures all names", why=why, fix=fix)
    return passed(task, "no drop-in has Domains=~.")


@with_name_servers
def node_routes_the_domain_to_bind(task: Task) -> Result:
    servers, domains, files = read(task, _SERVERS, _DOMAINS, _SAYS)
    bind, wanted = bind_address(task), f"~{setting(task, 'domain_name')}"
    others = ", ".join(path for path in files if path != DROP_IN)
    why = f"seen: servers {', '.join(servers) or 'none'}; domains {', '.join(domains) or 'none'}"
    why += f"; {others} has a say in that, too" if others else ""
    why += "" if DROP_IN in files else f"; {DROP_IN} is missing"
    fix = f"take DNS= and Domains= out of {others}, then {set_up(task)}" if others else set_up(task)
    what = f"systemd-resolved does not ask {bind}, and it alone, for {wanted}"
    expect(servers == (bind,) and wanted in domains, what, why=why, fix=fix)
    return passed(task, f"{wanted} is asked of {bind}")


def address_of(name: str) -> Fact[tuple[str, ...]]:
    """The IPv4 addresses that programs on the host get for a name; none when it does not resolve."""

    def parse(done: Completed) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line.split()[0] for line in done.text.splitlines() if line.strip()))

    return Fact(f"addresses of {name}", ("getent", "ahostsv4", name), parse, accept=(0, 2))

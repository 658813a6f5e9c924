"""A node's own look-ups: systemd-resolved's routing of names to servers, resolvectl, getent.

Source: redhat-plumbers/systemd-rhel9@fc7505713e60 src/resolve/resolved-dns-scope.c
Source: redhat-plumbers/systemd-rhel9@422b27fca6e4 src/resolve/resolved-dns-query.c
Source: redhat-plumbers/systemd-rhel9@3e71ea58a817 src/resolve/resolved-resolv-conf.c
Source: redhat-plumbers/systemd-rhel9@02d5550437a1 src/resolve/resolvectl.c (status_print_strv_ifindex)
Source: bminor/glibc@04277e02d7f5 nss/getent.c
Unproven: the texts of resolvectl's query and status are written from examples.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.lab.cluster_dns import ask_cluster_dns
from tasks.lab.dns import Answer, Query, ask_server, within
from tasks.lab.state import Resolved, link_servers, machine, upstream_servers
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

DROP_INS = "/etc/systemd/resolved.conf.d"
STUB = "127.0.0.53"
COLUMNS = 80


def load(host: LabHost) -> None:
    """What a start of systemd-resolved does: read resolved.conf and its drop-ins, in the order of their names."""
    found = Resolved(fallback=[])
    files = ["/etc/systemd/resolved.conf"]
    files += [f"{DROP_INS}/{name}" for name in host.files.list(DROP_INS) if name.endswith(".conf")]
    for path in files:
        if host.files.exists(path):
            _merge(found, host.files.read(path).decode(errors="replace"))
    machine(host).resolved = found
    publish(host)


def _merge(found: Resolved, text: str) -> None:
    """Lists add up over the files; an empty value clears what came before."""
    section = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("["):
            section = line
        name, equals, value = line.partition("=")
        if section != "[Resolve]" or not equals or line.startswith(("#", ";")):
            continue
        words = value.split()
        if name.strip() == "DNS":
            found.servers = [*found.servers, *(w.split("#")[0] for w in words)] if words else []
        elif name.strip() == "FallbackDNS":
            found.fallback = words
        elif name.strip() == "Domains":
            found.routing = [*found.routing, *(w.lstrip("~") for w in words)] if words else []
            found.search = [*found.search, *(w for w in words if not w.startswith("~"))] if words else []


def publish(host: LabHost) -> None:
    """The files that resolved keeps for others."""
    search = " ".join(search_domains(host)) or "."
    servers = "".join(f"nameserver {s}\n" for s in upstream_servers(host))
    host.files.write(
        "/run/systemd/resolve/stub-resolv.conf", f"nameserver {STUB}\noptions edns0 trust-ad\nsearch {search}\n"
    )
    host.files.write("/run/systemd/resolve/resolv.conf", f"{servers}search {search}\n")


def search_domains(host: LabHost) -> list[str]:
    return [*machine(host).resolved.search, *(str(d) for d in host.settings.get("dns_search_domains") or ())]


def resolve(host: LabHost, query: Query) -> Answer:
    """Route a query as resolved does: to the scopes whose domain matches most labels, else to all of them.

    The global scope is always a default route, a link as long as it has no route-only domains: the lab's has none. All
    chosen scopes are asked at once, and the first that has an answer, be it without records, is taken; the lab lets the
    global one be first. A failure, as NXDOMAIN is one, counts when nobody has an answer.
    """
    settings = machine(host).resolved
    if not machine(host).units["systemd-resolved"].active:
        return Answer("TIMEOUT")
    if within(query.name, "localhost") or within(query.name, "invalid"):
        return Answer("NXDOMAIN")
    link = [str(d) for d in host.settings.get("dns_search_domains") or ()]
    scopes = [(settings.servers, settings.routing), (link_servers(host), link)]
    scopes = [(servers, domains) for servers, domains in scopes if servers]
    if not scopes:
        return _first(host, settings.fallback, query)
    best = max(_matching_labels(domains, query.name) for _, domains in scopes)
    if best < 0 and within(query.name, "local"):
        return Answer("NXDOMAIN")  # multicast DNS has these
    chosen = [servers for servers, domains in scopes if _matching_labels(domains, query.name) == best]
    answers = [_first(host, servers, query) for servers in chosen]
    failures = [a for a in answers if a.rcode not in ("NOERROR", "TIMEOUT")]
    return next((a for a in answers if a.rcode == "NOERROR"), next(iter(failures), answers[0]))


def _matching_labels(domains: Sequence[str], name: str) -> int:
    """How many labels the longest domain has that the name is in; -1 for none, 0 for the root."""
    return max((len(d.strip(".").split(".")) if d.strip(".") else 0 for d in domains if within(name, d)), default=-1)


def _first(host: LabHost, servers: Sequence[str], query: Query) -> Answer:
    for server in servers:
        found = ask_cluster_dns(host, server, query)
        found = ask_server(host.lab, host, server, query) if found is None else found
        if found.rcode != "TIMEOUT":
            return found
    return Answer("TIMEOUT")


def resolve_name(host: LabHost, name: str, kind: str = "A") -> Answer:
    """A name as a program on the host asks for it: single labels get the search domains, a final dot forbids them."""
    bare = name.lower().rstrip(".")
    plain = Query(bare, kind)
    if "." in bare or name.endswith("."):
        found = resolve(host, plain)
        if found.records or name.endswith("."):
            return found
    for domain in search_domains(host):
        found = resolve(host, Query(f"{bare}.{domain.lower()}", kind))
        if found.records:
            return found
    return resolve(host, plain) if "." in bare else Answer("NXDOMAIN")


def hosts_file(host: LabHost, name: str) -> list[str]:
    lines = host.files.read("/etc/hosts").decode().splitlines() if host.files.exists("/etc/hosts") else []
    fields = (line.partition("#")[0].split() for line in lines)
    return [f[0] for f in fields if f and name.lower() in (alias.lower() for alias in f[1:])]


@tool
async def resolvectl(call: Call) -> Reply:
    verb, *rest = list(call.argv[1:]) or ["status"]
    if not machine(call.host).units["systemd-resolved"].active:
        raise ToolError(1, "Failed to get global data: Unit dbus-org.freedesktop.resolve1.service not found.\n")
    if verb == "query":
        return _query(call.host, rest)
    if verb == "flush-caches" and not rest:
        return Reply()
    answers = {"status": _status, "dns": _dns, "domain": _domain}
    if verb in answers and not rest:
        return Reply(0, answers[verb](call.host))
    raise ToolError(1, f"Unknown command verb {verb}.\n")


def _query(host: LabHost, rest: list[str]) -> Reply:
    given = parse(
        rest,
        flags=("-4", "--legend=no", "--cache=no"),
        values=("-t", "--type"),
        unknown=lambda option: ToolError(1, f"resolvectl: unrecognized option '{option}'\n"),
    )
    kind = (given.value("-t") or given.value("--type") or "A").upper()
    out, err = "", ""
    for name in given.words:
        records = hosts_file(host, name) if kind == "A" else []
        found = Answer("NOERROR", tuple(records)) if records else resolve_name(host, name, kind)
        if found.records:
            out += _shown(name, kind, found.records)
        else:
            err += f"{name}: {_failure(name, found)}\n"
    if out and "--legend=no" not in given.flags:
        out += (
            "\n-- Information acquired via protocol DNS in 2.4ms.\n"
            "-- Data is authenticated: no; Data was acquired via local or encrypted transport: no\n"
            "-- Data from: network\n"
        )
    return Reply(1 if err else 0, out, err)


def _shown(name: str, kind: str, records: Sequence[str]) -> str:
    if kind != "A":
        return "".join(f"{name} IN {kind} {r}\n" for r in records)
    first, *more = records
    return f"{name}: {first}\n" + "".join(f"{' ' * len(name)}  {r}\n" for r in more)


def _failure(name: str, found: Answer) -> str:
    if found.rcode == "NXDOMAIN":
        return f"resolve call failed: '{name}' not found"
    if found.rcode == "NOERROR":
        return f"resolve call failed: Name '{name}' does not have any RR of the requested type"
    if found.rcode == "TIMEOUT":
        return "resolve call failed: All attempts to contact name servers or networks failed"
    return f"resolve call failed: Could not resolve '{name}', server or network returned error {found.rcode}"


def _status(host: LabHost) -> str:
    settings = machine(host).resolved
    text = "Global\n         Protocols: -LLMNR -mDNS -DNSOverTLS DNSSEC=no/unsupported\n  resolv.conf mode: stub\n"
    if settings.servers:
        text += f"       DNS Servers: {' '.join(settings.servers)}\n"
    if settings.routing:
        text += f"        DNS Domain: {' '.join(_domains(settings))}\n"
    text += f"\nLink 2 ({lan_link(host)})\n    Current Scopes: DNS\n"
    return text + f"       DNS Servers: {' '.join(link_servers(host))}\n"


def _dns(host: LabHost) -> str:
    return _listed("Global", machine(host).resolved.servers) + _listed(_link(host), link_servers(host))


def _domain(host: LabHost) -> str:
    link = [str(d) for d in host.settings.get("dns_search_domains") or ()]
    return _listed("Global", _domains(machine(host).resolved)) + _listed(_link(host), link)


def _link(host: LabHost) -> str:
    return f"Link 2 ({lan_link(host)})"


def _listed(head: str, items: Sequence[str]) -> str:
    """Wrapped at 80 columns, which is what a program without a terminal has."""
    indent = len("Global: ")
    text, position = f"{head}:", len(head) + 2
    for item in items:
        if position <= indent or position + 1 + len(item) < COLUMNS:
            text, position = f"{text} {item}", position + 1 + len(item)
        else:
            text, position = f"{text}\n{' ' * indent}{item}", len(item) + indent
    return f"{text}\n"


def _domains(settings: Resolved) -> list[str]:
    return [d if d in settings.search else f"~{d}" for d in settings.routing]


def lan_link(host: LabHost) -> str:
    return "enp6s0" if host.settings.get("parent_host") else str(host.settings.get("network_bridge_name", "br0"))


@tool
async def getent(call: Call) -> Reply:
    """`getent DATABASE KEY...`; status 2 when a key is not found, 1 for an unknown database."""
    database, *keys = list(call.argv[1:]) or [""]
    if database in ("hosts", "ahosts", "ahostsv4"):
        found = [_names(call.host, database, key) for key in keys]
    elif database in ("passwd", "group"):
        lines = call.host.files.read(f"/etc/{database}").decode().splitlines()
        found = [next((f"{x}\n" for x in lines if k in (x.split(":")[0], x.split(":")[2])), "") for k in keys]
        found = found if keys else [f"{x}\n" for x in lines]
    else:
        see = "Try `getent --help' or `getent --usage' for more information.\n"
        raise ToolError(1, f"Unknown database: {database}\n", see)
    return Reply(0 if all(found) else 2, "".join(found))


def _names(host: LabHost, database: str, name: str) -> str:
    records = hosts_file(host, name) or list(resolve_name(host, name).records)
    if database == "hosts":
        return "".join(f"{r:<15} {name}\n" for r in records)
    return "".join(
        f"{r:<15} {kind:<6} {name if (r, kind) == (records[0], 'STREAM') else ''}\n"
        for r in records
        for kind in ("STREAM", "DGRAM", "RAW")
    )

"""The programs a pod finds first on its PATH: nslookup, cat and ping as busybox' image has them, and no getent.

Source: mirror/busybox@1_36_1 networking/nslookup.c
Source: mirror/busybox@1_36_1 networking/ping.c
Source: mirror/busybox@1_36_1 libbb/xconnect.c
Source: docker-library/busybox@9c2087811429 Dockerfile-builder.template
Source: bminor/glibc@05dec22d7be7 resolv/res_query.c
"""

from __future__ import annotations

from tasks.lab import ufw
from tasks.lab.cluster_dns import ask_as_pod
from tasks.lab.dns import Answer, Query
from tasks.lab.microk8s.node import DNS_ADDRESS, Node, control_of, node_of, nodes
from tasks.lab.pods import POD_ENV
from tasks.lab.resolver import search_domains
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply
from thinkube_nornir.lab.kube import Object

NDOTS = 5
USAGE = "BusyBox v1.36.1 multi-call binary.\n\nUsage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n"
FORMS = {
    "A": "Name:\t{n}\nAddress: {r}\n",
    "AAAA": "Name:\t{n}\nAddress: {r}\n",
    "TXT": '{n}\ttext = "{r}"\n',
    "PTR": "{n}\tname = {r}\n",
}


def pod_resolv_conf(host: LabHost, namespace: str) -> str:
    """What kubelet writes into a pod: the cluster's search list, then the node's own search domains."""
    search = [f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local", *search_domains(host)]
    return f"search {' '.join(search)}\nnameserver {DNS_ADDRESS}\noptions ndots:{NDOTS}\n"


def resolve_in_pod(
    node: Node, namespace: str, name: str, kind: str = "A", server: str = DNS_ADDRESS
) -> tuple[str, Answer]:
    """The name that was answered, and the answer, as a program's C library asks (glibc in the image without suffix).

    With fewer dots than ndots the search list comes before the plain name; a final dot forbids it. A refusal ends the
    search, and then the plain name is tried.
    """
    plain = name.lower().rstrip(".")
    suffixed = [f"{plain}.{domain.lower()}" for domain in _search_list(node.host, namespace)]
    order = [plain, *suffixed] if plain.count(".") >= NDOTS else [*suffixed, plain]
    for candidate in [plain] if name.endswith(".") else order:
        found = ask_as_pod(node, server, Query(candidate, kind))
        if found.records or found.rcode == "TIMEOUT":
            return candidate, found
        if found.rcode == "REFUSED":
            break
    return plain, ask_as_pod(node, server, Query(plain, kind))


def _search_list(host: LabHost, namespace: str) -> list[str]:
    return pod_resolv_conf(host, namespace).splitlines()[0].split()[1:]


def _pod(call: Call) -> tuple[Node, str]:
    node = node_of(call.host)
    if node is None:
        raise ToolError(1, "the pod's node is gone\n")
    return node, call.env.get(POD_ENV, "default/").partition("/")[0]


@tool
async def nslookup(call: Call) -> Reply:
    """`nslookup [-type=TYPE] NAME [SERVER]`: A and AAAA when no type is given.

    A name with a dot is asked as it is; one without is asked below each domain of the search list and not by itself.
    """
    node, namespace = _pod(call)
    words = [w for w in call.argv[1:] if not w.startswith("-")]
    options = [w for w in call.argv[1:] if w.startswith("-")]
    if len(words) not in (1, 2) or any(not w.startswith(("-type=", "-querytype=", "-q=")) for w in options):
        raise ToolError(1, USAGE)
    kinds = [option.partition("=")[2].upper() for option in options] or ["A", "AAAA"]
    server = words[1] if words[1:] else DNS_ADDRESS
    names = [words[0]] if "." in words[0] else [f"{words[0]}.{d}" for d in _search_list(node.host, namespace)]
    queries = [(name, kind) for kind in kinds for name in names]
    answers = [(n, k, ask_as_pod(node, server, Query(n.lower().rstrip("."), k))) for n, k in queries]
    replies = [(n, k, found) for n, k, found in answers if found.rcode != "TIMEOUT"]
    if not replies:
        return Reply(1, ";; connection timed out; no servers could be reached\n\n")
    shown = "".join(_reply(name, kind, found) for name, kind, found in replies)
    failed = any(found.rcode != "NOERROR" for _, _, found in replies)
    return Reply(int(failed), f"Server:\t\t{server}\nAddress:\t{server}:53\n\n{shown}")


def _reply(name: str, kind: str, found: Answer) -> str:
    """What is printed for one query; an answer without records is an empty line."""
    if found.rcode != "NOERROR":
        return f"** server can't find {name}: {found.rcode}\n\n"
    head = "" if found.authoritative else "Non-authoritative answer:\n"
    form, bare = FORMS.get(kind, "{n}\t{r}\n"), name.rstrip(".")
    return head + "".join(form.format(n=bare, r=record) for record in found.records) + "\n"


@tool
async def getent(call: Call) -> Reply:
    """The image has getconf beside busybox, and no getent."""
    raise ToolError(127, f"sh: {call.argv[0].rpartition('/')[2]}: not found\n")


@tool
async def cat(call: Call) -> Reply:
    """Files as the pod has them: its own /etc/resolv.conf and /etc/hostname, else the host's."""
    node, namespace = _pod(call)
    own = {
        "/etc/resolv.conf": pod_resolv_conf(node.host, namespace),
        "/etc/hostname": call.env.get(POD_ENV, "").partition("/")[2] + "\n",
    }
    shown = b""
    for path in call.argv[1:]:
        if path.startswith("-"):
            raise ToolError(1, f"cat: unrecognized option: {path.lstrip('-')}\n")
        try:
            shown += own[path].encode() if path in own else call.host.files.read(path)
        except FileNotFoundError:
            return Reply(1, shown, f"cat: can't open '{path}': No such file or directory\n")
    return Reply(0, shown)


OVERLAY_PORT = 4789


def answers_ping(node: Node, address: str) -> bool:
    """Pods of the cluster answer, from whatever node: a sandbox has its address before any container runs."""
    control = control_of(node)
    pods = control.api.list("v1", "Pod") if control is not None else []
    up = [pod for pod in pods if (pod.get("status") or {}).get("podIP") == address and _has_a_sandbox(pod)]
    return any(not _overlay_is_closed(node, str(p["spec"].get("nodeName"))) for p in up)


def _has_a_sandbox(pod: Object) -> bool:
    return pod["status"].get("phase") in ("Pending", "Running")


def _overlay_is_closed(node: Node, other: str) -> bool:
    """VXLAN between two nodes: each way's packets come to the other one's own port 4789."""
    there = next((found for found in nodes(node.host.lab) if found.name == other), node)
    ways = ((there, node), (node, there)) if there is not node else ()
    return any(ufw.keeps_out(to.host, source.address(), OVERLAY_PORT, "udp") for to, source in ways)


@tool
async def ping(call: Call) -> Reply:
    """`ping [-q] [-c N] [-W S] NAME`: the address that the C library gives is printed before anything is sent."""
    node, namespace = _pod(call)
    given = parse(
        call.argv[1:],
        flags=("-q", "-4"),
        values=("-c", "-W", "-w"),
        unknown=lambda option: ToolError(1, f"ping: unrecognized option: {option.lstrip('-')}\n"),
    )
    if len(given.words) != 1:
        raise ToolError(1, "BusyBox v1.36.1 multi-call binary.\n\nUsage: ping [OPTIONS] HOST\n")
    name = given.words[0]
    numeric = name.replace(".", "").isdigit()
    found = (name,) if numeric else resolve_in_pod(node, namespace, name)[1].records
    if not found:
        raise ToolError(1, f"ping: bad address '{name}'\n")
    sent = int(given.value("-c", "1"))
    answered = answers_ping(node, found[0])
    lines = [f"64 bytes from {found[0]}: seq={n} ttl=63 time=0.100 ms\n" for n in range(sent * answered)]
    back, loss = (sent, 0) if answered else (0, 100)
    return Reply(
        int(not answered),
        f"PING {name} ({found[0]}): 56 data bytes\n{'' if '-q' in given.flags else ''.join(lines)}"
        f"\n--- {name} ping statistics ---\n"
        f"{sent} packets transmitted, {back} packets received, {loss}% packet loss\n"
        f"{'round-trip min/avg/max = 0.100/0.100/0.100 ms' + chr(10) if answered else ''}",
    )


POD_TOOLS = {"nslookup": nslookup, "getent": getent, "cat": cat, "ping": ping}

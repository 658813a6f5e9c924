"""The programs a pod finds first on its PATH: nslookup, getent, cat, ping as they answer inside a pod."""

from __future__ import annotations

from tasks.lab.dns import Answer, Query
from tasks.lab.microk8s.node import DNS_ADDRESS, Node, control_of, node_of
from tasks.lab.pods import POD_ENV, ask_as_pod
from tasks.lab.resolver import search_domains
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

NDOTS = 5
USAGE = "BusyBox v1.36.1 multi-call binary.\n\nUsage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n"
FORMS = {"A": "Name:\t{n}\nAddress: {r}\n", "TXT": '{n}\ttext = "{r}"\n', "PTR": "{n}\tname = {r}\n"}


def pod_resolv_conf(host: LabHost, namespace: str) -> str:
    """What kubelet writes into a pod: the cluster's search list, then the node's own search domains."""
    search = [f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local", *search_domains(host)]
    return f"search {' '.join(search)}\nnameserver {DNS_ADDRESS}\noptions ndots:{NDOTS}\n"


def look_up_in_pod(
    node: Node, namespace: str, name: str, kind: str = "A", server: str = DNS_ADDRESS
) -> tuple[str, Answer]:
    """The name that was answered, after the search list: ndots:5 puts it before the plain name."""
    plain = name.lower().rstrip(".")
    search = pod_resolv_conf(node.host, namespace).splitlines()[0].split()[1:]
    suffixed = [f"{plain}.{domain.lower()}" for domain in search]
    order = [plain, *suffixed] if plain.count(".") >= NDOTS else [*suffixed, plain]
    for candidate in [plain] if name.endswith(".") else order:
        found = ask_as_pod(node, server, Query(candidate, kind))
        if found.records or found.rcode == "TIMEOUT":
            return candidate, found
    return plain, ask_as_pod(node, server, Query(plain, kind))


def _pod(call: Call) -> tuple[Node, str]:
    node = node_of(call.host)
    if node is None:
        raise ToolError(1, "the pod's node is gone\n")
    return node, call.env.get(POD_ENV, "default/").partition("/")[0]


@tool
async def nslookup(call: Call) -> Reply:
    """busybox 1.36: `nslookup [-type=TYPE] NAME [SERVER]`; names with a dot skip the search list."""
    node, namespace = _pod(call)
    words = [w for w in call.argv[1:] if not w.startswith("-")]
    options = [w for w in call.argv[1:] if w.startswith("-")]
    if len(words) not in (1, 2) or any(not w.startswith(("-type=", "-querytype=", "-q=")) for w in options):
        raise ToolError(1, USAGE)
    kind = options[-1].partition("=")[2].upper() if options else "A"
    bare = words[0].rstrip(".")
    server = words[1] if words[1:] else DNS_ADDRESS
    asked, found = look_up_in_pod(node, namespace, f"{bare}." if "." in bare else words[0], kind, server)
    if found.rcode == "TIMEOUT":
        return Reply(1, ";; connection timed out; no servers could be reached\n\n")
    head = f"Server:\t\t{server}\nAddress:\t{server}:53\n\n"
    if found.rcode != "NOERROR":
        return Reply(1, f"{head}** server can't find {asked}: {found.rcode}\n\n")
    if not found.records:
        return Reply(0, f"{head}*** Can't find {asked}: No answer\n\n")
    source = "" if found.authoritative else "Non-authoritative answer:\n"
    return Reply(
        0, head + source + "".join(FORMS.get(kind, "{n}\t{r}\n").format(n=asked, r=r) for r in found.records) + "\n"
    )


@tool
async def getent(call: Call) -> Reply:
    """`getent hosts|ahosts NAME` inside a pod: the C library's look-up, with search list and ndots."""
    node, namespace = _pod(call)
    if len(call.argv) != 3 or call.argv[1] not in ("hosts", "ahosts", "ahostsv4"):
        raise ToolError(1, f"Unknown database: {''.join(call.argv[1:2])}\n")
    asked, found = look_up_in_pod(node, namespace, call.argv[2])
    return Reply(0 if found.records else 2, "".join(f"{r:<15}   {asked}  {call.argv[2]}\n" for r in found.records))


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


def answers_ping(node: Node, address: str) -> bool:
    """Running pods of the cluster answer, from whatever node."""
    control = control_of(node)
    pods = control.api.list("v1", "Pod") if control is not None else []
    return any(p["status"].get("podIP") == address for p in pods if p.get("status", {}).get("phase") == "Running")


@tool
async def ping(call: Call) -> Reply:
    """`ping [-c N] [-W S] ADDRESS`."""
    node, namespace = _pod(call)
    given = parse(
        call.argv[1:],
        flags=("-q",),
        values=("-c", "-W", "-w"),
        unknown=lambda option: ToolError(1, f"ping: unrecognized option: {option.lstrip('-')}\n"),
    )
    name = given.words[0] if given.words else ""
    numeric = name.replace(".", "").isdigit()
    found = (name,) if numeric else look_up_in_pod(node, namespace, name)[1].records
    if not found:
        raise ToolError(1, f"ping: bad address '{name}'\n")
    sent = given.value("-c", "1")
    back, loss = (sent, 0) if answers_ping(node, found[0]) else ("0", 100)
    return Reply(
        int(loss > 0),
        f"PING {name} ({found[0]}): 56 data bytes\n\n--- {name} ping statistics ---\n"
        f"{sent} packets transmitted, {back} packets received, {loss}% packet loss\n",
    )


POD_TOOLS = {"nslookup": nslookup, "getent": getent, "cat": cat, "ping": ping}

"""curl on the lab's hosts: it really connects, by TLS too, to what answers at an ingress controller's address.

Source: curl/curl@curl-8_5_0 lib/connect.c
Source: curl/curl@curl-8_5_0 lib/hostip.c
Source: curl/curl@curl-8_5_0 lib/url.c
Source: curl/curl@curl-8_5_0 lib/vtls/openssl.c
Source: curl/curl@curl-8_5_0 src/tool_operate.c
Unproven: that the kernel gives up after three seconds where nobody of a host's own network answers for an address, and
    how long it tries elsewhere.

Its own words and exit codes are compared with those of a real one in tests/tasks/lab/test_curl.py.
"""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import ssl
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from tasks.lab import cloudflare, internet
from tasks.lab.load_balancer import addresses_of, announcer
from tasks.lab.microk8s.node import Node, alive, node_of, nodes
from tasks.lab.tool import Arguments, ToolError, parse, tool
from tasks.lab.traefik.front import Front
from tasks.lab.traefik.instance import Instance, instance_at, ready_pods
from thinkube_nornir.lab.emulation import Call, LabHost, Reply
from thinkube_nornir.lab.kube.objects import uid_of

_FLAGS = ("-s", "--silent", "-S", "--show-error", "-k", "--insecure")
_VALUES = (
    *("-m", "--max-time", "--connect-timeout", "--resolve", "--cacert", "--noproxy", "--proxy", "-x"),
    *("-o", "--output", "-w", "--write-out", "-K", "--config", "-H", "--header", "--url"),
)
_HINT = (
    "More details here: https://curl.se/docs/sslcerts.html\n\ncurl failed to verify the legitimacy of the server and "
    "therefore could not\nestablish a secure connection to it.\n"
)
_TRY = "curl: try 'curl --help' or 'curl --manual' for more information\n"
_STORE = "public_roots"
"""The key in the lab's state for what the hosts' certificate store trusts, PEM."""


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes


@tool
async def curl(call: Call) -> Reply:
    given = parse(
        _with_config(call),
        flags=_FLAGS,
        values=_VALUES,
        unknown=lambda option: _error(2, f"option {option}: is unknown"),
        missing=lambda option: _error(2, f"option {option}: requires parameter"),
    )
    urls = [*given.words, *given.values.get("--url", [])]
    if len(urls) != 1:
        raise _error(2, ("no URL specified!" if call.argv[1:] else "") if not urls else "the lab's curl takes one URL")
    response = await _get(call, given, urls[0])
    output = given.value("-o") or given.value("--output")
    form = given.value("-w") or given.value("--write-out")
    tail = form.replace("\\n", "\n").replace("%{http_code}", f"{response.status:03}")
    return Reply(0, (b"" if output == "/dev/null" else response.body) + tail.encode())


def _with_config(call: Call) -> list[str]:
    """The arguments, with those of a configuration that comes by stdin: `url = "..."`, `header = "..."`."""
    argv = list(call.argv[1:])
    if not {"-K", "--config"} & set(argv):
        return argv
    at = next(i for i, word in enumerate(argv) if word in ("-K", "--config"))
    if argv[at + 1 : at + 2] != ["-"]:
        raise _error(26, "the lab's curl reads its configuration from stdin")
    pairs = [line.partition("=") for line in call.stdin.decode().splitlines() if line.strip()]
    return argv[:at] + argv[at + 2 :] + [w for k, _, v in pairs for w in (f"--{k.strip()}", *shlex.split(v))]


def _error(status: int, message: str) -> ToolError:
    if status != 2:
        return ToolError(status, f"curl: ({status}) {message}\n")
    return ToolError(2, f"curl: {message}\n{_TRY}" if message else _TRY)


async def _get(call: Call, given: Arguments, text: str) -> Response:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise _error(1, f'Protocol "{url.scheme}" not supported')
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    if proxy := _proxy(given, url.hostname):
        raise _error(5, f"Could not resolve proxy: {proxy}")
    address = _resolved(call.host, given, url.hostname, port)
    if url.hostname in (*internet.ANSWERS, cloudflare.HOST) and not internet.is_public(address):
        raise _error(28, f"Failed to connect to {url.hostname} port {port} after 20000 ms: Timeout was reached")
    if url.hostname in internet.ANSWERS and url.scheme == "https":
        return Response(internet.ANSWERS[url.hostname], b"")
    if url.hostname == cloudflare.HOST and url.scheme == "https":
        pairs = [text.partition(":") for text in [*given.values.get("-H", []), *given.values.get("--header", [])]]
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return Response(*cloudflare.answer(call.host.lab, url.path, url.query, headers))
    local = await _way(call.host, address, port)
    context = _trust(call, given) if url.scheme == "https" else None
    request = f"GET {url.path or '/'} HTTP/1.1\r\nHost: {url.hostname}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    try:
        return await _exchange(local, context, url.hostname, request)
    except ssl.SSLCertVerificationError as error:
        raise _error(60, f"SSL certificate problem: {error.verify_message}\n{_HINT}".rstrip()) from None
    except (OSError, ssl.SSLError) as error:
        raise _error(35, f"connection to {address} failed: {error}") from None


async def _exchange(port: int, context: ssl.SSLContext | None, name: str, request: str) -> Response:
    server_name = name if context is not None else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
    try:
        writer.write(request.encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return Response(int(head.split()[1]), body)


def _resolved(host: LabHost, given: Arguments, name: str, port: int) -> str:
    for entry in given.values.get("--resolve", []):
        its_name, its_port, address = entry.split(":", 2)
        if (its_name, its_port) == (name, str(port)):
            return address
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        found = internet.addresses_of(host, name)
    if not found:
        raise _error(6, f"Could not resolve host: {name}")
    return found[0]


def _proxy(given: Arguments, name: str) -> str:
    """The name of the proxy that the request would go to; the lab has none."""
    spared = given.value("--noproxy").split(",")
    proxy = given.value("--proxy") or given.value("-x")
    if not proxy or "*" in spared or any(word and name.endswith(word.lstrip("*.")) for word in spared):
        return ""
    return urlsplit(proxy if "//" in proxy else f"http://{proxy}").hostname or proxy


def _trust(call: Call, given: Arguments) -> ssl.SSLContext:
    """Any certificate of the file may end the chain, as curl has it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if given.flags & {"-k", "--insecure"}:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    path = given.value("--cacert")
    pem = _file(call, path) if path else str(call.host.lab.state.get(_STORE, ""))
    try:
        if pem or path:
            context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise _error(77, f"error setting certificate verify locations:  CAfile: {path}") from None
    return context


def _file(call: Call, path: str) -> str:
    if PurePosixPath(path) in (PurePosixPath("/dev/stdin"), PurePosixPath("/proc/self/fd/0")):
        return call.stdin.decode()
    try:
        return call.host.files.read(path).decode()
    except FileNotFoundError:
        raise _error(77, f"error setting certificate file: {path}") from None


async def _way(host: LabHost, address: str, port: int) -> int:
    """The port on loopback of what answers at an address, as seen from a host.

    Raises:
        ToolError: nobody answers there, or there is no way to it.
    """
    for node in nodes(host.lab):
        found = instance_at(node.api, address) if not node.worker and alive(node) else None
        if found is None:
            continue
        service, instance = found
        is_node = node_of(host) is not None
        if not is_node and not _announced(host, node, service):
            break
        if port not in (80, 443) or not ready_pods(node.api, service):
            raise _error(7, f"Failed to connect to {address} port {port} after 0 ms: Couldn't connect to server")
        front = await _front(node, instance)
        return front.http if port == 80 else front.https
    if _is_member(host, ipaddress.ip_address(address)):
        raise _error(7, f"Failed to connect to {address} port {port} after 3000 ms: Couldn't connect to server")
    raise _error(28, f"Failed to connect to {address} port {port} after 10000 ms: Timeout was reached")


def _announced(host: LabHost, node: Node, service: dict[str, object]) -> bool:
    """Whether ARP finds the address: the asking host must be in its network, and the announcing node too."""
    name = announcer(node.api, service)
    machine = next((n.host for n in nodes(host.lab) if n.name == name), None)
    address = ipaddress.ip_address(addresses_of(service)[0])
    return machine is not None and all(_is_member(h, address) for h in (host, machine))


def _is_member(host: LabHost, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    networks = {"lan_ip": host.settings.get("network_cidr"), "zerotier_ip": host.settings.get("zerotier_cidr")}
    return any(
        address in ipaddress.ip_network(str(network))
        for name, network in networks.items()
        if network and host.settings.get(name)
    )


async def _front(node: Node, instance: Instance) -> Front:
    """Started with the first request, for as long as the lab lives."""
    fronts: dict[str, Front] = node.host.state.setdefault("fronts", {})
    key = uid_of(instance.workload)
    if key not in fronts:
        fronts[key] = Front(instance)
        await fronts[key].start()
    return fronts[key]

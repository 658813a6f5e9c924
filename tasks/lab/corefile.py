"""Reads a Corefile as CoreDNS does: tokens, server blocks, and the mistakes that keep CoreDNS from starting.

Source: coredns/coredns@v1.10.1 core/dnsserver/register.go
Source: coredns/coredns@v1.10.1 plugin/forward/setup.go
Source: coredns/coredns@v1.10.1 plugin/hosts/setup.go
Source: coredns/coredns@v1.10.1 plugin/kubernetes/setup.go
Source: coredns/coredns@v1.10.1 plugin/template/setup.go
Source: coredns/caddy@15135a999495 caddyfile/lexer.go
Source: coredns/caddy@15135a999495 caddyfile/parse.go
Unproven: a server block without braces, snippets and variables of the environment are not read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

NOT_MODELLED = frozenset((
    "acl", "any", "auto", "autopath", "azure", "clouddns", "dnssec", "dns64", "erratic", "etcd", "file", "grpc",
    "import", "k8s_external", "route53", "secondary", "sign", "transfer", "view", "whoami",
))  # fmt: skip
QUIET = frozenset((
    "bind", "bufsize", "cancel", "chaos", "debug", "dnstap", "geoip", "health", "header", "local", "log",
    "loadbalance", "metadata", "minimal", "nsid", "pprof", "prometheus", "ready", "root", "tls", "trace",
    "tsig", "errors",
))  # fmt: skip
"""Plugins that do not alter which answer a lab pod gets."""
MODELLED = frozenset(["cache", "forward", "hosts", "kubernetes", "loop", "reload", "rewrite", "template"])
MOST_UPSTREAMS = 15


class CorefileError(Exception):
    """CoreDNS would not start with this file; the text is what it logs."""


@dataclass(frozen=True)
class Token:
    text: str
    line: int
    quoted: bool = False


@dataclass(frozen=True)
class Directive:
    name: str
    arguments: tuple[str, ...]
    block: tuple[tuple[str, ...], ...]
    """The lines between its braces."""
    line: int


@dataclass(frozen=True)
class Server:
    """One server block: the zones it answers on port 53 and its plugins, in the file's order."""

    zones: tuple[str, ...]
    """Lower case without the final dot; empty for the root."""
    directives: tuple[Directive, ...]

    def all(self, name: str) -> tuple[Directive, ...]:
        return tuple(d for d in self.directives if d.name == name)


def tokens(text: str) -> Iterator[Token]:
    """Words, quoted strings and braces with their line; `#` starts a comment wherever it stands outside of quotes.

    Raises:
        CorefileError: a quoted string does not end.
    """
    position, line = 0, 1
    while position < len(text):
        char = text[position]
        if char == "#":
            position = _end_of_line(text, position)
        elif char.isspace():
            line += char == "\n"
            position += 1
        elif char == '"':
            token, position, line = _quoted(text, position + 1, line)
            yield token
        else:
            end = position
            while end < len(text) and not text[end].isspace() and text[end] != "#":
                end += 1
            yield Token(text[position:end], line)
            position = end


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _quoted(text: str, position: int, line: int) -> tuple[Token, int, int]:
    value, start = "", line
    while position < len(text):
        char = text[position]
        if char == '"':
            return Token(value, start, quoted=True), position + 1, line
        if char == "\\":  # it escapes a quotation mark alone, and stays before anything else
            position += 1
            following = text[position : position + 1]
            char = following if following == '"' else char + following
        line += char.count("\n")
        value += char
        position += 1
    raise CorefileError(f"Corefile:{start} - Error during parsing: Unexpected EOF")


class _Reader:
    def __init__(self, text: str) -> None:
        self.left = list(tokens(text))
        self.last = 1

    def peek(self) -> Token | None:
        return self.left[0] if self.left else None

    def next(self) -> Token:
        if not self.left:
            raise CorefileError(f"Corefile:{self.last} - Error during parsing: Unexpected EOF")
        self.last = self.left[0].line
        return self.left.pop(0)

    def rest_of_line(self, line: int) -> list[Token]:
        found = []
        while self.left and self.left[0].line == line:
            found.append(self.next())
        return found


def read(text: str) -> tuple[Server, ...]:
    """Parse and check a Corefile.

    Raises:
        CorefileError: the message CoreDNS ends with.
    """
    reader = _Reader(text)
    servers = []
    while reader.peek():
        servers.append(_server(reader))
    if not servers:
        raise CorefileError("Corefile:1 - Error during parsing: Unexpected EOF")
    _no_zone_twice(servers)
    for server in servers:
        check(server)
    return tuple(servers)


def _server(reader: _Reader) -> Server:
    zones: list[str] = []
    while True:
        token = reader.next()
        if _is(token, "{"):
            break
        if _is(token, "}"):
            raise _wrong(token, "Unexpected '}' because no matching opening brace")
        zones += [_zone(name, token) for name in token.text.split(",") if name]
    if not zones:
        raise _wrong(token, "Unexpected '{', expecting a zone")
    directives = []
    while not _is(reader.peek() or reader.next(), "}"):
        directives.append(_directive(reader))
    reader.next()
    return Server(tuple(zones), tuple(directives))


def _directive(reader: _Reader) -> Directive:
    head = reader.next()
    words = reader.rest_of_line(head.line)
    if words and _is(words[-1], "}") and not _is(words[0], "{"):
        raise _wrong(words[-1], "Unexpected '}' after the arguments of " + head.text)
    block: list[tuple[str, ...]] = []
    if words and _is(words[-1], "{"):
        words.pop()
        block = _block(reader)
    return Directive(head.text, tuple(w.text for w in words), tuple(block), head.line)


def _block(reader: _Reader) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    while not _is(first := reader.next(), "}"):
        words = [first, *reader.rest_of_line(first.line)]
        if any(_is(w, "{") for w in words):
            raise _wrong(first, f"Unexpected '{{' in the block of a plugin at '{first.text}'")
        lines.append(tuple(w.text for w in words if not _is(w, "}")))
        if any(_is(w, "}") for w in words):
            raise _wrong(first, f"Unexpected '}}' at '{first.text}'")
    return lines


def _zone(label: str, token: Token) -> str:
    name = label.removeprefix("dns://")
    if "://" in name:
        raise _wrong(token, f"the lab does not model the transport of '{label}'")
    name, colon, port = name.partition(":")
    if colon and not port.isdigit():
        raise _wrong(token, f"Invalid port in '{label}'")
    return name.rstrip(".").lower()


def _no_zone_twice(servers: list[Server]) -> None:
    seen: set[str] = set()
    for zone in (z for server in servers for z in server.zones):
        if zone in seen:
            raise CorefileError(f"cannot serve dns://{zone}.:53 - it is already defined")
        seen.add(zone)


def check(server: Server) -> None:
    """Raises CorefileError for what the plugins' own set-up refuses."""
    for directive in server.directives:
        if directive.name in NOT_MODELLED:
            raise _at(directive, f"the lab does not model plugin '{directive.name}'")
        if directive.name not in MODELLED | QUIET:
            raise _at(directive, f"Unknown directive '{directive.name}'")
        if directive.name == "forward":
            upstreams(directive)
        if directive.name == "template":
            _check_template(directive)
        if directive.name == "kubernetes":
            _check_words(
                directive,
                ["pods", "fallthrough", "ttl", "endpoint_pod_names", "namespaces", "labels", "noendpoints", "ignore"],
            )
    for name in ("cache", "kubernetes", "hosts", "loop", "reload"):
        if len(server.all(name)) > 1:
            raise CorefileError(f"plugin/{name}: this plugin can only be used once per Server Block")


def _check_template(directive: Directive) -> None:
    if len(directive.arguments) < 2:
        raise _at(directive, "plugin/template: Wrong argument count or unexpected line ending after 'template'")
    class_, kind = directive.arguments[:2]
    if class_ not in ("IN", "CH", "CS", "HS", "NONE", "ANY"):
        raise _at(directive, f"plugin/template: invalid query class {class_}")
    if kind not in ("A", "AAAA", "ANY", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "HTTPS"):
        raise _at(directive, f"plugin/template: invalid RR class {kind}")
    known = ("match", "answer", "additional", "authority", "rcode", "ederror")
    for word, *rest in directive.block:
        if word not in (*known, "fallthrough", "upstream") or (word in known and not rest):
            last = rest[-1] if rest else word
            raise _at(directive, f"plugin/template: Wrong argument count or unexpected line ending after '{last}'")


def upstreams(directive: Directive) -> tuple[str, ...]:
    """The addresses, or the file, that a `forward` names.

    Raises:
        CorefileError: none, too many, or something that is neither address nor file.
    """
    if len(directive.arguments) < 2:
        raise _at(directive, "plugin/forward: Wrong argument count or unexpected line ending after 'forward'")
    targets = directive.arguments[1:]
    if len(targets) > MOST_UPSTREAMS:
        raise CorefileError(f"plugin/forward: more than {MOST_UPSTREAMS} TOs configured: {len(targets)}")
    for target in targets:
        if not target.startswith("/"):
            _address(target)
    options = [
        "except",
        "force_tcp",
        "prefer_udp",
        "expire",
        "max_fails",
        "tls",
        "tls_servername",
        "policy",
        "health_check",
        "max_concurrent",
        "next",
    ]
    _check_words(directive, [*options, "failfast_all_unhealthy_upstreams", "failover"])
    return tuple(t if t.startswith("/") else _address(t) for t in targets)


def _address(target: str) -> str:
    bare = target.removeprefix("dns://").removeprefix("tls://").partition("%")[0]
    host, _, port = bare.rpartition(":") if bare.count(":") == 1 else (bare, "", "")
    try:
        return str(ipaddress.ip_address(host.strip("[]") if port.isdigit() or not port else target))
    except ValueError:
        raise CorefileError(f'plugin/forward: not an IP address or file: "{target}"') from None


def _check_words(directive: Directive, known: list[str]) -> None:
    for line in directive.block:
        if line[0] not in known:
            raise _at(directive, f"plugin/{directive.name}: unknown property '{line[0]}'")


def _is(token: Token, brace: str) -> bool:
    return token.text == brace and not token.quoted


def _wrong(token: Token, message: str) -> CorefileError:
    return CorefileError(f"Corefile:{token.line} - Error during parsing: {message}")


def _at(directive: Directive, message: str) -> CorefileError:
    return CorefileError(f"Corefile:{directive.line} - Error during parsing: {message}")

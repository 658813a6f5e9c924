"""The values settings may have: each function returns the one form the components work with, or says what is wrong."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface

_SIZE = re.compile(r"(\d+) ?(B|[kMGTPE]B|[KMGTPE]iB)")
_SLOT = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}:[01][0-9a-f]\.[0-7])")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError("must be an IPv4 address such as 192.168.1.101") from None


def network(text: str) -> str:
    try:
        return _with_length(text, str(IPv4Network(text)))
    except ValueError as error:
        raise ValueError(f"must be a network such as 192.168.1.0/24 ({error})") from None


def interface(text: str) -> str:
    """An address with the prefix length of its network: `192.168.100.1/24`."""
    try:
        return _with_length(text, str(IPv4Interface(text)))
    except ValueError as error:
        raise ValueError(f"must be an address with prefix length such as 192.168.100.1/24 ({error})") from None


def interface6_or_none(text: str) -> str:
    """Likewise for IPv6, or `none` for a network without it."""
    try:
        return text if text == "none" else _with_length(text, str(IPv6Interface(text)))
    except ValueError as error:
        raise ValueError(f"must be none or an address such as fd42::1/64 ({error})") from None


def address_range(text: str) -> str:
    """
    >>> address_range("192.168.1.240 - 192.168.1.245")
    '192.168.1.240-192.168.1.245'
    """
    try:
        first, last = (IPv4Address(part.strip()) for part in text.split("-"))
    except ValueError:
        raise ValueError("must be two addresses such as 192.168.1.240-192.168.1.245") from None
    if first > last:
        raise ValueError(f"must start with the lower address, and {first} is above {last}")
    return f"{first}-{last}"


def domain(text: str) -> str:
    """No domain ends in a number (RFC 3696, section 2): what does is meant as an address."""
    wanted = "must be a domain name in lower case such as home.example"
    return _matching(rf"(?=.{{1,253}}$)({_LABEL}\.)+(?![0-9]+$){_LABEL}", text, wanted)


def label(text: str) -> str:
    """The name of a namespace, or of what is called like one."""
    return _matching(_LABEL, text, "must be a name of small letters, digits and dashes, 63 at most, such as ingress")


def chart_version(text: str) -> str:
    return _matching(
        r"v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?", text, "must be a chart's full version such as v1.20.3 or 41.3.0"
    )


def manifest_source(text: str) -> str:
    return _matching(r"https://\S+|/\S+", text, "must be an https:// address, or the absolute path of a file")


def image(text: str) -> str:
    """A container image with a tag that stays what it is, or with a digest."""
    _, _, tag = text.rpartition("/")[2].partition(":")
    if tag in ("", "latest") and "@sha256:" not in text:
        raise ValueError("must be an image with a tag other than latest, such as docker.io/library/busybox:1.36.1")
    return text


def user(text: str) -> str:
    return _matching(r"[a-z_][a-z0-9_-]{0,31}", text, "must be a user name such as thinkube")


def zerotier_network_id(text: str) -> str:
    return _matching(r"[0-9a-f]{16}", text.lower(), "must be the network's 16 hexadecimal digits")


def channel(text: str) -> str:
    return _matching(
        r"[0-9]+\.[0-9]+/(stable|candidate|beta|edge)", text, "must be a track and risk such as 1.35/stable"
    )


def size(text: str) -> str:
    """A size as LXD reads it: GB is 10^9 bytes, GiB is 2^30."""
    return _matching(_SIZE.pattern, text, "must be a whole number with unit such as 48GB or 48GiB")


def size_bytes(text: str) -> int:
    """
    >>> size_bytes("48GB"), size_bytes("1KiB")
    (48000000000, 1024)
    """
    number, unit = _SIZE.sub(r"\1 \2", size(text)).split()
    base = 1024 if "i" in unit else 1000
    power = 0 if unit == "B" else "KMGTPE".index(unit[0].upper()) + 1
    return int(number) * int(base**power)


def pci_slot(text: str) -> str:
    """The full form of a slot, also of the short form that `lspci` prints.

    >>> pci_slot("01:00.0")
    '0000:01:00.0'
    """
    match = _SLOT.fullmatch(text.lower())
    if match is None:
        raise ValueError("must be a PCI slot such as 0000:01:00.0 or 01:00.0")
    return f"{match[1] or '0000'}:{match[2]}"


def _matching(pattern: str, text: str, wanted: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(wanted)
    return text


def _with_length(text: str, parsed: str) -> str:
    if "/" not in text:
        raise ValueError("the prefix length is missing")
    return parsed

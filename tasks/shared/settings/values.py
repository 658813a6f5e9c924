"""The values settings may have: each function returns the one form the components work with, or says what is wrong."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from typing import Annotated

from annotated_types import Ge, Le

from thinkube_nornir.settings.schema import Valid

_SIZE = re.compile(r"([1-9][0-9]{0,17}) ?(B|[kMGTPE]B|[KMGTPE]iB)")
_SLOT = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}:[01][0-9a-f]\.[0-7])")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]{1,5})?"
_PATH = r"[A-Za-z0-9_.~%@+=,:/-]+"
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = rf"({_HOST}/)?{_PART}(/{_PART})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?"


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
    """An IPv6 address with its prefix length, or `none` for a network without it."""
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
    wanted = "must be a chart's full version such as v1.20.3 or 41.3.0"
    return _matching(r"v?[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(-[0-9A-Za-z.-]{1,64})?", text, wanted)


def chart_source(text: str) -> str:
    wanted = "must be an https:// or oci:// address, or the absolute path of a folder on the control plane"
    return _matching(rf"(https?://|oci://){_HOST}(/({_PATH})?)?|/{_PATH}", text, wanted)


def manifest_source(text: str) -> str:
    wanted = "must be an https:// address, or the absolute path of a file"
    return _matching(rf"https://{_HOST}/{_PATH}|/{_PATH}", text, wanted)


def image(text: str) -> str:
    """A container image with a tag that stays what it is, or with a digest.

    Source: distribution/reference@v0.6.0 regexp.go
    """
    wanted = "must be an image with a tag other than latest, such as docker.io/library/busybox:1.36.1"
    tag = _matching(_IMAGE, text, wanted).rpartition("/")[2].partition("@")[0].partition(":")[2]
    if tag in ("", "latest") and "@" not in text:
        raise ValueError(wanted)
    return text


def registry(text: str) -> str:
    return _matching(_HOST, text, "must be a registry's host such as registry.k8s.io or mirror.home.example:5000")


def addon(text: str) -> str:
    return _matching(_LABEL, text, "must be an addon of MicroK8s such as hostpath-storage")


def product(text: str) -> str:
    wanted = "must be `any`, or a value of the label nvidia.com/gpu.product such as NVIDIA-GeForce-RTX-3090"
    return _matching(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", text, wanted)


def user(text: str) -> str:
    return _matching(r"[a-z_][a-z0-9_-]{0,31}", text, "must be a user name such as thinkube")


def file_name(text: str) -> str:
    return _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", text, "must be the name of a file, without a folder")


def interface_name(text: str) -> str:
    """A name that the kernel accepts: IFNAMSIZ is 16 with the byte at its end.

    Source: torvalds/linux@v6.8 net/core/dev.c
    """
    wanted = "must be a network interface such as br0, 15 characters at most"
    return _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", text, wanted)


def package(text: str) -> str:
    return _matching(r"[a-z0-9][a-z0-9+.-]+", text, "must be a package of Ubuntu such as nfs-common")


def package_version(text: str) -> str:
    return _matching(r"[0-9][0-9A-Za-z.+~-]*", text, "must be a version such as 2.63.1")


def lxd_image(text: str) -> str:
    return _matching(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*", text, "must be an image of LXD such as ubuntu:24.04")


def text(value: str) -> str:
    """What people read, in one line."""
    if not value.isprintable() or not value.strip():
        raise ValueError("must be text in one line")
    return value


def zerotier_network_id(text: str) -> str:
    return _matching(r"[0-9a-f]{16}", text.lower(), "must be the network's 16 hexadecimal digits")


def channel(text: str) -> str:
    wanted = "must be a track and risk such as 1.35/stable"
    return _matching(r"[0-9]{1,3}\.[0-9]{1,3}/(stable|candidate|beta|edge)", text, wanted)


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


Address = Annotated[str, Valid(address)]
AddressRange = Annotated[str, Valid(address_range)]
Addon = Annotated[str, Valid(addon)]
Amount = Annotated[int, Ge(1), Le(4096)]
Channel = Annotated[str, Valid(channel)]
ChartSource = Annotated[str, Valid(chart_source)]
ChartVersion = Annotated[str, Valid(chart_version)]
Domain = Annotated[str, Valid(domain)]
FileName = Annotated[str, Valid(file_name)]
Image = Annotated[str, Valid(image)]
Interface = Annotated[str, Valid(interface_name)]
InterfaceAddress = Annotated[str, Valid(interface)]
InterfaceAddress6 = Annotated[str, Valid(interface6_or_none)]
Label = Annotated[str, Valid(label)]
LxdImage = Annotated[str, Valid(lxd_image)]
ManifestSource = Annotated[str, Valid(manifest_source)]
Network = Annotated[str, Valid(network)]
Package = Annotated[str, Valid(package)]
PackageVersion = Annotated[str, Valid(package_version)]
Product = Annotated[str, Valid(product)]
Registry = Annotated[str, Valid(registry)]
Size = Annotated[str, Valid(size)]
Slot = Annotated[str, Valid(pci_slot)]
Text = Annotated[str, Valid(text)]
User = Annotated[str, Valid(user)]
ZeroTierNetwork = Annotated[str, Valid(zerotier_network_id)]

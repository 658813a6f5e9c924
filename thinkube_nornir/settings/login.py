"""Where and as whom a host is reached: addresses, names and user names that can be ones."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@\\-]{0,63}\$?")


def hostname(text: str) -> str:
    """An IP address, a DNS name, or a Host of the ssh_config.

    What consists of numbers and dots must be an address: no name ends in a number (RFC 3696, section 2).
    """
    try:
        if ":" in text:
            return text if IPv6Address(text.partition("%")[0]) else ""
        if text.rpartition(".")[2].isdigit():
            return text if IPv4Address(text) else ""
    except ValueError:
        raise ValueError("should be an IP address, and is none") from None
    if not _NAME.fullmatch(text) or ".." in text:
        raise ValueError("should be an IP address, a DNS name, or a Host of the ssh_config")
    return text


def username(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError("should be a user name")
    return text

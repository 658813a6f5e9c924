"""The store's channels: which a snap has, and which version each holds.

Source: canonical/microk8s@1.35 build-scripts/components/kubernetes/version.sh
Source: canonical/microk8s@1.35 snap/snapcraft.yaml
Unproven: which patch release and revision a channel holds: a track follows Kubernetes' newest patch of its day.
Unproven: which track of microk8s is the store's default.
"""

from __future__ import annotations

import re

from tasks.lab.tool import ToolError

MINORS = range(28, 36)
PATCHES = {28: 15, 29: 15, 30: 14, 31: 13, 32: 9, 33: 5, 34: 1, 35: 0}
DEFAULT_TRACK = "1.35"
RISKS = ("stable", "candidate", "beta", "edge")
PLAIN_TRACK = "latest"


def channel_of(name: str, wanted: str) -> str:
    """A full channel, `1.35/stable`.

    Raises:
        ToolError: the snap has no such channel.
    """
    track, _, risk = wanted.partition("/")
    if track in RISKS and not risk:
        track, risk = "", track
    track = track or (DEFAULT_TRACK if name == "microk8s" else PLAIN_TRACK)
    known = sorted(f"1.{m}" for m in MINORS) if name == "microk8s" else [PLAIN_TRACK]
    if track not in known or (risk or "stable") not in RISKS:
        offered = "".join(f"       {t}/stable\n" for t in known)
        message = f'snap "{name}" is not available on {wanted} but is available to install on the following channels'
        raise ToolError(1, f"error: {message}:\n\n{offered}")
    return f"{track}/{risk or 'stable'}"


def minor_of(version: str) -> tuple[int, int]:
    major, minor = version.removeprefix("v").split(".")[:2]
    return int(major), int(minor)


def release(name: str, channel: str) -> tuple[str, int]:
    """Version and revision that a channel holds."""
    minor = re.match(r"1\.(\d+)/", channel)
    if name != "microk8s" or minor is None:
        return "1.0", 1
    number = int(minor[1])
    return f"v1.{number}.{PATCHES[number]}", 7000 + 100 * (number - 28)

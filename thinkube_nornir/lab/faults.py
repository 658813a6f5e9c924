"""What the lab breaks on purpose; its client and its control socket both know these."""

from __future__ import annotations

REPAIR = "none"
RESTART = 0.5
"""Seconds, where none are given."""
FAULTS = {
    "dead": "connections are refused, and those that are open are cut",
    "silent": "connections are taken, and nothing is answered",
    "slow": "everything is delayed by `seconds` in each direction",
    "cut": "open connections are cut, at once or after `count` more bytes",
    "sshd": "the SSH server dies with its sessions, and is back after `seconds`",
    "full": "nothing more can be written to the disk (/run is no part of it)",
    REPAIR: "all of these are repaired",
}
TAKES = {"slow": "seconds", "sshd": "seconds", "cut": "count"}
"""The one number that a fault can be given."""

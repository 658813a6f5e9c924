"""sysctl, for the settings of the kernel that MicroK8s changes; as the one of procps 4.0.2 answered.

Unproven: what it says to who is not root, which was not tried.
"""

from __future__ import annotations

from tasks.lab.state import machine
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, Reply

KEYS = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


@tool
async def sysctl(call: Call) -> Reply:
    """A key that is wrong makes the status 1, and keeps no other from being read or written."""
    given = parse(call.argv[1:], flags=("-w", "-n"), unknown=_unknown)
    settings = machine(call.host).settings
    shown, wrong = "", ""
    for key, equals, value in (word.partition("=") for word in given.words):
        if key not in settings:
            wrong += f"sysctl: cannot stat /proc/sys/{key.replace('.', '/')}: No such file or directory\n"
        elif equals and call.user != "root":
            wrong += f'sysctl: permission denied on key "{key}"\n'
        else:
            settings[key] = value if equals else settings[key]
            shown += f"{settings[key]}\n" if "-n" in given.flags else f"{key} = {settings[key]}\n"
    return Reply(int(bool(wrong)), shown, wrong)


def _unknown(option: str) -> ToolError:
    return ToolError(1, f"sysctl: invalid option -- '{option.lstrip('-')}'\n")

"""sysctl, for the settings of the kernel that MicroK8s changes.

Unproven: what sysctl prints for a key that does not exist, and its status then.
"""

from __future__ import annotations

from tasks.lab.state import machine
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, Reply

KEYS = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


@tool
async def sysctl(call: Call) -> Reply:
    given = parse(
        call.argv[1:], flags=("-w", "-n"), unknown=lambda o: ToolError(1, f"sysctl: invalid option -- '{o}'\n")
    )
    settings = machine(call.host).settings
    for key, equals, value in (word.partition("=") for word in given.words):
        if key not in settings:
            path = key.replace(".", "/")
            raise ToolError(1, f"sysctl: cannot stat /proc/sys/{path}: No such file or directory\n")
        if equals and call.user != "root":
            raise ToolError(1, f'sysctl: permission denied on key "{key}"\n')
        if equals:
            settings[key] = value
    keys = [word.partition("=")[0] for word in given.words]
    return Reply(0, "".join(settings[k] + "\n" if "-n" in given.flags else f"{k} = {settings[k]}\n" for k in keys))

"""What a machine of the lab says of itself: Ubuntu Server 24.04, with the inventory's disk and memory.

/etc/os-release is as machines with 24.04.3 show it; df and free answer as those of coreutils 9.4 and procps 4.0.4.

Unproven: what a fresh Ubuntu Server takes of its disk; 8 GB is a guess.
Unproven: what df, free and hostnamectl say to options that the lab does not know.
"""

from __future__ import annotations

import hashlib

from tasks.lab.state import machine
from tasks.lab.tool import ToolError, parse, tool
from tasks.shared.settings.values import size_bytes
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

OS_RELEASE = """\
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
HOME_URL="https://www.ubuntu.com/"
SUPPORT_URL="https://help.ubuntu.com/"
BUG_REPORT_URL="https://bugs.launchpad.net/ubuntu/"
PRIVACY_POLICY_URL="https://www.ubuntu.com/legal/terms-and-policies/privacy-policy"
UBUNTU_CODENAME=noble
LOGO=ubuntu-logo
"""
ENVIRONMENT = (
    'PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:/usr/local/games:/snap/bin"\n'
)
TAKEN = 8 * 10**9
DISK, MEMORY = "100GB", "8GB"
KERNEL_LOG = "/dev/kmsg"


def prepare(host: LabHost) -> None:
    host.files.write("/etc/os-release", OS_RELEASE)
    host.files.write("/etc/machine-id", hashlib.md5(host.name.encode()).hexdigest() + "\n")  # noqa: S324 a name
    host.files.write("/etc/environment", ENVIRONMENT)


def memory(host: LabHost) -> int:
    return size_bytes(str(host.settings.get("memory", MEMORY)))


def sudo_ignores_environment(host: LabHost) -> bool:
    """Whether `sudo -E` keeps nothing, as sudo-rs has it.

    Source: trifectatechfoundation/sudo-rs@v0.2.14 src/sudo/cli/mod.rs
    """
    return bool(host.settings.get("lab_sudo_rs", False))


@tool
async def df(call: Call) -> Reply:
    """`df --block-size=1 --output=avail,target PATH...`: one file system, at /."""
    given = parse(
        call.argv[1:],
        values=("--block-size", "--output"),
        unknown=lambda option: ToolError(
            1, f"df: unrecognized option '{option}'\nTry 'df --help' for more information.\n"
        ),
    )
    if (given.value("--block-size"), given.value("--output")) != ("1", "avail,target") or not given.words:
        raise ToolError(1, "df: the lab knows: df --block-size=1 --output=avail,target PATH...\n")
    missing = [path for path in given.words if not call.host.files.exists(path)]
    message = "".join(f"df: {path}: No such file or directory\n" for path in missing)
    free = str(max(0, size_bytes(str(call.host.settings.get("disk_size", DISK))) - TAKEN))
    rows = [("Avail", "Mounted on"), *[(free, "/")] * (len(given.words) - len(missing))]
    width = max(len(row[0]) for row in rows)
    return Reply(1 if missing else 0, "".join(f"{a:>{width}} {b}\n" for a, b in rows) if len(rows) > 1 else "", message)


@tool
async def free(call: Call) -> Reply:
    if call.argv[1:] not in (("--bytes",), ("-b",)):
        raise ToolError(1, "\nUsage:\n free [options]\n\n(the lab knows: free --bytes)\n")
    total = memory(call.host)
    used, cache = total // 16, total // 8
    row = (total, used, total - used - cache, 0, cache, total - used)
    head = ("total", "used", "free", "shared", "buff/cache", "available")
    lines = ("", head), ("Mem:", row), ("Swap:", (0, 0, 0))
    return Reply(0, "".join(f"{name:<8}" + "".join(f" {v:>11}" for v in values) + "\n" for name, values in lines))


@tool
async def hostnamectl(call: Call) -> Reply:
    """`hostnamectl set-hostname NAME`."""
    match call.argv[1:]:
        case ["set-hostname" | "hostname", name] if name:
            pass
        case _:
            raise ToolError(1, f"Unknown command verb {''.join(call.argv[1:2]) or 'status'}.\n")
    if call.user != "root":
        raise ToolError(1, "Could not set static hostname: Interactive authentication required.\n")
    machine(call.host).hostname = name
    call.host.files.write("/etc/hostname", f"{name}\n")
    return Reply()

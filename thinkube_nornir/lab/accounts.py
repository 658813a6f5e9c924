"""The tools for accounts and privilege: the real ones cannot work where there is only one uid.

sudo is a shell script in the host, because the program it starts must be its child; the rest are handlers that keep
/etc/passwd and /etc/group of the host true to what they were asked. A setting makes it sudo-rs.

Source: trifectatechfoundation/sudo-rs@v0.2.14 src/sudo/cli/mod.rs
Source: trifectatechfoundation/sudo-rs@v0.2.14 src/pam/converse.rs
Source: trifectatechfoundation/sudo-rs@v0.2.14 src/sudo/pam.rs
Source: trifectatechfoundation/sudo-rs@v0.2.14 src/common/error.rs
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from thinkube_nornir.lab.emulation import Call, LabHost, Reply, Tool

PASSWORD_SETTING = "lab_sudo_password"  # noqa: S105 - a setting's name
RS_SETTING = "lab_sudo_rs"
_HASH = "/run/lab/sudo"
_VERSIONS = {False: "Sudo version 1.9.15p5", True: "sudo-rs 0.2.13"}
_ORDINARY = "1000"
"""What a caller without sudo is told of itself, so that programs that ask whether they are root find out that they
are not. What is told of an account by name is the number its files have."""

SUDO = """\
#!/bin/sh
# Emulated: everything in this host is uid 0; what sudo changes is the environment, after it asked for the password.
rs=FLAVOUR
usage() { echo "usage: sudo [-knSHEiv] [-p prompt] [-u user] [VAR=value] [command [arg ...]]" >&2; exit 1; }
case $1 in -V|--version) echo "VERSION"; exit 0 ;; esac
say() { if [ "$rs" ]; then echo "sudo: $2" >&2; else echo "$1" >&2; fi; }
user=root stdin= never= only= prompt="[sudo] password for $USER: "
[ "$rs" ] && prompt=authenticate
while getopts ":SknHEivp:u:" option; do
  case $option in
    S) stdin=1 ;; n) never=1 ;; k|H|i) ;; v) only=1 ;; p) prompt=$OPTARG ;; u) user=$OPTARG ;;
    E) [ "$rs" ] && echo "sudo: preserving the entire environment is not supported, '-E' is ignored" >&2 ;;
    *) echo "sudo: invalid option -- '$OPTARG'" >&2; usage ;;
  esac
  [ "$option" = k ] && forget=1
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || [ "$only" ] || [ "$forget" ] || usage
[ "$rs" ] && [ "$prompt" ] && prompt="[sudo: $prompt] Password: "
ask() {
  tries=0
  while [ $tries -lt 3 ]; do
    [ "$never" ] && { say "sudo: a password is required" "interactive authentication is required"; exit 1; }
    [ "$stdin" ] || { say "sudo: a terminal is required to read the password; either use the -S option to read from \
standard input or configure an askpass helper
sudo: a password is required" "A terminal is required to authenticate"; exit 1; }
    printf %s "$prompt" >&2
    IFS= read -r password || { echo >&2
      [ $tries -gt 0 ] && { say "sudo: $tries incorrect password attempt" "Authentication required but not attempted"
        exit 1; }
      say "sudo: no password was provided
sudo: a password is required" "Authentication required but not attempted"; exit 1; }
    [ "$rs" ] && echo >&2
    [ "$(printf %s "$password" | sha256sum)" = "$(cat HASH)  -" ] && return
    tries=$((tries + 1)); [ $tries -lt 3 ] && say "Sorry, try again." "Authentication failed, try again."
  done
  say "sudo: 3 incorrect password attempts" "maximum 3 incorrect authentication attempts"
  exit 1
}
if [ -e HASH ] && [ "$USER" != root ] && { [ $# -gt 0 ] || [ "$only" ]; }; then ask; fi
[ $# -gt 0 ] || exit 0
home=$(while IFS=: read -r name _ _ _ _ home _; do [ "$name" = "$user" ] && echo "$home"; done </etc/passwd)
[ "$home" ] || { echo "sudo: unknown user $user" >&2; exit 1; }
case $1 in *=*) ;; *) command -v -- "$1" >/dev/null || { echo "sudo: $1: command not found" >&2; exit 1; } ;; esac
exec env -i ${TERM:+TERM="$TERM"} ${LANG:+LANG="$LANG"} PATH=SECURE_PATH HOME="$home" USER="$user" LOGNAME="$user" \
  SHELL=/bin/bash SUDO_USER="$USER" SUDO_UID=0 SUDO_GID=0 SUDO_COMMAND="$*" "$@"
"""


def install(host: LabHost, path: str) -> None:
    """Put the tools into a host; `path` is where sudo lets programs be found."""
    rs = bool(host.settings.get(RS_SETTING, False))
    sudo = SUDO.replace("HASH", _HASH).replace("SECURE_PATH", path)
    sudo = sudo.replace("FLAVOUR", "1" if rs else "").replace("VERSION", _VERSIONS[rs])
    host.files.write("/usr/bin/sudo", sudo, 0o755)
    if PASSWORD_SETTING in host.settings:
        password = str(host.settings[PASSWORD_SETTING])
        host.files.write(_HASH, hashlib.sha256(password.encode()).hexdigest(), 0o600)
    for tool, folder in PLACES.items():
        host.install(f"{folder}/{tool}", tool)


async def _id(call: Call) -> Reply:
    flags = "".join(a[1:] for a in call.argv[1:] if a.startswith("-"))
    names = [a for a in call.argv[1:] if not a.startswith("-")]
    user = names[0] if names else call.user
    fields = _entry(call.host, "/etc/passwd", user)
    if fields is None:
        return Reply(1, stderr=f"id: '{user}': no such user\n")
    uid, gid = fields[2], fields[3]
    groups = _groups_of(call.host, user, gid)
    if not names and user != "root":
        uid = gid = _ORDINARY
    if set(flags) - set("ugGnr") or len(names) > 1:
        return Reply(1, stderr=f"id: invalid option -- '{flags}'\nTry 'id --help' for more information.\n")
    name = "n" in flags
    if "u" in flags:
        return Reply(stdout=f"{user if name else uid}\n")
    if "g" in flags:
        return Reply(stdout=f"{groups[0][0] if name else gid}\n")
    if "G" in flags:
        return Reply(stdout=" ".join(g[0] if name else g[1] for g in groups) + "\n")
    listed = ",".join(f"{number}({group})" for group, number in groups)
    return Reply(stdout=f"uid={uid}({user}) gid={gid}({groups[0][0]}) groups={listed}\n")


async def _whoami(call: Call) -> Reply:
    return Reply(stdout=f"{call.user}\n")


async def _usermod(call: Call) -> Reply:
    match call.argv[1:]:
        case ["-aG" | "-Ga", groups, user]:
            pass
        case ["-a", "-G", groups, user] | ["-G", groups, "-a", user]:
            pass
        case _:
            return Reply(2, stderr="Usage: usermod [options] LOGIN\n(the lab knows: usermod -aG GROUPS LOGIN)\n")
    if _entry(call.host, "/etc/passwd", user) is None:
        return Reply(6, stderr=f"usermod: user '{user}' does not exist\n")
    for group in groups.split(","):
        if _entry(call.host, "/etc/group", group) is None:
            return Reply(6, stderr=f"usermod: group '{group}' does not exist\n")
    for group in groups.split(","):
        _set_members(call.host, group, add=user)
    return Reply()


async def _gpasswd(call: Call) -> Reply:
    match call.argv[1:]:
        case ["-a" | "--add" | "-d" | "--delete" as option, user, group]:
            verb = option.lstrip("-")[0]
        case _:
            return Reply(2, stderr="Usage: gpasswd [option] GROUP\n(the lab knows: gpasswd -a|-d USER GROUP)\n")
    fields = _entry(call.host, "/etc/group", group)
    if fields is None:
        return Reply(3, stderr=f"gpasswd: group '{group}' does not exist in /etc/group\n")
    if verb == "d" and user not in fields[3].split(","):
        return Reply(3, stderr=f"gpasswd: user '{user}' is not a member of '{group}'\n")
    if verb == "a" and _entry(call.host, "/etc/passwd", user) is None:
        return Reply(3, stderr=f"gpasswd: user '{user}' does not exist\n")
    if verb == "a":
        _set_members(call.host, group, add=user)
        return Reply(stdout=f"Adding user {user} to group {group}\n")
    _set_members(call.host, group, drop=user)
    return Reply(stdout=f"Removing user {user} from group {group}\n")


async def _groupadd(call: Call) -> Reply:
    *flags, name = call.argv[1:] or ("",)
    if not name or name.startswith("-") or set(flags) - {"-f", "--force", "-r", "--system"}:
        return Reply(2, stderr="Usage: groupadd [options] GROUP\n")
    if _entry(call.host, "/etc/group", name) is not None:
        forced = {"-f", "--force"} & set(flags)
        return Reply() if forced else Reply(9, stderr=f"groupadd: group '{name}' already exists\n")
    text = call.host.files.read("/etc/group").decode()
    call.host.files.write("/etc/group", f"{text}{name}:x:0:\n")
    return Reply()


async def _groupdel(call: Call) -> Reply:
    match call.argv[1:]:
        case [name] if not name.startswith("-"):
            pass
        case _:
            return Reply(2, stderr="Usage: groupdel [options] GROUP\n")
    if _entry(call.host, "/etc/group", name) is None:
        return Reply(6, stderr=f"groupdel: group '{name}' does not exist\n")
    lines = call.host.files.read("/etc/group").decode().splitlines()
    call.host.files.write("/etc/group", "".join(f"{line}\n" for line in lines if line.split(":")[0] != name))
    return Reply()


TOOLS: Mapping[str, Tool] = {
    "id": _id,
    "whoami": _whoami,
    "usermod": _usermod,
    "gpasswd": _gpasswd,
    "groupadd": _groupadd,
    "groupdel": _groupdel,
}
PLACES = {
    "id": "/usr/bin",
    "whoami": "/usr/bin",
    "usermod": "/usr/sbin",
    "gpasswd": "/usr/bin",
    "groupadd": "/usr/sbin",
    "groupdel": "/usr/sbin",
}


def _entry(host: LabHost, path: str, name: str) -> list[str] | None:
    for line in host.files.read(path).decode().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return fields
    return None


def _groups_of(host: LabHost, user: str, gid: str) -> list[tuple[str, str]]:
    """(name, number), the user's own group first; it has the user's name, or is the first of its number."""
    rows = [line.split(":") for line in host.files.read("/etc/group").decode().splitlines()]
    own = next((r for r in rows if r[0] == user), None) or next(r for r in rows if r[2] == gid)
    listed = [r for r in rows if r is not own and user in r[3].split(",")]
    return [(r[0], r[2]) for r in (own, *listed)]


def _set_members(host: LabHost, group: str, *, add: str = "", drop: str = "") -> None:
    lines = []
    for line in host.files.read("/etc/group").decode().splitlines():
        head, _, members = line.rpartition(":")
        if line.split(":")[0] == group:
            kept = [m for m in members.split(",") if m and m not in (add, drop)]
            line = f"{head}:{','.join(kept + ([add] if add else []))}"
        lines.append(f"{line}\n")
    host.files.write("/etc/group", "".join(lines))

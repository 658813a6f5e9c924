"""usermod, gpasswd, groupdel, id: users and groups in the host's own /etc files."""

from __future__ import annotations

from collections.abc import Callable

from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

FIRST_SYSTEM_GROUP = 990


def groups(host: LabHost) -> dict[str, list[str]]:
    """Name to the four fields of its line."""
    lines = host.files.read("/etc/group").decode().splitlines() if host.files.exists("/etc/group") else []
    return {line.split(":")[0]: line.split(":") for line in lines if line.count(":") == 3}


def add_group(host: LabHost, name: str) -> None:
    known = groups(host)
    if name not in known:
        used = {int(fields[2]) for fields in known.values()}
        free = next(g for g in range(FIRST_SYSTEM_GROUP, 0, -1) if g not in used)
        _write(host, {**known, name: [name, "x", str(free), ""]})


def add_member(host: LabHost, group: str, user: str) -> None:
    _set_members(host, group, lambda now: now if user in now else [*now, user])


def members(fields: list[str]) -> list[str]:
    return [m for m in fields[3].split(",") if m]


def user_exists(host: LabHost, user: str) -> bool:
    return _user(host, user) is not None


def _user(host: LabHost, user: str) -> list[str] | None:
    lines = host.files.read("/etc/passwd").decode().splitlines() if host.files.exists("/etc/passwd") else []
    return next((line.split(":") for line in lines if line.split(":")[0] == user), None)


def _write(host: LabHost, known: dict[str, list[str]]) -> None:
    host.files.write("/etc/group", "".join(":".join(fields) + "\n" for fields in known.values()))


def _set_members(host: LabHost, group: str, change: Callable[[list[str]], list[str]]) -> None:
    known = groups(host)
    known[group][3] = ",".join(change(members(known[group])))
    _write(host, known)


def _needs_root(call: Call, name: str) -> None:
    if call.user != "root":
        raise ToolError(1, f"{name}: Permission denied.\n{name}: cannot lock /etc/passwd; try again later.\n")


@tool
async def usermod(call: Call) -> Reply:
    """Only `-aG GROUP[,GROUP] USER`; without -a it replaces the user's groups, as the real one does."""
    _needs_root(call, "usermod")
    argv = [w for word in call.argv[1:] for w in (("-a", "-G") if word == "-aG" else (word,))]
    given = parse(
        argv,
        flags=("-a", "--append"),
        values=("-G", "--groups"),
        unknown=lambda option: ToolError(
            2, f"usermod: invalid option -- '{option.lstrip('-')}'\nUsage: usermod [options] LOGIN\n"
        ),
    )
    wanted = [g for g in (given.value("-G") or given.value("--groups")).split(",") if g]
    if len(given.words) != 1 or not (wanted or given.values):
        raise ToolError(2, "Usage: usermod [options] LOGIN\n")
    user = given.words[0]
    if not user_exists(call.host, user):
        raise ToolError(6, f"usermod: user '{user}' does not exist\n")
    for group in wanted:
        if group not in groups(call.host):
            raise ToolError(6, f"usermod: group '{group}' does not exist\n")
    if not given.flags:
        for group in groups(call.host):
            _set_members(call.host, group, lambda now: [m for m in now if m != user])
    for group in wanted:
        add_member(call.host, group, user)
    return Reply()


@tool
async def gpasswd(call: Call) -> Reply:
    _needs_root(call, "gpasswd")
    verb, user, group = call.argv[1:] if len(call.argv) == 4 else ("", "", "")
    if verb not in ("-d", "--delete", "-a", "--add"):
        raise ToolError(2, "Usage: gpasswd [option] GROUP\n")
    known = groups(call.host)
    if group not in known:
        raise ToolError(3, f"gpasswd: group '{group}' does not exist in /etc/group\n")
    if verb in ("-a", "--add"):
        add_member(call.host, group, user)
        return Reply(0, f"Adding user {user} to group {group}\n")
    if user not in members(known[group]):
        raise ToolError(
            3, f"gpasswd: user '{user}' is not a member of '{group}'\n", f"Removing user {user} from group {group}\n"
        )
    _set_members(call.host, group, lambda now: [m for m in now if m != user])
    return Reply(0, f"Removing user {user} from group {group}\n")


@tool
async def groupdel(call: Call) -> Reply:
    _needs_root(call, "groupdel")
    known = groups(call.host)
    if len(call.argv) != 2 or call.argv[1].startswith("-"):
        raise ToolError(2, "Usage: groupdel [options] GROUP\n")
    if known.pop(call.argv[1], None) is None:
        raise ToolError(6, f"groupdel: group '{call.argv[1]}' does not exist\n")
    _write(call.host, known)
    return Reply()


@tool
async def identity(call: Call) -> Reply:
    """`id [-u|-g|-n|-G combinations] [USER]`."""
    letters = set("".join(w[1:] for w in call.argv[1:] if w.startswith("-")))
    if letters - set("ugnG"):
        raise ToolError(1, f"id: invalid option -- '{min(letters - set('ugnG'))}'\n")
    names = [w for w in call.argv[1:] if not w.startswith("-")]
    user = names[0] if names else call.user
    entry = _user(call.host, user)
    if entry is None:
        raise ToolError(1, f"id: '{user}': no such user\n")
    own = next((n for n, f in groups(call.host).items() if f[2] == entry[3]), user)
    others = [n for n, f in groups(call.host).items() if user in members(f) and n != own]
    numbers = {n: f[2] for n, f in groups(call.host).items()} | {own: entry[3]}
    if "G" in letters:
        return Reply(0, " ".join(n if "n" in letters else numbers[n] for n in [own, *others]) + "\n")
    if "g" in letters:
        return Reply(0, (own if "n" in letters else entry[3]) + "\n")
    if "u" in letters:
        return Reply(0, (user if "n" in letters else entry[2]) + "\n")
    listed = ",".join(f"{numbers[n]}({n})" for n in [own, *others])
    return Reply(0, f"uid={entry[2]}({user}) gid={entry[3]}({own}) groups={listed}\n")

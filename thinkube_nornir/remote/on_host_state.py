"""The host's own copy of what was changed there, so that another controller can roll back too.

One JSON file per change under /var/lib/thinkube-nornir (0700, root) or, for changes made as the login user,
~/.thinkube-nornir. The script that has the effect writes the record first, in the same round trip; the script that
undoes it removes the record, and the folder with the last one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nornir.core.task import Task

from thinkube_nornir.change_log import Merged, Record
from thinkube_nornir.command import Command, Completed, Fact
from thinkube_nornir.context import component_of, context
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.remote.exchange import accepted, exchange

_FOLDERS = {True: "part=/var/lib/thinkube-nornir\n", False: "part=$HOME/.thinkube-nornir\n"}  # by root


# 73, EX_CANTCREAT: the change was not made, because its record could not be written.
# `read` takes the record's line byte by byte and leaves the rest of stdin to the program. A record that is there
# already holds the first state, and is kept; one without its newline was cut off before its change began.
SAVE = r"""
save() {  # the record's name
  record=$part/$1.json
  IFS= read -r line || { echo "nothing was changed: its record did not arrive" >&2; exit 73; }
  ! [ -e "$record" ] || ! IFS= read -r kept <"$record" || return 0
  umask 077
  { [ -d "$part" ] || mkdir -p "$part"; } && printf '%s\n' "$line" >"$record" || {
    rm -f "$record"; echo "nothing was changed: cannot write $record" >&2; exit 73; }
  umask 022
}
"""
FORGET = r'rm -f "$record" "$wrote"; rmdir "$part" 2>/dev/null || :' + "\n"

_CHANGE = SAVE + 'save "$1"; shift; exec "$@"\n'
_UNDO = (
    r"""record=$part/$1.json wrote=$part/$1.wrote accept=$2; shift 2
"$@"; status=$?
case " $accept " in *" $status "*) """
    + FORGET.strip()
    + r""" ;; esac
exit $status
"""
)
_LIST = r"""for f in "$part"/*.json; do [ ! -e "$f" ] || { cat "$f" && printf '\0'; } || exit 1; done"""


def with_part(root: bool, script: str, name: str, *arguments: str) -> tuple[str, ...]:
    """The argv of a script that finds the folder of the records in $part; `name` shows in the process list."""
    return ("sh", "-c", _FOLDERS[root] + script, f"thinkube:{name}", *arguments)


def changing(command: Command, record: Record) -> Command:
    """The command, recorded on the host before it runs."""
    argv = with_part(command.root, _CHANGE, "change", Record.name_of(record.key), *command.argv)
    return Command(argv, record.line + command.stdin, command.root, command.env, alters=True, shown=str(command))


def undoing(command: Command, key: str, accept: Sequence[int]) -> Command:
    """The command, and the record removed after it when its status is accepted."""
    statuses = " ".join(map(str, accept))
    argv = with_part(command.root, _UNDO, "undo", Record.name_of(key), statuses, *command.argv)
    return Command(argv, command.stdin, command.root, command.env, alters=True, shown=str(command))


def _parse(done: Completed) -> tuple[Record, ...]:
    try:
        return tuple(Record(**json.loads(line)) for line in done.stdout.split(b"\0") if line.endswith(b"\n"))
    except (ValueError, TypeError) as error:
        raise ThinkubeError(
            "a record in the on-host state is damaged",
            why=str(error),
            fix="look under /var/lib/thinkube-nornir on the host",
        ) from error


ROOT_RECORDS = Fact("on-host state", with_part(True, _LIST, "list"), _parse, root=True)
USER_RECORDS = Fact("on-host state of the login user", with_part(False, _LIST, "list"), _parse)


def load_on_host_state(task: Task) -> list[Record]:
    """Read what the host remembers of changes made there, by whichever controller."""
    facts = (ROOT_RECORDS, USER_RECORDS)
    answers = exchange(task, [fact.command for fact in facts])
    found = {r.key: r for done in answers for r in _parse(accepted(done, (0,), "read the on-host state"))}
    return list(found.values())


def adopt_on_host_state(task: Task) -> Merged:
    """Have the change log agree with what the host remembers; what it lacked is `intended`."""
    return context(task).change_log.take_over(task.host.name, load_on_host_state(task), of_cluster=False)


def record_of(task: Task, key: str, summary: str, before: Mapping[str, Any]) -> Record:
    return Record(component_of(task), key, summary, before)

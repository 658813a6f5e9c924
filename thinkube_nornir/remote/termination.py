"""Ends every process that a command started, from another shell of the same privilege."""

from __future__ import annotations

from thinkube_nornir.command import Command
from thinkube_nornir.remote.shell import Shell

# Arguments: process of the shell, its start time (with another one the number is somebody else's by now), process tag.
# The shell stops first, so that it starts nothing more; found are its descendants, whoever carries the tag (children
# that left the session), and their descendants. They get a second to end by themselves. Runs as root: process 1 and
# the program itself are never in the list, whatever the arguments are.
_END = r"""
shell=$1 started=$2 tag=$3
[ "$shell" -gt 1 ] && [ -n "$started" ] && [ ${#tag} -ge 16 ] || exit 1
same() {
  { read -r line <"/proc/$shell/stat"; } 2>/dev/null || return 1
  set -- ${line##*) }
  [ "${20}" = "$started" ]
}
find_all() {
  found=" "
  ! same || found=" $shell "
  for file in $(grep -lsF -e "THINKUBE_COMMAND=$tag" /proc/[0-9]*/environ); do
    one=${file#/proc/}; found="$found${one%/environ} "
  done
  more=1
  while [ $more = 1 ]; do
    more=0
    for file in /proc/[0-9]*/stat; do
      { read -r line <"$file"; } 2>/dev/null || continue
      one=${line%% *}; set -- ${line##*) }
      [ "$1" != Z ] || continue
      case $found in *" $one "*) ;; *) case $found in *" $2 "*) found="$found$one " more=1 ;; esac ;; esac
    done
  done
  others=
  for one in $found; do
    case $one in 0 | 1 | $$ | "$shell") ;; *) others="$others $one" ;; esac
  done
}
! same || kill -STOP "$shell"
find_all
if [ -n "$others" ]; then
  kill -TERM $others 2>/dev/null; kill -CONT $others 2>/dev/null
  turns=0
  while [ $turns -lt 10 ] && [ -n "$others" ]; do sleep 0.1; turns=$((turns + 1)); find_all; done
  [ -z "$others" ] || kill -KILL $others 2>/dev/null
fi
! same || kill -KILL "$shell"
"""


def terminate(helper: Shell, *, shell: Shell, root: bool, deadline: float) -> None:
    """End what `shell` runs, and the shell itself.

    Raises:
        Lost, TimedOut: it could not be done.
    """
    argv = ("sh", "-c", _END, "thinkube:end", *shell.process(deadline), shell.process_tag)
    helper.execute([Command(argv, root=root)], deadline, lambda: False)

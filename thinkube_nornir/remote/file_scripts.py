"""The POSIX scripts behind put and restore. They use what every Linux host has: coreutils or busybox."""

from __future__ import annotations

from thinkube_nornir.remote.on_host_state import FORGET, SAVE

CHANGED_SINCE = 20
"""Exit status of RESTORE when the file is neither what we wrote nor what was there before."""

# Arguments: fingerprints of contents that we know, the number of owners, each owner and group, the paths. Output: user
# and group number of each owner; kind, missing parents and link target at each path; mode and owner of all that is
# there; fingerprint of each file, and its content where we do not know it, with a leading `=` as it may be empty.
# Forks are what files cost on a host, so one program serves all of them wherever it can. sha256sum puts a backslash
# before the line of a name that holds one.
STATE = r"""
known=$1 owners=$2; shift 2
while [ "$owners" -gt 0 ]; do
  uid=$(id -u "$1") && gid=$(id -g "$1") || exit 1
  [ -z "$2" ] || gid=$(getent group "$2" | cut -d: -f3)
  [ -n "$gid" ] || { echo "no group $2" >&2; exit 1; }
  echo "$uid $gid"; owners=$((owners - 1)); shift 2
done
for path do
  kind=absent missing=0 target=- folder=${path%/*}
  if [ -L "$path" ]; then kind=link target=$(readlink -n "$path" | base64 | tr -d '\n')
  elif [ -f "$path" ]; then kind=file
  elif [ -e "$path" ]; then kind=other
  fi
  while [ -n "$folder" ] && [ ! -d "$folder" ]; do missing=$((missing + 1)); folder=${folder%/*}; done
  echo "$kind $missing $target"
done
for path do shift; ! { [ -e "$path" ] || [ -L "$path" ]; } || set -- "$@" "$path"; done
[ $# = 0 ] || stat -c '%a %u %g' "$@" || exit 1
for path do shift; ! { [ -f "$path" ] && [ ! -L "$path" ]; } || set -- "$@" "$path"; done
[ $# != 0 ] || exit 0
said=$(sha256sum "$@") || exit 1
while read -r hash _; do
  hash=${hash#\\}
  case " $known " in
    *" $hash "*) echo "$hash" ;;
    *) echo "$hash =$(base64 <"$1" | tr -d '\n')" ;;
  esac
  shift
done <<END
$said
END
"""

# Temporary names start with a dot and hold no suffix that a folder's reader (sudoers.d, netplan) would take up.
_REPLACE = r"""
replace() {  # stdin becomes $path: mode $1, owner $2 (empty: as created), SHA-256 $3
  temporary=$(mktemp "${path%/*}/.thinkube.XXXXXX") || exit 1
  trap 'rm -f "$temporary"' EXIT; trap 'exit 143' HUP TERM PIPE
  cat >"$temporary" && now=$(sha256sum <"$temporary") || exit 1
  [ "${now%% *}" = "$3" ] || { echo "the content did not arrive whole: no space left for it?" >&2; exit 1; }
  { [ -z "$2" ] || chown "$2" "$temporary"; } && chmod "$1" "$temporary" &&
    sync "$temporary" && mv -fT "$temporary" "$path" || exit 1
  trap - EXIT HUP TERM PIPE
}
"""

# Arguments: suffix of the staging folders, tar's options, then for each file: record name, path, uid:gid of missing
# parents, their mode, SHA-256. Stdin: a record's line for each, then a tar archive with the files in a staging folder
# beside each one's place, moded and owned as they shall be: tar never follows a link, nor makes a file wider than
# wanted for a moment, and fails when the archive is cut or the disk is full; the folders are in the archive, because
# tar then removes a link that somebody put there. No file takes its place before all are on the disk; mv renames, one
# program for each folder. Output: for each file, whether it took its place. A controller that is gone does not read it:
# without a trap for PIPE the shell would end at that without clearing up.
WRITE = (
    SAVE
    + r"""
suffix=$1 options=$2 left=$((($# - 2) / 5)); shift 2
parents() {
  [ -z "$1" ] || [ -d "$1" ] || {
    parents "${1%/*}" && mkdir -m "$directory_mode" "$1" && { [ -z "$owner" ] || chown "$owner" "$1"; }; }
}
while [ $left -gt 0 ]; do
  save "$1"; path=$2 owner=$3 directory_mode=$4
  echo "$5" >>"${record%.json}.wrote" || exit 73
  parents "${path%/*}" || exit 1
  left=$((left - 1)); shift 5; set -- "$@" "$path"
done
staged() {  # run $1 on the paths' files where they are staged
  program=$1; shift
  for path do shift; set -- "$@" "${path%/*}/.thinkube.$suffix/${path##*/}"; done
  $program "$@"
}
clear() {
  for path do shift; set -- "$@" "${path%/*}/.thinkube.$suffix"; done
  rm -rf "$@"
}
place() {  # those of the paths that are in folder $1
  folder=$1; shift
  for path do shift; [ "${path%/*}" != "$folder" ] || set -- "$@" "$folder/.thinkube.$suffix/${path##*/}"; done
  mv -f -t "$folder/" "$@"
}
is_staged() { [ -f "${1%/*}/.thinkube.$suffix/${1##*/}" ]; }
trap 'clear "$@"' EXIT
trap 'exit 143' HUP TERM PIPE
tar "$options" - && staged sync "$@" || exit 1
status=0
for one do ! is_staged "$one" || place "${one%/*}" "$@" || { status=1; break; }; done
for one do is_staged "$one" && echo staged || echo placed; done
exit $status
"""
)

# Arguments: record name, path, previous kind, mode, uid:gid, parents we made, previous link target, the fingerprints
# of the original and of what we wrote. Stdin: the previous content.
_MAY_RESTORE = r"""
record=$part/$1.json wrote=$part/$1.wrote path=$2 kind=$3 mode=$4 owner=$5 made=$6 target=$7; shift 7
if [ -L "$path" ]; then now=link:$(readlink -n "$path")
elif [ -f "$path" ]; then now=$(sha256sum <"$path") || exit 1; now=${now%% *}
elif [ -e "$path" ]; then now=other
else now=absent
fi
known() {
  for one in "$@" absent; do [ "$now" != "$one" ] || return 0; done
  [ -f "$wrote" ] && grep -qxF -e "$now" "$wrote"
}
known "$@" || { echo "what is there now: $now; before: $1; written: $2" >&2; exit 20; }
"""
MAY_RESTORE = _MAY_RESTORE + "exit 0\n"
"""With the arguments of RESTORE: whether that would be refused."""

RESTORE = (
    _REPLACE
    + _MAY_RESTORE
    + r"""
case $kind in
  absent)
    rm -f "$path" || exit 1
    folder=${path%/*}
    while [ "$made" -gt 0 ] && rmdir "$folder" 2>/dev/null; do folder=${folder%/*} made=$((made - 1)); done ;;
  link)
    ln -sfn "$target" "${path%/*}/.thinkube.$$" && chown -h "$owner" "${path%/*}/.thinkube.$$" &&
      mv -fT "${path%/*}/.thinkube.$$" "$path" || exit 1 ;;
  *)
    [ -d "${path%/*}/" ] || { echo "${path%/*} is gone" >&2; exit 1; }
    replace "$mode" "$owner" "$1" ;;
esac
"""
    + FORGET
)

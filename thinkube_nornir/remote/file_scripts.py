"""The POSIX scripts behind put and restore. They use what every Linux host has: coreutils or busybox."""

from __future__ import annotations

from thinkube_nornir.remote.host_part import FOLDER, FORGET, SAVE

CHANGED_SINCE = 20
"""Exit status of RESTORE when the file is neither what we wrote nor what was there before."""

# Arguments: path, wanted SHA-256, owner, group, and again. A line for each: see FileState. Content comes with a leading
# `=`, so that an empty file is a field too.
STATE = r"""
while [ $# -gt 0 ]; do
  path=$1 wanted=$2 owner=$3 group=$4; shift 4
  kind=absent state='- - -' hash=- uid=- gid=- missing=0 target=- content=-
  if [ -n "$owner" ]; then
    uid=$(id -u "$owner") && gid=$(id -g "$owner") || exit 1
    [ -z "$group" ] || gid=$(getent group "$group" | cut -d: -f3)
    [ -n "$gid" ] || { echo "no group $group" >&2; exit 1; }
  fi
  if [ -L "$path" ]; then kind=link target=$(readlink -n "$path" | base64 | tr -d '\n')
  elif [ -f "$path" ]; then
    kind=file; hash=$(sha256sum <"$path") || exit 1
    hash=${hash%% *}
    [ "$hash" = "$wanted" ] || content==$(base64 <"$path" | tr -d '\n')
  elif [ -e "$path" ]; then kind=other
  fi
  [ $kind = absent ] || state=$(stat -c '%a %u %g' "$path") || exit 1
  folder=${path%/*}
  while [ -n "$folder" ] && [ ! -d "$folder" ]; do missing=$((missing + 1)); folder=${folder%/*}; done
  echo "$kind $state $hash $uid $gid $missing $target $content"
done
"""

# Temporary names start with a dot and hold no suffix that a folder's reader (sudoers.d, netplan) would take up.
_REPLACE = r"""
replace() {  # stdin becomes $path: mode $1, owner $2 (empty: as created), SHA-256 $3
  temporary=$(mktemp "${path%/*}/.thinkube.XXXXXX") || exit 1
  trap 'rm -f "$temporary"' EXIT
  cat >"$temporary" && now=$(sha256sum <"$temporary") || exit 1
  [ "${now%% *}" = "$3" ] || { echo "the content did not arrive whole: no space left for it?" >&2; exit 1; }
  { [ -z "$2" ] || chown "$2" "$temporary"; } && chmod "$1" "$temporary" &&
    sync "$temporary" && mv -fT "$temporary" "$path" || exit 1
  trap - EXIT
}
"""

# Arguments: record name, path, mode, uid:gid, mode of missing parents, SHA-256. Stdin: the record's line, the content.
WRITE = (
    SAVE
    + _REPLACE
    + r"""
path=$1 mode=$2 owner=$3 directory_mode=$4
echo "$5" >>"${record%.json}.wrote" || exit 73
parents() {
  [ -z "$1" ] || [ -d "$1" ] || {
    parents "${1%/*}" && mkdir -m "$directory_mode" "$1" && { [ -z "$owner" ] || chown "$owner" "$1"; }; }
}
parents "${path%/*}" || exit 1
replace "$mode" "$owner" "$5"
"""
)

# Arguments: record name, path, former kind, mode, uid:gid, parents we made, former link target, then the fingerprints
# of the original and of what we wrote. Stdin: the former content.
RESTORE = (
    FOLDER
    + _REPLACE
    + r"""
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
known "$@" || { echo "what is there now: $now; before: $1; ours: $2" >&2; exit 20; }
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

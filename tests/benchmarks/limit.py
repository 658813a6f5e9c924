"""The limit: one asyncssh connection and one script per host, and nothing else.

python limit.py KEY KNOWN_HOSTS USER (run | verify) ADDRESS:PORT:FOLDER ...
"""

from __future__ import annotations

import asyncio
import sys

import asyncssh

RUN = """set -e; f=$1; mkdir -p "$f"; cd "$f"
for n in 0 1 2 3 4 5 6 7 8 9; do
  printf '# service %s\\nlisten = 127.0.0.1:%s\\nworkers = %s\\n' $n $((9000 + n)) $((n * 2 + 1)) >new
  cmp -s new service$n.conf || mv new service$n.conf
done
[ ! -e new ] || rm new
for line in 'alpha = 1' 'beta = 2' 'gamma = 3'; do
  grep -qxF "$line" settings 2>/dev/null || echo "$line" >>settings
done
[ -e command1 ] || touch command1; [ -e command2 ] || touch command2
"""
VERIFY = """set -e; cd "$1"
for n in 0 1 2 3 4 5 6 7 8 9; do test -f service$n.conf; done
for n in 0 1 2 3 4 5 6; do grep -q 900$n service$n.conf; done
grep -qx 'beta = 2' settings; test -e command1; test -e command2
"""


async def work(key: str, known_hosts: str, user: str, script: str, target: str) -> None:
    address, port, folder = target.split(":")
    async with asyncssh.connect(
        address, int(port), username=user, client_keys=[key], known_hosts=known_hosts, agent_path=None, config=None
    ) as connection:
        await connection.run(f"sh -s {folder}", input=script, check=True)


async def main(key: str, known_hosts: str, user: str, verb: str, *targets: str) -> None:
    script = RUN if verb == "run" else VERIFY
    await asyncio.gather(*(work(key, known_hosts, user, script, target) for target in targets))


asyncio.run(main(*sys.argv[1:]))

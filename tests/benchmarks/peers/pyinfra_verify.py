"""The benchmark's checks for pyinfra."""

from pyinfra import host
from pyinfra.operations import server

folder = host.data.folder
tests = [f"test -f {folder}/service{n}.conf" for n in range(10)]
tests += [f"grep -q 900{n} {folder}/service{n}.conf" for n in range(7)]
tests += [f"grep -qx 'beta = 2' {folder}/settings", f"test -e {folder}/command1", f"test -e {folder}/command2"]
for test in tests:
    server.shell(commands=[test])

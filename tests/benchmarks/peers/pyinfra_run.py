"""The benchmark's work for pyinfra."""

from pyinfra import host
from pyinfra.operations import files, server

folder = host.data.folder
files.directory(path=folder)
for n in range(10):
    files.template(src="service.conf.j2", dest=f"{folder}/service{n}.conf", number=n, label=host.name)
for line in ("alpha = 1", "beta = 2", "gamma = 3"):
    files.line(path=f"{folder}/settings", line=line)
for n in (1, 2):
    server.shell(commands=[f"touch {folder}/command{n}"])

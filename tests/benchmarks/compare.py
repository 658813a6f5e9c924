"""Compare thinkube-nornir with pyinfra, Ansible and the limit, on N OpenSSH servers on loopback.

    python -m tests.benchmarks.compare --hosts 4 16 32 --runs 3 --peers /path/to/venv/bin

Every figure is the wall time of a whole process, from its start to its exit; the tools take turns, so that all of them
see the same machine. The table shows medians in seconds, and the ratio to thinkube-nornir.
"""

from __future__ import annotations

import argparse
import compileall
import getpass
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.openssh import Server, start_sshd

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WORK = ("first run", "second run", "verify")


@dataclass(frozen=True)
class Bench:
    folder: Path
    servers: Sequence[Server]
    peers: Path
    """The folder with the programs of pyinfra and Ansible."""

    def data(self, number: int) -> str:
        return str(self.folder / "hosts" / f"h{number:02}")

    def clear(self) -> None:
        """As if no tool had been here: no work done, and no memory of it."""
        shutil.rmtree(self.folder / "hosts", ignore_errors=True)
        shutil.rmtree(self.folder / "nornir" / ".thinkube", ignore_errors=True)
        (self.folder / "hosts").mkdir()
        self.forget()

    def forget(self) -> None:
        """Remove the hosts' records: the servers share this machine's folder of them."""
        for folder in (Path("/var/lib/thinkube-nornir"), Path.home() / ".thinkube-nornir"):
            for record in folder.glob("*.json"):
                if str(self.folder) in record.read_text():
                    record.unlink()
                    record.with_suffix(".wrote").unlink(missing_ok=True)
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


Tool = Callable[[Bench, str], list[str]]
"""The command for (bench, "run" or "verify")."""


def nornir(bench: Bench, verb: str) -> list[str]:
    selection = "phase1" if verb == "run" else "phase2"
    return [sys.executable, "-m", "thinkube_nornir", verb, selection, "-c", f"{bench.folder}/nornir/config.yaml"]


def pyinfra(bench: Bench, verb: str) -> list[str]:
    return [f"{bench.peers}/pyinfra", "-y", f"{bench.folder}/inventory.py", f"pyinfra_{verb}.py"]


def ansible(bench: Bench, verb: str) -> list[str]:
    forks = str(len(bench.servers))
    return [f"{bench.peers}/ansible-playbook", "-i", f"{bench.folder}/inventory.json", "-f", forks, f"{verb}.yaml"]


def limit(bench: Bench, verb: str) -> list[str]:
    targets = [f"127.0.0.1:{s.port}:{bench.data(n)}" for n, s in enumerate(bench.servers)]
    known_hosts = bench.folder / "known_hosts"
    return [sys.executable, f"{HERE}/limit.py", str(_key(bench)), str(known_hosts), getpass.getuser(), verb, *targets]


TOOLS: dict[str, Tool] = {"nornir": nornir, "limit": limit, "pyinfra": pyinfra, "ansible": ansible}


def _key(bench: Bench) -> Path:
    return bench.servers[0].key_file


@contextmanager
def standing(count: int, peers: Path) -> Iterator[Bench]:
    """The servers, and every tool's inventory of them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinkube-bench-")))
        servers = []
        for number in range(count):
            server = start_sshd(folder / f"sshd{number}", "Subsystem sftp internal-sftp")
            stack.callback(server.stop)
            servers.append(server)
        bench = Bench(folder, servers, peers)
        compileall.compile_dir(ROOT / "thinkube_nornir", quiet=2)  # as installing does; the peers are installed
        _accept_one_key(bench)
        _write_inventories(bench)
        stack.callback(bench.forget)
        bench.clear()
        yield bench


def _accept_one_key(bench: Bench) -> None:
    public = _key(bench).with_suffix(".pub").read_text()
    for server in bench.servers:
        (server.folder / "authorized_keys").write_text(public)
    known = "".join(server.known_hosts.read_text() for server in bench.servers)
    (bench.folder / "known_hosts").write_text(known)


def _write_inventories(bench: Bench) -> None:
    user, key, known_hosts = getpass.getuser(), str(_key(bench)), f"{bench.folder}/known_hosts"
    hosts = {f"h{n:02}": (s.port, bench.data(n)) for n, s in enumerate(bench.servers)}
    _write_nornir(bench, hosts, user)
    pyinfra_hosts = [
        (
            f"h{n}",
            {
                "ssh_hostname": "127.0.0.1",
                "ssh_port": port,
                "ssh_user": user,
                "ssh_key": key,
                "ssh_known_hosts_file": known_hosts,
                "folder": data,
            },
        )
        for n, (port, data) in hosts.items()
    ]
    (bench.folder / "inventory.py").write_text(f"hosts = {pyinfra_hosts!r}\n")
    ssh = f"-o UserKnownHostsFile={known_hosts} -o ControlMaster=auto -o ControlPersist=60s"
    common = {"ansible_user": user, "ansible_ssh_private_key_file": key, "ansible_ssh_common_args": ssh}
    common["ansible_python_interpreter"] = sys.executable
    ansible_hosts = {
        n: {"ansible_host": "127.0.0.1", "ansible_port": port, "folder": data} for n, (port, data) in hosts.items()
    }
    inventory = {"all": {"hosts": ansible_hosts, "vars": common}}
    (bench.folder / "inventory.json").write_text(json.dumps(inventory))


def _write_nornir(bench: Bench, hosts: dict[str, tuple[int, str]], user: str) -> None:
    folder = bench.folder / "nornir"
    shutil.copytree(HERE / "project", folder)
    (folder / "inventory").mkdir()
    settings = {"target": "ssh", "ssh": {"key_file": str(_key(bench)), "known_hosts": f"{bench.folder}/known_hosts"}}
    settings["ssh"]["agent"] = False  # type: ignore[index]
    (folder / "config.yaml").write_text(json.dumps(settings))
    entries = {
        name: {"hostname": "127.0.0.1", "port": port, "username": user, "groups": ["bench"], "data": {"folder": data}}
        for name, (port, data) in hosts.items()
    }
    for name, content in (("hosts", entries), ("groups", {"bench": {}}), ("defaults", {})):
        (folder / "inventory" / f"{name}.yaml").write_text(json.dumps(content))


def timed(bench: Bench, tool: Tool, verb: str) -> float:
    """Seconds of one whole process.

    Raises:
        SystemExit: it did not succeed; a failed run has no time.
    """
    environment = {
        **os.environ,
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "PYTHONPATH": str(ROOT),
    }
    command = tool(bench, verb)
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=HERE / "peers", env=environment, check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:300]}\n{done.stdout.decode()[-3000:]}\n{done.stderr.decode()[-3000:]}")
    return seconds


def measure(bench: Bench, tools: Sequence[str], runs: int) -> dict[str, dict[str, list[float]]]:
    """Tool to work to the seconds of each run; the tools take turns."""
    seconds: dict[str, dict[str, list[float]]] = {tool: {work: [] for work in WORK} for tool in tools}
    for _ in range(runs):
        for name in tools:
            bench.clear()
            for work in WORK:
                seconds[name][work].append(timed(bench, TOOLS[name], "verify" if work == "verify" else "run"))
    return seconds


def table(count: int, seconds: dict[str, dict[str, list[float]]]) -> str:
    lines = [f"{count} hosts     " + "".join(f"{work:>22}" for work in WORK)]
    for name, works in seconds.items():
        cells = ""
        for work in WORK:
            median, own = statistics.median(works[work]), statistics.median(seconds["nornir"][work])
            cells += f"{median:>13.2f} s {median / own:>6.2f}"
        lines.append(f"{name:<13}{cells}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[4, 16, 32])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(sys.executable).parent)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    asked = parser.parse_args()
    for count in asked.hosts:
        with standing(count, asked.peers) as bench:
            print(table(count, measure(bench, asked.tools, asked.runs)), flush=True)  # noqa: T201  # its output


if __name__ == "__main__":
    main()

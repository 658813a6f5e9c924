"""How a light lab begins, is found again, and ends without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.light_lab import EMULATION, RunningLab, eventually, inventory, processes, project, running_lab
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.lab.client import (
    LabInfo,
    apply_lab,
    ensure_lab,
    lab_config,
    lab_down,
    lab_status,
    status_lines,
)

pytestmark = pytest.mark.lab


def traces(root: Path) -> list[str]:
    """What of a lab below `root` is left: processes, mounts, and files beside its log and lock."""
    files = [str(path) for path in (root / "state").iterdir() if path.name not in ("lab.log", "lab.lock")]
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(root) in line]
    return processes(f"{root}/state") + files + mounts


def test_a_started_lab_says_so_once_and_is_found_again(tmp_path: Path) -> None:
    """The first command starts it, the next one uses the same."""
    config, said = project(tmp_path), list[str]()
    try:
        first = ensure_lab(config, inventory(), said.append)
        second = ensure_lab(config, inventory(), said.append)
    finally:
        lab_down(config)

    assert first == second
    assert len(said) == 2
    assert "started 3 hosts" in said[0]
    assert "snapd are emulated" in said[1]


def test_commands_that_start_at_once_get_one_lab(tmp_path: Path) -> None:
    """Four threads, one process id."""
    config, found = project(tmp_path), list[LabInfo]()

    def start() -> None:
        found.append(ensure_lab(config, inventory(), lambda _: None))

    threads = [threading.Thread(target=start) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        lab_down(config)

    assert len(found) == 4
    assert len({info.pid for info in found}) == 1


def test_another_inventory_gets_another_lab(tmp_path: Path) -> None:
    """A lab of the former inventory would not be what was asked for; the change is said."""
    with running_lab(tmp_path) as lab:
        said = list[str]()
        info = ensure_lab(lab.config, inventory(domain_name="example.com"), said.append)

        assert info.pid != lab.info.pid
        assert "inventory has changed" in said[0]
        assert RunningLab(lab.config, info).ssh("tkc", "uname -n").text == "tkc.example.com"


@pytest.mark.parametrize("module", ["tasks/emulated/__init__.py", "tasks/shared.py"])
def test_code_that_is_newer_than_the_lab_is_said(tmp_path: Path, module: str) -> None:
    """The running process knows nothing of it, and whoever edits an emulator would look for the fault elsewhere."""
    config, said = project(tmp_path, emulation=f"from tasks import shared\n{EMULATION}"), list[str]()
    (tmp_path / "tasks/shared.py").touch()
    try:
        first = ensure_lab(config, inventory(), lambda _: None)
        ensure_lab(config, inventory(), said.append)
        assert said == []
        os.utime(tmp_path / module, (first.since + 60,) * 2)

        again = ensure_lab(config, inventory(), said.append)
    finally:
        lab_down(config)

    assert again.pid == first.pid
    changed = "/".join(Path(module).parts[-2:])
    assert said == [f"lab: {changed} was changed after the lab started; end it with `lab down` to try the new one"]


def test_a_lab_that_was_restarted_is_as_at_first(tmp_path: Path) -> None:
    """Nothing of the former hosts' disks is seen again."""
    with running_lab(tmp_path) as lab:
        lab.ssh("tkc", "touch /etc/left /var/lib/left")
        lab_down(lab.config)
        again = RunningLab(lab.config, ensure_lab(lab.config, inventory(), lambda _: None))

        assert again.ssh("tkc", "ls /etc/left /var/lib/left").stdout == b""


def test_two_labs_run_beside_each_other(tmp_path: Path) -> None:
    """Each on its own addresses, with its own files and keys."""
    with running_lab(tmp_path / "a") as one, running_lab(tmp_path / "b") as two:
        one.ssh("tkc", "echo one > /etc/mine")
        two.ssh("tkc", "echo two > /etc/mine")

        assert one.ssh("tkc", "cat /etc/mine").text == "one"
        assert {a.address for a in one.info.hosts.values()}.isdisjoint(a.address for a in two.info.hosts.values())


def test_down_ends_everything(tmp_path: Path) -> None:
    """When `lab_down` returns there is no process, mount or folder of the lab; a second call has nothing to do."""
    tag = f"sleep 7{os.getpid()}"
    with running_lab(tmp_path) as lab:
        with lab.connected("tkc") as client:
            client.exec_command(tag, timeout=10)
            assert eventually(lambda: bool(processes(tag)))

            assert lab_down(lab.config) == lab.info
            assert processes(tag) == []

        assert eventually(lambda: not traces(tmp_path))
        assert lab_down(lab.config) is None
        assert lab_status(lab.config) is None


def test_a_killed_lab_leaves_nothing(tmp_path: Path) -> None:
    """After kill -9 the hosts, what ran in them, and the lab's folder are gone without any command's help."""
    tag = f"sleep 8{os.getpid()}"
    with running_lab(tmp_path) as lab, lab.connected("tkc") as client:
        client.exec_command(f"setsid {tag}", timeout=10)
        assert eventually(lambda: bool(processes(tag)))

        os.kill(lab.info.pid, signal.SIGKILL)

        assert eventually(lambda: not traces(tmp_path) and not processes(tag))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _the_supervisor(lab: RunningLab) -> int:
    """The process that waits for the hosts' pid namespace, as the lab sees it."""
    return _children(lab.info.pid)[0]


def _process_1_of_the_hosts(lab: RunningLab) -> int:
    return _children(_the_supervisor(lab))[0]


def _process_1_of_tkc(lab: RunningLab) -> int:
    tag = f"sleep 6{os.getpid()}"
    lab.ssh("tkc", f"setsid {tag} >/dev/null 2>&1 & sleep 0.2")  # an orphan: process 1 is its parent
    [pid] = [e.name for e in Path("/proc").iterdir() if e.name.isdigit() and tag in _command(e)]
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("victim", "killed"), [(_process_1_of_tkc, ("tkc",)), (_process_1_of_the_hosts, ("bcn1", "tkc", "tkw1"))]
)
def test_a_lab_whose_hosts_were_killed_starts_anew(
    tmp_path: Path, victim: Callable[[RunningLab], int], killed: tuple[str, ...]
) -> None:
    """Each command that met them would fail until somebody ended the lab; which ones were killed is said."""
    with running_lab(tmp_path) as lab:
        lab.ssh("tkc", "true")
        os.kill(victim(lab), signal.SIGKILL)
        assert eventually(lambda: bool((info := lab_status(lab.config)) and info.killed == killed))
        now = lab_status(lab.config)
        assert now
        assert lab.ssh("tkc", "true").stderr == b"lab: the lab host tkc was killed\n"
        assert f"killed: {', '.join(killed)}" in "\n".join(status_lines(now))
        said = list[str]()

        again = RunningLab(lab.config, ensure_lab(lab.config, inventory(), said.append))

        assert (
            said[0] == f"lab: {', '.join(killed)}: killed since the lab started; it starts anew, as empty as at first"
        )
        assert again.ssh("tkc", "uname -n").text == "tkc.example.org"
        assert eventually(lambda: not Path(f"/proc/{lab.info.pid}").exists())


def test_what_a_killed_lab_left_behind_is_no_lab(tmp_path: Path) -> None:
    """Files of a lab whose every process was killed are recognised and replaced."""
    with running_lab(tmp_path) as lab:
        folder = tmp_path / "state/lab"
        remains = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        lab_down(lab.config)
        folder.mkdir()
        for name, content in remains.items():
            (folder / name).write_bytes(content)

        assert lab_status(lab.config) is None
        assert ensure_lab(lab.config, inventory(), lambda _: None).pid != lab.info.pid


def test_an_idle_lab_ends_by_itself(tmp_path: Path) -> None:
    """After the idle time, and no trace is left."""
    with running_lab(tmp_path, idle=0.5):
        assert eventually(lambda: not traces(tmp_path))


def test_a_lab_in_use_is_not_idle(tmp_path: Path) -> None:
    """Every byte that passes counts."""
    with running_lab(tmp_path, idle=1.0) as lab, lab.connected("tkc") as client:
        _, out, _ = client.exec_command("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.2; done", timeout=10)

        assert out.read().split()[-1] == b"10"


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """Unix sockets take paths of 107 bytes; projects lie deeper."""
    with running_lab(tmp_path / ("x" * 120)) as lab:
        assert lab.ssh("tkc", "snap version").status == 0


def test_an_emulation_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    """The start fails at once, names the error, and leaves nothing."""
    config = project(tmp_path, emulation=EMULATION + "\nraise ImportError('no such emulation')\n")

    with pytest.raises(ThinkubeError) as raised:
        ensure_lab(config, inventory(), lambda _: None)

    assert "no such emulation" in raised.value.what
    assert "emulated/__init__.py" in raised.value.why
    assert eventually(lambda: not traces(tmp_path))


def test_refused_namespaces_are_told_with_a_cure(tmp_path: Path) -> None:
    """Where the kernel allows no namespaces the lab does not start, and says what to do."""
    script = (
        "import sys; from pathlib import Path; from tests.light_lab import *\n"
        "try: ensure_lab(project(Path(sys.argv[1])), inventory(), print)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    result = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh", sys.executable, "-c", script, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip

    assert result.stdout.startswith("ThinkubeError")
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in result.stdout
    assert "target: ssh" in result.stdout
    assert "Traceback" not in result.stdout


def test_the_operators_environment_stays_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in the environment of the command that starts the lab is in no host's process list."""
    monkeypatch.setenv("A_TOKEN", "hunter2-hunter2")
    with running_lab(tmp_path) as lab:
        environments = lab.ssh("tkc", "cat /proc/*/environ").stdout

    assert b"PATH=" in environments
    assert b"hunter2" not in environments


def test_the_lab_takes_the_place_of_the_inventorys_addresses(tmp_path: Path) -> None:
    """Hosts point at the lab, and the configuration at its key and known hosts, with no agent and no password."""
    hosts = inventory()
    tkc = hosts.hosts["tkc"]
    tkc.password = "operators"
    with running_lab(tmp_path) as lab:
        apply_lab(hosts, lab.info)
        config = lab_config(lab.config, lab.info)

    place = lab.info.hosts["tkc"]
    assert (tkc.hostname, tkc.port, tkc.username) == (place.address, place.port, "ops")
    assert hosts.hosts["tkc"].password is None
    assert (config.ssh.key_file, config.ssh.known_hosts) == (lab.info.key_file, lab.info.known_hosts)
    assert not config.ssh.agent


def test_status_names_hosts_and_what_is_emulated(tmp_path: Path) -> None:
    """With the ssh command for each host; and what to type when there is no lab."""
    with running_lab(tmp_path) as lab:
        lines = status_lines(lab.info)

    assert lines[0].startswith("lab: 3 hosts, up for 0 min")
    assert any("tkw1" in line and f"ops@{lab.info.hosts['tkw1'].address}" in line for line in lines)
    assert lines[-1] == "emulated: snapd"

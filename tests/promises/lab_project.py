"""A project of a test's own, on a light lab of its own, worked by the real command line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.light_lab import Answer, RunningLab
from thinkube_nornir.cli import run_command_line
from thinkube_nornir.lab import client
from thinkube_nornir.lab.client import lab_down, lab_fault, lab_snapshot, lab_status
from thinkube_nornir.settings.config_file import load_config

ROOT = Path(__file__).parents[2]
CONTROL, WORKERS, DNS = "phase5.microk8s_control", "phase5.microk8s_workers", "phase5.coredns"
HOSTS = ("bcn1", "bcn2", "dns1", "tkc", "tkw1")
FAST = 10_000.0
"""Speed of a lab in which nothing takes time."""
NODES = ("bcn1", "tkc", "tkw1")

Place = tuple[str, str, str]
"""Component, step, host."""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def told(self) -> str:
        return self.out + self.err

    def places(self, outcome: str, chain: str = "") -> set[Place]:
        nodes = self.report["nodes"]
        wanted = [n for n in nodes if n["outcome"] == outcome and chain in ("", n["chain"])]
        return {(n["component"], n["step"], n["host"]) for n in wanted}

    def message(self, place: Place) -> str:
        found = [n["message"] for n in self.report["nodes"] if (n["component"], n["step"], n["host"]) == place]
        assert found, place
        return str(found[0])

    def error(self, place: Place) -> dict[str, str]:
        found = [n["error"] for n in self.report["nodes"] if (n["component"], n["step"], n["host"]) == place]
        assert found, place
        return dict(found[0] or {})


class LabProject:
    """config.yaml, inventory, tasks and templates as they are shipped, in a folder of their own."""

    def __init__(
        self,
        folder: Path,
        *,
        inventory: dict[str, dict[str, Any]] | None = None,
        hosts: Path = ROOT / "inventory",
        speed: float = FAST,
        beside: LabProject | None = None,
    ) -> None:
        """
        Args:
            inventory: host, or `defaults`, to settings that are added.
            hosts: the folder with the inventory.
            beside: another checkout, to whose lab this one goes; the settings may differ, the state folder does.
        """
        self.folder = folder
        self.config_file = folder / "config.yaml"
        self.hosts: tuple[str, ...] = tuple(yaml.safe_load((hosts / "hosts.yaml").read_text()))
        self._modules: dict[str, ModuleType] = {}
        self._running: RunningLab | None = None
        self._beside = beside
        _build(folder, hosts, inventory or {}, speed)
        if beside:  # a lab starts anew for other tasks
            config = yaml.safe_load(self.config_file.read_text())
            self.config_file.write_text(yaml.safe_dump(config | {"tasks": str(beside.folder / "tasks")}))
            (folder / ".thinkube").mkdir()
            (folder / ".thinkube/lab").symlink_to(beside.folder / ".thinkube/lab")

    def __call__(self, *arguments: str) -> Ended:
        """A verb that carries out a plan, in this process."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        ended = self.bare(*arguments, "--report", str(report))
        told = json.loads(report.read_text()) if report.exists() else {}
        return Ended(ended.code, ended.out, ended.err, told)

    @staticmethod
    def read(report: Path) -> dict[str, Any]:
        return dict(json.loads(report.read_text()))

    def bare(self, *arguments: str) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with self._own_tasks(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command_line([*arguments, "-c", str(self.config_file)])
        return Ended(code, out.getvalue(), err.getvalue())

    def started(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """The same in a process of its own, whose output is to be read."""
        command = [sys.executable, "-m", "thinkube_nornir", *arguments, "-c", str(self.config_file)]
        return subprocess.Popen(
            command, cwd=self.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        )  # fmt: skip

    def apart(self, *arguments: str, env: dict[str, str] | None = None) -> Ended:
        with self.started(*arguments, env=env) as process:
            out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err)

    @property
    def lab(self) -> RunningLab:
        config = load_config(self.config_file)
        info = lab_status(config)
        assert info is not None, "no lab is running"
        if self._running is None or self._running.info.pid != info.pid:
            self._running = RunningLab(config, info)
        return self._running

    def up(self) -> None:
        assert self.bare("lab", "up").code == 0

    def down(self) -> None:
        for opened in self._running.clients.values() if self._running else ():
            opened.close()
        lab_down(load_config(self.config_file))

    def ssh(self, host: str, command: str, stdin: str | dict[str, Any] = "") -> Answer:
        """As root on the host; it has to succeed."""
        fed = stdin if isinstance(stdin, str) else json.dumps(stdin)
        done = self.lab.ssh(host, f"sudo sh -c {_quoted(command)}", fed.encode())
        assert done.status == 0, f"{host}: {command}: {done}"
        return done

    def fault(self, host: str, kind: str, **details: float) -> None:
        lab_fault(self.lab.config, host, kind, **details)

    def snapshot(self) -> dict[str, Any]:
        """All hosts' disks, and the whole state of the emulation with the clusters' objects."""
        told = {host: lab_snapshot(self.lab.config, host) for host in self.hosts}
        return {"files": {host: told[host]["files"] for host in self.hosts}, **told[self.hosts[0]]["emulation"]}

    def forget(self) -> None:
        """What a controller knows goes, as with a lost laptop; the lab stays."""
        for path in (self.folder / ".thinkube").iterdir():
            if not path.name.startswith("lab"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextlib.contextmanager
    def _own_tasks(self) -> Iterator[None]:
        """The project's `tasks`, which are not those that other tests have imported."""
        previous, path = _taken_out(), list(sys.path)
        sys.modules.update(self._modules)
        try:
            with pytest.MonkeyPatch.context() as patch:
                if self._beside:  # whose lab would start anew for other settings
                    patch.setattr(client, "ensure_lab", lambda config, *_: client.lab_status(config))
                yield
        finally:
            self._modules = _taken_out()
            sys.modules.update(previous)
            sys.path[:] = path


def _taken_out() -> dict[str, ModuleType]:
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "tasks"}


def _build(folder: Path, hosts: Path, inventory: dict[str, dict[str, Any]], speed: float) -> None:
    (folder / "tasks").mkdir(parents=True)
    for path in (ROOT / "tasks").iterdir():
        if path.name != "__pycache__":
            (folder / "tasks" / path.name).symlink_to(path)
    (folder / "tasks/breakable.py").symlink_to(ROOT / "tests/promises/breakable.py")
    (folder / "templates").symlink_to(ROOT / "templates")
    shutil.copytree(hosts, folder / "inventory")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["lab"] = {"idle": 300, "emulation": "breakable", "speed": speed}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    _add(folder / "inventory", "defaults", {"dns_settle_seconds": 1})  # a red verify need not take half a minute
    for name, settings in inventory.items():
        _add(folder / "inventory", name, settings)


def _add(folder: Path, name: str, settings: dict[str, Any]) -> None:
    path = folder / ("defaults.yaml" if name == "defaults" else "hosts.yaml")
    found = yaml.safe_load(path.read_text())
    at = found if name == "defaults" else found[name]
    at.setdefault("data", {}).update(settings)
    path.write_text(yaml.safe_dump(found))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """What differs, one line each; empty when nothing does."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [line for k in keys for line in differences(before.get(k), after.get(k), f"{path} {k}")]
    return [] if before == after else [f"{path}: {before!r} -> {after!r}"]

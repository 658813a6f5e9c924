"""A light lab with the GPU operator, whose hardware can be broken: bcn1 has two cards of its own, and one for a VM."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import yaml

from tests.promises.lab_project import Ended, LabProject
from thinkube_nornir.cluster import condition_true

GPU = "phase6.gpu_operator"
TEMPLATE = "/var/snap/microk8s/current/args/containerd-template.toml"


class GpuLab(LabProject):
    def __init__(self, folder: Path, **inventory: dict[str, Any]) -> None:
        slots = {"kept_pci_slots": ["0000:08:00.0", "0000:09:00.0"]}
        super().__init__(folder, inventory={**inventory, "bcn1": slots | inventory.get("bcn1", {})})
        (self.folder / "tasks/gpu_breakable.py").symlink_to(Path(__file__).parent / "gpu_breakable.py")
        self.configure(lab={"idle": 300, "emulation": "gpu_breakable"})

    def configure(self, **sections: Any) -> None:
        found = yaml.safe_load(self.config_file.read_text())
        self.config_file.write_text(yaml.safe_dump(found | sections))

    def settings_of_group(self, group: str, **settings: Any) -> None:
        """Before the lab is up: set settings of a group; None takes one out."""
        path = self.folder / "inventory/groups.yaml"
        found = yaml.safe_load(path.read_text())
        data = found[group]["data"] | settings
        found[group]["data"] = {name: value for name, value in data.items() if value is not None}
        path.write_text(yaml.safe_dump(found, sort_keys=False))

    def hardware(self, host: str, **attributes: Any) -> None:
        self.ssh(host, "lab-gpu hardware", attributes)

    def await_nodes(self) -> None:
        """Until all are Ready: one whose services started anew takes its time."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            nodes = json.loads(self.ssh("tkc", "microk8s kubectl get nodes -o json").text)["items"]
            if all(condition_true(node, "Ready") for node in nodes):
                return
            time.sleep(0.1)
        raise AssertionError("a node does not become Ready")

    def verify(self, *arguments: str) -> Verdict:
        return Verdict(self("verify", GPU, *arguments))


class Verdict:
    """What a verify run said about each check on each host, in the checks' order."""

    def __init__(self, ended: Ended) -> None:
        self.code, self.told = ended.code, ended.told
        self.nodes: list[dict[str, Any]] = ended.report.get("nodes", [])

    def failing(self, host: str = "", outcome: str = "failed") -> list[str]:
        return [n["step"] for n in self.nodes if n["outcome"] == outcome and host in ("", n["host"])]

    def evidence(self, host: str, check: str) -> str:
        node = next(n for n in self.nodes if (n["host"], n["step"]) == (host, check))
        return "\n".join(map(str, (node.get("error") or {}).values())) or str(node.get("message", ""))

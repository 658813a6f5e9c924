"""docs/components.md: its complete example is added to a project as it says, and does on the lab what it says."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.promises.lab_project import LabProject, differences

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/components.md").read_text()
NTP = "phase5.ntp"
CONF = "/etc/chrony/chrony.conf"
HOSTS = ("bcn1", "tkc")


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_short() -> None:
    """Forty lines of Python with all that is blank or says what it is."""
    code = _block("python")

    assert len(code.splitlines()) <= 40
    assert ast.get_docstring(ast.parse(code))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProject]:
    """The product with the page's files, and nothing else that is new but the lab's own archive of packages."""
    project = LabProject(tmp_path_factory.mktemp("project"))
    folder = project.folder
    for name in ("tasks/phase5_core_services", "templates"):
        source = (folder / name).resolve()
        (folder / name).unlink()
        shutil.copytree(source, folder / name)
    (folder / "tasks/phase5_core_services/ntp.py").write_text(_block("python"))
    (folder / "templates/ntp").mkdir()
    (folder / "templates/ntp/chrony.conf.j2").write_text(_block("jinja"))
    groups = folder / "inventory/groups.yaml"
    groups.write_text(groups.read_text() + "\nclock: {}\n")
    hosts = yaml.safe_load((folder / "inventory/hosts.yaml").read_text())
    for name in HOSTS:
        hosts[name]["groups"].append("clock")
    hosts["bcn1"]["data"]["clock_offset"] = 0.5
    (folder / "inventory/hosts.yaml").write_text(yaml.safe_dump(hosts))
    (folder / "tasks/clock_lab.py").symlink_to(ROOT / "tests/promises/clock_lab.py")
    config = yaml.safe_load(project.config_file.read_text())
    config["lab"]["emulation"] = "clock_lab"
    project.config_file.write_text(yaml.safe_dump(config))
    project.up()
    yield project
    project.down()


BROKEN = {
    f"rm {CONF}": {"file_etc_chrony_chrony_conf", "unit_chrony_service"},
    f"echo mine >>{CONF}": {"file_etc_chrony_chrony_conf", "unit_chrony_service"},
    f"chmod 600 {CONF}": {"file_etc_chrony_chrony_conf", "unit_chrony_service"},
    f"touch {CONF}": {"unit_chrony_service"},
    "systemctl stop chrony": {"unit_chrony_service"},
    "systemctl disable chrony": {"unit_chrony_service"},
    "apt-get --yes purge chrony": {"package_chrony", "file_etc_chrony_chrony_conf", "unit_chrony_service"},
}
"""What somebody does, and what set-up has to do then: a service is restarted for the file that it reads."""


@pytest.mark.lab
@pytest.mark.slow
def test_the_example_does_what_the_page_says(project: LabProject) -> None:
    """Plan, run, run again, verify; each way to break it is red and repaired on that host alone; rollback restores."""
    places = {"package_chrony", "file_etc_chrony_chrony_conf", "unit_chrony_service"}
    before = project.snapshot()["files"]

    planned = project("plan", NTP)
    assert planned.code == 3, planned.told
    assert differences(before, project.snapshot()["files"]) == []
    first = project("run", NTP)
    assert first.code == 0, first.told
    assert {(step, host) for _, step, host in first.places("changed")} == {(p, h) for p in places for h in HOSTS}
    assert project("run", NTP).places("changed") == set()
    assert project.ssh("tkc", f"cat {CONF}").text.startswith("server 192.168.1.1 iburst\n")

    for breaks, repaired in BROKEN.items():
        project.ssh("tkc", breaks)
        red = project("verify", NTP)
        assert red.code == 1, breaks
        assert {host for _, _, host in red.places("failed")} == {"tkc"}
        assert {step.removesuffix("_is_as_declared") for _, step, _ in red.places("failed")} >= {sorted(repaired)[0]}
        ended = project("run", NTP)
        assert ended.code == 0, ended.told
        assert ended.places("changed") == {(NTP, step, "tkc") for step in repaired}, breaks
        assert project("verify", NTP).code == 0

    for host in HOSTS:
        project.ssh(host, "sed -i s/0.000012/0.3/ /usr/bin/chronyc")
    assert project("verify", NTP).places("failed") == {(NTP, "clock_is_right", "tkc")}

    back = project("rollback", NTP)
    assert back.code == 0, back.told
    assert project.lab.ssh("tkc", "dpkg-query --show chrony").status == 1
    assert project.lab.ssh("tkc", f"ls {CONF}").status == 2
    assert project("rollback", NTP).places("changed") == set()

"""What is read before anything starts: secrets are asked for where a component uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkube_nornir.errors import ConfigError
from thinkube_nornir.project import load_project

COMPONENT = """
from thinkube_nornir.component import Chain, Component

COMPONENT = Component(
    title="web", number=10, group="web", setup=Chain(), verify=Chain(), rollback=Chain(),
    secrets=("WEB_TOKEN",), uses_secrets=lambda host: host.get("issuer") != "own",
)
"""


def project(folder: Path, issuer: str) -> Path:
    (folder / "config.yaml").write_text("target: ssh\n")
    files = {
        "inventory/hosts.yaml": f"a: {{hostname: 127.0.0.1, groups: [web], data: {{issuer: {issuer}}}}}\n"
        "b: {hostname: 127.0.0.2, groups: [web], data: {issuer: own}}\nc: {hostname: 127.0.0.3}\n",
        "inventory/groups.yaml": "web: {}\n",
        "inventory/defaults.yaml": "{}\n",
        "tasks/__init__.py": 'PHASES = ("phase1_web",)\n',
        "tasks/phase1_web/__init__.py": "",
        "tasks/phase1_web/web.py": COMPONENT,
        "templates/none": "",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "config.yaml"


@pytest.mark.parametrize("limit", ["", "b"])
def test_a_secret_is_asked_for_when_any_host_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Also on one outside the limit: a filtered run still looks at it."""
    monkeypatch.delenv("WEB_TOKEN", raising=False)
    config = project(tmp_path, "others")

    with pytest.raises(ConfigError, match="WEB_TOKEN"):
        load_project(config, ["phase1"], limit)

    monkeypatch.setenv("WEB_TOKEN", "some-token")
    assert load_project(config, ["phase1"], limit).secrets["WEB_TOKEN"].reveal() == "some-token"


def test_a_secret_that_no_host_uses_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not read, either, where it could be had."""
    monkeypatch.setenv("WEB_TOKEN", "some-token")

    assert "WEB_TOKEN" not in load_project(project(tmp_path, "own"), ["phase1"]).secrets


SCHEMA = """
from typing_extensions import TypedDict
from thinkube_nornir.settings.schema import Schema

class Settings(TypedDict, total=False):
    issuer: str

SCHEMA = Schema(Settings)
"""


def test_a_setting_that_the_schema_lacks_is_the_authors_mistake(tmp_path: Path) -> None:
    """No inventory can have it, so nobody is told to add it there."""
    config = project(tmp_path, "own")
    (tmp_path / "tasks" / "__init__.py").write_text('PHASES = ("phase1_web",)\nSETTINGS = "settings"\n')
    (tmp_path / "tasks" / "settings.py").write_text(SCHEMA)
    (tmp_path / "tasks" / "phase1_web" / "web.py").write_text(
        COMPONENT.replace("    secrets=", '    settings=("isuer",), secrets=')
    )

    with pytest.raises(ConfigError) as caught:
        load_project(config, ["phase1"])

    assert [str(problem) for problem in caught.value.problems] == [
        "tasks/phase1_web/web.py: needs the setting 'isuer', which the schema does not declare (did you mean issuer?)"
    ]


LIMITED = """
from thinkube_nornir.component import Chain, Component, chain, step

def join(task): ...

COMPONENT = Component(
    title="web", number=10, group="web", setup=chain(step(join, concurrency="jion")), verify=Chain(), rollback=Chain()
)
"""


def test_limits_that_nobody_declares_are_mistakes(tmp_path: Path) -> None:
    """A misspelt one would be another limit, and let together what must not run together."""
    config = project(tmp_path, "own")
    config.write_text("target: ssh\nconcurrency: {jon: 2}\n")
    (tmp_path / "tasks" / "__init__.py").write_text('PHASES = ("phase1_web",)\nCONCURRENCY = {"join": 1}\n')
    (tmp_path / "tasks" / "phase1_web" / "web.py").write_text(LIMITED)

    with pytest.raises(ConfigError) as caught:
        load_project(config, ["phase1"])

    assert [str(problem) for problem in caught.value.problems] == [
        "tasks/phase1_web/web.py: CONCURRENCY declares no 'jion', which a step holds (did you mean join?)",
        "config.yaml: concurrency: no step can hold 'jon' (did you mean join?)",
    ]


@pytest.mark.parametrize(("concurrency", "limit"), [("", 1), ("concurrency: {join: 3}\n", 3)])
def test_config_goes_before_the_declared_limit(tmp_path: Path, concurrency: str, limit: int) -> None:
    config = project(tmp_path, "own")
    config.write_text(f"target: ssh\n{concurrency}")
    (tmp_path / "tasks" / "__init__.py").write_text('PHASES = ("phase1_web",)\nCONCURRENCY = {"join": 1}\n')
    (tmp_path / "tasks" / "phase1_web" / "web.py").write_text(LIMITED.replace("jion", "join"))

    assert load_project(config, ["phase1"]).config.concurrency == {"join": limit}

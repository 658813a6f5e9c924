"""Rendering: what comes out, and how a faulty template is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from nornir.core import Nornir
from nornir.core.inventory import Defaults, Groups, Host, Hosts, Inventory
from nornir.core.processor import Processors

from thinkube_nornir.change_log import ChangeLog
from thinkube_nornir.config import Config
from thinkube_nornir.context import Context, StepTask
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.templates import render, render_yaml


class NoChangeLog:
    """Rendering records nothing."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"rendering touched the change log: {name}")


def _task(templates: Path) -> StepTask:
    host = Host(name="tkc", data={"lan_ip": "192.168.1.110"})
    inventory = Inventory(hosts=Hosts({"tkc": host}), groups=Groups(), defaults=Defaults())
    config = Config(
        root=templates, target="lab", tasks=templates, templates=templates, inventory=templates, state=templates
    )
    change_log: ChangeLog = NoChangeLog()  # type: ignore[assignment]
    run = Context(config=config, inventory=inventory, change_log=change_log)
    task = StepTask(
        render, Nornir(inventory), False, Processors(), "render", context=run, component="phase5.microk8s_control"
    )
    task.host = host
    return task


def _render(folder: Path, text: str, **values: object) -> str:
    (folder / "motd").mkdir()
    (folder / "motd" / "greeting.j2").write_text(text)
    return render(_task(folder), "motd/greeting.j2", **values)


def test_render_fills_in_values_and_the_hosts_settings(tmp_path: Path) -> None:
    """A template sees the values it is given and its host."""
    text = _render(tmp_path, "{{ greeting }} from {{ host.name }}, {{ host.lan_ip }}", greeting="hello")

    assert text == "hello from tkc, 192.168.1.110"


def test_render_keeps_the_shape_of_the_file(tmp_path: Path) -> None:
    """A line that holds only a block leaves no line behind, and the last newline stays."""
    text = _render(tmp_path, "servers:\n{% for s in servers %}\n  - {{ s }}\n{% endfor %}\nend\n", servers=["a", "b"])

    assert text == "servers:\n  - a\n  - b\nend\n"


def test_render_writes_characters_as_they_are(tmp_path: Path) -> None:
    """Configuration is not HTML: nothing is escaped."""
    assert _render(tmp_path, "{{ value }}", value='<a & "b">') == '<a & "b">'


def test_undefined_name_is_an_error_with_template_line_and_name(tmp_path: Path) -> None:
    """A name nobody gave stops the step; it never becomes an empty string on a host."""
    with pytest.raises(ThinkubeError) as caught:
        _render(tmp_path, "first\nsecond\nthird {{ domain_name }}\n")

    assert "motd/greeting.j2, line 3" in caught.value.what
    assert "'domain_name' is undefined" in caught.value.why


def test_undefined_setting_of_the_host_is_an_error(tmp_path: Path) -> None:
    """A setting that the host does not have is as undefined as a free name."""
    with pytest.raises(ThinkubeError) as caught:
        _render(tmp_path, "{{ host.zerotier_ip }}")

    assert "zerotier_ip" in caught.value.why


def test_malformed_template_is_an_error_with_its_line(tmp_path: Path) -> None:
    """A block that is not closed is reported with template and line, not as a traceback."""
    with pytest.raises(ThinkubeError) as caught:
        _render(tmp_path, "one\n{% if greeting %}\n", greeting="x")

    assert "motd/greeting.j2, line 2 is malformed" in caught.value.what


def test_missing_template_is_named(tmp_path: Path) -> None:
    """The error for a template that is not there says which, and where it was looked for."""
    with pytest.raises(ThinkubeError) as caught:
        render(_task(tmp_path), "motd/none.j2")

    assert "motd/none.j2" in caught.value.what
    assert str(tmp_path) in caught.value.fix


def test_what_renders_to_no_yaml_is_an_error(tmp_path: Path) -> None:
    """A value that breaks a manifest is found before anything is sent; the template is named."""
    (tmp_path / "m.yaml.j2").write_text("kind: {{ kind }}\n---\nkind: Second\n")

    assert render_yaml(_task(tmp_path), "m.yaml.j2", kind="First") == [{"kind": "First"}, {"kind": "Second"}]
    with pytest.raises(ThinkubeError, match=r"m\.yaml\.j2 does not render to YAML"):
        render_yaml(_task(tmp_path), "m.yaml.j2", kind="'unfinished")

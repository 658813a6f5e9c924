"""Arguments, errors, and what the light verbs cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.cli import VERBS, group, run_command_line
from thinkube_nornir.secret import Secret

ROOT = Path(__file__).parents[3]
HEAVY = {"rich", "netmiko", "paramiko", "kubernetes", "pylxd", "asyncssh", "aiohttp", "jinja2"}


def _loaded(arguments: list[str], folder: Path) -> set[str]:
    """Top-level packages that a command had imported when it ended."""
    script = (
        "import json, sys; from thinkube_nornir.cli import run_command_line; run_command_line(sys.argv[1:]);"
        "print(json.dumps([n.partition('.')[0] for n in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("verb", [[], ["run"], ["lab"]])
def test_help_imports_nothing_heavy(verb: list[str], tmp_path: Path) -> None:
    """Help answers at once: not even Nornir or pydantic is loaded for it."""
    assert not _loaded([*verb, "--help"], tmp_path) & (HEAVY | {"nornir", "pydantic", "yaml"})


def test_list_imports_no_door(project: Path) -> None:
    """Listing loads what the component modules load, and neither a connection library nor pydantic."""
    assert not _loaded(["list"], project) & (HEAVY | {"pydantic"})


def test_every_verb_has_help(cli: Cli) -> None:
    """Each verb says in one line what it does, at 80 columns, and the group lists them all."""
    listed = cli("--help").lines

    for verb in VERBS:
        assert cli(verb, "--help").code == 0
        assert any(line.startswith(f"  {verb} ") and not line.endswith("...") for line in listed), verb
    assert max(map(len, listed)) <= 80


@pytest.mark.parametrize("verb", ["plan", "run", "verify", "rollback", "inventory"])
def test_an_empty_limit_is_not_all_hosts(cli: Cli, verb: str) -> None:
    """`-l "$UNSET"` is refused: it must not widen a run to every host."""
    done = cli(verb, *([] if verb == "inventory" else ["phase1"]), "-l", "")

    assert done.code == 2
    assert "leave it out for all" in done.err


def test_list_names_components_in_order(cli: Cli) -> None:
    """Name, group and title, what is needed first; with -v the steps as well."""
    assert cli("list").lines == [
        "phase1.base   cluster  The base that everything needs",
        "phase2.extra  workers  What workers get",
    ]
    assert "    verify        it_answers" in cli("list", "-v", "phase2").lines


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rnu", "phase1"], "error: no verb is called 'rnu' (did you mean run?)"),
        (["phase", "begin"], "error: no verb of phase is called 'begin' (there are: finish, start)"),
        (["lab", "upp"], "error: no verb of lab is called 'upp' (did you mean up?)"),
        (["-v", "verify", "phase1"], "error: -v stands before the verb; options stand after it"),
        (["run", "phse1"], "error: selection: no phase or component is called 'phse1' (did you mean phase1?)"),
        (["verify", "all", "-l", "dns"], "error: -l/--limit: there is no host or group dns (did you mean dns1?)"),
        (["run", "phase1", "--limt", "tkc"], "did you mean"),
        (["run", "phase1", "--report", "r.pdf"], "error: --report: r.pdf ends in none of .json, .xml, .md, .html"),
        (["run"], "error: nothing is selected (name phases, components, or all: `list` shows what there is)"),
        ([], "Usage: thinkube-nornir [OPTIONS] COMMAND"),
        (["list", "-c", "nowhere.yaml"], "error: nowhere.yaml: cannot be read: No such file or directory (run this in"),
        (["verify", "phase1", "-l", "dns1"], "error: selection: none of dns1 is in a group that gets it: cluster"),
        (["show", "9"], "error: show: there are no runs yet"),
        (["resume"], "error: resume: no run on these hosts was left unfinished"),
        (["trust", "--fingerprint", "tkc"], "error: --fingerprint: tkc is not of the form HOST=SHA256:..."),
    ],
)
def test_a_wrong_request_ends_with_two_and_the_nearest_name(cli: Cli, arguments: list[str], expected: str) -> None:
    """One line on stderr says what is wrong and what was meant; nothing on stdout, no traceback."""
    ended = cli(*arguments)

    assert ended.code == 2
    assert expected.lower() in ended.err.lower()
    assert "Traceback" not in ended.err
    assert not ended.out


def test_all_mistakes_are_reported_together(cli: Cli, project: Path) -> None:
    """Configuration, inventory, selection: one line each, with file and line."""
    (project / "config.yaml").write_text("target: ssh\ntasks: steps\ntemplates: templates\nworker: 3\n")
    (project / "inventory" / "hosts.yaml").write_text("tkc: {hostname: 127.0.0.1, groups: [contrl]}\n")

    ended = cli("run", "phse1")

    assert ended.code == 2
    found = ended.err.splitlines()
    assert [line.split(": ")[1] for line in found] == ["config.yaml:4", "inventory/hosts.yaml:1", "selection"]


def test_missing_settings_are_all_named(cli: Cli, project: Path) -> None:
    """A component's required settings are checked on all of its hosts before anything starts."""
    groups = (project / "inventory" / "groups.yaml").read_text().replace("channel", "chanel")
    (project / "inventory" / "groups.yaml").write_text(groups)

    ended = cli("plan", "phase1")

    assert ended.code == 2
    assert [line for line in ended.err.splitlines() if "needs the setting channel" in line] == [
        f"error: inventory/hosts.yaml:{line}: {host}: phase1.base needs the setting channel"
        f" (set it for {host} or its groups)"
        for line, host in enumerate(("tkc", "tkw1", "tkw2"), 1)
    ]
    assert cli("inventory").err == ended.err


def test_a_fault_of_ours_is_one_line(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback goes to the log file, secrets are masked in both."""
    Secret("opensesame")

    def broken(path: Path) -> None:
        raise RuntimeError("a broken opensesame")

    monkeypatch.setattr("thinkube_nornir.project.load_catalog", broken)

    ended = cli("list")

    assert ended.code == 1
    assert ended.err.startswith("error: unexpected RuntimeError: a broken ********")
    assert len(ended.err.splitlines()) == 1
    log = (project / ".thinkube" / "thinkube.log").read_text()
    assert "Traceback" in log
    assert "opensesame" not in log


def test_a_broken_connection_is_no_reader_that_went_away(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """click takes each broken pipe for one, and a verb whose work broke off would have ended as if it were done."""

    def broken(path: Path) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("thinkube_nornir.project.load_catalog", broken)

    ended = cli("list")

    assert ended.code == 1
    assert ended.err.startswith("error: unexpected RuntimeError: BrokenPipeError: ")


def test_a_component_that_cannot_be_imported_is_no_fault_of_ours(cli: Cli, project: Path) -> None:
    """It is the request that is wrong; secrets are masked here as well."""
    Secret("opensesame")
    (project / "steps" / "phase1_base" / "base.py").write_text("raise RuntimeError('a broken opensesame')\n")

    ended = cli("list")

    assert ended.code == 2
    assert ended.err == (
        "error: steps/phase1_base/base.py:1: cannot be imported: RuntimeError: a broken ******** (correct that line)\n"
    )


def test_a_state_folder_that_cannot_be_is_no_fault_of_ours(cli: Cli, project: Path) -> None:
    """The file in the way is named, and where the folder comes from; no traceback is promised."""
    (project / ".thinkube").write_text("")

    ended = cli("history")

    assert ended.code == 1
    assert ended.err.startswith(f"error: {project / '.thinkube'}: Not a directory (")
    assert "`state` in config.yaml" in ended.err
    assert "fault of this program" not in ended.err


def test_a_closed_pipe_is_no_fault(project: Path) -> None:
    """`list | head -0` ends without a word."""
    code = "import sys; sys.exit(__import__('thinkube_nornir.cli', fromlist=['x']).run_command_line(['list'] ))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As a shell reports it; no traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(group.VerbGroup, "invoke", interrupted)

    assert run_command_line(["list"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_inventory_says_where_a_setting_comes_from(cli: Cli) -> None:
    """Host, group or defaults; -l narrows it."""
    assert cli("inventory", "-l", "tkc").lines == [
        "tkc  (control, cluster)",
        "  hostname = 127.0.0.1",
        "  channel = 1.35/stable    (group cluster)",
        "  domain = example.org    (defaults)",
        "  lan_ip = 192.168.1.110    (host)",
    ]


def test_inventory_shows_no_secret(cli: Cli, project: Path) -> None:
    """A setting that is a secret by its name is masked."""
    (project / "inventory" / "defaults.yaml").write_text("data: {sudo_password: correct horse, token_ttl: 60}\n")

    ended = cli("inventory", "-l", "dns1")

    assert "correct horse" not in ended.out
    assert "  sudo_password = ********    (defaults)" in ended.lines
    assert "  token_ttl = 60    (defaults)" in ended.lines


def test_render_shows_templates_for_hosts(cli: Cli, project: Path) -> None:
    """To stdout, or to files per host and component; nothing else is written."""
    shown = cli("render", "phase1", "-l", "tkc")
    written = cli("render", "all", "-l", "workers", "-o", "out")

    assert shown.lines == ["# phase1.base on tkc: base/base.conf.j2", "name=tkc channel=1.35/stable"]
    assert written.lines == ["out/tkw1/base/base.conf", "out/tkw2/base/base.conf"]
    assert (project / written.lines[0]).read_text() == "name=tkw1 channel=1.35/stable\n"


def test_render_leaves_out_what_only_a_run_knows(cli: Cli, project: Path) -> None:
    """Other templates are shown; those left out are named once, with the way to see them, and the exit code says so."""
    (project / "templates" / "base" / "run.conf.j2").write_text("port={{ port_of_the_run }}\n")

    ended = cli("render", "phase1", "-l", "tkc,tkw1")

    assert ended.code == 1
    assert "name=tkc channel=1.35/stable" in ended.lines
    assert ended.err.splitlines() == [
        "left out: base/run.conf.j2: 'port_of_the_run' is undefined in the inventory; the component gives it in a run",
        "`plan --diff` shows files as a run would write them",
    ]


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "phase1"]])
def test_a_reader_that_goes_away_is_no_error(project: Path, arguments: list[str]) -> None:
    """`| head` gets its line; the work is done, the exit code is its own, and nobody complains."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "thinkube_nornir", *arguments]
    with os.fdopen(writer, "wb") as gone:
        done = subprocess.run(command, cwd=project, env=_env(), stdout=gone, stderr=subprocess.PIPE, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert (project / "hosts" / "tkc.base").exists() == (arguments[0] == "run")


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_place_for_a_report_is_looked_at_first(cli: Cli, project: Path) -> None:
    """No folder, a folder in place of a file: 2, and nothing was done."""
    (project / "reports.md").mkdir()

    ended = [cli("run", "phase1", "--report", place) for place in ("no/such/r.md", "reports.md", f"{'x' * 260}.md")]
    recorded = cli("run", "phase1", "--evidence", "no/such/e.tar.gz")

    assert [end.code for end in (*ended, recorded)] == [2, 2, 2, 2]
    assert "cannot be written: File name too long" in ended[2].err
    assert "error: --report: there is no folder no/such (make it, or name another)" in ended[0].err
    assert "error: --evidence: there is no folder no/such" in recorded.err
    assert not (project / "hosts").exists()


def test_secrets_by_name_are_masked_wherever_they_stand(cli: Cli, project: Path) -> None:
    """Also inside of a setting, and in the message about one whose value is wrong."""
    names = ("lab_password", "lan_ip", "domain", "channel", "role")
    settings = "class Settings:\n" + "".join(f"    {name}: str\n" for name in names)
    (project / "steps" / "shared.py").write_text(settings + "    registry: dict[str, str]\n")
    init = project / "steps" / "__init__.py"
    init.write_text(init.read_text() + 'SETTINGS = "shared"\n')
    defaults = project / "inventory" / "defaults.yaml"
    defaults.write_text("data: {registry: {user: me, password: sesame-open}, lab_password: sesame-shut}\n")
    shown = cli("inventory", "-l", "dns1").out
    defaults.write_text("data: {registry: {password: 123456}, lab_password: 987654}\n")
    refused = cli("inventory", "-l", "dns1").err

    assert "registry = {'user': 'me', 'password': '********'}" in shown
    assert "sesame" not in shown
    assert "data.lab_password: should be a valid string (put it in quotes)" in refused
    assert "123456" not in refused
    assert "987654" not in refused

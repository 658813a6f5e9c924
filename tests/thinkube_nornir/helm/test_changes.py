"""Helm releases: unchanged when as wanted, values by stdin, recovery of what was left, back to what was before us."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from nornir.core.task import Result, Task

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.command import Command
from thinkube_nornir.context import Retries, retries_in
from thinkube_nornir.errors import CommandFailed, DeadlinePassed, Refused
from thinkube_nornir.helm import Release, changes, definitions, deviations, install_or_upgrade, key, recorded, uninstall
from thinkube_nornir.outcome import Outcome, outcome_of, unchanged
from thinkube_nornir.secret import Secret

HELM = ("/snap/bin/helm",)
REPO = "https://charts.example.org"
WEB = Release("web", "shop", "web", "1.2.0", REPO, {"replicas": 2}, timeout=90)
NOT_FOUND = Reply(1, stderr="Error: release: not found\n")


class HelmHost(FakeHost):
    """A host whose helm keeps revisions: number to (status, chart, values)."""

    def __init__(self, **revisions: tuple[str, str, Any]) -> None:
        super().__init__(answers={"/snap/bin/helm": self._helm, "pgrep": Reply(1), "true": ""})
        self.revisions = {int(name.removeprefix("r")): value for name, value in revisions.items()}
        self.failures: list[str] = []
        """What the next upgrades fail with."""

    def _helm(self, command: Command) -> Reply:
        verb = command.argv[1]
        return getattr(self, f"_{verb}")(command)  # type: ignore[no-any-return]

    def _rows(self) -> list[dict[str, Any]]:
        return [{"revision": n, "status": s, "chart": c} for n, (s, c, _) in sorted(self.revisions.items())]

    def _list(self, _: Command) -> Reply:
        last = [{**row, "name": "web", "namespace": "shop", "revision": str(row["revision"])} for row in self._rows()]
        return Reply(stdout=json.dumps(last[-1:]))

    def _get(self, _: Command) -> Reply:
        return Reply(stdout=json.dumps(self.revisions[max(self.revisions)][2])) if self.revisions else NOT_FOUND

    def _history(self, _: Command) -> Reply:
        return Reply(stdout=json.dumps(self._rows()))

    def _upgrade(self, command: Command) -> Reply:
        if self.failures:
            if "deadline" in self.failures[0]:
                self._add("failed", "web-1.2.0", json.loads(command.stdin))
            return Reply(1, stderr=self.failures.pop(0))
        if any(status.startswith("pending") for status, _, _ in self.revisions.values()):
            return Reply(1, stderr="Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress")
        argv = command.argv
        chart = f"web-{argv[argv.index('--version') + 1]}" if "--version" in argv else "web-1.2.0"
        self._add("deployed", chart, json.loads(command.stdin))
        return Reply()

    def _rollback(self, command: Command) -> Reply:
        _, chart, values = self.revisions[int(command.argv[3])]
        self._add("deployed", chart, values)
        return Reply()

    def _show(self, _: Command) -> Reply:
        crds = "kind: CustomResourceDefinition\nmetadata: {name: webs.example.org}\n---\n"
        return Reply(1, stderr=self.failures.pop(0)) if self.failures else Reply(stdout=crds)

    def _uninstall(self, _: Command) -> Reply:
        self.revisions.clear()
        return Reply()

    def _add(self, status: str, chart: str, values: Any) -> None:
        number = max(self.revisions, default=0) + 1
        old = {n: ("superseded" if s == "deployed" else "failed", c, v) for n, (s, c, v) in self.revisions.items()}
        self.revisions = {**old, number: (status, chart, values)}


def step(function: Callable[..., Any], *arguments: Any) -> Callable[[Task], Result]:
    def run(task: Task) -> Result:
        result: Result = function(task, HELM, *arguments)
        return result

    return run


def install(host: FakeHost, release: Release = WEB, **how: Any) -> Result:
    return host.apply(step(install_or_upgrade, release), **how)


def remove(host: FakeHost, **how: Any) -> Result:
    return host.apply(step(uninstall, "web", "shop"), **how)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_PAUSE", 0.001)


def test_a_release_is_installed_with_its_values_by_stdin() -> None:
    """Neither values nor a repository entry are in the argument list; helm waits, and takes back what fails."""
    host = HelmHost()

    result = install(host)

    assert outcome_of(result) is Outcome.CHANGED
    assert "+replicas: 2" in result.diff
    (sent,) = (c for c in host.commands if c.argv[1] == "upgrade")
    assert sent.argv[2:9] == ("web", "web", "--repo", REPO, "--version", "1.2.0", "--install")
    assert {"--wait", "--reset-values"} <= set(sent.argv)
    assert (json.loads(sent.stdin), sent.root, sent.alters) == ({"replicas": 2}, True, True)


@pytest.mark.parametrize(
    ("before", "says", "left"),
    [
        ({}, "it was rolled back: removed", []),
        ({"r1": ("deployed", "web-1.1.0", {})}, "it was rolled back: revision 1 is back", ["web-1.1.0"]),
    ],
    ids=["install", "upgrade"],
)
def test_what_fails_is_looked_into_before_it_is_taken_back(before: Any, says: str, left: list[str]) -> None:
    """Its pods go with it, and only they know why they do not run."""
    host = HelmHost(**before)
    host.failures = ["Error: UPGRADE FAILED: context deadline exceeded"]
    seen: list[list[int]] = []

    def look() -> str:
        seen.append(list(host.revisions))
        return "pod web-1: container main: ImagePullBackOff"

    def run(task: Task) -> Result:
        return install_or_upgrade(task, HELM, WEB, look=look)

    result = host.apply(run)

    assert isinstance(result.exception, CommandFailed)
    assert f"deadline exceeded\npod web-1: container main: ImagePullBackOff\n{says}" in result.exception.why
    assert [len(there) for there in seen] == [len(before) + 1]
    assert [chart for status, chart, _ in host.revisions.values() if status == "deployed"] == left


def test_a_chart_that_was_not_found_is_not_looked_into() -> None:
    """There is no release, and so there are no pods."""
    host = HelmHost()
    host.failures = ['Error: chart "web" matching 1.2.0 not found in repository']

    def run(task: Task) -> Result:
        return install_or_upgrade(task, HELM, WEB, look=lambda: pytest.fail("it was looked into"))

    assert isinstance(host.apply(run).exception, CommandFailed)
    assert [c.argv[1] for c in host.commands if c.argv[1] in ("uninstall", "rollback")] == []


def test_a_second_run_changes_nothing() -> None:
    """Chart, version and values are compared, in one round trip."""
    host = HelmHost()
    install(host)
    host.facts.clear()
    trips = len(host.trips)

    result = install(host)

    assert outcome_of(result) is Outcome.UNCHANGED
    assert len(host.trips) == trips + 1


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (None, "there is no release shop/web"),
        (("failed", "web-1.2.0", {"replicas": 2}), "its status is failed"),
        (("deployed", "web-1.1.0", {"replicas": 2}), "its chart is web-1.1.0, not web-1.2.0"),
        (("deployed", "web-extra-1.2.0", {"replicas": 2}), "its chart is web-extra-1.2.0"),
        (("deployed", "web-1.2.0", {"replicas": 3}), "-replicas: 3"),
        (("deployed", "web-1.2.0", None), "+replicas: 2"),
    ],
)
def test_a_deviation_is_told(there: Any, says: str) -> None:
    """Whatever is not as wanted is one statement."""
    host = HelmHost(**({"r1": there} if there else {}))
    seen: list[str] = []

    def check(task: Task) -> Result:
        seen.extend(deviations(task, HELM, WEB))
        return Result(task.host)

    host.apply(check)

    assert len(seen) == 1
    assert says in seen[0]


def test_a_version_is_the_same_with_and_without_its_v() -> None:
    """Helm takes both, and lists what the chart says."""
    host = HelmHost(r1=("deployed", "web-v1.2.0", {"replicas": 2}))

    assert outcome_of(install(host)) is Outcome.UNCHANGED


def test_a_dry_run_promises_and_shows_the_difference() -> None:
    """Nothing is sent that alters."""
    host = HelmHost(r1=("deployed", "web-1.1.0", {"replicas": 1}))

    result = install(host, dry_run=True)

    assert outcome_of(result) is Outcome.PLANNED
    assert "-replicas: 1" in result.diff
    assert host.altering == []


def test_secrets_in_values_are_shown_to_nobody() -> None:
    """Not in the difference, nor in an argument."""
    host = HelmHost()
    release = Release("web", "shop", "web", "1.2.0", REPO, {"password": Secret("hunter2-hunter2")})

    result = install(host, release)

    assert "hunter2" not in result.diff + str(result.result) + "".join(host.sent)
    assert host.revisions[1][2] == {"password": "hunter2-hunter2"}
    assert not any("hunter2" in str(change.before) for change in host.change_log.changes())


@pytest.mark.parametrize(
    ("repo", "source"),
    [
        (REPO, ("web", "--repo", REPO, "--version", "1.2.0")),
        ("oci://registry.example/charts", ("oci://registry.example/charts/web", "--version", "1.2.0")),
        ("/srv/charts/", ("/srv/charts/web-1.2.0.tgz",)),
    ],
)
def test_a_chart_comes_from_a_repository_a_registry_or_a_folder(repo: str, source: tuple[str, ...]) -> None:
    """An installation without Internet names a mirror, or a folder on the host."""
    assert Release("web", "shop", "web", "1.2.0", repo).source == source


def test_a_repository_that_fails_now_and_then_is_asked_again() -> None:
    """Two failures of the network, then the chart."""
    host = HelmHost()
    host.failures = [
        'Error: looks like "https://charts.example.org" is not a valid chart repository or cannot be reached',
        "Error: failed to download: read: connection reset by peer",
    ]

    installed = install(host)

    assert outcome_of(installed) is Outcome.CHANGED
    assert retries_in(installed) == Retries(2, "Error: failed to download: read: connection reset by peer")


@pytest.mark.parametrize(
    ("told", "fix"),
    [
        (
            'Error: chart "web" version "1.2.0" not found in https://charts.example.org repository',
            "correct the version",
        ),
        ("Error: values don't meet the specifications: Additional property x is not allowed", "correct the values"),
        ("Error: release web failed, and has been uninstalled: context deadline exceeded", "kubectl -n shop get pods"),
    ],
)
def test_what_does_not_pass_is_not_tried_again(told: str, fix: str) -> None:
    """One attempt, helm's own words, and what to do."""
    host = HelmHost()
    host.failures = [told]

    error = install(host).exception

    assert isinstance(error, CommandFailed)
    assert told in error.why
    assert fix in error.fix
    assert sum("upgrade" in c for c in host.sent) == 1


def test_patience_with_a_repository_ends() -> None:
    """The step's own deadline is the limit."""
    host = HelmHost()
    host.failures = ["Error: dial tcp: i/o timeout"] * 1000
    host.answers["/snap/bin/helm upgrade"] = Reply(1, stderr="Error: dial tcp: i/o timeout")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "_DEADLINE", 0.05)
        error = install(host).exception

    assert isinstance(error, CommandFailed)
    assert "mirror" in error.fix


def _ours(host: HelmHost, before: dict[str, Any] | None = None) -> None:
    previous = before or {"revision": None, "chart": None}
    host.change_log.intend(
        host="host1", component="test.component", key=key("web", "shop"), summary="", before=previous
    )


@pytest.mark.parametrize("status", ["pending-install", "failed", "uninstalling"])
def test_what_a_killed_run_left_without_a_good_revision_is_removed_first(status: str) -> None:
    """An installation that never ended has nothing to go back to."""
    host = HelmHost(r1=(status, "web-1.2.0", {"replicas": 2}))
    _ours(host)

    result = install(host)

    assert outcome_of(result) is Outcome.CHANGED
    assert [c.split()[1] for c in host.altering if "helm" in c] == ["uninstall", "upgrade"]


def test_a_pending_upgrade_is_rolled_back_first() -> None:
    """To the last revision that was deployed."""
    host = HelmHost(
        r1=("superseded", "web-1.0.0", {}), r2=("deployed", "web-1.1.0", {}), r3=("pending-upgrade", "web-1.2.0", {})
    )
    _ours(host)

    install(host)

    assert [c.split()[1:4] for c in host.altering if "rollback" in c] == [["rollback", "web", "2"]]
    assert host.revisions[max(host.revisions)][:2] == ("deployed", "web-1.2.0")


def test_a_failed_upgrade_is_upgraded_over() -> None:
    """Helm does that by itself."""
    host = HelmHost(r1=("superseded", "web-1.1.0", {}), r2=("failed", "web-1.2.0", {}))
    _ours(host)

    install(host)

    assert [c.split()[1] for c in host.altering if "helm" in c] == ["upgrade"]


def test_helm_that_is_still_at_work_is_waited_for() -> None:
    """A run whose controller was killed may go on on the host."""
    host = HelmHost(r1=("pending-install", "web-1.2.0", {"replicas": 2}))
    _ours(host)

    def ended(_: Command) -> Reply:
        host.revisions = {1: ("deployed", "web-1.2.0", {"replicas": 1})}
        return Reply(1)

    turns: list[Callable[[Command], Reply]] = [lambda _: Reply(0, "17 helm upgrade web"), ended]
    host.answers["pgrep"] = lambda command: turns.pop(0)(command)

    install(host)

    assert [c.split()[1] for c in host.altering if "helm" in c] == ["upgrade"]


def test_waiting_for_helm_has_an_end() -> None:
    """It says who is still at work."""
    host = HelmHost(r1=("pending-install", "web-1.2.0", {}))
    host.answers["pgrep"] = "17 helm upgrade web"
    _ours(host)

    error = install(host, Release("web", "shop", "web", "1.2.0", REPO, timeout=0.1)).exception

    assert isinstance(error, DeadlinePassed)
    assert "17 helm upgrade web" in error.why


def test_a_release_of_others_that_is_not_deployed_is_refused() -> None:
    """It is not ours to repair."""
    host = HelmHost(r1=("pending-upgrade", "web-1.2.0", {}))

    error = install(host).exception

    assert isinstance(error, Refused)
    assert host.altering == []


def test_rollback_removes_what_we_installed() -> None:
    """And a second one has nothing to do."""
    host = HelmHost()
    install(host)

    first, second = remove(host), remove(host)

    assert (outcome_of(first), outcome_of(second)) == (Outcome.CHANGED, Outcome.UNCHANGED)
    assert host.revisions == {}
    assert host.change_log.changes() == []


def test_rollback_gives_a_release_its_former_revision_back() -> None:
    """However many upgrades there were; its values are in no journal."""
    host = HelmHost(r1=("deployed", "web-1.0.0", {"theirs": "a-value"}))
    install(host)
    host.facts.clear()
    install(host, Release("web", "shop", "web", "1.3.0", REPO))
    assert not any("a-value" in str(change.before) for change in host.change_log.changes())

    result = remove(host)

    assert "back to web-1.0.0, revision 1" in str(result.result)
    assert host.revisions[max(host.revisions)] == ("deployed", "web-1.0.0", {"theirs": "a-value"})


def test_rollback_leaves_a_release_of_others_alone() -> None:
    """It was never ours."""
    host = HelmHost(r1=("deployed", "web-1.2.0", {}))

    assert outcome_of(remove(host)) is Outcome.UNCHANGED
    assert host.altering == []


@pytest.mark.parametrize("before", [None, {"revision": 1, "chart": "web-1.0.0"}])
def test_rollback_forgets_what_never_happened(before: dict[str, Any] | None) -> None:
    """A run was killed between the intention and the effect."""
    host = HelmHost(**({"r1": ("deployed", "web-1.0.0", {})} if before else {}))
    _ours(host, before)
    there = dict(host.revisions)

    assert outcome_of(remove(host)) is Outcome.UNCHANGED
    assert (host.change_log.changes(), host.revisions) == ([], there)


def test_what_was_so_before_us_can_be_asked() -> None:
    """What else a component noted, beside the revision."""
    host, seen = HelmHost(), []

    def noted(task: Task) -> Result:
        install_or_upgrade(task, HELM, WEB, before={"definitions": ["a"]})
        seen.append(recorded(task, "web", "shop"))
        return Result(task.host)

    host.apply(noted)

    assert seen == [{"revision": None, "chart": None, "definitions": ["a"]}]


@pytest.mark.parametrize(
    "answer",
    [Reply(1, stderr="Error: Kubernetes cluster unreachable"), Reply(0, "no json")],
    ids=["unreachable", "no json"],
)
def test_an_answer_that_is_none_is_an_error(answer: Reply) -> None:
    """A cluster that does not answer has not no releases."""
    host = HelmHost(r1=("deployed", "web-1.2.0", {"replicas": 2}))
    host.answers["/snap/bin/helm get"] = answer

    error = install(host).exception

    assert error is not None
    assert host.altering == []


def test_definitions_are_those_of_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that does not answer is asked again; nothing is changed."""
    monkeypatch.setattr(changes, "_PAUSE", 0.0)
    host, found = HelmHost(), list[dict[str, Any]]()
    host.failures = ["Error: failed to fetch https://charts.example.org/web-1.2.0.tgz : 503 Service Unavailable"]

    def ask(task: Task) -> Result:
        found.extend(definitions(task, HELM, WEB))
        return unchanged(task, "read")

    host.apply(ask)

    assert [crd["metadata"]["name"] for crd in found] == ["webs.example.org"]

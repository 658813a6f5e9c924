"""The lab's helm: releases are installed, upgraded, put back and removed as helm does it, and refused in its words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tasks.lab import charts
from tasks.lab.charts.chart import Chart, Rendering
from tasks.lab.helm import store
from tests.tasks.lab.fake_lab import FakeLab, lab
from tests.tasks.lab.test_real_api import cluster
from thinkube_nornir.lab.emulation import Reply
from thinkube_nornir.lab.kube import KubeApi, Object

REPO = "https://charts.example.org"
HELM = "/snap/bin/microk8s.helm3"
UPGRADE = ("upgrade", "web", "web", "--repo", REPO, "--install", "--namespace", "web", "--values", "-")


def _render(chart: Rendering) -> list[Object]:
    label = {"app": chart.release}
    pod = {"containers": [{"name": "web", "image": chart.values["image"]}]}
    template = {"metadata": {"labels": label}, "spec": pod}
    spec = {"replicas": chart.values["replicas"], "selector": {"matchLabels": label}, "template": template}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{chart.release}-config"}}
    keep = {"annotations": {"helm.sh/resource-policy": "keep"}}
    objects: list[Object] = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": chart.release}, "spec": spec},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", **keep}},
    ]
    return [*objects, config] if chart.values["config"]["enabled"] else objects


def _definitions(version: str) -> list[Object]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": "webs", "singular": "web", "kind": "Web", "listKind": "WebList"}
    served = {"name": "v1", "served": True, "storage": True, "schema": schema}
    metadata = {"name": "webs.example.org", "annotations": {"release": version}}
    spec = {"group": "example.org", "scope": "Cluster", "names": names, "versions": [served]}
    kind = "CustomResourceDefinition"
    return [{"apiVersion": "apiextensions.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}]


WEB = Chart(
    "web",
    REPO,
    {"v2.0.0": "2.0", "v1.0.0": "1.0"},
    {"replicas": 1, "image": "web:1", "config": {"enabled": True}, "free": {}},
    _render,
    definitions=_definitions,
    renews_definitions=True,
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> FakeLab:
    monkeypatch.setitem(charts.CHARTS, "web", WEB)
    return lab()


@asynccontextmanager
async def helm(here: FakeLab) -> AsyncIterator[tuple[KubeApi, Callable[..., Awaitable[Reply]]]]:
    async with cluster(here) as api:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}})

        async def call(*argv: str, values: str = "") -> Reply:
            return await here.call("tkc", HELM, *argv, stdin=values)

        yield api, call


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def _json(reply: Reply) -> Any:
    assert reply.status == 0, reply.stderr
    return json.loads(str(reply.stdout))


def test_a_release_is_installed_upgraded_and_removed(here: FakeLab) -> None:
    """Each upgrade is a revision with its values; what the new manifest lacks goes; what is marked is kept."""

    async def story() -> None:
        async with helm(here) as (api, call):
            first = await call(*UPGRADE, "--version", "1.0.0", "--wait", values='{"replicas": 2}')
            assert (first.status, str(first.stdout).splitlines()[0]) == (
                0,
                'Release "web" does not exist. Installing it now.',
            )
            listed = _json(await call("list", "--all", "--all-namespaces", "--max", "0", "--output", "json"))
            assert [(r["name"], r["revision"], r["status"], r["chart"]) for r in listed] == [
                ("web", "1", "deployed", "web-v1.0.0")
            ]

            assert (await call(*UPGRADE, "--wait", values="config: {enabled: false}")).status == 0
            history = _json(await call("history", "web", "--namespace", "web", "--output", "json"))
            assert [(r["revision"], r["status"]) for r in history] == [(1, "superseded"), (2, "deployed")]
            assert _json(await call("get", "values", "web", "-n", "web", "-o", "json")) == {
                "config": {"enabled": False}
            }
            assert api.get("v1", "ConfigMap", "web-config", "web") is None

            assert (await call("rollback", "web", "1", "-n", "web", "--wait")).status == 0
            assert _json(await call("get", "values", "web", "-n", "web", "-o", "json")) == {"replicas": 2}
            assert api.get("v1", "ConfigMap", "web-config", "web") is not None

            gone = await call("uninstall", "web", "-n", "web", "--wait")
            assert (gone.status, str(gone.stdout).splitlines()[-1]) == (0, 'release "web" uninstalled')
            assert (api.get("apps/v1", "Deployment", "web", "web"), store.revisions(api)) == (None, [])
            assert api.get("v1", "ConfigMap", "kept", "web") is not None

    run(story)


def test_a_schema_complains_in_the_words_of_its_time() -> None:
    """MicroK8s 1.33 brings helm 3.17, and 1.34 brings 3.18 with another validator."""
    chart = replace(WEB, defaults={"config": {"on": True}})
    given = {"config": {"on": "yes", "of": 1}, "x": 2}

    assert chart.unknown_values(given, modern=False) == [
        "- config.on: Invalid type. Expected: boolean, given: string",
        "- config: Additional property of is not allowed",
        "- (root): Additional property x is not allowed",
    ]
    assert chart.unknown_values(given, modern=True) == [
        "- at '/config/on': got string, want boolean",
        "- at '/config': additional properties 'of' not allowed",
        "- at '': additional properties 'x' not allowed",
    ]


@pytest.mark.parametrize(
    ("argv", "values", "told"),
    [
        ((*UPGRADE, "--force-it"), "", "unknown flag: --force-it"),
        ((*UPGRADE, "--version", "9.0.0"), "", f'chart "web" version "9.0.0" not found in {REPO} repository'),
        ((*UPGRADE,), "replica: 2", "web:\n- at '': additional properties 'replica' not allowed"),
        ((*UPGRADE,), "config: {of: true}", "- at '/config': additional properties 'of' not allowed"),
        ((*UPGRADE,), "[1]", "failed to parse -"),
        ((*UPGRADE, "--timeout", "90"), "", ""),
        (("upgrade", "web", "web", "--install"), "", "non-absolute URLs"),
        (("upgrade", "web", "web", "--repo", "https://nowhere.example", "--install"), "", "cannot be reached"),
        (("upgrade", "web", "/srv/web-1.0.0.tgz", "--install"), "", 'path "/srv/web-1.0.0.tgz" not found'),
        (("upgrade", "web", "web", "--repo", REPO), "", '"web" has no deployed releases'),
        (("uninstall", "web", "-n", "web"), "", "Release not loaded: web: release: not found"),
        (("get", "values", "web", "-n", "web"), "", "release: not found"),
        (("rollback", "web", "1", "-n", "web"), "", "release: not found"),
        ((*UPGRADE, "--namespace", "nowhere"), "", 'namespaces "nowhere" not found'),
        (("plugin", "list"), "", 'unknown command "plugin" for "helm"'),
    ],
)
def test_mistakes_are_refused_in_helms_words(here: FakeLab, argv: tuple[str, ...], values: str, told: str) -> None:
    """Status 1 and a message on stderr; nothing is installed."""

    async def story() -> None:
        async with helm(here) as (api, call):
            reply = await call(*argv, values=values)
            if told:
                assert (reply.status, told in str(reply.stderr)) == (1, True), reply.stderr
                assert api.get("apps/v1", "Deployment", "web", "web") is None

    run(story)


def test_a_release_that_does_not_become_ready_is_taken_back(here: FakeLab) -> None:
    """--atomic uninstalls a first release, and puts the former revision back in an upgrade."""

    async def story() -> None:
        async with helm(here) as (api, call):
            late = ("--atomic", "--timeout", "0.2s")
            never = "image: nowhere.example/web:1"
            first = await call(*UPGRADE, *late, values=never)
            assert "has been uninstalled due to atomic being set: context deadline exceeded" in str(first.stderr)
            assert store.revisions(api) == []

            assert (await call(*UPGRADE, "--wait")).status == 0
            second = await call(*UPGRADE, *late, values=never)
            assert "has been rolled back due to atomic being set" in str(second.stderr)
            states = {r.revision: r.status for r in store.revisions(api, "web")}
            assert states == {1: "superseded", 2: "failed", 3: "deployed"}
            assert (api.get("apps/v1", "Deployment", "web", "web") or {})["spec"]["template"]["spec"]["containers"][0][
                "image"
            ] == "web:1"

    run(story)


def test_what_is_pending_stops_an_upgrade_until_it_is_rolled_back(here: FakeLab) -> None:
    """As after a killed helm."""

    async def story() -> None:
        async with helm(here) as (api, call):
            assert (await call(*UPGRADE, "--wait")).status == 0
            done = store.revisions(api, "web")[0]
            store.save(api, store.Revision(**{**vars(done), "revision": 2, "status": "pending-upgrade"}))

            refused = await call(*UPGRADE, values="replicas: 2")
            assert "another operation (install/upgrade/rollback) is in progress" in str(refused.stderr)

            assert (await call("rollback", "web", "1", "-n", "web")).status == 0
            assert (await call(*UPGRADE, values="replicas: 2")).status == 0

    run(story)


def test_objects_of_others_are_not_taken_over(here: FakeLab) -> None:
    """An object without helm's marks refuses the installation."""

    async def story() -> None:
        async with helm(here) as (api, call):
            api.create(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config", "namespace": "web"}}
            )
            refused = await call(*UPGRADE)
            assert "invalid ownership metadata" in str(refused.stderr)
            assert store.revisions(api) == []

    run(story)


def test_an_injected_fault_is_told_once(here: FakeLab) -> None:
    """A repository that fails now and then."""

    async def story() -> None:
        async with helm(here) as (_, call):
            here.state["helm_faults"] = ["Error: looks like the repository cannot be reached"]
            assert (await call(*UPGRADE)).status == 1
            assert (await call(*UPGRADE)).status == 0

    run(story)


def test_without_an_api_helm_says_so(here: FakeLab) -> None:
    """A stopped control plane."""

    async def story() -> None:
        async with helm(here) as (_, call):
            await here.call("tkc", "systemctl", "stop", "snap.microk8s.daemon-kubelite")
            reply = await call("list", "-A", "-o", "json")
            assert "Kubernetes cluster unreachable" in str(reply.stderr)

    run(story)


def test_crds_of_a_chart_are_installed_once(here: FakeLab) -> None:
    """They stay at uninstall, a second install leaves them old, and the chart's hook renews them before an upgrade."""

    async def story() -> None:
        async with helm(here) as (api, call):

            def release() -> str:
                found = api.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "webs.example.org") or {}
                return str(found["metadata"]["annotations"]["release"])

            assert (await call(*UPGRADE, "--version", "v1.0.0")).status == 0
            assert (await call("uninstall", "web", "--namespace", "web")).status == 0
            assert release() == "v1.0.0"
            assert (await call(*UPGRADE, "--version", "v2.0.0")).status == 0
            assert release() == "v1.0.0"
            assert (await call(*UPGRADE, "--version", "v2.0.0")).status == 0
            assert release() == "v2.0.0"
            shown = await call("show", "crds", "web", "--repo", REPO, "--version", "v1.0.0")
            assert "release: v1.0.0" in str(shown.stdout)
            assert (await call("show", "chart", "web", "--repo", REPO)).status == 1

    run(story)

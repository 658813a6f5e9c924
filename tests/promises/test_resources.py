"""Resources: in each way that its kind can be broken, each is red in verify, and repaired by run and nothing beside it.

One way of every resource is broken at once, each on one host, so that as many runs are needed as a kind has ways; of
what stands in the cluster every object is broken in each of its ways. Owners are left out: a lab's host has one user.
tests/thinkube_nornir/resources breaks them on a copy of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import pytest

from tasks.shared.microk8s.addons import Addons
from tests.promises import object_ways
from tests.promises.conftest import Labs
from tests.promises.lab_project import CONTROL, DNS, ROOT, WORKERS, LabProject, differences
from tests.promises.object_ways import CONTROL_PLANE, Way
from thinkube_nornir import catalog
from thinkube_nornir.resources import File, GroupMember, HelmRelease, Line, Manifest, Resource, Snap, Unit
from thinkube_nornir.resources.accounts import InHome

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HOSTS = {CONTROL: "tkc", WORKERS: "tkw1", DNS: "bcn1", "phase6.cert_manager": "tkc", "phase6.gpu_operator": "bcn1"}
"""Where a component's resources are broken."""
USER = "thinkube"
ELSEWHERE = ("phase6.ingress", "phase6.gpu_operator")
"""Components whose objects in the cluster their own tests break, one by one."""
FOLLOWS = {"restart_kubelite"}
"""Steps by hand that follow the repair of a resource."""


@dataclass(frozen=True)
class Broken:
    component: str
    resource: Resource
    way: Way

    @property
    def host(self) -> str:
        return CONTROL_PLANE if isinstance(self.resource, (Manifest, HelmRelease)) else HOSTS[self.component]


def ways(project: LabProject, resource: Resource) -> list[Way]:
    if isinstance(resource, (Manifest, HelmRelease)):
        return object_ways.ways(project, resource)
    return [Way(script) for script in scripts(resource)]


def scripts(resource: Resource) -> list[str]:
    """How a resource of this kind can be broken, one script each. A kind that is not here fails the test."""
    match resource:
        case File():
            path = f"/home/{USER}/{resource.path.label}" if isinstance(resource.path, InHome) else resource.path
            return [f"rm {path}", f"echo x >>{path}", f"chmod 711 {path}", f"rm {path}; ln -s /dev/null {path}"]
        case Addons():
            return ["microk8s disable hostpath-storage:destroy-storage"]
        case Line():
            return [f"sed -i /{resource.label}/d {resource.path}", f"echo {resource.label}=10.9.9.9 >>{resource.path}"]
        case GroupMember():
            return [f"gpasswd -d {USER} {resource.group}"]
        case Snap():
            other = f"snap refresh {resource.snap} --channel=1.35/candidate"
            return [f"snap refresh --unhold {resource.snap}", other]
        case Unit():
            return ["", f"systemctl disable {resource.unit}", f"systemctl stop {resource.unit}"]
    raise NotImplementedError(f"how is a {type(resource).__name__} broken?")


def _components() -> dict[str, tuple[Resource, ...]]:
    found = {entry.name: entry.component.resources for entry in catalog.load(ROOT / "tasks").entries}
    kept = {name: tuple(_broken_here(name, resources)) for name, resources in found.items()}
    return {name: resources for name, resources in kept.items() if resources}


def _broken_here(component: str, resources: Iterable[object]) -> Iterator[Resource]:
    for found in resources:
        in_cluster = isinstance(found, Manifest | HelmRelease)
        if isinstance(found, Resource) and not (in_cluster and component in ELSEWHERE):
            yield found


def rounds(project: LabProject) -> list[list[Broken]]:
    """Ways side by side, one of each resource in a round."""
    all_of_them = [
        [Broken(name, resource, way) for way in ways(project, resource)]
        for name, resources in _components().items()
        for resource in resources
    ]
    return [[b for b in found if b is not None and b.way.script] for found in zip_longest(*all_of_them)]


def _touched(broken: list[Broken]) -> set[tuple[str, str, str]]:
    """The resources that set-up has to change: those that are broken, and units that read one of them."""
    components = _components()
    found = set()
    for one in broken:
        reading = [r for r in components[one.component] if isinstance(r, Unit) and one.resource in r.restart_on]
        found |= {(one.component, resource.name, one.host) for resource in (one.resource, *reading)}
    return found


def test_components_have_resources_and_hosts_to_break_them_on() -> None:
    """A component that manages something new is in the test, or fails it."""
    assert set(_components()) == set(HOSTS)


def test_each_way_is_red_and_repaired_and_rollback_restores(labs: Labs) -> None:
    """Verify names exactly what is broken; run changes exactly that; verify is green; rollback leaves a bare host."""
    project = labs()
    bare = project.snapshot()
    ended = project("run", *HOSTS)
    assert ended.code == 0, ended.told
    for broken in rounds(project):
        touched = _touched(broken)
        for one in broken:
            project.ssh(one.host, one.way.script)

        red = project("verify", *HOSTS)
        failed = {(c, step, host) for c, step, host in red.places("failed") if step.endswith("_is_as_declared")}
        assert failed == {(c, f"{step}_is_as_declared", host) for c, step, host in touched}
        for one in broken:
            error = red.error((one.component, f"{one.resource.name}_is_as_declared", one.host))
            assert [name for name in one.way.names if name not in error["what"]] == []
        ended = project("run", *HOSTS)
        assert ended.code == 0, ended.told
        assert {(c, step, host) for c, step, host in ended.places("changed") if step not in FOLLOWS} == touched
        for one in broken:
            if one.way.names:
                changes = ended.message((one.component, one.resource.name, one.host)).split("; ")
                assert len(changes) == len(one.way.names), changes
                assert all(any(name in change for change in changes) for name in one.way.names), changes
        assert project("verify", *HOSTS).code == 0

    ended = project("rollback", *HOSTS)
    assert ended.code == 0, ended.told
    assert differences(bare["files"], project.snapshot()["files"]) == []

"""A lab on which everything was set up and verified once, with the evidence of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.promises.lab_project import LabProject
from thinkube_nornir.evidence.archive import Archive, read


@dataclass(frozen=True)
class LabEvidence:
    run: Archive
    verify: Archive
    rollback: Archive


@pytest.fixture(scope="session")
def lab_evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabEvidence]:
    project = LabProject(tmp_path_factory.mktemp("evidence"))
    verbs = {"run": ("run", "all"), "verify": ("evidence", "all"), "rollback": ("rollback", "all", "--yes")}
    paths = {name: project.folder / f"{name}.tar.gz" for name in verbs}
    try:
        for name, words in verbs.items():
            ended = project.bare(*words, "--evidence", str(paths[name]))
            assert ended.code == 0, ended.told
        yield LabEvidence(**{name: read(path) for name, path in paths.items()})
    finally:
        project.down()

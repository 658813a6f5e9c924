"""Archives of evidence, replayed: today's checks and parsers on what real clusters answered, and the lab beside it.

Put an archive that `evidence` wrote on real hosts into `archives/`. A difference of the lab that has to stay is listed
in a text file beside it, NAME.known: one difference a line, its reason in a line that begins with `#`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.evidence.comparison import unlike_reality
from tests.evidence.conftest import LabEvidence
from tests.evidence.replay import Replayed, replay
from thinkube_nornir.evidence.archive import Archive, read

ARCHIVES = sorted((Path(__file__).parent / "archives").glob("*.tar.gz"))
REAL = pytest.mark.parametrize("path", ARCHIVES or [None], ids=lambda path: path.name if path else "none")
FROM_RECORDS = {"file_saved_containerd_template_is_as_declared"}
"""What these compare with is in the records of what was changed, which an archive does not have."""
_NONE = "no archive of a real cluster is in tests/evidence/archives yet"


def differing(replayed: dict[str, Replayed]) -> dict[str, Replayed]:
    """Each node that comes to something else, but for those that no replay can know."""
    steps = {node: node.partition("@")[0].rpartition("/")[2] for node in replayed}
    return {
        node: r
        for node, r in replayed.items()
        if r.now != r.recorded and not r.unlike and steps[node] not in FROM_RECORDS
    }


@REAL
def test_checks_come_to_what_they_came_to_on_real_hosts(path: Path | None, tmp_path: Path) -> None:
    """Parsers understand what real programs printed, and a change of ours does not turn a verdict round unnoticed."""
    if path is None:
        pytest.skip(_NONE)

    assert differing(replay(read(path), tmp_path)) == {}


@REAL
def test_the_lab_answers_as_real_hosts_did(path: Path | None, lab_evidence: LabEvidence) -> None:
    """Whatever the lab prints in a form that no real host used is a belief of ours."""
    if path is None:
        pytest.skip(_NONE)
    known = path.with_name(path.name.replace(".tar.gz", ".known"))
    accepted = [line for line in known.read_text().splitlines() if line[:1] != "#"] if known.exists() else []

    found = unlike_reality(read(path), lab_evidence.verify)

    assert sorted(set(found) - set(accepted)) == []


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "verify"])
def test_a_recorded_lab_is_replayed(verb: str, lab_evidence: LabEvidence, tmp_path: Path) -> None:
    """Nearly every check comes to the same without hosts; only those that read what is secret cannot."""
    archive: Archive = getattr(lab_evidence, verb)

    replayed = replay(archive, tmp_path)

    assert differing(replayed) == {}
    comparable = [r for r in replayed.values() if not r.unlike]
    assert len(comparable) > 0.85 * len(replayed) > 100


@pytest.mark.lab
@pytest.mark.slow
def test_a_changed_answer_changes_the_verdict(lab_evidence: LabEvidence, tmp_path: Path) -> None:
    """A replay that could not turn red would prove nothing."""
    archive = lab_evidence.verify

    def unheld(line: dict[str, object]) -> dict[str, object]:
        return {**line, "stdout": str(line["stdout"]).replace(",held", "")} if "stdout" in line else line

    changed = replace(archive, commands=tuple(unheld(line) for line in archive.commands))

    found = differing(replay(changed, tmp_path))
    assert {node.partition("@")[0].rpartition("/")[2] for node in found} == {"snap_microk8s_is_as_declared"}


@pytest.mark.lab
@pytest.mark.slow
def test_what_the_lab_invents_is_named(lab_evidence: LabEvidence) -> None:
    """A key that no real host has in its JSON, a line of another form."""
    lab = lab_evidence.run

    def invented(line: dict[str, object]) -> dict[str, object]:
        text = str(line.get("stdout", ""))
        return {**line, "stdout": text.replace('"ifindex"', '"if_index"').replace("Tracking", "Following")}

    wrong = replace(lab, commands=tuple(invented(line) for line in lab.commands))

    found = "\n".join(unlike_reality(lab, wrong))
    assert "/[]/if_index" in found
    assert "Following" in found
    assert unlike_reality(lab, lab) == []

"""The runs that prove what is missing of a phase, in the order in which none of them undoes what another one showed."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thinkube_nornir.checklist.proof import Proofs

Commands = tuple[tuple[str, ...], ...]


def proving_runs(phase: str, missing: Set[str], proofs: Proofs) -> Commands:
    """
    Args:
        missing: kinds of proofs: red, setup, verify, rollback, second-run.
    """

    def is_proven(kind: str) -> bool:
        return proofs.by_identifier[f"{phase}/{kind}"].state == "proven"

    verify = proofs.by_identifier[f"{phase}/verify"]
    if verify.command == ("inventory",):  # no host gets any of it
        return (verify.command,)
    missing = {kind for kind in missing if not is_proven(kind)}
    is_up, is_green = is_proven("setup"), is_proven("setup") and is_proven("verify")
    verbs: list[str] = []
    if "red" in missing:
        if proofs.by_identifier[f"{phase}/red"].command[:1] == ("rollback",):
            verbs.append("rollback")
            missing -= {"rollback"} if is_up else set()
        verbs.append("verify")
        is_up = is_green = False
    if "rollback" in missing:
        verbs += ["rollback"] if is_up else ["run", "rollback"]
        is_up = is_green = False
    if not is_green:
        verbs.append("verify" if is_up and "second-run" not in missing else "run")
    if "second-run" in missing and not (verbs and is_up):
        verbs.append("run")
    return tuple((verb, phase) for verb in verbs)

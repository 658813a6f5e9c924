"""What was never set up: before the first `run`, many checks are red for one reason, and one `run` repairs them all."""

from __future__ import annotations

from thinkube_nornir.change_log import ChangeLog
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.plan import Plan


def never_set_up(plan: Plan, change_log: ChangeLog) -> frozenset[tuple[str, str]]:
    """Component and host of the checks of a `verify` for which nothing was ever changed.

    A step that runs once may stand on a host that does not get its component. It counts when the component was set up
    nowhere.
    """
    if plan.verb != "verify":
        return frozenset()
    try:
        changed = {(change.component, change.host) for change in change_log.changes()}
    except ThinkubeError:  # a damaged record: what is known is too little to say so
        return frozenset()
    anywhere = {component for component, _ in changed}
    gets_it = {(node.component, node.host) for node in plan.nodes if node.step.on is None}
    places = {(node.component, node.host) for node in plan.nodes}
    return frozenset(p for p in places - changed if p in gets_it or p[0] not in anywhere)

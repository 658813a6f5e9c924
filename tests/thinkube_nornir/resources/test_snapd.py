"""Orders to snapd: repeated while it refuses them, and with what it works on in the error when it never accepts."""

from __future__ import annotations

import pytest
from nornir.core.task import Result, Task

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.errors import CommandFailed, DeadlinePassed
from thinkube_nornir.outcome import Outcome, outcome_of, unchanged
from thinkube_nornir.remote import change
from thinkube_nornir.resources import snapd

OWN = Reply(10, stderr='error: snap "microk8s" has "service-control" change in progress\n')
SERVICE = Reply(1, stderr='error: snap "microk8s" has "service-control" change in progress\n')
SNAPCTL = Reply(
    1,
    "Configuring services.\n",
    'error: error running snapctl: snap "microk8s" has "service-control" change in progress\nTraceback ...\n',
)
EXCLUSIVE = Reply(
    10,
    stderr="error: ubuntu-core to core transition in progress, no other changes\n       allowed until this is done\n",
)
HEAD = "ID   Status  Spawn               Ready               Summary\n"
HISTORY = '1    Error   today at 09:20 UTC  today at 09:20 UTC  Install "microk8s" snap\n'
STOPPING = "7    Doing   today at 10:02 UTC  -                   Running service command\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapd, "_BUSY", 0.3)
    monkeypatch.setattr(snapd, "_EVERY", 0.01)


def _remove(task: Task) -> Result:
    argv = ("snap", "remove", "microk8s")
    return snapd.order(task, "microk8s", lambda: change(task, "remove microk8s", *argv, root=True))


def _idle(task: Task) -> Result:
    snapd.await_idle(task, "microk8s")
    return unchanged(task, "idle")


@pytest.mark.parametrize("refusal", [OWN, SERVICE, SNAPCTL, EXCLUSIVE])
def test_a_refused_order_is_repeated(refusal: Reply) -> None:
    """Whatever program hands on snapd's refusal, and with which status."""
    host = FakeHost(answers={"snap remove": [refusal, refusal, "microk8s removed\n"]})

    result = host.apply(_remove)

    assert outcome_of(result) is Outcome.CHANGED
    assert host.altering == ["snap remove microk8s"] * 3


def test_the_deadline_says_what_goes_on() -> None:
    """The error names the change that stands in the way, and what to do about it."""
    host = FakeHost(answers={"snap remove": OWN, "snap changes": HEAD + HISTORY + STOPPING + "\n"})

    error = host.apply(_remove).exception

    assert isinstance(error, DeadlinePassed)
    assert error.what == "waited 0.3 s for snapd to accept another change of microk8s"
    assert error.why.splitlines()[-1] == "change 7: Doing: Running service command"
    assert "Install" not in error.why
    assert "snap abort" in error.fix


def test_other_failures_of_an_order_stay_errors() -> None:
    """A full disk is no reason to ask again."""
    host = FakeHost(answers={"snap remove": Reply(1, stderr="error: cannot remove: no space left on device\n")})

    assert isinstance(host.apply(_remove).exception, CommandFailed)
    assert host.altering == ["snap remove microk8s"]


@pytest.mark.parametrize(
    "row",
    [STOPPING, STOPPING.replace("service command", 'service command for snap "microk8s"')],
    ids=["snap", "snapctl"],
)
def test_work_on_services_is_waited_for(row: str) -> None:
    """`snap stop` does not say of which snap; what is finished, and what failed, is history."""
    host = FakeHost(answers={"snap changes": [HEAD + HISTORY + row, HEAD + HISTORY + row, HEAD + HISTORY]})

    assert host.apply(_idle).exception is None
    assert host.sent == ["snap changes"] * 3


def test_work_on_other_snaps_is_not_waited_for() -> None:
    """The device's own registration goes on for days where there is no Internet."""
    rows = "2    Doing   today at 10:02 UTC  -                   Initialize device\n"
    host = FakeHost(answers={"snap changes": HEAD + rows})

    assert host.apply(_idle).exception is None
    assert host.sent == ["snap changes"]


def test_work_that_never_ends_is_named() -> None:
    """Waiting has a deadline."""
    host = FakeHost(answers={"snap changes": HEAD + STOPPING})

    error = host.apply(_idle).exception

    assert isinstance(error, DeadlinePassed)
    assert error.why == "change 7: Doing: Running service command"


def test_pending_work_of_snapd_is_what_is_not_ready() -> None:
    """Finished, failed and undone changes are history, as `snap changes` prints them."""
    rows = (
        "ID   Status  Spawn                   Ready                   Summary\n"
        "1    Done    yesterday at 09:13 UTC  yesterday at 09:14 UTC  Initialize system state\n"
        '7    Error   today at 09:20 UTC      today at 09:20 UTC      Install "microk8s" snap\n'
        "8    Undone  today at 09:21 UTC      today at 09:21 UTC      Refresh all snaps\n"
        "12   Doing   today at 10:02 UTC      -                       Running service command\n"
        "\n"
    )

    assert snapd.parse_changes(Completed(Command(()), 0, rows.encode(), b"")) == (
        snapd.SnapdChange("12", "Doing", "Running service command"),
    )

"""snap: what it prints and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tasks.lab.snap_changes import changes, goes_on
from tests.tasks.lab.fake_lab import lab

INSTALL = ("snap", "install", "microk8s", "--classic", "--channel=1.35/stable")


def test_install_needs_the_classic_flag() -> None:
    """MicroK8s is a classic snap: without --classic nothing is installed and the reason is told."""
    here = lab()

    reply = here.sh("tkc", "snap", "install", "microk8s", "--channel=1.35/stable")

    assert reply.status == 1
    assert "classic confinement" in str(reply.stderr)
    assert here.sh("tkc", "snap", "list", "microk8s").status == 1


def test_list_shows_channel_and_hold() -> None:
    """A held snap says so in its notes, and an unheld one does not."""
    here = lab()
    here.sh("tkc", *INSTALL)
    row = str(here.sh("tkc", "snap", "list", "microk8s").stdout).splitlines()[1].split()

    here.sh("tkc", "snap", "refresh", "--hold", "microk8s")
    held = str(here.sh("tkc", "snap", "list", "microk8s").stdout).splitlines()[1].split()
    here.sh("tkc", "snap", "refresh", "--unhold", "microk8s")

    assert row == ["microk8s", "v1.35.0", "7700", "1.35/stable", "canonical**", "classic"]
    assert held[5] == "classic,held"
    assert "held" not in str(here.sh("tkc", "snap", "list", "microk8s").stdout)


def test_a_second_install_says_so_and_succeeds() -> None:
    """Installing what is installed exits 0, and does not change the channel."""
    here = lab()
    here.sh("tkc", *INSTALL)

    reply = here.sh("tkc", "snap", "install", "microk8s", "--classic", "--channel=1.31/stable")

    assert reply.status == 0
    assert "already installed" in str(reply.stderr)
    assert "1.35/stable" in str(here.sh("tkc", "snap", "list").stdout)


@pytest.mark.parametrize("argv", [("--channel=1.99/stable",), ("--channel=1.32/nightly",), ("--jailmode2",)])
def test_unknown_channels_and_flags_are_errors(argv: tuple[str, ...]) -> None:
    """A channel or flag that does not exist installs nothing."""
    here = lab()

    assert here.sh("tkc", "snap", "install", "microk8s", "--classic", *argv).status in (1, 64)
    assert here.sh("tkc", "snap", "list", "microk8s").status == 1


def test_remove_without_purge_keeps_a_snapshot() -> None:
    """The data of a removed snap is saved, unless --purge says otherwise."""
    here = lab()
    here.sh("tkc", *INSTALL)
    here.sh("tkw1", *INSTALL)

    here.sh("tkc", "snap", "remove", "microk8s")
    here.sh("tkw1", "snap", "remove", "--purge", "microk8s")

    assert "microk8s" in str(here.sh("tkc", "snap", "saved").stdout)
    assert here.sh("tkw1", "snap", "saved").stdout == "No snapshots found.\n"


def test_changes_need_root() -> None:
    """An ordinary user is refused."""
    here = lab()

    reply = here.sh("tkc", *INSTALL, user="thinkube")

    assert (reply.status, reply.stderr) == (1, "error: access denied (try with sudo)\n")


def test_an_unknown_verb_is_an_error() -> None:
    """A verb the lab does not know never succeeds silently."""
    assert lab().sh("tkc", "snap", "frobnicate").status == 64


def test_a_killed_snap_does_not_stop_the_installation() -> None:
    """snapd goes on by itself; meanwhile a second change is told to come back later."""

    async def story() -> tuple[int, int]:
        here = lab_in_loop
        first = asyncio.ensure_future(here.call("tkc", *INSTALL))
        await asyncio.sleep(0)
        first.cancel()
        second = await here.call("tkc", *INSTALL)
        assert "Doing" in str((await here.call("tkc", "snap", "changes")).stdout)
        work = changes(here.hosts["tkc"])[-1].work
        assert work is not None
        await work
        return second.status, (await here.call("tkc", "snap", "list", "microk8s")).status

    lab_in_loop = lab()

    assert lab_in_loop.do(story()) == (10, 0)


@pytest.mark.parametrize(
    "argv",
    [
        ("wait", "system", "seed.loaded"),
        ("remove", "x"),
        ("refresh", "--hold", "microk8s"),
        ("stop", "microk8s"),
        ("restart", "microk8s.daemon-kubelite"),
    ],
)
def test_who_is_not_root_may_only_look(argv: tuple[str, ...]) -> None:
    """A snap's configuration too is for root: `snap wait` reads it."""
    here = lab()

    reply = here.sh("tkc", "snap", *argv, user="thinkube")

    assert (reply.status, reply.stderr) == (1, "error: access denied (try with sudo)\n")
    for verb in ("list", "changes", "services", "version", "saved"):
        assert here.sh("tkc", "snap", verb, user="thinkube").status == 0


def test_wait_needs_a_key() -> None:
    """Options are taken apart before snapd is asked."""
    here = lab()

    assert here.sh("tkc", "snap", "wait", user="thinkube").status == 64
    assert here.sh("tkc", "snap", "wait", "system", user="thinkube").stderr == (
        "error: the required argument `<key>` was not provided\n"
    )
    assert here.sh("tkc", "snap", "wait", "system", "seed.loaded").status == 0


def test_changes_are_kept_when_they_are_done() -> None:
    """Also those that failed, with what they were about, sorted by time; services' changes name no snap."""
    here = lab()
    here.sh("tkc", *INSTALL)
    here.sh("tkc", "snap", "stop", "microk8s")
    here.sh("tkc", "snap", "refresh", "--hold", "microk8s")

    told = str(here.sh("tkc", "snap", "changes").stdout).splitlines()

    assert told[0].split() == ["ID", "Status", "Spawn", "Ready", "Summary"]
    assert [line.rpartition("  ")[2] for line in told[-4:]] == [
        'Install "microk8s" snap from "1.35/stable" channel',
        "Running service command",
        'Hold general refreshes for "microk8s"',
        "",
    ]
    assert {line.split()[1] for line in told[1:-1]} == {"Done", "Error", "Undone", "Hold"}
    assert here.sh("tkc", "snap", "changes", "nothing").stderr == "no changes found\n"


def _with_services_at_work(do: Sequence[tuple[str, ...]], user: str = "root") -> list[tuple[int, str]]:
    """What each command answers while a service of MicroK8s is being started."""
    here = lab()

    async def story() -> list[tuple[int, str]]:
        await here.call("tkc", *INSTALL)
        await here.call("tkw1", *INSTALL)
        here.speed = 1.0
        goes_on(here.hosts["tkc"], "microk8s", 60)
        replies = [await here.call("tkc", *argv, user=user) for argv in do]
        return [(reply.status, str(reply.stderr)) for reply in replies]

    return here.do(story())


def test_one_change_of_a_snap_at_a_time() -> None:
    """The snap's own orders can be repeated later, by their status; those to its services cannot; a hold is no work."""
    progress = 'snap "microk8s" has "service-control" change in progress\n'
    own = [("snap", "remove", "--purge", "microk8s"), ("snap", "refresh", "microk8s", "--channel=1.31/stable")]
    services = [("snap", "restart", "microk8s.daemon-kubelite"), ("snap", "stop", "microk8s"), ("microk8s", "stop")]

    assert _with_services_at_work(own) == [(10, f"error: {progress}")] * 2
    assert _with_services_at_work(services) == [(1, f"error: {progress}")] * 3
    assert _with_services_at_work([("snap", "refresh", "--hold", "microk8s"), ("snap", "list")]) == [(0, ""), (0, "")]


def test_what_goes_on_is_listed_without_the_snaps_name_as_key() -> None:
    """`snap changes NAME` does not show what snapctl asked for."""

    here = lab()

    async def story() -> tuple[str, str]:
        await here.call("tkc", *INSTALL)
        here.speed = 1.0
        goes_on(here.hosts["tkc"], "microk8s", 60)
        every = str((await here.call("tkc", "snap", "changes")).stdout)
        return every, str((await here.call("tkc", "snap", "changes", "microk8s")).stdout)

    every, of_the_snap = here.do(story())

    assert 'Running service command for snap "microk8s"' in every
    assert "Running service" not in of_the_snap

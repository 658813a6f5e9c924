"""snap: what it prints and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.tasks.lab.fake_lab import lab

INSTALL = ("snap", "install", "microk8s", "--classic", "--channel=1.32/stable")


def test_install_needs_the_classic_flag() -> None:
    """MicroK8s is a classic snap: without --classic nothing is installed and the reason is told."""
    here = lab()

    reply = here.sh("tkc", "snap", "install", "microk8s", "--channel=1.32/stable")

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

    assert row == ["microk8s", "v1.32.9", "7400", "1.32/stable", "canonical**", "classic"]
    assert held[5] == "classic,held"
    assert "held" not in str(here.sh("tkc", "snap", "list", "microk8s").stdout)


def test_a_second_install_says_so_and_succeeds() -> None:
    """Installing what is installed exits 0, and does not change the channel."""
    here = lab()
    here.sh("tkc", *INSTALL)

    reply = here.sh("tkc", "snap", "install", "microk8s", "--classic", "--channel=1.31/stable")

    assert reply.status == 0
    assert "already installed" in str(reply.stderr)
    assert "1.32/stable" in str(here.sh("tkc", "snap", "list").stdout)


@pytest.mark.parametrize("argv", [("--channel=1.99/stable",), ("--channel=1.32/nightly",), ("--jailmode2",)])
def test_unknown_channels_and_flags_are_errors(argv: tuple[str, ...]) -> None:
    """A channel or flag that does not exist installs nothing."""
    here = lab()

    assert here.sh("tkc", "snap", "install", "microk8s", "--classic", *argv).status == 1
    assert here.sh("tkc", "snap", "list", "microk8s").status == 1


def test_remove_without_purge_keeps_a_snapshot() -> None:
    """The data of a removed snap is saved, unless --purge says otherwise."""
    here = lab()
    here.sh("tkc", *INSTALL)
    here.sh("tkw1", *INSTALL)

    here.sh("tkc", "snap", "remove", "microk8s")
    here.sh("tkw1", "snap", "remove", "--purge", "microk8s")

    assert "microk8s" in str(here.sh("tkc", "snap", "saved").stdout)
    assert here.sh("tkw1", "snap", "saved").stdout == ""


def test_changes_need_root() -> None:
    """An ordinary user is refused."""
    here = lab()

    reply = here.sh("tkc", *INSTALL, user="thinkube")

    assert (reply.status, reply.stderr) == (1, "error: access denied (try with sudo)\n")


def test_an_unknown_verb_is_an_error() -> None:
    """A verb the lab does not know never succeeds silently."""
    assert lab().sh("tkc", "snap", "frobnicate").status == 1


def test_a_killed_snap_does_not_stop_the_installation() -> None:
    """snapd goes on by itself; meanwhile a second change is told to come back later."""

    async def story() -> tuple[int, int]:
        here = lab_in_loop
        first = asyncio.ensure_future(here.call("tkc", *INSTALL))
        await asyncio.sleep(0)
        first.cancel()
        second = await here.call("tkc", *INSTALL)
        assert "install-snap microk8s" in str((await here.call("tkc", "snap", "changes")).stdout)
        _, work = here.hosts["tkc"].state["snap changes"]["microk8s"]
        await work
        return second.status, (await here.call("tkc", "snap", "list", "microk8s")).status

    lab_in_loop = lab()

    assert asyncio.run(story()) == (10, 0)

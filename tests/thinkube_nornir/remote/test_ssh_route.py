"""From inventory and ssh_config to a route."""

from __future__ import annotations

from getpass import getuser
from pathlib import Path

import pytest

from thinkube_nornir.config import SSHSettings
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.remote.ssh_route import Route, route_to


def settings(tmp_path: Path, text: str) -> SSHSettings:
    file = tmp_path / "config"
    file.write_text(text)
    return SSHSettings(config_file=file, key_file=tmp_path / "default-key")


def test_without_ssh_config_the_inventory_is_all() -> None:
    """Port 22, this user and the inventory's name are the defaults."""
    assert route_to("bcn1", None, port=None, username=None, ssh=SSHSettings()) == Route("", "bcn1", 22, getuser(), None)


def test_ssh_config_fills_in_what_the_inventory_leaves_open(tmp_path: Path) -> None:
    """HostName, Port, User and IdentityFile are honoured; the inventory wins where it says something."""
    key = tmp_path / "key"
    key.write_text("")
    ssh = settings(tmp_path, f"Host bcn1\n HostName 10.0.0.1\n Port 2222\n User ops\n IdentityFile {key}\n")

    assert route_to("bcn1", None, port=None, username=None, ssh=ssh) == Route("", "10.0.0.1", 2222, "ops", key)
    route = route_to("bcn1", None, port=22, username="root", ssh=ssh, key_file=tmp_path / "own")
    assert (route.port, route.username, route.key_file) == (22, "root", tmp_path / "own")


def test_identity_file_that_is_absent_leaves_the_default(tmp_path: Path) -> None:
    """ssh_config may name keys that this machine does not have."""
    ssh = settings(tmp_path, "Host *\n IdentityFile /nonexistent/key\n")

    assert route_to("bcn1", None, port=None, username=None, ssh=ssh).key_file == tmp_path / "default-key"


def test_proxy_jump_over_two_hops_is_a_chain(tmp_path: Path) -> None:
    """The last hop is the nearest; each hop has its own entry in ssh_config, and its own user and port."""
    ssh = settings(tmp_path, "Host bcn1\n ProxyJump ops@first:2201,second\nHost second\n HostName 10.0.0.2\n User two")

    route = route_to("bcn1", None, port=None, username="u", ssh=ssh)

    assert route.via is not None
    assert route.via.via is not None
    assert (route.via.hostname, route.via.username, route.via.port) == ("10.0.0.2", "two", 22)
    assert (route.via.via.hostname, route.via.via.username, route.via.via.port) == ("first", "ops", 2201)
    assert route.via.via.via is None


def test_proxy_jump_none_and_the_inventory_s_jump(tmp_path: Path) -> None:
    """`none` means no jump; the inventory's jump wins over ssh_config's."""
    ssh = settings(tmp_path, "Host bcn1\n ProxyJump none\nHost bcn2\n ProxyJump gate\n")

    assert route_to("bcn1", None, port=None, username=None, ssh=ssh).via is None
    assert route_to("bcn2", None, port=None, username=None, ssh=ssh, jump="none").via is None
    other = route_to("bcn2", None, port=None, username=None, ssh=ssh, jump="[::1]:2200").via
    assert other is not None
    assert (other.hostname, other.port) == ("::1", 2200)


def test_proxy_command_is_taken_over(tmp_path: Path) -> None:
    """ProxyCommand comes with its tokens filled in."""
    ssh = settings(tmp_path, "Host bcn1\n ProxyCommand nc %h %p\n")

    assert route_to("bcn1", None, port=None, username=None, ssh=ssh).proxy_command == "nc bcn1 22"


def test_hosts_that_jump_over_each_other_are_an_error(tmp_path: Path) -> None:
    """A circle of jumps is named instead of followed for ever."""
    ssh = settings(tmp_path, "Host a\n ProxyJump b\nHost b\n ProxyJump a\n")

    with pytest.raises(ThinkubeError, match="cycle"):
        route_to("a", None, port=None, username=None, ssh=ssh)


def test_unusable_ssh_config_is_named(tmp_path: Path) -> None:
    """A file that is missing or broken is an error with its path."""
    with pytest.raises(ThinkubeError, match="nonexistent"):
        route_to("a", None, port=None, username=None, ssh=SSHSettings(config_file=Path("/nonexistent")))
    with pytest.raises(ThinkubeError, match="config"):
        route_to("a", None, port=None, username=None, ssh=settings(tmp_path, "Host\n'"))

"""Each kind on a machine that can be thrown away: in every way it can be broken it is named, repaired, and put back."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from nornir.core.task import Result, Task

from tests.thinkube_nornir.resources.throw_away import ThrowAway
from thinkube_nornir.command import Fact
from thinkube_nornir.errors import CommandFailed, Refused
from thinkube_nornir.outcome import Outcome, outcome_of, unchanged
from thinkube_nornir.remote import read
from thinkube_nornir.resources import (
    AptRepository,
    Block,
    Command,
    Directory,
    File,
    GroupMember,
    KernelModule,
    KernelParameter,
    Line,
    NotAsDeclared,
    Package,
    Resource,
    User,
    from_setting,
)

pytestmark = [pytest.mark.root, pytest.mark.slow]

ARCHIVE = AptRepository("here", "file:/srv/here", "./")
HELLO = Package("thinkube-hello", from_setting("hello"), held=True)
MARK: Fact[bool] = Fact("the mark is set", ("test", "-e", "/srv/mark"), lambda done: done.status == 0, accept=(0, 1))

# A package that needs another one, in two versions each, and the archive for apt.
MAKE_ARCHIVE = """
mkdir -p /srv/here; cd /srv/here
build() {
  mkdir -p "$1/DEBIAN" "$1/etc/$1"; echo "of $2" >"$1/etc/$1/conf"; echo "/etc/$1/conf" >"$1/DEBIAN/conffiles"
  printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: x <x@x>\\nDescription: x\\n%s' \
    "$1" "$2" "${3:+Depends: $3
}" >"$1/DEBIAN/control"
  dpkg-deb --build "$1" . >/dev/null; rm -r "$1"
}
for version in 1.0 2.0; do build thinkube-hello $version thinkube-greeting; build thinkube-greeting $version; done
build thinkube-friend 1.0 thinkube-hello
for deb in *.deb; do
  dpkg-deb --field "$deb"; echo "Filename: ./$deb"; echo "Size: $(stat -c %s "$deb")"
  echo "SHA256: $(sha256sum <"$deb" | cut -d' ' -f1)"; echo
done >Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
"""


@dataclass(frozen=True)
class Case:
    """A resource; what has to be there before; and each way to break it, with what the check then says."""

    resource: Resource
    ways: dict[str, str]
    prepare: str = "true"
    shows: str = "true"
    """Prints what the resource is about: the same before set-up and after rollback."""


def _shadow(path: str) -> str:
    return f"stat -c '%a %u %g %F' {path}; cat {path}"


CASES = {
    "file": Case(
        File("/etc/x/y/conf", "a\n", mode=0o640, owner="games"),
        {
            "rm /etc/x/y/conf": "/etc/x/y/conf is missing",
            "echo b >/etc/x/y/conf": "has another content",
            "chmod 600 /etc/x/y/conf": "has mode 600, not 640",
            "chown root /etc/x/y/conf": "belongs to 0:60, not to games (5:60)",
            "rm /etc/x/y/conf; ln -s /dev/null /etc/x/y/conf": "is no file",
        },
        shows="ls -R /etc/x",
    ),
    "file of before": Case(
        File("/etc/motd", "a\n"),
        {"rm /etc/motd": "is missing", "echo b >>/etc/motd": "another content"},
        prepare="echo was here >/etc/motd; chmod 604 /etc/motd; chown games /etc/motd",
        shows=_shadow("/etc/motd"),
    ),
    "directory": Case(
        Directory(from_setting("folder"), mode=0o750, owner=from_setting("games")),
        {
            "rmdir /srv/a/b": "/srv/a/b is missing",
            "chmod 700 /srv/a/b": "has mode 700, not 750",
            "chown root /srv/a/b": "belongs to 0:60, not to games (5:60)",
            "chgrp root /srv/a/b": "belongs to 5:0, not to games (5:60)",
        },
        shows="find /srv -printf '%p %m %u %g\\n'",
    ),
    "directory of before": Case(
        Directory("/srv/a", mode=0o700, owner="games"),
        {"chmod 711 /srv/a": "has mode 711"},
        prepare="mkdir -m 771 /srv/a; chown daemon:mail /srv/a; echo theirs >/srv/a/file",
        shows="find /srv -printf '%p %m %u %g\\n'",
    ),
    "block": Case(
        Block("/etc/hosts", "names", "10.0.0.1 a\n10.0.0.2 b"),
        {
            "sed -i '/names$/,/names$/d' /etc/hosts": "has no block names",
            "sed -i 's/10.0.0.2 b/10.0.0.2 c/' /etc/hosts": "has another block names",
            "sed -i '/10.0.0.1 a/d' /etc/hosts": "has another block names",
            "echo 'x y' >>/etc/hosts; sed -i '/10.0.0.1 a/d' /etc/hosts; sed -i '/x y/d' /etc/hosts": "another block",
        },
        prepare="printf '127.0.0.1 localhost\\n::1 six' >/etc/hosts; chmod 640 /etc/hosts",
        shows="md5sum </etc/hosts; " + _shadow("/etc/hosts"),
    ),
    "block in a new file": Case(
        Block("/etc/new.conf", "names", "x = 1", comment=";"),
        {"rm /etc/new.conf": "/etc/new.conf is missing, and with it block names"},
        shows=_shadow("/etc/new.conf"),
    ),
    "line": Case(
        Line("/etc/ssh/sshd_config", "PermitRootLogin no", replaces="#?PermitRootLogin .*"),
        {
            "sed -i '/PermitRootLogin/d' /etc/ssh/sshd_config": "has no line 'PermitRootLogin no'",
            "sed -i 's/PermitRootLogin no/PermitRootLogin yes/' /etc/ssh/sshd_config": "has another line",
            "echo PermitRootLogin yes >>/etc/ssh/sshd_config": "has another line",
        },
        prepare=(
            "mkdir -p /etc/ssh; "
            "printf 'Port 22\\nX no\\n#PermitRootLogin maybe\\nPermitRootLogin yes\\n' >/etc/ssh/sshd_config"
        ),
        shows=_shadow("/etc/ssh/sshd_config"),
    ),
    "user": Case(
        User(from_setting("user")),
        {
            "userdel ada": "there is no user ada",
            "usermod --shell /bin/sh ada": "ada has the shell /bin/sh, not /bin/bash",
        },
        shows="getent passwd ada; getent group ada; ls /home",
    ),
    "user of a service": Case(
        User("exporter", shell="/usr/sbin/nologin", system=True),  # noqa: S604 - no shell runs
        {"userdel exporter": "there is no user exporter"},
        shows="getent passwd exporter | cut -d: -f1,7; getent group exporter | cut -d: -f1; ls /home",
    ),
    "user of before": Case(
        User("ada", shell="/bin/sh"),  # noqa: S604 - no shell runs
        {"usermod --shell /bin/dash ada": "ada has the shell /bin/dash, not /bin/sh"},
        prepare="useradd --create-home --shell /bin/bash ada; touch /home/ada/theirs",
        shows="getent passwd ada; ls /home /home/ada",
    ),
    "member": Case(
        GroupMember("games", from_setting("user")),
        {"gpasswd --delete ada games": "ada is not in group games"},
        prepare="useradd ada; usermod -aG mail ada",
        shows="id -Gn ada",
    ),
    "parameter": Case(
        KernelParameter("net.ipv4.ip_local_port_range", from_setting("ports")),
        {
            "sysctl -w 'net.ipv4.ip_local_port_range=40000 50000'": "is 40000 50000, not 30000 60001",
            "rm /etc/sysctl.d/90-net.ipv4.ip_local_port_range.conf": "is missing",
            "echo x >/etc/sysctl.d/90-net.ipv4.ip_local_port_range.conf": "has another content",
        },
        shows="sysctl net.ipv4.ip_local_port_range; ls /etc/sysctl.d",
    ),
    "package": Case(
        HELLO,
        {
            "apt-get -y --allow-change-held-packages purge thinkube-hello": "package thinkube-hello is not installed",
            "apt-mark unhold thinkube-hello": "package thinkube-hello is not held",
            "apt-get -y --allow-change-held-packages install thinkube-hello=2.0": "has version 2.0, not 1.0",
        },
        prepare=MAKE_ARCHIVE,
        shows="dpkg-query --show 'thinkube-*'; apt-mark showhold; ls -d /etc/thinkube-*",
    ),
    "repository": Case(
        AptRepository("there", "https://there.example/debian", "stable", "main", key="a public key\n"),
        {
            "rm /etc/apt/sources.list.d/there.sources": "there.sources is missing",
            "rm /etc/apt/keyrings/there.asc": "there.asc is missing",
            "echo x >/etc/apt/keyrings/there.asc": "there.asc has another content",
        },
        shows="find /etc/apt",
    ),
    "command": Case(
        Command("set the mark", MARK, ("touch", "/srv/mark"), undo=("rm", "/srv/mark")),
        {"rm /srv/mark": "the mark is set is not so"},
        shows="ls /srv",
    ),
}


@pytest.fixture
def ready(machine: ThrowAway, request: pytest.FixtureRequest) -> tuple[ThrowAway, Case]:
    case: Case = CASES[request.param]
    machine.sh(case.prepare)
    if case.resource is HELLO:
        assert machine.apply(ARCHIVE).exception is None
    return machine, case


@pytest.mark.parametrize("ready", CASES, indirect=True)
def test_each_way_to_break_it_is_named_and_repaired_and_rollback_restores(ready: tuple[ThrowAway, Case]) -> None:
    """Set-up twice; broken, red, repaired, green, each way; then rollback twice leaves what was there."""
    machine, case = ready
    before = machine.look(case.shows)
    resource = case.resource

    bare = machine.apply(resource.roll_back)
    assert (bare.exception, outcome_of(bare)) == (None, Outcome.UNCHANGED)
    assert outcome_of(machine.apply(resource, dry_run=True)) is Outcome.PLANNED
    assert machine.look(case.shows) == before
    first = machine.apply(resource)
    assert (first.exception, outcome_of(first)) == (None, Outcome.CHANGED)
    assert outcome_of(machine.apply(resource)) is Outcome.UNCHANGED
    right = machine.look(case.shows)
    for breaks, says in case.ways.items():
        machine.sh(breaks)

        error = machine.apply(resource.check).exception
        assert isinstance(error, NotAsDeclared), breaks
        assert says in error.what
        assert error.expected != error.seen
        assert outcome_of(machine.apply(resource)) is Outcome.CHANGED
        assert machine.apply(resource.check).exception is None
        assert machine.look(case.shows) == right, breaks

    for outcome in (Outcome.CHANGED, Outcome.UNCHANGED):
        assert outcome_of(machine.apply(resource.roll_back)) is outcome
    assert machine.look(case.shows) == before


@pytest.mark.parametrize("ready", CASES, indirect=True)
def test_all_that_it_compares_is_read_together(ready: tuple[ThrowAway, Case]) -> None:
    """Its facts are all that its state reads, so that a chain's resources are read in one round trip."""
    machine, case = ready
    machine.apply(case.resource)
    machine.trips.clear()

    def compare(task: Task) -> Result:
        read(task, *case.resource.facts(task))
        return unchanged(task, case.resource.state(task).expected)

    assert machine.apply(compare).exception is None
    assert len(machine.trips) == 1


@pytest.mark.parametrize("ready", ["package"], indirect=True)
def test_a_package_that_others_need_is_not_removed(ready: tuple[ThrowAway, Case]) -> None:
    """They are named; when they have gone it goes, and so does what came along with it."""
    machine, _ = ready
    machine.apply(HELLO)
    machine.sh("apt-get -y install thinkube-friend")

    error = machine.apply(HELLO.roll_back).exception
    assert isinstance(error, Refused)
    assert "thinkube-friend" in error.what
    machine.sh("apt-get -y remove thinkube-friend")
    machine.apply(HELLO.roll_back)

    assert "thinkube-greeting" not in machine.sh("dpkg-query --show")


@pytest.mark.parametrize("ready", ["package"], indirect=True)
def test_what_somebody_needs_of_what_came_along_stays(ready: tuple[ThrowAway, Case]) -> None:
    """Only the package itself goes then."""
    machine, _ = ready
    machine.apply(HELLO)
    machine.sh("cd /srv/here; mkdir -p other/DEBIAN; printf 'Package: other\\nVersion: 1\\nArchitecture: all\\n"
               "Maintainer: x <x@x>\\nDescription: x\\nDepends: thinkube-greeting\\n' >other/DEBIAN/control; "
               "dpkg-deb --build other .; dpkg -i other_1_all.deb")  # fmt: skip

    assert machine.apply(HELLO.roll_back).exception is None

    shown = machine.sh("dpkg-query --show")
    assert "thinkube-greeting" in shown
    assert "thinkube-hello" not in shown


@pytest.mark.parametrize("ready", ["package"], indirect=True)
def test_a_package_of_before_stays_with_version_and_hold(ready: tuple[ThrowAway, Case]) -> None:
    machine, _ = ready
    machine.sh("apt-get update; apt-get -y install thinkube-hello=2.0")

    machine.apply(HELLO)
    assert machine.sh("dpkg-query --show thinkube-hello; apt-mark showhold").split() == [
        *("thinkube-hello", "1.0"),
        "thinkube-hello",
    ]
    assert machine.apply(HELLO.roll_back).exception is None

    assert machine.sh("dpkg-query --show thinkube-hello; apt-mark showhold").split() == ["thinkube-hello", "2.0"]
    assert machine.change_log.changes() == [c for c in machine.change_log.changes() if "sources" in c.key]


def test_a_folder_with_somebody_elses_content_stays(machine: ThrowAway) -> None:
    """And the record of it goes, as it is no longer ours."""
    folder = Directory("/srv/a/b")
    machine.apply(folder)
    machine.sh("touch /srv/a/b/theirs")

    assert machine.apply(folder.roll_back).exception is None

    assert machine.sh("ls /srv/a/b") == "theirs"
    assert machine.change_log.changes() == []


def test_what_is_in_the_way_of_a_folder_is_not_replaced(machine: ThrowAway) -> None:
    """A file, a link, or an owner who is not there: named by the check, and refused by set-up with a way out."""
    machine.sh("echo x >/srv/file; ln -s /tmp /srv/link")
    for path, owner, says in (
        ("/srv/file", "root", "/srv/file is no folder"),
        ("/srv/link", "root", "/srv/link is no folder"),
        ("/srv/new", "nobody-here", "/srv/new cannot belong to nobody-here, who is not there"),
    ):
        folder = Directory(path, owner=owner)
        error, refused = machine.apply(folder.check).exception, machine.apply(folder).exception

        assert isinstance(error, NotAsDeclared)
        assert (error.what, error.expected) == (says, f"{path}: a folder, mode 755, of {owner}")
        assert error.seen == ("no such user or group" if owner != "root" else "something else")
        assert isinstance(refused, Refused)
        assert (refused.what, refused.why) == (says, "it is somebody else's")
        assert refused.fix == "move it away, or add the user"


def test_a_block_goes_where_a_link_leads(machine: ThrowAway) -> None:
    """The link stays one, both ways; what is no file is refused with a way out."""
    machine.sh("mkdir /srv/real; echo theirs >/srv/real/conf; ln -s real/conf /srv/conf; ln -s /srv/none /srv/new")
    block = Block("/srv/conf", "names", "x = 1")
    for step, text in ((block, "theirs\n# BEGIN"), (block.check, "theirs\n# BEGIN"), (block.roll_back, "theirs")):
        assert machine.apply(step).exception is None
        assert machine.sh("readlink /srv/conf; cat /srv/real/conf").startswith(f"real/conf\n{text}")
    assert machine.sh("cat /srv/real/conf") == "theirs"

    new = Block("/srv/new", "names", "x = 1")
    assert machine.apply(new).exception is None
    assert machine.sh("readlink /srv/new; head -c 7 /srv/none") == "/srv/none\n# BEGIN"
    machine.sh("ln -s real /srv/relative")
    for path in ("/srv/real", "/srv/relative"):
        error = machine.apply(Block(path, "names", "x").check).exception
        assert isinstance(error, Refused)
        assert (error.what, error.fix) == (f"{path} is no file", "name another path")
        assert error.why == "a link, folder or device is there"


def test_a_file_of_ours_that_others_write_into_stays(machine: ThrowAway) -> None:
    """Our block goes, their line does not; and what we had made alone goes with it."""
    block = Block("/etc/new.conf", "names", "x = 1")
    for theirs in ("y = 2", ""):
        machine.apply(block)
        if theirs:
            machine.sh(f"echo '{theirs}' >>/etc/new.conf")
        machine.facts.clear()
        assert machine.apply(block.roll_back).exception is None
        assert machine.look("cat /etc/new.conf; rm /etc/new.conf").startswith(theirs or "cat: /etc/new.conf: No such")

    machine.apply(block)
    machine.sh("rm /etc/new.conf")
    assert machine.apply(block.roll_back).result == "forget block names in /etc/new.conf, which has gone"
    assert machine.change_log.changes() == []


def test_a_change_between_look_and_write_is_not_lost(machine: ThrowAway) -> None:
    """Somebody else wrote in the meantime: nothing is written, and another run does it right."""
    block = Block("/etc/hosts", "names", "10.0.0.1 a")
    assert machine.apply(block.check).exception is not None
    before = dict(machine.facts)
    machine.sh("echo theirs >>/etc/hosts")
    machine.facts.update(before)

    error = machine.apply(block).exception
    assert isinstance(error, CommandFailed)
    assert "changed by somebody else" in error.why
    assert machine.apply(block).exception is None
    assert "theirs\n# BEGIN" in machine.sh("cat /etc/hosts")


def test_a_block_without_its_end_is_refused(machine: ThrowAway) -> None:
    """All below it would be taken for ours."""
    block = Block("/etc/hosts", "names", "10.0.0.1 a")
    machine.apply(block)
    machine.sh("sed -i '/END.*names/d' /etc/hosts")

    assert isinstance(machine.apply(block).exception, Refused)
    assert isinstance(machine.apply(block.roll_back).exception, Refused)


def test_a_module_that_this_kernel_has_not_is_named(machine: ThrowAway) -> None:
    """Its check is red, and says so; the kernel is this machine's, so no module is loaded here."""
    error = machine.apply(KernelModule("no_such_module").check).exception

    assert isinstance(error, NotAsDeclared)
    assert error.what == "module no_such_module is not loaded"

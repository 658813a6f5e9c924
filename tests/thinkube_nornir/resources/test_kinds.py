"""What all kinds have in common, and modules of the kernel, which are not loaded into this machine's own."""

from __future__ import annotations

import pytest

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.command import Command as Sent
from thinkube_nornir.command import Fact
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.outcome import Outcome, outcome_of
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
    NotKnown,
    Package,
    Resource,
    Unit,
    User,
    from_setting,
    in_home,
)

DONE: Fact[bool] = Fact("the mark is set", ("test", "-e", "/mark"), lambda done: done.status == 0, accept=(0, 1))
LOADED: dict[str, tuple[Resource, tuple[str, ...]]] = {
    "file": (File("/etc/x", "x"), ("/etc/x",)),
    "directory": (Directory("/srv/x"), ("/srv/x",)),
    "block": (Block("/etc/x", "b", "x"), ("/etc/x",)),
    "line": (Line("/etc/x", "x"), ("/etc/x",)),
    "package": (Package("x"), ("/var/lib/dpkg/info/x.list",)),
    "repository": (
        AptRepository("x", "file:/x", "./", key="k"),
        ("/etc/apt/keyrings/x.asc", "/etc/apt/sources.list.d/x.sources"),
    ),
    "parameter": (KernelParameter("net.x", "1"), ("/etc/sysctl.d/90-net.x.conf",)),
    "module": (KernelModule("x"), ("/etc/modules-load.d/x.conf",)),
    "user": (User("ada"), ()),
    "member": (GroupMember("g", "ada"), ()),
    "command": (Command("set the mark", DONE, ("touch", "/mark")), ()),
    "unit": (Unit("x.service"), ()),
}


@pytest.mark.parametrize("kind", LOADED)
def test_a_unit_restarts_on_the_files_of_what_it_names(kind: str) -> None:
    """Kinds without files restart nothing."""
    resource, paths = LOADED[kind]

    assert resource.loaded_from(None) == paths  # type: ignore[arg-type]


NAMES = {
    "file_etc_x": File("/etc/x", "x"),
    "directory_srv_x": Directory("/srv/x"),
    "block_names_in_etc_hosts": Block("/etc/hosts", "names", "x"),
    "line_port_22_in_etc_x": Line("/etc/x", "Port 22"),
    "line_root_in_etc_x": Line("/etc/x", "PermitRootLogin no", label="root"),
    "package_libx_2": Package("libx-2"),
    "repository_x": AptRepository("x", "file:/x", "./"),
    "sysctl_net_ipv4_ip_forward": KernelParameter("net.ipv4.ip_forward", "1"),
    "module_br_netfilter": KernelModule("br_netfilter"),
    "user_operator": User(from_setting("operator")),
    "command_set_the_mark": Command("set the mark", DONE, ("touch", "/mark")),
    "command_mark": Command("set the mark", DONE, ("touch", "/mark"), label="mark"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_identifiers_that_say_what_it_is(name: str) -> None:
    """Of all three steps."""
    resource = NAMES[name]
    steps = resource.setup_step, resource.check_step, resource.rollback_step

    assert [step.name for step in steps] == [name, f"{name}_is_as_declared", f"restore_{name}"]
    assert name.isidentifier()
    assert resource.__name__ == name
    assert resource.last_step is None


def test_values_from_settings_may_have_a_default() -> None:
    """Without one a host that lacks the setting is an error, and not an empty value."""
    host = FakeHost(answers={"getent group docker": "docker:x:9:ops\n"})

    assert host.apply(GroupMember("docker", from_setting("operator", "ops")).check).exception is None
    assert isinstance(host.apply(GroupMember("docker", from_setting("operator")).check).exception, ConfigError)


def test_the_home_of_a_user_who_is_not_there_is_an_error_with_a_fix() -> None:
    host = FakeHost(answers={"getent passwd ada": Reply(2)})

    error = host.apply(File(in_home("ada", ".x"), "x").check).exception

    assert isinstance(error, NotKnown)
    assert (error.what, error.fix) == ("there is no user ada", "create it, or correct its name in the inventory")


def test_a_command_takes_its_time_and_its_statuses() -> None:
    """Of the command and of its undoing; one that was undone by somebody else is only forgotten."""
    made = [False]

    def set_mark(command: Sent) -> Reply:
        made[0] = command.argv[0] == "touch"
        return Reply(3)

    host = FakeHost(
        answers={"test -e": lambda _: Reply(int(not made[0])), "touch": set_mark, "rm": set_mark, "true": ""}
    )
    mark = Command("set the mark", DONE, ("touch", "/mark"), undo=("rm", "/mark"), accept=(3,), timeout=500.0)
    error = host.apply(mark.check).exception
    assert isinstance(error, NotAsDeclared)
    assert (error.what, error.expected, error.seen) == (
        "the mark is set is not so",
        "the mark is set: yes",
        "the mark is set: no",
    )

    assert host.apply(mark).result == "set the mark"
    assert host.apply(mark.roll_back).result == "undo: set the mark"
    assert host.altering == ["touch /mark", "rm /mark"]
    assert {round(s) for line, s in host.timeouts.items() if "/mark" in line and "test" not in line} == {500}
    assert all(command.root for command in host.commands if command.alters)

    host.unprivileged = True  # type: ignore[attr-defined]
    plain = Command("set the mark", DONE, ("touch", "/mark"), accept=(3,), root=False)
    host.apply(plain)
    made[0] = False
    host.facts.clear()
    host.commands.clear()
    forgotten = Command("set the mark", DONE, ("touch", "/mark"), undo=("rm", "/mark"), root=False)
    assert host.apply(forgotten.roll_back).exception is None
    assert host.altering == ["true"]
    assert not any(command.root for command in host.commands)
    assert host.apply(forgotten.roll_back).result == "set the mark: not by us"


def test_modules_are_looked_for_under_the_kernels_name() -> None:
    """Files may have dashes; status 2 is grep's for a kernel without a list of what is built in."""
    (fact,) = (fact for fact in KernelModule("br-netfilter").facts(None) if fact.name.startswith("module"))  # type: ignore[arg-type]

    assert (fact.name, fact.argv[-1], fact.accept) == ("module br-netfilter", "br_netfilter", (0, 1, 2))
    assert "/sys/module/$1" in fact.argv[2]
    assert "modules.builtin" in fact.argv[2]


def test_a_parameter_that_the_kernel_has_not_is_named_and_forgotten() -> None:
    """Its module is not loaded, before set-up or before rollback."""
    value: list[str | None] = [None]

    def shown(_: Sent) -> Reply:
        return Reply(0, f"{value[0]}\n") if value[0] else Reply(255, stderr="sysctl: cannot stat /proc/sys/net/x")

    def write(command: Sent) -> str:
        value[0] = command.argv[-1].partition("=")[2]
        return ""

    host = FakeHost(answers={"sysctl -n net.x": shown, "sysctl -w": write, "true": ""})
    parameter = KernelParameter("net.x", "1\t2")
    error = host.apply(parameter.check).exception
    assert isinstance(error, NotAsDeclared)
    assert (error.what, error.expected, error.seen) == ("the kernel has no net.x", "net.x = 1\t2", "unknown")

    value[0] = "3\t4"
    host.facts.clear()
    assert host.apply(parameter).result == "write /etc/sysctl.d/90-net.x.conf; set net.x to 1\t2"
    assert host.apply(parameter.check).exception is None
    value[0] = None
    host.facts.clear()
    host.apply(parameter.roll_back)
    assert host.altering == ["sysctl -w 'net.x=1\t2'", "true"]
    assert host.change_log.changes() == []

    value[0] = "3\t4"
    host.facts.clear()
    host.apply(parameter)
    assert host.apply(parameter.roll_back).result == "remove /etc/sysctl.d/90-net.x.conf; set net.x to 3 4 again"
    assert value[0] == "3 4"


class Kernel:
    """One module; it may be in use."""

    def __init__(self, *, loaded: bool = False, used: bool = False) -> None:
        self.loaded, self.used = loaded, used
        self.host = FakeHost(
            answers={
                "thinkube:module br_netfilter": lambda _: Reply(0 if self.loaded else 1),
                "modprobe br-netfilter": self._load,
                "modprobe --remove --quiet br-netfilter": self._unload,
                "true": "",
            }
        )

    def _load(self, command: Sent) -> str:
        assert command.root
        self.loaded = True
        return ""

    def _unload(self, command: Sent) -> Reply:
        assert command.root
        self.loaded = self.used
        return Reply(int(self.used))

    def orders(self) -> list[str]:
        found = [command for command in self.host.altering if command != "true"]
        self.host.commands.clear()
        return found


MODULE = KernelModule("br-netfilter")
PATH = "/etc/modules-load.d/br-netfilter.conf"


def test_a_module_is_loaded_now_and_at_each_boot() -> None:
    kernel = Kernel()

    error = kernel.host.apply(MODULE.check).exception
    assert isinstance(error, NotAsDeclared)
    assert (error.what, error.seen) == ("module br-netfilter is not loaded", "not loaded")
    kernel.host.apply(MODULE)
    assert outcome_of(kernel.host.apply(MODULE)) is Outcome.UNCHANGED
    assert kernel.orders() == ["modprobe br-netfilter"]
    assert kernel.host.files.text(PATH) == "br-netfilter\n"

    del kernel.host.files[PATH]
    kernel.host.facts.clear()
    gone = kernel.host.apply(MODULE.check).exception
    assert isinstance(gone, NotAsDeclared)
    assert gone.what == f"{PATH} is missing"
    kernel.host.apply(MODULE)
    assert kernel.orders() == []

    for orders in (["modprobe --remove --quiet br-netfilter"], []):
        assert kernel.host.apply(MODULE.roll_back).exception is None
        assert kernel.orders() == orders
    assert (kernel.loaded, PATH in kernel.host.files, kernel.host.change_log.changes()) == (False, False, [])


def test_a_module_that_was_loaded_before_or_is_in_use_stays() -> None:
    """The one is not ours; of the other the record goes, as it will be gone with the next boot."""
    before, used = Kernel(loaded=True), Kernel(used=True)
    for kernel in (before, used):
        kernel.host.apply(MODULE)
        kernel.orders()
        assert kernel.host.apply(MODULE.roll_back).exception is None
        assert kernel.loaded
        assert kernel.host.change_log.changes() == []

    assert before.orders() == []


def test_a_module_that_somebody_unloaded_is_forgotten() -> None:
    kernel = Kernel()
    kernel.host.apply(MODULE)
    kernel.loaded = False
    kernel.host.facts.clear()
    kernel.orders()

    kernel.host.apply(MODULE.roll_back)

    assert kernel.orders() == []
    assert kernel.host.change_log.changes() == []

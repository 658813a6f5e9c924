"""GroupMember: a user who is in a group."""

from __future__ import annotations

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.command import Command
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.resources import GroupMember, NotAsDeclared, from_setting

MEMBER = GroupMember("docker", from_setting("operator"))


class Groups:
    """One group on a fake host; None: there is no such group."""

    def __init__(self, members: set[str] | None) -> None:
        self.members = members
        self.host = FakeHost(
            answers={
                "getent group docker": lambda _: (
                    Reply(2) if self.members is None else f"docker:x:9:{','.join(sorted(self.members))}\n"
                ),
                "usermod -aG docker": self._add,
                "gpasswd --delete": self._delete,
                "true": "",
            },
            settings={"operator": "ops"},
        )

    def _add(self, command: Command) -> str:
        assert self.members is not None
        self.members.add(command.argv[-1])
        return ""

    def _delete(self, command: Command) -> str:
        assert self.members is not None
        assert command.argv[3] == "docker"
        self.members.remove(command.argv[2])
        return ""


def test_a_user_is_added_once_and_rollback_takes_only_him_out() -> None:
    groups = Groups({"other"})
    host = groups.host

    outcomes = [outcome_of(host.apply(MEMBER)), outcome_of(host.apply(MEMBER)), outcome_of(host.apply(MEMBER.check))]
    assert outcomes == [Outcome.CHANGED, Outcome.UNCHANGED, Outcome.PASSED]
    assert groups.members == {"other", "ops"}

    host.apply(MEMBER.roll_back)
    assert groups.members == {"other"}
    assert host.change_log.changes() == []


def test_a_member_of_before_stays() -> None:
    """He was not added by us, so rollback does not even ask."""
    groups = Groups({"ops"})

    groups.host.apply(MEMBER)
    groups.host.commands.clear()
    result = groups.host.apply(MEMBER.roll_back)

    assert outcome_of(result) is Outcome.UNCHANGED
    assert groups.host.sent == []
    assert groups.members == {"ops"}


def test_the_check_names_user_group_and_who_is_in_it() -> None:
    for members, seen in (({"b", "a"}, "members: a, b"), (None, "no such group"), (set[str](), "members: none")):
        error = Groups(members).host.apply(MEMBER.check).exception

        assert isinstance(error, NotAsDeclared)
        assert (error.what, error.expected, error.seen) == (
            "ops is not in group docker",
            "ops in group docker",
            seen,
        )


def test_rollback_says_nothing_to_gpasswd_when_group_or_member_has_gone() -> None:
    """The record goes, and nothing is run that would fail."""
    for left in (None, {"other"}):
        groups = Groups(set())
        groups.host.apply(MEMBER)
        groups.members = left

        groups.host.apply(MEMBER.roll_back)

        assert not [command for command in groups.host.sent if "gpasswd" in command]
        assert groups.host.change_log.changes() == []


def test_the_name_says_setting_and_group() -> None:
    assert MEMBER.name == "member_operator_of_docker"
    assert GroupMember("docker", "ops").name == "member_ops_of_docker"

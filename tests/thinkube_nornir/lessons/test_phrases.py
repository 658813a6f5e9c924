"""How findings are told: in one line each, of bounded length, and nothing that is not known."""

from __future__ import annotations

import pytest

from thinkube_nornir.lessons.changes import Changes, SettingChange
from thinkube_nornir.lessons.phrases import changes, code, codes, listed, runs, steps


@pytest.mark.parametrize(
    ("between", "told"),
    [
        (Changes(), "Nothing was changed in between: it passed on a repeat."),
        (Changes(known=False), "In between: what the runs were given is not known."),
        (
            Changes(known=False, steps=("phase5.coredns.apply",)),
            "In between: runs changed something in `phase5.coredns.apply`; what the runs were given is not known.",
        ),
        (
            Changes(new_hosts=True, steps=("phase5.coredns.apply",), files=("config.yaml",)),
            "In between: files `config.yaml`; the hosts were stood up and set up anew.",
        ),
        (
            Changes(settings=(SettingChange("dns", "", '"a"', ("h1", "h2")),), commits=("a" * 40, "b" * 40)),
            'In between: setting `dns` not set -> `"a"` (h1 and h2); commit `aaaaaaaaa` -> `bbbbbbbbb`.',
        ),
    ],
)
def test_changes_are_a_sentence(between: Changes, told: str) -> None:
    """A new lab was set up from nothing: what its runs changed says nothing."""
    assert changes(between) == told


def test_long_lists_and_texts_are_cut() -> None:
    """A lesson is read by people; what is left out is counted."""
    words = [f"h{number}" for number in range(20)]
    settings = tuple(SettingChange(name, "1", "2", ("h1",)) for name in words)

    assert listed(words) == "h0, h1, h2, h3, h4, h5, h6, h7 and 12 more"
    assert codes(words).endswith("`h7` and 12 more")
    assert "; 12 more settings" in changes(Changes(settings=settings))
    assert code("x" * 500) == f"`{'x' * 157}...`"
    assert listed([]) == "nothing"
    assert code("") == "`-`"


@pytest.mark.parametrize(
    ("numbers", "told"),
    [([1], "run 1"), ([1, 2], "runs 1 and 2"), ([1, 9], "runs 1 and 9"), ([1, 2, 3, 7, 8], "runs 1 to 3, 7 and 8")],
)
def test_only_runs_that_follow_each_other_are_a_span(numbers: list[int], told: str) -> None:
    """Runs 1 and 9 are not nine runs."""
    assert runs(numbers) == told


def test_steps_are_called_by_their_names() -> None:
    """None is folded under another one's; only a long list is cut."""
    named = [("phase5.coredns", "verify", name) for name in ("a", "b", "c", "d", "e")]

    assert steps(named[:2]) == "`phase5.coredns` verify `a` and `phase5.coredns` verify `b`"
    assert steps(named).endswith("verify `c` and 2 more steps")
    assert steps(named[:4]).endswith("and `phase5.coredns` verify `d`")

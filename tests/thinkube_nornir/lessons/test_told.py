"""How findings are told: in one line each, of bounded length, and nothing that is not known."""

from __future__ import annotations

import pytest

from thinkube_nornir.lessons.changes import Changes, SettingChange
from thinkube_nornir.lessons.told import changes, code, codes, listed


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
            Changes(new_lab=True, steps=("phase5.coredns.apply",), files=("config.yaml",)),
            "In between: files `config.yaml`; another lab was started, and set up anew.",
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

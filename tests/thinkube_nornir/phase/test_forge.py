"""The page that compares two branches, for the forges that are known."""

from __future__ import annotations

import pytest

from thinkube_nornir.phase.forge import compare_page


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:home/cluster.git", "https://github.com/home/cluster/compare/main...feature/phase5?expand=1"),
        ("https://github.com/home/cluster", "https://github.com/home/cluster/compare/main...feature/phase5?expand=1"),
        (
            "ssh://git@GitHub.com:22/home/cluster.git",
            "https://github.com/home/cluster/compare/main...feature/phase5?expand=1",
        ),
        ("https://gitlab.com/a/b/c.git", "https://gitlab.com/a/b/c/-/compare/main...feature/phase5"),
        ("git@codeberg.org:home/cluster.git", "https://codeberg.org/home/cluster/compare/main...feature/phase5"),
        ("https://bitbucket.org/h/c.git", "https://bitbucket.org/h/c/branches/compare/feature/phase5%0Dmain"),
        ("https://git.example.org/home/cluster.git", ""),
        ("https://github.com.evil.example/home/cluster.git", ""),
        ("/srv/git/cluster.git", ""),
        ("../cluster.git", ""),
        ("", ""),
    ],
)
def test_a_known_forge_has_a_page(remote: str, page: str) -> None:
    """However the remote is written; an address that is not of a known forge has none."""
    assert compare_page(remote, "main", "feature/phase5") == page


def test_a_token_in_the_address_is_left_out() -> None:
    """A pull request is read by others."""
    page = compare_page("https://op:ghp_secret@github.com/home/cluster.git", "main", "feature/phase5")

    assert page == "https://github.com/home/cluster/compare/main...feature/phase5?expand=1"

"""The page of a known forge that compares two branches, from the address of a remote."""

from __future__ import annotations

import re
from urllib.parse import quote

_COMPARE = {
    "github.com": "https://github.com/{path}/compare/{base}...{branch}?expand=1",
    "gitlab.com": "https://gitlab.com/{path}/-/compare/{base}...{branch}",
    "codeberg.org": "https://codeberg.org/{path}/compare/{base}...{branch}",
    "bitbucket.org": "https://bitbucket.org/{path}/branches/compare/{branch}%0D{base}",
}
_ADDRESS = re.compile(
    r"(?:[a-z+]+://(?:[^/@]*@)?(?P<host>[\w.-]+)(?::\d+)?/|(?:[^/@]*@)?(?P<scp>[\w.-]+):(?!//))(?P<path>[^\s?#]+)"
)


def compare_page(remote: str, base: str, branch: str) -> str:
    """Empty for a forge that is not known. A name or password in the address is left out.

    >>> compare_page("git@gitlab.com:home/cluster.git", "main", "feature/phase5")
    'https://gitlab.com/home/cluster/-/compare/main...feature/phase5'
    """
    found = _ADDRESS.fullmatch(remote)
    form = _COMPARE.get((found["host"] or found["scp"]).lower()) if found else None
    if found is None or form is None:
        return ""
    path = found["path"].strip("/").removesuffix(".git")
    return form.format(path=quote(path), base=quote(base), branch=quote(branch))

"""The page of a known forge that compares two branches, from the address of a remote."""

from __future__ import annotations

import re
from urllib.parse import quote, urlunsplit

_COMPARE = {
    "github.com": "{path}/compare/{base}...{branch}?expand=1",
    "gitlab.com": "{path}/-/compare/{base}...{branch}",
    "codeberg.org": "{path}/compare/{base}...{branch}",
    "bitbucket.org": "{path}/branches/compare/{branch}%0D{base}",
}
_ADDRESS = re.compile(
    r"(?:[a-z+]+://(?:[^/@]*@)?(?P<host>[\w.-]+)(?::\d+)?/|(?:[^/@]*@)?(?P<scp>[\w.-]+):(?!//))(?P<path>[^\s?#]+)"
)


def compare_page(remote: str, base: str, branch: str) -> str:
    """Return the address of the page, without a name or password; nothing for an unknown forge.

    >>> compare_page("git@gitlab.com:home/cluster.git", "main", "feature/phase5")
    'https://gitlab.com/home/cluster/-/compare/main...feature/phase5'
    """
    found = _ADDRESS.fullmatch(remote)
    host = (found["host"] or found["scp"]).lower() if found else ""
    if found is None or host not in _COMPARE:
        return ""
    path = found["path"].strip("/").removesuffix(".git")
    page = _COMPARE[host].format(path=quote(path), base=quote(base), branch=quote(branch))
    address: str = urlunsplit(("https", host, page, "", ""))
    return address

"""The git repository that a project is in: looks, and deeds, each with git's own words when it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.git import Answer, GitMissing, GitTooSlow, git

_REMOTE = 120.0  # seconds for what talks to a remote
_IN_PROGRESS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
"""File in git's folder to the command that left it, and that ends it."""


@dataclass(frozen=True)
class Repository:
    folder: Path
    """The project's; the repository may begin above it."""

    def ask(self, *arguments: str, timeout: float | None = None) -> Answer:
        """
        Raises:
            ConfigError: git is not there, or did not end in time.
        """
        try:
            return git(self.folder, *arguments, **({} if timeout is None else {"timeout": timeout}))
        except GitMissing as error:
            raise _error(str(error), "install it: sudo apt install git") from None
        except GitTooSlow as error:
            raise _error(str(error), "see whether the remote answers, or whether git waits for something") from None

    def do(self, *arguments: str, timeout: float | None = None) -> str:
        """
        Raises:
            ConfigError: git refused; with what it said.
        """
        answer = self.ask(*arguments, timeout=timeout)
        if not answer.good:
            raise _error(f"git {arguments[0]} failed: {said(answer)}")
        return answer.out

    def must_be_one(self) -> None:
        """
        Raises:
            ConfigError: the project is in no repository, or has no working tree or no commit.
        """
        inside = self.ask("rev-parse", "--is-inside-work-tree")
        if not inside.good:
            fix = "begin one: git init" if "not a git repository" in inside.err else ""
            raise _error(f"{self.folder} is in no repository that git can use: {said(inside)}", fix)
        if inside.out != "true":
            raise _error(f"{self.folder} is in a repository without files", "clone it")
        if not self.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}").good:
            raise _error("the repository has no commit yet", "commit what there is: git add -A && git commit")

    @property
    def branch(self) -> str:
        """The current one; empty when HEAD is detached."""
        return self.ask("symbolic-ref", "--quiet", "--short", "HEAD").out

    @property
    def head(self) -> str:
        return self.do("rev-parse", "HEAD")

    def commit_of(self, name: str) -> str:
        """Return the commit of a name; nothing when there is none."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").out

    def has_branch(self, name: str) -> bool:
        return self.ask("show-ref", "--verify", "--quiet", f"refs/heads/{name}").good

    @property
    def branches(self) -> list[str]:
        return self.do("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes").splitlines()

    @property
    def remotes(self) -> list[str]:
        return self.do("remote").splitlines()

    def on_remote(self, remote: str, branch: str) -> str:
        """The commit of a branch on a remote, as that says now; empty when there is no such branch.

        Raises:
            ConfigError: it does not answer.
        """
        answer = self.ask("ls-remote", "--quiet", remote, f"refs/heads/{branch}", timeout=_REMOTE)
        if not answer.good:
            fix = f"see: git remote -v; git ls-remote {remote}"
            raise _error(f"the remote {remote} cannot be asked: {said(answer)}", fix)
        return answer.out.partition("\t")[0]

    def changed_files(self, *, untracked: bool = False) -> list[str]:
        """Files that differ from the last commit, as the repository names them; both names of a renamed one."""
        kind = "--untracked-files=all" if untracked else "--untracked-files=no"
        fields = self.do("status", "--porcelain=v1", "-z", kind).split("\0")
        return list(dict.fromkeys(_named_in(fields)))

    def is_untracked(self, path: Path) -> bool:
        return not self.ask("ls-files", "--error-unmatch", "--", str(path)).good

    def has_committed(self, path: Path) -> bool:
        """Whether the last commit has this file of the project."""
        return self.ask("cat-file", "-e", f"HEAD:./{path.relative_to(self.folder)}").good

    def is_named(self, path: Path, name: str) -> bool:
        """Whether this file of the project has this name in the repository."""
        return self.ask("rev-parse", "--show-prefix").out + str(path.relative_to(self.folder)) == name

    def has_ancestor(self, commit: str, ancestor: str) -> bool:
        """Say whether the commit has this ancestor; an ancestor that is not known here counts as none."""
        return self.ask("merge-base", "--is-ancestor", ancestor, commit).good

    def address_of(self, remote: str) -> str:
        return self.ask("remote", "get-url", remote).out

    def default_branch(self, remote: str) -> str:
        """The branch that a remote begins with, as it was when it was cloned; main where that is not known."""
        name = self.ask("symbolic-ref", "--quiet", "--short", f"refs/remotes/{remote}/HEAD").out.removeprefix(
            f"{remote}/"
        )
        known = [branch for branch in ("main", "develop", "master") if self.commit_of(f"{remote}/{branch}")]
        return name or (known[0] if known else "main")

    def since(self, base: str) -> tuple[int, int]:
        """How many commits the current branch has that the other one has not, and how many files they change."""
        commits = self.ask("rev-list", "--count", f"{base}..HEAD")
        files = self.ask("diff", "--name-only", "-z", f"{base}...HEAD")
        return (int(commits.out), files.out.count("\0")) if commits.good and files.good else (0, 0)

    def in_progress(self) -> str:
        """The command that was begun and not ended: merge, rebase; empty for none."""
        for name, command in _IN_PROGRESS.items():
            path = self.folder / self.do("rev-parse", "--git-path", name)
            if path.exists():
                return command
        return ""

    def must_know_who_commits(self) -> Problem | None:
        for variable in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            answer = self.ask("var", variable)
            if not answer.good:
                fix = "git config --global user.name NAME; git config --global user.email ADDRESS"
                return Problem("git", f"git does not know who commits: {said(answer)}", fix)
        return None

    def missing_remote(self, remote: str) -> Problem | None:
        known = self.remotes
        if remote in known:
            return None
        fix = did_you_mean(remote, known) or "add it: git remote add NAME URL"
        return Problem("git", f"there is no remote {remote}", f"{fix}; --remote names another, --no-push needs none")

    def push(self, remote: str, branch: str) -> None:
        """
        Raises:
            ConfigError: the remote, or a hook, refuses.
        """
        reference = f"refs/heads/{branch}"
        self.do("push", "--quiet", "--set-upstream", remote, f"{reference}:{reference}", timeout=_REMOTE)


def said(answer: Answer) -> str:
    """Git's own words in one line, without the prefix that every error has."""
    lines = (answer.err or answer.out).splitlines()
    return " ".join(line.strip().removeprefix("fatal: ").removeprefix("error: ") for line in lines if line.strip())[
        :600
    ]


def _named_in(fields: list[str]) -> Iterator[str]:
    """Yield the names in fields `XY name`; a renamed or copied file's previous name follows its new one."""
    rest = iter(field for field in fields if field)
    for field in rest:
        yield field[3:]
        if field[0] in "RC" or field[1] in "RC":
            yield next(rest)


def _error(what: str, fix: str = "") -> ConfigError:
    return ConfigError([Problem("git", what, fix)])

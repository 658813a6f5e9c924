"""The report for pull requests, read by a parser of GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.fake_run import MIXED, failed, record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.markdown_report import LIMIT, as_markdown
from thinkube_nornir.reporting.markdown_text import MOST_HOSTS, prose
from thinkube_nornir.reporting.record import Failure, Record, Row
from thinkube_nornir.reporting.terminal import clean

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_DETAILS = re.compile(r"</?details( open)?>|<summary>([^<>]|</?code>)*</summary>|\s")


def _tokens(text: str) -> Iterator[Token]:
    for token in _PARSER.parse(text):
        yield token
        yield from token.children or ()


def _form(text: str) -> list[tuple[str, str]]:
    """What a reader's browser builds: every element, and every text that is not code."""
    found: list[tuple[str, str]] = []
    for token in _tokens(text):
        if token.type.startswith("html"):
            assert not _DETAILS.sub("", token.content), token.content
        shown = token.content if token.type in ("text", "html_block", "html_inline") else ""
        found.append((token.type, shown))
    return found


def _cells(text: str) -> list[list[str]]:
    """The lines of all tables."""
    lines: list[list[str]] = []
    for before, token in zip([None, *_PARSER.parse(text)], _PARSER.parse(text), strict=False):
        if token.type == "tr_open":
            lines.append([])
        if before and before.type in ("td_open", "th_open"):
            lines[-1].append("".join(child.content for child in token.children or ()))
    return lines


def _code(text: str) -> list[str]:
    return [token.content for token in _tokens(text) if token.type in ("code_inline", "fence")]


def test_a_reader_sees_verdict_failures_hosts_and_checks() -> None:
    """The verdict first; why and fix of what failed; outcomes by host; each check beside each host."""
    text = as_markdown(MIXED)

    assert text.startswith("# ✗ `run phase5`: failed\n")
    assert "5 steps on 4 hosts in 1.50 s: 1 changed, 1 passed, 1 skipped, 1 failed, 1 missing." in text
    assert "0 of 2 pods are ready" in _code(text)
    assert "Why: `the Corefile has no forward line`\n\nFix: run: thinkube-nornir run `phase5.coredns`\n" in text
    assert ["host", "changed", "passed", "skipped", "failed", "missing"] in _cells(text)
    assert ["tkc", "1", "1", "", "", ""] in _cells(text)
    assert ["check", "tkc", "tkw1", "tkw2", "tkw3"] in _cells(text)
    assert ["coredns_answers", "✓", "✗", "–", "–"] in _cells(text)  # noqa: RUF001 the marks


def test_what_is_red_is_open_and_what_is_green_is_folded() -> None:
    """Long parts are folded; a component whose checks failed is not."""
    made = record(failed(), row(component="phase5.control"))

    folds = [token.content for token in _tokens(as_markdown(made)) if token.type == "html_block"]

    assert "<details open><summary>✗ <code>phase5.coredns</code>: 0 of 1 hold</summary>\n" in folds
    assert "<details><summary>✓ <code>phase5.control</code>: 1 of 1 hold</summary>\n" in folds
    assert sum("<details" in fold for fold in folds) == sum("</details>" in fold for fold in folds)


def test_a_change_is_listed_once_with_its_hosts_and_its_diff() -> None:
    """In a fence that GitHub colours; a plan says that nothing was changed."""
    rows = [
        row("write", host, Outcome.PLANNED, chain="setup", message="write a file", diff="--- a\n+++ b\n-x\n+y\n\n+z\n")
        for host in ("tkc", "tkw1")
    ]

    text = as_markdown(record(*rows, dry_run=True, verb="plan"))

    assert text.startswith("# ○ `plan phase5`: pending\n")
    assert "## Planned changes\n\n- `phase5.coredns`: `write a file` on `tkc`, `tkw1`\n" in text
    fences = [token for token in _tokens(text) if token.type == "fence"]
    assert [(fence.info, fence.content) for fence in fences] == [("diff", "--- a\n+++ b\n-x\n+y\n\n+z\n")]
    assert "<summary>2 lines more, 1 less</summary>" in text
    assert "## Checks" not in text


def test_nothing_to_change_is_said_of_a_green_plan_alone() -> None:
    """A plan that failed never says it."""
    green = record(row("write", outcome=Outcome.UNCHANGED, chain="setup"), dry_run=True, verb="plan")
    red = record(failed(chain="setup"), dry_run=True, verb="plan")

    assert "## Planned changes\n\nNothing to change.\n" in as_markdown(green)
    assert "Nothing to change." not in as_markdown(red)
    assert (
        "## Planned changes\n\nWhat would change is not known:\n\n"
        "- `phase5.coredns`: `coredns_answers` on `tkc`: `it failed`\n"
    ) in as_markdown(red)


def test_the_lab_cannot_pass_for_real_hosts() -> None:
    """What is emulated is said before anything that was seen there."""
    left_out = {"phase5.coredns": ("tkc",)}
    text = as_markdown(record(row(), target="lab", emulated=("snapd", "MicroK8s"), limit="workers", left_out=left_out))

    assert "- left out by `-l`: `phase5.coredns` on `tkc`\n" in text
    assert "- emulated, not real: snapd, MicroK8s\n" in text
    assert text.startswith("# ✓ `run phase5 -l workers`: green\n")


HOSTILE = (
    *(
        "`",
        "``` x\n# h",
        "\n```\n# h\n",
        "\n~~~\n",
        "\n`````\n",
        "~~~\n",
        "---\n",
        "\n\n# head\n\n",
        "    indented",
        "> q",
        "- [x] a",
        "| a | b",
        "\\|",
        "\\",
    ),
    *("<script>alert(1)</script>", "</details>", "<!--", "&amp;", "[a](http://b)", "![a](b)", "*b* _c_ ~~d~~"),
    *("@octocat", "#1", "http://a.b", "$$x$$", ":smile:", "\u2028", "x" * 300),
)
_SAID = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=8), max_size=5).map(lambda parts: clean(" ".join(parts)))


def _said(what: str, why: str, message: str, diff: str) -> Record:
    causes = [Failure("CheckFailed", f"w{what}", f"y{why}", f"f{n}") for n in range(5)]
    return record(
        row("install", chain="setup", outcome=Outcome.CHANGED, message=f"m{message}", diff=f"+d{diff}"),
        *(row(f"bad{n}", outcome=Outcome.FAILED, failure=failure) for n, failure in enumerate(causes)),
        row(message=f"m{message}"),
    )


def _plain(text: str) -> str:
    """As long, and of several lines when it is."""
    return "x" * (len(text.strip()) - 2) + ("\nx" if "\n" in text.strip() else "xx")


@given(_SAID, _SAID, _SAID, _SAID)
def test_what_hosts_say_is_code_and_nothing_else(what: str, why: str, message: str, diff: str) -> None:
    """Whatever it is, the page is built as it would be of plain words, and all text that is no code is ours."""
    first, _, more = f"w{what}".strip().partition("\n")
    plain = "x" * (len(first) - 1) + ("\n" + _plain(more) if more else "")
    signs = [line[:1] for line in f"+d{diff}".split("\n") if line[:3] not in ("+++", "---")]
    lines = "\n".join([signs[0] and "", *(f"{sign if sign in '+-' else ' '}x" for sign in signs[1:])])

    hostile, benign = (
        as_markdown(_said(what, why, message, diff)),
        as_markdown(_said(plain, _plain(f"y{why}")[1:], "x", lines)),
    )

    assert [shown if "<summary>✗" not in shown[1] else shown[0] for shown in _form(hostile)] == [
        shown if "<summary>✗" not in shown[1] else shown[0] for shown in _form(benign)
    ]


@given(_SAID)
def test_what_hosts_say_in_a_fix_is_code_but_for_plain_words(said: str) -> None:
    """Nothing of it is markup, and no text has a sign that GitHub makes something of."""
    form = _form(f"Fix: {prose(said)}\n")

    assert {kind for kind, _ in form} <= {"paragraph_open", "inline", "text", "code_inline", "paragraph_close"}
    for kind, text in form:
        assert kind != "text" or re.fullmatch(r"[^\W_]*([\s().,:;?!'-]+[^\W_]*)*", text), text


def test_a_reason_of_several_lines_keeps_them() -> None:
    """And a short one needs no block of its own."""
    several = Failure("CheckFailed", "no", "pod a: not there\npod b: not there", "look")

    assert "pod a: not there\npod b: not there\n" in _code(
        as_markdown(record(row("bad", outcome=Outcome.FAILED, failure=several)))
    )


def test_further_causes_are_folded() -> None:
    """The first three are open; of the others a line says what and where."""
    failures = [Failure("CheckFailed", f"{n} <b>&", "why", f"mend {n}") for n in range(5)]
    made = record(
        *(row("bad", "tkc", Outcome.FAILED, failure=failure, component=f"c{n}") for n, failure in enumerate(failures))
    )

    text = as_markdown(made)

    assert text.count("### ✗ ") == 3
    assert "<details><summary>✗ <code>3 &lt;b&gt;&amp;</code> on <code>tkc</code></summary>" in text


@pytest.mark.parametrize("name", ["a|b", "a\\|b", "a\\", "`a`", "<b>", "@all"])
def test_a_host_cannot_break_a_table(name: str) -> None:
    """Every line of a table has as many cells as its head, and the name stands in one of them."""
    text = as_markdown(record(row(host=name), row(host="tkc"), row(host=name, outcome=Outcome.CHANGED, chain="setup")))

    tables = _cells(text)

    assert [len(line) for line in tables] == [3, 3, 3, 3, 3]
    assert tables[1][0] == name
    assert tables[3][1] == name


def test_a_long_report_fits_and_says_what_is_left_out() -> None:
    """Every kind of part is there, none takes all of the room, and each says how many of it are missing and where."""
    rows: list[Row] = []
    for number in range(600):
        host = f"a-rather-long-host-name-{number}"
        failure = Failure(
            "CheckFailed", f"{number}: no", "because of\n" + f"{number}: {'x' * 60}\n" * 90, f"mend {number}"
        )
        rows.append(row("bad", host, Outcome.FAILED, failure=failure))
        rows.append(
            row(f"w{number}", host, Outcome.CHANGED, chain="setup", message=f"write {number}", diff="+y\n" * 1500)
        )
        rows += [row(f"check_{n}", host) for n in range(3)]

    text = as_markdown(record(*rows))

    assert len(text) < LIMIT
    for head in ("## Failures", "## Changes", "## Hosts", "## Checks"):
        assert head in text
    assert re.search(r"\*5\d\d more causes are left out, so that this fits into GitHub's 65,536 characters\.", text)
    assert re.search(r"\*\d+ more changes are left out", text)
    assert re.search(r"\*\d+ more hosts are left out", text)
    assert "1 more component is left out" in text
    assert "`show 7` shows all, and so does a report that ends in .html." in text
    cut = {token.info for token in _tokens(text) if token.type == "fence" and "(cut here: " in token.content}
    assert cut == {"", "diff"}
    assert sum("<details" in token.content for token in _tokens(text)) == text.count("</details>")


def test_characters_that_count_twice_fit_too() -> None:
    """GitHub counts as JavaScript does."""
    failures = [Failure("CheckFailed", "😀" * 150, "😀" * 150, f"mend {n}") for n in range(400)]
    rows = [row("bad", f"h{n}", Outcome.FAILED, failure=failure) for n, failure in enumerate(failures)]

    text = as_markdown(record(*rows))

    assert len(text) < LIMIT / 1.2
    assert len(text.encode("utf-16-le")) // 2 < LIMIT


def test_many_hosts_of_one_failure_are_counted() -> None:
    """The first are named."""
    text = as_markdown(record(*(failed(host=f"h{n:03d}") for n in range(50))))

    assert f"`h{MOST_HOSTS - 1:03d}` and {50 - MOST_HOSTS} more: 50 steps failed." in text


@pytest.mark.parametrize(
    ("fix", "told"),
    [
        ("run the set-up: `nornir run a.b`; it mends it", "run the set-up: `nornir run a.b`; it mends it"),
        ("`lab up`, then look", "`lab up`, then look"),
        ("ask @admin about #12, GH-3 and <b>this</b>", "ask `@admin` about `#12, GH-3` and `<b>this</b>`"),
        ("see commit 0123abcd of www.example.org/*x*", "see commit `0123abcd` of `www.example.org/*x*`"),
        ("an odd ` is left", "`` an odd ` is left ``"),
    ],
)
def test_a_fix_is_a_sentence_with_its_commands_as_code(fix: str, told: str) -> None:
    """Nothing else of it can become a mention, a reference, a link or markup."""
    assert prose(fix) == told

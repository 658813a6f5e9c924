"""The page's text: what is in it, that nothing gets into it, and that it is built to be read by everybody."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_run import failed, record, row
from tests.large_runs import installation, topology, verification
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.html_report import as_html
from thinkube_nornir.reporting.record import Failure, Record
from thinkube_nornir.reporting.terminal import clean

SMALL = record(
    row("install", chain="setup", outcome=Outcome.CHANGED, message="install microk8s", diff="+a\n", started=1.7e9),
    row("clock_is_right", chain="preconditions", started=1.7e9 + 1, about="A clock that is wrong breaks certificates."),
    row(started=1.7e9 + 2),
    failed(host="tkw1", started=1.7e9 + 2),
    row(host="tkw2", outcome=Outcome.SKIPPED, message="tkw2 is unreachable"),
    row(host="tkw3", outcome=None),
    topology=topology(3),
    next_command="thinkube-nornir run phase5",
)
_BLOCKS = {"details", "dl", "div", "form", "h2", "h3", "ol", "p", "pre", "section", "table", "ul"}
_VOID = {"meta", "link", "input"}


@dataclass
class Page(HTMLParser):
    """The page's elements, as a browser would find them."""

    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    inside: dict[str, str] = field(default_factory=lambda: {"style": "", "script": ""})

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in _BLOCKS or "p" not in self.open, f"a browser ends the paragraph at <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]] += data

    def all(self, attribute: str) -> list[str]:
        return [found for _, attributes in self.tags if (found := attributes.get(attribute)) is not None]


def text_of(made: Record) -> str:
    """Without tags, white space as one."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", as_html(made), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (record(row(outcome=Outcome.PASSED)), "The check ran and holds on 1 host; nothing was changed."),
        (record(*[row(host=h, outcome=Outcome.PASSED) for h in "ab"]), "All 2 checks ran and hold on 2 hosts"),
        (record(failed(), row("b")), "1 of 2 steps failed, for 1 reason, on tkc."),
        (record(row(outcome=Outcome.SKIPPED)), "Nothing failed, but 1 check did not run"),
        (record(row(outcome=None)), "1 step was planned and never reported."),
        (record(), "No step ran"),
        (record(row(), row("b", outcome=None), interrupted=True), "Interrupted: 1 of 2 steps have a result."),
        (
            record(row("i", chain="setup", outcome=Outcome.PLANNED), dry_run=True),
            "1 step would change something. Nothing was",
        ),
        (record(row("i", chain="setup"), dry_run=True), "Nothing to change"),
    ],
)
def test_the_first_sentence_says_how_it_ended(made: Record, sentence: str) -> None:
    """Under every verdict, and for every way to it."""
    assert sentence in text_of(made)


def test_parts_follow_each_other_by_importance() -> None:
    """How it ended, then what went wrong, then all else; a part that has nothing to say is left out."""
    page = Page(as_html(SMALL))
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]

    assert sections == ["summary", "failures", "changes", "checks", "timeline", "topology", "steps"]
    assert [link for link in page.all("href") if link.startswith("#") and link[1:] in sections] == [
        f"#{section}" for section in sections
    ]
    bare = Page(as_html(record(row(outcome=Outcome.PASSED))))
    assert [attributes["id"] for tag, attributes in bare.tags if tag == "section"] == ["summary", "checks", "steps"]


def test_a_failure_has_its_reason_and_what_to_do() -> None:
    """What, why and fix; and what is expected of a check is in its author's words."""
    text = text_of(SMALL)

    for said in (
        "0 of 2 pods are ready",
        "the Corefile has no forward line",
        "run: thinkube-nornir run phase5.coredns",
    ):
        assert said in text
    assert "Expected A clock that is wrong breaks certificates." in text
    assert "Next thinkube-nornir run phase5" in text


@pytest.mark.parametrize("made", [SMALL, verification(4, 12), installation(9, 12)])
def test_every_row_can_be_reached(made: Record) -> None:
    """Each has its place once, and every link leads somewhere."""
    page = Page(as_html(made))
    ids = page.all("id")

    assert not page.open
    assert max(Counter(ids).values()) == 1
    assert {f"r{number}" for number in range(len(made.rows))} <= set(ids)
    links = [link for link in page.all("href") if link.startswith("#")]
    assert {link[1:] for link in links} <= set(ids)
    checks = [number for number, each in enumerate(made.rows) if each.chain == "verify"]
    assert {f"#r{number}" for number in checks} <= set(links)


def test_the_page_needs_nothing_else() -> None:
    """No address but places in itself, one style and one script, and a policy that lets a browser apply these alone."""
    page = Page(as_html(SMALL))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""

    assert [link for link in page.all("href") if not link.startswith(("#", "data:"))] == []
    assert not page.all("src")
    assert "url(" not in page.inside["style"]
    assert "@import" not in page.inside["style"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        assert sum(tag == kind for tag, _ in page.tags) == 1
        digest = b64encode(sha256(page.inside[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not page.all("style")
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []


def _spoken(said: str) -> Record:
    told = clean(said)
    return record(
        row(message=told, outcome=Outcome.CHANGED, diff=f" {told}".replace("\n", " ")),
        failed(what=told, host="tkw1"),
        row(host="tkw2", outcome=Outcome.SKIPPED, message=told),
        selection=(said or "x",),
        limit=said,
        next_command=told,
        log=told,
    )


HOSTILE = ("</script>", '"><img src=x onerror=a()>', "<!--", "]]>", "{{ 7 * 7 }}", "&lt;b>", "</title><h1>")


@given(st.text(min_size=1).filter(str.strip) | st.sampled_from(HOSTILE))
def test_what_hosts_say_is_text_and_nothing_else(said: str) -> None:
    """The elements of the page are the same, whatever a host says."""
    plain, spoken = Page(as_html(_spoken("x"))), Page(as_html(_spoken(said)))

    assert [tag for tag, _ in spoken.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in spoken.tags] == [sorted(attributes) for _, attributes in plain.tags]
    assert spoken.inside == plain.inside


@pytest.mark.parametrize(
    ("made", "rows"), [(verification(50, 40), 2000), (installation(50, 60), 3000)], ids=["verify", "run"]
)
def test_fifty_hosts_stay_below_two_megabytes(made: Record, rows: int) -> None:
    """Their page can still be sent by mail."""
    assert len(made.rows) == rows
    assert len(as_html(made).encode()) < 2_000_000


def test_headings_and_tables_are_built_for_screen_readers() -> None:
    """One first heading, no level left out, each table's heads say what they head, each field has a label."""
    page = Page(as_html(SMALL))

    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [attributes for tag, attributes in page.tags if tag == "th" and "scope" not in attributes] == []
    tags = Counter(tag for tag, _ in page.tags)
    assert tags["input"] + tags["select"] == tags["label"]
    assert [tag for tag, _ in page.tags if tag in ("header", "nav", "main", "footer")] == [
        "header",
        "nav",
        "main",
        "footer",
    ]
    assert ("html", {"lang": "en"}) in page.tags
    assert [a for tag, a in page.tags if tag == "svg" and not (a.get("aria-hidden") or a.get("aria-label"))] == []


def _colours(theme: int) -> dict[str, str]:
    css = Page(as_html(SMALL)).inside["style"]
    found = re.findall(r"--(\w[\w-]*): light-dark\((#\w{6}), (#\w{6})\);", css)
    return {name: values[theme] for name, *values in found}


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """By WCAG 2.

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(theme: int) -> None:
    """WCAG AA: text 4.5 to 1 on all that it stands on, bars and borders of fields 3 to 1."""
    colour = _colours(theme)
    text = ["ink", "soft", "accent", "good", "bad", "warn", *(f"net{number}" for number in range(6))]
    pairs = [(name, base_layer, 4.5) for name in text for base_layer in ("paper", "wash")]
    pairs += [(name, "bad-wash", 4.5) for name in ("ink", "bad")]
    pairs += [(name, "warn-wash", 4.5) for name in ("ink", "warn", "soft", "bad", "good", "accent")]
    pairs += [("ink", "plus-wash", 4.5), ("accent", "line", 4.5 if theme else 3)]
    pairs += [
        (name, "paper", 3) for name in ("edge", "warn-fill", "preconditions", "setup", "verify", "rollback", "bad")
    ]

    low = {(one, two): c for one, two, least in pairs if (c := contrast(colour[one], colour[two])) < least}

    assert low == {}


def test_emulated_hosts_cannot_pass_for_real_ones() -> None:
    """What is not real is named where the verdict is."""
    text = text_of(record(row(), target="lab", emulated=("snapd", "MicroK8s")))

    assert "these hosts are not real servers" in text
    assert "emulated, not real: snapd, MicroK8s" in text
    assert "not real" not in text_of(record(row()))


def test_a_dry_run_shows_promises_and_no_matrix() -> None:
    """Its checks are not run, or not for what they would say afterwards."""
    made = record(
        row("install", chain="setup", outcome=Outcome.PLANNED, message="install microk8s", diff="+a\n-b\n"),
        row(outcome=Outcome.SKIPPED, message="not run: 1 change is only planned"),
        dry_run=True,
    )
    page = Page(as_html(made))

    assert "changes" in page.all("id")
    assert "checks" not in page.all("id")
    assert "Promised only" in text_of(made)


def test_a_limited_run_says_what_it_leaves_out() -> None:
    """Green on some hosts is not green on all."""
    made = record(row(), left_out={"phase5.coredns": ("tkw1", "tkw2")})

    assert "the limit leaves out phase5.coredns on tkw1, tkw2." in text_of(made)
    assert "leaves out" not in text_of(record(row()))


def test_a_plan_says_what_it_does_not_know() -> None:
    """What cannot be foreseen is no promise that nothing changes."""
    unforeseen = row("join", chain="setup", outcome=Outcome.SKIPPED, message="cannot be foreseen: there is no cluster")
    install = row("install", chain="setup", outcome=Outcome.PLANNED, message="install microk8s")

    told = text_of(record(install, unforeseen, dry_run=True))
    assert "Not known yet, and so not in this list" in told
    assert "phase5.coredns: join tkc there is no cluster" in told
    told = text_of(record(unforeseen, dry_run=True))
    assert "What would change is not known" in told
    assert "Nothing to change" not in told


def test_commands_of_a_fix_are_set_as_code() -> None:
    """And nothing else of it: what it quotes may come from a host."""
    failure = Failure("E", "no", "", "see `kubectl <b>get</b> pods`, and ` alone")
    text = as_html(record(row(outcome=Outcome.FAILED, failure=failure)))

    assert "see <code>kubectl &lt;b&gt;get&lt;/b&gt; pods</code>, and ` alone" in text

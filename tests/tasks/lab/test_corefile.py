"""The Corefile reader: what CoreDNS accepts, and what it ends with."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.lab.corefile import CorefileError, read, tokens

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-/", min_size=1, max_size=12)


def test_blocks_zones_and_directives_are_read() -> None:
    """Several zones may share a block; ports, case and the final dot do not matter; comments and quotes are known."""
    servers = read(
        '# head\nExample.org:53, kn.example.org. {\n  errors # tail\n  log "a b" {\n    class error\n  }\n}\n'
    )

    assert servers[0].zones == ("example.org", "kn.example.org")
    assert [d.name for d in servers[0].directives] == ["errors", "log"]
    assert servers[0].directives[1].arguments == ("a b",)
    assert servers[0].directives[1].block == (("class", "error"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".:53 {\n  nosuch\n}\n", "Corefile:2 - Error during parsing: Unknown directive 'nosuch'"),
        (".:53 {\n  errors\n", "Unexpected EOF"),
        ("}\n", "no matching opening brace"),
        (".:53 {\n  forward .\n}\n", "Wrong argument count"),
        (".:53 {\n  forward . nonsense\n}\n", 'not an IP address or file: "nonsense"'),
        (".:53 {\n  cache 30\n  cache 10\n}\n", "only be used once"),
        ("a.org {\n}\nA.org:53 {\n}\n", "already defined"),
        (".:53 {\n  kubernetes cluster.local {\n    pots insecure\n  }\n}\n", "unknown property 'pots'"),
        (".:53 {\n  file db.example\n}\n", "the lab does not model plugin 'file'"),
        (".:53 {\n  template IN A {\n    anwser x\n  }\n}\n", "Wrong argument count"),
        (".:53 {\n  template IN NOSUCH\n}\n", "invalid RR class NOSUCH"),
        (".:53 {\n  hosts\n  hosts\n}\n", "only be used once"),
        ('.:53 {\n  log "open\n}\n', "Unexpected EOF"),
    ],
)
def test_mistakes_end_coredns(text: str, message: str) -> None:
    """Each mistake is named as CoreDNS names it."""
    with pytest.raises(CorefileError) as error:
        read(text)

    assert message in str(error.value)


def test_a_comment_may_begin_within_a_word_and_a_backslash_escapes_quotes_only() -> None:
    """As the lexer of Caddy has it, which CoreDNS uses."""
    text = 'errors#all\nmatch "a\\.b \\"c\\" \\\\" end\n'

    assert [token.text for token in tokens(text)] == ["errors", "match", 'a\\.b "c" \\\\', "end"]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader fail in another way, or hang."""
    with contextlib.suppress(CorefileError):
        assert read(text)


@given(st.lists(WORDS, max_size=8))
def test_words_come_back_whatever_the_space_between_them(words: list[str]) -> None:
    """Spaces, tabs and line ends separate; nothing else does."""
    assert [t.text for t in tokens(" \t".join(words))] == words
    assert [(t.text, t.line) for t in tokens("\n".join(words))] == [(w, i) for i, w in enumerate(words, start=1)]


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=3)), max_size=4, unique_by=lambda x: x[0]))
def test_a_written_file_is_read_back(rows: list[tuple[str, list[str]]]) -> None:
    """A block of `hosts` lines comes back as it was written."""
    lines = "".join(f"    {' '.join([a, *b])}\n" for a, b in rows)

    servers = read(f"example.org {{\n  hosts {{\n{lines}  }}\n}}\n")

    assert servers[0].directives[0].block == tuple((a, *b) for a, b in rows)

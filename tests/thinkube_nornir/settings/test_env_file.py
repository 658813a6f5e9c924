"""The file with secrets."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkube_nornir.settings.env_file import parse_env

LINE = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs")))
SHELLISH = st.text(st.sampled_from("ab '\"\\#$`;&|<>()~=!{}*?[]%^\t"), max_size=12)


@given(value=LINE, export=st.booleans())
def test_what_a_shell_quotes_is_read_back(value: str, export: bool) -> None:
    """Any one-line value survives when it is written as shlex.quote writes it."""
    parsed = parse_env(f"{'export ' * export}NAME={shlex.quote(value)}  # comment\n")

    assert (parsed.values, parsed.mistakes) == ({"NAME": value}, ())


@settings(max_examples=200)
@given(text=SHELLISH)
def test_what_is_accepted_means_the_same_to_sh(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file that a shell would read differently is refused, never read in a way of our own."""
    parsed = parse_env(f"NAME={text}")
    if parsed.mistakes:
        return
    path = tmp_path_factory.mktemp("env") / "env"
    path.write_text(f"NAME={text}\n")

    script = '. "$1"; printf %s "$NAME"'
    seen = subprocess.run(["sh", "-c", script, "sh", path], capture_output=True, timeout=10, check=True)

    assert seen.stdout.decode() == parsed.values["NAME"]


@given(text=st.text())
def test_no_text_breaks_the_parser_and_no_mistake_repeats_a_value(text: str) -> None:
    """Whatever stands in the file, the answer is values and line numbers, and no line is quoted."""
    parsed = parse_env(f"SECRETNAME=${text}")

    assert all("$" not in what for _, what in parsed.mistakes)


def test_the_usual_forms() -> None:
    """Both spellings are the same name, the last one counts, comments and empty lines are passed over."""
    text = '# mine\n\nA=1\nexport A=2\n  B=\'x y\' # why\nC="say \\"hi\\" \\n"\nD=\nE=p#q\nF=it\\\'s\n'

    parsed = parse_env(text)

    assert parsed.values == {"A": "2", "B": "x y", "C": 'say "hi" \\n', "D": "", "E": "p#q", "F": "it's"}
    assert parsed.mistakes == ()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("just words", "not of the form NAME=value"),
        ("A-B=1", "not of the form NAME=value"),
        ("A =1", "not of the form NAME=value"),
        ("A=correct horse", "not one plain or quoted word"),
        ("A= x", "not one plain or quoted word"),
        ("A='open", "not one plain or quoted word"),
        ("A=pa$word", "not one plain or quoted word"),
        ('A="pa$word"', "not one plain or quoted word"),
        ("A=`id`", "not one plain or quoted word"),
        ("A=~/x", "not one plain or quoted word"),
        ("A=1\r", "not one plain or quoted word"),
        ("A='a\x00b'", "not one plain or quoted word"),
    ],
)
def test_what_is_not_clear_is_a_mistake(line: str, what: str) -> None:
    """What has two readings is refused with its line number."""
    parsed = parse_env(f"\n{line}\nB=1\n")

    ((number, reported),) = parsed.mistakes
    assert number == 2
    assert what in reported
    assert parsed.values == {"B": "1"}

"""Moments as people write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.history.moments import local, moment

NOW = datetime(2026, 11, 27, 17, 30, 5, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("today", datetime(2026, 11, 27, tzinfo=NOW.tzinfo)),
        (" Yesterday ", datetime(2026, 11, 26, tzinfo=NOW.tzinfo)),
        ("30min", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("3 d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(weeks=1)),
        ("2026-11-27T17:30+02:00", datetime(2026, 11, 27, 15, 30, tzinfo=timezone.utc)),  # noqa: UP017 as NOW
    ],
)
def test_a_moment_is_what_people_mean(text: str, meant: datetime) -> None:
    """How long ago, a day's beginning, or a time with its zone."""
    assert moment(text, NOW) == meant.timestamp()


def test_a_date_is_of_this_machine() -> None:
    """Its midnight; and it is shown as it was written."""
    assert local(moment("2026-11-27", NOW)) == "2026-11-27T00:00:00"
    assert local(moment("2026-11-27 17:30", NOW)) == "2026-11-27T17:30:00"


@given(st.text())
def test_whatever_is_typed_is_a_moment_or_an_error(text: str) -> None:
    """No other exception: years that no clock has, numbers without an end."""
    for typed in (text, f"{text}h", f"999999{text}", "0001-01-01", "9999-12-31T23:59:59-23:59", "999999w"):
        with suppress(ValueError):
            assert isinstance(moment(typed, NOW), float)


def test_what_is_no_moment_says_what_is() -> None:
    """Also what is one that no clock has."""
    for typed in ("tuesday", "999999w", "2026-13-01"):
        with pytest.raises(ValueError, match="write a date"):
            moment(typed, NOW)

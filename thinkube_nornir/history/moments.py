"""Moments of the past, as people write them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(rf"(\d{{1,6}}) ?({'|'.join(_UNITS)})")

FORM = (
    "write a date (2026-11-27), a time of it (2026-11-27T17:30), today, yesterday, or how long ago: 30min, 2h, 3d, 1w"
)


def moment(text: str, now: datetime) -> float:
    """Seconds since the epoch, in this machine's time zone.

    Raises:
        ValueError: it is none of FORM.
    """
    word = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in ("today", "yesterday"):
        return (midnight - timedelta(days=word == "yesterday")).timestamp()
    try:
        if ago := _AGO.fullmatch(word):
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).timestamp()
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(FORM) from None


def local(seconds: float) -> str:
    """One word, so that columns stay columns."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))

"""The fix for a name that nothing has: the known one that it resembles, else what there is."""

from __future__ import annotations

from collections.abc import Iterable

_MANY = 30  # names that are worth listing


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Say which known name was probably meant.

    Args:
        otherwise: what to do when none is near; empty for a list of what there is, where that is not long.

    >>> did_you_mean("phse1", ["phase1", "phase2"]), did_you_mean("x", ["phase1", "phase2"])
    ('did you mean phase1?', 'there are: phase1, phase2')
    """
    from difflib import get_close_matches  # only a mistake needs it

    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return otherwise or (f"there are: {', '.join(names)}" if 0 < len(names) <= _MANY else "")

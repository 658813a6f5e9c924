"""The garbage collector, kept from walking again and again through what stays: a plan, and what a run begins with."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_collected() -> Iterator[None]:
    """While something large grows of which all stays."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def kept() -> Iterator[None]:
    """What is there now stays until the end."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

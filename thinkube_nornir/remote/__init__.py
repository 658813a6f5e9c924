"""The only door to a host. Steps use what stands here; the modules below are how it is done."""

from thinkube_nornir.remote.door import change, fresh, obtain, read, run, undo, wait_until
from thinkube_nornir.remote.files import put, restore

__all__ = ["change", "fresh", "obtain", "put", "read", "restore", "run", "undo", "wait_until"]

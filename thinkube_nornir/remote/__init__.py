"""The only way to a host. Steps use what stands here; the modules below are how it is done."""

from thinkube_nornir.remote.api import change, fresh, read, run, run_for_output, undo, wait_until
from thinkube_nornir.remote.files import put, restore

__all__ = ["change", "fresh", "put", "read", "restore", "run", "run_for_output", "undo", "wait_until"]

"""Which Kubernetes distribution is used, behind the few things that the rest of `tasks/` asks of one.

Another distribution is another module with these functions, named in DISTRIBUTION.
"""

from __future__ import annotations

from typing import Protocol

from nornir.core.task import Result, Task

from tasks.shared.microk8s import distribution as microk8s
from thinkube_nornir.resources import Resource
from thinkube_nornir.secret import Secret


class Distribution(Protocol):
    """A module can be one. Every function acts on the task's host."""

    HELM: tuple[str, ...]
    """How to call helm on a control plane, as root."""

    @property
    def INSTALLATION(self) -> Resource:  # noqa: N802 - a module's constant
        """What each node has of it. Its removal leaves its record to the step that clears what it leaves behind."""

    def is_installed(self, task: Task) -> bool: ...

    def join_token(self, task: Task, address: str) -> Secret:
        """On a control plane: what a new worker needs to join through `address`; good for a second attempt."""

    def join(self, task: Task, join_token: Secret) -> Result:
        """Make this host a worker."""

    def leave(self, task: Task) -> Result:
        """Stop being a worker, if we made this host one."""

    def start(self, task: Task) -> Result:
        """Have the services of an installed one run that was stopped, or half stopped."""

    def is_stopped(self, task: Task) -> bool:
        """Whether this run has read that it is, on purpose and as a whole."""

    def kubeconfig(self, task: Task) -> str:
        """On a control plane: an administrator's kubeconfig; what is secret in it is known to be."""

    def addon_is_on(self, task: Task, name: str) -> bool:
        """On a control plane."""

    def addon(self, task: Task, name: str, argument: str = "", *, apart: bool = False) -> Result:
        """On a control plane: have an addon on; one that is on is not touched.

        Args:
            argument: for the addon, when it is turned on.
            apart: it can be rolled back alone, also when the whole distribution is managed.
        """

    def without_addon(self, task: Task, name: str) -> Result:
        """Off again, if `addon` turned it on, and recorded it apart from the distribution."""

    def addon_off(self, task: Task, name: str) -> Result:
        """On a control plane: have an addon off."""

    def addon_on_again(self, task: Task, name: str) -> Result:
        """On again, if `addon_off` turned it off."""

    def health(self, task: Task) -> tuple[str, ...]:
        """What is wrong with its services on this host, one statement each; empty when nothing is."""


DISTRIBUTION: Distribution = microk8s

"""The settings of names and users."""

from __future__ import annotations

from typing import Annotated, Literal

from tasks.shared.settings.values import Domain, FileName, User
from thinkube_nornir.settings.schema import Required


class Settings:
    """Names and users."""

    domain_name: Annotated[Domain, Required()]
    """A domain you own; services are published below it."""
    system_username: Annotated[User, Required()]
    """The login on all machines and VMs."""
    admin_username: User
    """Administrator inside the applications; not a login."""
    auth_realm_username: User
    """User in the identity realm of later phases."""
    ssh_key_name: FileName
    """File name of the key that the hosts use among themselves."""
    ssh_key_type: Literal["ed25519", "rsa", "ecdsa"]
    """Kind of that key."""

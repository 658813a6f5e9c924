"""The settings that only the lab reads."""

from __future__ import annotations

from tasks.shared.settings.values import PackageVersion, Text


class Settings:
    """The lab only."""

    lab_sudo_password: Text
    """Makes sudo ask for this password."""
    lab_sudo_rs: bool
    """sudo is sudo-rs, as on Ubuntu 25.10 and newer."""
    lab_snapd: PackageVersion
    """Version of snapd."""

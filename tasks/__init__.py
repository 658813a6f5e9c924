"""What is installed: one folder per phase, one module or package per component.

The engine finds this package by config.yaml's `tasks`. What several components use is in shared/.
"""

PHASES = ("phase5_core_services", "phase6_extended_services")
"""In order; later ones may need earlier ones. `phase5` is short for a folder's full name."""

PLANNED = ("phase1", "phase2", "phase3", "phase4")
"""Phases that START_HERE.md lists and this version does not set up: what they give is taken as done."""

SETTINGS = "shared.settings"
"""The package with the settings that several components share; a component's own stand beside it."""

FULL_LAB = "full_lab"
"""The module that says which machines the full lab has; a name, so that it is imported when it is used."""

TOPOLOGY = "shared.topology"
"""The module that knows hosts, networks and cluster, for reports; a name, so that it is imported when it is used."""

CONCURRENCY = {"join": 1, "reboot": 1}
"""How many steps of each concurrency limit may run at once; config.yaml's `concurrency` goes before it."""

CLUSTERS = "shared.cluster.control_plane"
"""The module that opens the clusters, whose own record of changes the engine reads; a name, as TOPOLOGY."""

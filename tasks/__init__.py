"""What is installed: one folder per phase, one module per component. The engine finds it through config.yaml `tasks`."""

PHASES = ("phase5_core_services",)
"""In order; later ones may need earlier ones. `phase5` is short for a folder's full name."""

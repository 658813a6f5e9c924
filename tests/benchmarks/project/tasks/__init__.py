"""The work that the benchmark gives to every tool."""

PHASES = ("phase1_setup", "phase2_checks")

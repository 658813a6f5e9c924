"""Lessons learned in a phase: what the journal knows of it, in a file that a person goes on with."""

"""What a run tells: progress while it goes on, tables and reports after it, the log."""

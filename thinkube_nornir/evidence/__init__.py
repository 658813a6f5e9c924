"""Evidence: what hosts and cluster really answered in a run, in one archive that can be sent and replayed."""

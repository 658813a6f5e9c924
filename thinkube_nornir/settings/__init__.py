"""config.yaml, inventory and secrets: read, and every mistake reported at once, with its place."""

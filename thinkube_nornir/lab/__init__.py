"""The light lab: hosts in namespaces behind real SSH, without root. See docs/lab.md."""

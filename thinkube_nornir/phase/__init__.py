"""How a phase is begun and finished: its branch, and the text of its pull request."""

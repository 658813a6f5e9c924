"""The master task list: tasks in a Markdown file, and what of them the journal proves."""

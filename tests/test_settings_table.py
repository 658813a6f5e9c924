"""docs/settings.md is what the schema, the example inventory and the components say."""

from __future__ import annotations

from tests import settings_table


def test_the_table_of_settings_is_current() -> None:
    """Whoever changes a setting, its example or who needs it, writes the table again."""
    written = settings_table.DOCUMENT.read_text()

    assert written == settings_table.document(), "write it again: python -m tests.settings_table"


def test_every_setting_is_explained_in_one_line() -> None:
    """The text below its name in tasks/shared/settings/schema.py is what operators read."""
    found = dict(setting for members in settings_table.sections().values() for setting in members)

    assert found.keys() == settings_table.SCHEMA.__annotations__.keys()
    assert [name for name, text in found.items() if not text.endswith(".") or "\n" in text] == []

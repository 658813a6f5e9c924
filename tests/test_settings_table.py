"""docs/settings.md is what the schema, the example inventory and the components say."""

from __future__ import annotations

from tests import product_settings, settings_table


def test_the_table_of_settings_is_current() -> None:
    """Whoever changes a setting, its example or who needs it, writes the table again."""
    written = settings_table.DOCUMENT.read_text()

    assert written == settings_table.document(), "write it again: python -m tests.settings_table"


def test_every_setting_is_explained_in_one_line() -> None:
    """The text below its name is what operators read."""
    declared = product_settings.declared()
    found = {name: text for fragment in declared for name, text in settings_table.explained(fragment).items()}

    assert found.keys() == product_settings.schema().settings.__annotations__.keys()
    assert [name for name, text in found.items() if not text.endswith(".") or "\n" in text] == []

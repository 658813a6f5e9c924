"""The values that the product gives to charts, against the charts' own values and schemas."""

from __future__ import annotations

import pytest

from tests import upstream_data as upstream
from tests.product_objects import Recording
from tests.upstream_schemas import unknown_values, validate_values

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_every_value_is_known_to_its_chart(recording: Recording) -> None:
    """By the chart's schema, or by its values where it has none: there a wrong key is ignored without a word."""
    wrong = []
    for release in recording.releases:
        schema = upstream.chart_schema(release.chart, release.version)
        if schema is not None:
            found = validate_values(dict(release.values), schema)
        else:
            found = unknown_values(release.values, upstream.chart_values(release.chart, release.version))
        wrong += [f"{release.chart} {release.version}: {line}" for line in found]

    assert {release.chart for release in recording.releases}
    assert sorted(set(wrong)) == []

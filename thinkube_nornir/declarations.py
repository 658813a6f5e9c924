"""Names that components use, and that are declared elsewhere: settings and concurrency limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.config import Config
from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import Problem
from thinkube_nornir.settings.schema import Schema


def undeclared_settings(catalog: Catalog, schema: Schema) -> list[Problem]:
    declared = schema.settings.__annotations__
    return [
        Problem(entry.where, f"needs the setting {name!r}, which the schema does not declare", _near(name, declared))
        for entry in catalog.entries
        for name in entry.component.settings
        if name not in declared
    ]


def undeclared_limits(catalog: Catalog, config: Config) -> list[Problem]:
    """Concurrency limits of steps, and in config.yaml, that the tasks package does not declare in CONCURRENCY."""
    declared = _declared(catalog)
    if declared is None:
        return []
    problems = [
        Problem(entry.where, f"CONCURRENCY declares no {name!r}, which a step holds", _near(name, declared))
        for entry in catalog.entries
        for name in dict.fromkeys(_held(entry))
        if name not in declared
    ]
    return problems + [
        Problem("config.yaml: concurrency", f"no step can hold {name!r}", _near(name, declared))
        for name in config.concurrency
        if name not in declared
    ]


def with_limits(catalog: Catalog, config: Config) -> Config:
    """The configuration with the package's concurrency limits, where it has none of its own."""
    return replace(config, concurrency={**(_declared(catalog) or {}), **config.concurrency})


def _declared(catalog: Catalog) -> Mapping[str, int] | None:
    return getattr(catalog.package, "CONCURRENCY", None)


def _held(entry: Entry) -> Iterator[str]:
    yield from (step.concurrency for chain in entry.component.chains for step in chain.steps if step.concurrency)


def _near(name: str, names: Iterable[str]) -> str:
    return did_you_mean(name, names, "declare it, or correct the name")

"""Component, Chain, Step: what `tasks/` declares. Plain frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, Literal, Protocol, runtime_checkable

from nornir.core.inventory import Host
from nornir.core.task import Result, Task

from thinkube_nornir.errors import ConfigError, ThinkubeError, Unreachable

StepFunction = Callable[[Task], Result]
ChainName = Literal["preconditions", "setup", "verify", "rollback"]

CHECKS: tuple[ChainName, ...] = ("preconditions", "verify")
"""Chains that change nothing."""

AS_DECLARED = " is as declared"
"""How the titles of resources' checks end."""


class Here(str):
    """The name of something that is needed on the same host only; a plain name stands for all hosts that get it."""

    __slots__ = ()


def here(name: str) -> str:
    """What a component or step needs of another one on the same host: `needs=(here("phase5.microk8s_workers"),)`."""
    return Here(name)


@runtime_checkable
class Managed(Protocol):
    """What is set up, checked and rolled back from one declaration: a resource. In a chain it is the chain's step."""

    def __call__(self, task: Task, /) -> Result: ...
    def facts(self, task: Task) -> tuple[Any, ...]: ...
    @property
    def on(self) -> str | None:
        """The group on whose first host it is managed, once; a step that has it in a chain may say another."""

    @property
    def setup_step(self) -> Step: ...
    @property
    def check_step(self) -> Step: ...
    @property
    def rollback_step(self) -> Step: ...
    @property
    def last_step(self) -> Step | None:
        """What is left to do once all else of the component is rolled back."""


@dataclass(frozen=True)
class Step:
    """One function that changes at most one thing, or one check.

    `needs` None means the default edge: what this component needs is verified (Component.needs says on which hosts).
    A tuple replaces that edge: names of steps that must be done first, `phase5.microk8s_control.addons` on all
    of its hosts or `here(...)` on the same one, or nothing at all for `()`. Steps of one chain follow each other in any
    case: on a host one by one, and around those that run `on` a group as plan.py says.
    """

    function: StepFunction
    needs: tuple[str, ...] | None = None
    on: str | None = None
    """Where it runs. None: on each host that gets the component, or where its resource says. A group: once, on the
    first host of that group."""
    concurrency: str | None = None
    """Name of a concurrency limit (config.yaml `concurrency`): how many of them run at once, on all hosts: `join`."""
    timeout: float | None = None
    """Seconds the step as a whole may take; None for config.yaml's `timeouts.step`."""
    early: bool = False
    """A precondition that needs nothing of what other components set up: it is checked before the first change of the
    whole run. See plan.py."""

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"a step is a function, not {self.function!r}")
        _must_be_names("needs of a step", self.needs or ())
        if self.on is None and isinstance(self.function, Managed):
            object.__setattr__(self, "on", self.function.on)

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def title(self) -> str:
        """What the function is called, in words, for people."""
        return str(getattr(self.function, "title", "") or self.name.replace("_", " "))

    @property
    def label(self) -> str:
        """What a terminal has room for: the function's name, or what a resource is called in its declaration."""
        return str(getattr(self.function, "title", "")).removesuffix(AS_DECLARED) or self.name


@dataclass(frozen=True)
class Chain:
    """The ordered steps of one of a component's chains.

    `facts` are read together, in one round trip, before the first step on each host, and kept until the first change.
    A function gets the Task and returns them, for facts that depend on settings.
    """

    steps: tuple[Step, ...] = ()
    facts: Callable[[Task], tuple[Any, ...]] | None = None

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"a chain has each step once, and {', '.join(twice)} more often")

    @property
    def resources(self) -> tuple[Managed, ...]:
        return tuple(step.function for step in self.steps if isinstance(step.function, Managed))

    @property
    def on_each_host(self) -> tuple[Managed, ...]:
        """The resources that are managed on each host."""
        return tuple(step.function for step in self.steps if isinstance(step.function, Managed) and step.on is None)


def step(
    function: StepFunction,
    *,
    needs: tuple[str, ...] | None = None,
    on: str | None = None,
    concurrency: str | None = None,
    timeout: float | None = None,
    early: bool = False,
) -> Step:
    return Step(function, needs, on, concurrency, timeout, early)


def chain(*steps: StepFunction | Managed | Step, facts: Callable[[Task], tuple[Any, ...]] | None = None) -> Chain:
    return Chain(tuple(s if isinstance(s, Step) else Step(s) for s in steps), facts)


@dataclass(frozen=True)
class Component:
    """One module in `tasks/<phase>/`; the catalog adds phase and name from where it stands."""

    title: str
    number: int
    """Its number family: 10, 20, 30 (set-up x0, configuration x1-x7, verify x8, rollback x9)."""
    group: str
    """The inventory group whose hosts get it."""
    manages: tuple[Managed, ...] = ()
    """Resources: set up before the chain's steps, in this order; checked before them, but after those that run once and
    stand first; rolled back after them, in the reverse order. One that has to come in the middle stands in a chain
    itself; what set-up has of such, and the other chains have not, they get in the same way."""
    setup: Chain = field(default_factory=Chain)
    verify: Chain = field(default_factory=Chain)
    rollback: Chain = field(default_factory=Chain)
    needs: tuple[str, ...] = ()
    """Full names of components, `phase5.microk8s_control`: verified on all of their hosts, or, as `here(...)`, on the
    same host, if it gets them."""
    settings: tuple[str, ...] = ()
    """Settings each of its hosts must have; checked for all hosts before anything starts."""
    secrets: tuple[str, ...] = ()
    """Names of secrets it uses; checked before anything starts."""
    uses_secrets: Callable[[Host], bool] = lambda _: True
    """Whether it uses them on this host: one of two ways to work may need none."""
    preconditions: Chain = field(default_factory=Chain)
    """Checks that must hold before set-up; read-only."""
    resources: tuple[Managed, ...] = field(init=False, default=())
    """All that set-up manages, in order."""

    @property
    def chains(self) -> tuple[Chain, ...]:
        return (self.preconditions, self.setup, self.verify, self.rollback)

    def __post_init__(self) -> None:
        for name in ("preconditions", "setup", "verify", "rollback"):
            if not isinstance(getattr(self, name), Chain):
                raise TypeError(f"{self.title}: {name} is a chain(...), not {getattr(self, name)!r}")
        for name in ("needs", "settings", "secrets"):
            _must_be_names(f"{self.title}: {name}", getattr(self, name))
        for chain in (self.setup, self.verify, self.rollback):
            if misplaced := [step.name for step in chain.steps if step.early]:
                raise ValueError(f"{self.title}: early is for preconditions, not for {', '.join(misplaced)}")
        for name, value in _with_resources(self).items():
            object.__setattr__(self, name, value)


def _must_be_names(what: str, names: Any) -> None:
    """A string alone would be taken letter by letter."""
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{what} is a tuple of names, not {names!r}")


def _with_resources(component: Component) -> dict[str, Any]:
    """The component's chains with a step for each resource: what set-up manages is missing nowhere."""
    setup = Chain((*map(Step, component.manages), *component.setup.steps), component.setup.facts)
    managed = setup.resources
    of_resources = [Step(s.function, on=s.on) for s in setup.steps if isinstance(s.function, Managed)]
    for name in ("preconditions", "verify", "rollback"):
        if strange := [step.name for step in getattr(component, name).steps if _is_strange(step, name, managed)]:
            raise ValueError(f"{component.title}: {name} has {', '.join(strange)}, which set-up does not manage")
    unchecked = [step for step in of_resources if step.function not in component.verify.resources]
    first = tuple(takewhile(lambda step: step.on is not None, component.verify.steps))
    others = component.verify.steps[len(first) :]
    kept = [step for step in reversed(of_resources) if step.function not in component.rollback.resources]
    last = [replace(end, on=step.on) for step in reversed(of_resources) if (end := _last(step))]
    return {
        "resources": managed,
        "setup": Chain(_as("setup_step", setup.steps), _facts(setup, setup.on_each_host)),
        "verify": Chain(_as("check_step", (*first, *unchecked, *others)), _facts(component.verify, setup.on_each_host)),
        "rollback": Chain((*_as("rollback_step", (*component.rollback.steps, *kept)), *last), component.rollback.facts),
    }


def _last(step: Step) -> Step | None:
    return step.function.last_step if isinstance(step.function, Managed) else None


def _is_strange(step: Step, chain: str, managed: tuple[Managed, ...]) -> bool:
    return isinstance(step.function, Managed) and (chain == "preconditions" or step.function not in managed)


def _as(kind: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps, with what each resource among them has for a chain of this kind."""
    return tuple(
        replace(step, function=getattr(step.function, kind).function) if isinstance(step.function, Managed) else step
        for step in steps
    )


def _facts(chain: Chain, resources: tuple[Managed, ...]) -> Callable[[Task], tuple[Any, ...]] | None:
    """The chain's own facts, and those of resources, to be read together.

    What cannot be known yet, as the home of a user who is still to be made, is left to the step that needs it.
    """
    if not resources:
        return chain.facts

    def facts(task: Task) -> tuple[Any, ...]:
        found = dict.fromkeys(chain.facts(task) if chain.facts else ())
        for resource in resources:
            try:
                found.update(dict.fromkeys(resource.facts(task)))
            except (Unreachable, ConfigError):
                raise
            except ThinkubeError:
                continue
        return tuple(found)

    return facts

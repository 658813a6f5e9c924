"""Which node waits for which: within a chain, between chains, between components, and between hosts.

On one host the steps of a chain follow each other; checks hide no other check, so they only come after each other.

Between a step for each host and one that runs once, somewhere else, the chain's order holds too. What comes after the
one that runs once needs it. What runs once comes after those before it on all hosts, well or not: a host that failed
stops nobody else, and context.active() leaves it out of what is judged. The first of a chain also comes after all that
the other hosts' first steps need. Where a filter leaves out what runs once, the checks that stand first in verify, and
run once, take its place: they are about what it does.

Early preconditions (component.Step.early) come before the first change of a run, whichever component they belong to
and whatever that one needs. A host on which one of them fails is not changed at all. Other hosts only wait until all of
them have ended, and go on: one bad host does not stop them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from thinkube_nornir.component import Here, Step, here
from thinkube_nornir.placement import CHAINS, Part, Place, chain_of

Ids = frozenset[str]
_NONE: Ids = frozenset()


@dataclass(frozen=True)
class _Once:
    """A step that runs once."""

    number: int
    id: str = ""
    """Empty when a filter leaves it out."""


@dataclass
class Relations:
    parts: Sequence[Part]
    verb: str
    gates: dict[str, Ids] = field(default_factory=dict)
    """See Plan.gates; filled by `edges`."""
    _at: dict[tuple[Place, str], Part] = field(default_factory=dict)
    _placed: dict[Place, list[Part]] = field(default_factory=dict)
    _once: dict[Place, tuple[_Once, ...]] = field(default_factory=dict)
    _early: dict[str, Ids] = field(default_factory=dict)
    """Host to its early preconditions, of all components."""
    _all_early: Ids = _NONE
    _named: dict[str, Ids] = field(default_factory=dict)
    """What stands for nodes on all hosts."""

    def __post_init__(self) -> None:
        last_early = []
        for part in self.parts:
            self._at[part.place, part.host] = part
            self._placed.setdefault(part.place, []).append(part)
            early = [part.id(step) for _, step in part.steps if step.early]
            self._early[part.host] = self._early.get(part.host, _NONE).union(early)
            last_early += early[-1:]
        self._all_early = self._all("early preconditions", last_early)
        self._once = {place: self._running_once(parts) for place, parts in self._placed.items()}

    def edges(self, part: Part) -> Iterator[tuple[Step, Ids, Ids]]:
        """Yield each step of the part, what it needs, and what it only comes after."""
        before: str = ""
        place = -1
        crossed = False
        for number, step in part.steps:
            follows = frozenset([before]) if before else _NONE
            needs = self._earlier_chains(part) if part.checks or not before else follows
            after = follows if part.checks else _NONE
            if not step.early:
                needs, after = needs | self._once_between(part, place, number), after | self._others(part, number)
                place = number
            if step.needs is not None:
                needs |= frozenset(i for need in step.needs for i in self._of_step(need, part))
            elif not crossed and not step.early:
                needs |= self._components(part)
                crossed = not part.checks
            if part.chain == "setup" and not before:
                needs |= self._early[part.host]
                after |= self._all_early
            yield step, needs, after - needs
            before = part.id(step)

    # within a component

    def _earlier_chains(self, part: Part) -> Ids:
        """The chain before this one of the same component: all of its checks, or the last step; here, or done once."""
        chains = CHAINS[self.verb]
        for name in reversed(chains[: chains.index(part.chain)]):
            place = part.entry.name, name
            own, once = self._at.get((place, part.host)), self._once.get(place, ())
            here = (own.ids if own.checks else own.ids[-1:]) if own else ()
            if part.prerequisite and not own:
                continue
            if name == "preconditions":
                found = frozenset(here).union(o.id for o in once if o.id)
            else:
                found = frozenset(here) | self._after_last(own, once)
            if found:
                return found
        return _NONE

    @staticmethod
    def _after_last(own: Part | None, once: Sequence[_Once]) -> Ids:
        """What runs once after all that runs on this host."""
        last = own.steps[-1][0] if own else -1
        return frozenset(o.id for o in once[-1:] if o.id and o.number > last)

    def _once_between(self, part: Part, place: int, number: int) -> Ids:
        """What runs once somewhere else, and stands between two steps of this host: it was done, or is verified."""
        if part.checks:
            return _NONE
        between = [once for once in self._once[part.place] if place < once.number < number]
        needed = [once.id for once in between if once.id][-1:]
        left_out = any(not once.id for once in between)
        return frozenset(needed) | (self._first_checks(part) if left_out else _NONE)

    def _first_checks(self, part: Part) -> Ids:
        """Return the checks that stand first in verify, and run once."""
        steps = chain_of(part.entry, "verify").steps
        own = next((number for number, step in enumerate(steps) if step.on is None), len(steps))
        once = self._once.get((part.entry.name, "verify"), ())
        return frozenset(o.id for o in once if o.id and o.number < own)

    def _others(self, part: Part, number: int) -> Ids:
        """What a step that runs once comes after, on the other hosts."""
        steps = chain_of(part.entry, part.chain).steps
        if steps[number].on is None:
            return _NONE
        previous = max((once.number for once in self._once[part.place] if once.number < number), default=-1)
        others = [other for other in self._placed[part.place] if other is not part and other.whole]
        if any(step.on is None and not step.early for step in steps[previous + 1 : number]):
            return frozenset(next(o.id(step) for at, step in reversed(o.steps) if at < number) for o in others)
        if part.checks or previous >= 0 or steps[number].needs is not None:
            return _NONE
        places = [self._placed.get((part.entry.name, chain), ()) for chain in CHAINS[self.verb]]
        hosts = {p.host for parts in places for p in parts if p.whole and not p.prerequisite} - {part.host}
        alike = [replace(part, host=host) for host in hosts]
        return frozenset(i for other in alike for i in self._earlier_chains(other) | self._components(other))

    # between components

    def _components(self, part: Part) -> Ids:
        """The default edge between components; see Step.needs."""
        if self.verb == "rollback":
            return self._dependents(part)
        set_up_here = part.whole or part.prerequisite or self.verb != "run"
        if part.chain == "verify" and set_up_here:
            return _NONE  # its own set-up has needed them; a check that runs once, somewhere else, follows none
        needs = part.entry.component.needs
        return frozenset(i for need in needs for i in self._verified(need, part.host))

    def _dependents(self, part: Part) -> Ids:
        """Return, for a rollback, the last steps of what needs this."""
        name, found = part.entry.name, set[str]()
        for (dependent, _), parts in self._placed.items():
            need = next((n for n in parts[0].entry.component.needs if n == name), None)
            if isinstance(need, Here):
                own = self._at.get(((dependent, "rollback"), part.host))
                found.update(own.ids[-1:] if own else ())
            elif need is not None:
                found |= self._all(f"{dependent}/rollback", (p.ids[-1] for p in parts))
        return frozenset(found)

    def _verified(self, need: str, host: str) -> Ids:
        """The last sign that a component is usable: its verify chain, or what it has instead."""
        if not isinstance(need, Here):
            return self._verified_everywhere(need)
        for chain in reversed(CHAINS[self.verb]):
            own = self._at.get(((need, chain), host))
            if own and own.whole:
                return frozenset(own.ids if own.checks else own.ids[-1:])
        return _NONE

    def _verified_everywhere(self, name: str) -> Ids:
        if checks := self._placed.get((name, "verify")):
            return self._all(f"{name}/verify", (i for part in checks for i in part.ids))
        parts = [part for chain in CHAINS[self.verb] for part in self._placed.get((name, chain), ())]
        return self._all(name, (part.ids[-1] for part in parts))

    def _of_step(self, need: str, part: Part) -> Ids:
        """Nodes of `phase5.microk8s_control.addons`; verified, where that is not planned.

        A component's own step that is not planned is waited for by nobody.
        """
        component, _, name = need.rpartition(".")
        places = [(component, chain) for chain in CHAINS[self.verb]]
        if isinstance(need, Here):
            own = [self._at[place, part.host] for place in places if (place, part.host) in self._at]
            found, component = frozenset(_named(own, name)), here(component)
        else:
            parts = (part for place in places for part in self._placed.get(place, ()))
            found = self._all(need, _named(parts, name))
        return found or (_NONE if component == part.entry.name else self._verified(component, part.host))

    def _running_once(self, parts: Sequence[Part]) -> tuple[_Once, ...]:
        entry, chain = parts[0].entry, parts[0].chain
        ids = {number: part.id(step) for part in parts for number, step in part.steps if step.on is not None}
        steps = enumerate(chain_of(entry, chain).steps)
        return tuple(_Once(number, ids.get(number, "")) for number, step in steps if step.on is not None)

    def _all(self, name: str, nodes: Iterable[str]) -> Ids:
        """The nodes, if they are on one host; else the name of the gate that stands for them for everybody."""
        if name not in self._named:
            found = frozenset(nodes)
            if len({node.rpartition("@")[2] for node in found}) > 1:
                self.gates[f"{name}@*"] = found
                found = frozenset([f"{name}@*"])
            self._named[name] = found
        return self._named[name]


def _named(parts: Iterable[Part], name: str) -> Iterator[str]:
    return (part.id(step) for part in parts for _, step in part.steps if step.name == name)

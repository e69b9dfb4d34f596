"""The scopes that people name: spelled right, and naming something that is there.

A stop of what does not exist would stop nothing and look like success. Kinds whose keys we cannot know beforehand (a
recipient's domain, a source address, a cluster) are taken as they are.
"""

from collections.abc import Callable, Mapping
from typing import Final

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat

from outbox.models import Agent, Lane, Run
from reputation.killswitch import scope_of
from reputation.models import Kind, Route, SendingDomain, Stream

SHOWN: Final = 10


# kind -> the agents that a scope of it is made of; kinds that are left out name none
AGENTS: Final[Mapping[str, Callable[[str], Q]]] = {
    "agent": lambda key: Q(name=key),
    "run": lambda key: Q(name=key.partition("/")[0]),
    "stream": lambda key: Q(stream__name=key),
    "domain": lambda key: Q(stream__domain__name=key),
    "agents": lambda _key: Q(stream__kind=Kind.AGENTS),
    "all": lambda _key: Q(),
}


class NoSuchScope(LookupError):
    """Nothing has that name; the message lists what there is."""


def _providers() -> list[str]:
    return sorted(set(Lane.objects.values_list("provider", flat=True).distinct()))


def _runs(name: str) -> list[str]:
    """``agent/run`` of every run with this name, with or without its agent before it."""
    found = Run.objects.annotate(full=Concat(F("agent__name"), Value("/"), F("name")))
    found = found.filter(full=name) if "/" in name else found.filter(name=name)
    return list(found.values_list("full", flat=True)[: SHOWN + 1])


NAMES: Final[Mapping[str, Callable[[], list[str]]]] = {
    "agent": lambda: list(Agent.objects.values_list("name", flat=True)),
    "stream": lambda: list(Stream.objects.values_list("name", flat=True)),
    "domain": lambda: list(SendingDomain.objects.values_list("name", flat=True)),
    "route": lambda: list(Route.objects.values_list("name", flat=True)),
    "provider": _providers,
}


def named(kind: str, key: str) -> str:
    """The scope a person means; a run may be named without its agent if only one agent has it.

    Raises:
        UnknownScope: the words do not form a scope.
        NoSuchScope: nothing has that name.
    """
    scope = scope_of(kind, key)
    if kind == "run":
        return scope_of("run", _only_run(key))
    if kind == "domain_provider":
        domain, _, provider = key.partition("/")
        _check("domain", domain)
        _check("provider", provider)
    elif kind in NAMES:
        _check(kind, key)
    return scope


def agents_of(scope: str) -> QuerySet[Agent] | None:
    """The agents that a scope is made of, or None where it names no agents."""
    kind, _, key = scope.partition(":")
    return Agent.objects.filter(AGENTS[kind](key)) if kind in AGENTS else None


def _only_run(key: str) -> str:
    found = _runs(key)
    if not found:
        raise NoSuchScope(f"There is no run {key}; name it <agent>/<run_id>, as its messages show it.")
    if len(found) > 1:
        raise NoSuchScope(f"Several agents have a run {key}: name one of {_listed(found)}.")
    return found[0]


def _check(kind: str, key: str) -> None:
    names = NAMES[kind]()
    if key not in names:
        raise NoSuchScope(f"There is no {kind} {key!r}; there are: {_listed(names)}.")


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "") if names else "none"

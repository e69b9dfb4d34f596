"""The scopes that people name: spelled right, and naming something that is there.

A stop of what does not exist would stop nothing and look like success. Only a recipient's domain, which nobody can know
beforehand, is taken as it is. A cluster is there when a lane carries it, a source address when a lane or a route does.
"""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.db import Error, models, transaction
from django.db.models import Q, QuerySet

from outbox.models import Agent, Lane, Run
from reputation import sql
from reputation.killswitch import scope_of
from reputation.models import Kind, Route, SendingDomain, Stream

SHOWN: Final = 10
PATIENCE: Final = "SET LOCAL statement_timeout = '500ms'"  # a look that takes longer holds up no stop

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


def _runs(name: str) -> list[str]:
    """``agent/run`` of every run with this name, with or without its agent before it."""
    agent, _, run = name.rpartition("/")
    found = Run.objects.filter(name=run, agent__name=agent) if agent else Run.objects.filter(name=run)
    return [f"{agent}/{run}" for agent, run in found.values_list("agent__name", "name")[: SHOWN + 1]]


# kind -> the table that holds what it names, and the column of the name
NAMES: Final[Mapping[str, tuple[type[models.Model], str]]] = {
    "agent": (Agent, "name"),
    "stream": (Stream, "name"),
    "domain": (SendingDomain, "name"),
    "route": (Route, "name"),
    "provider": (Lane, "provider"),
}


def offered(scope: str) -> str:
    """A scope that a page offered, as it comes back; taken as it is where it cannot be looked up at once.

    What lanes still hold is there, whatever it is called by now.

    Raises:
        UnknownScope: the words do not form a scope.
        NoSuchScope: nothing has that name.
    """
    kind, _, key = scope.partition(":")
    spelled = scope_of(kind, key)
    if not key:
        return spelled
    try:
        with transaction.atomic():
            sql.count(PATIENCE)
            return spelled if _carried(spelled) else named(kind, key)
    except Error:
        return spelled


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
    elif kind == "source":
        return scope_of("source", _source(key))
    elif kind == "cluster" and not _carried(scope):
        raise NoSuchScope(f"There is no mail in a cluster {key!r}; stop its run or its agent.")
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


def _carried(scope: str) -> bool:
    return Lane.objects.filter(scopes__contains=[scope]).exists()


def _source(key: str) -> str:
    """An address that mail leaves from, as lanes spell it: a route's own, or one that lanes were opened with."""
    try:
        address = str(ipaddress.ip_address(key.replace("%", "?")))  # PostgreSQL knows no zones
    except ValueError:
        raise NoSuchScope(f"There is no source {key!r}: name an IP address.") from None
    routes = Route.objects.exclude(source_address=None).order_by("source_address")
    if found := routes.filter(source_address=address).values_list("source_address", flat=True).first():
        return str(found)
    if _carried(scope_of("source", address)):
        return address
    names = routes.values_list("source_address", flat=True).distinct()[: SHOWN + 1]
    raise NoSuchScope(f"There is no source {key!r}; there are: {_listed([str(name) for name in names])}.")


def _check(kind: str, key: str) -> None:
    model, column = NAMES[kind]
    rows: QuerySet[Any] = model._default_manager.all()
    if not rows.filter(**{column: key}).exists():
        names = rows.order_by(column).values_list(column, flat=True).distinct()[: SHOWN + 1]
        raise NoSuchScope(f"There is no {kind} {key!r}; there are: {_listed(list(names))}.")


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "") if names else "none"

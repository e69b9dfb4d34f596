"""What only the installation's own Django can do, done in a process that has its environment.

`Inside` is the test's side: each method runs the function of the same name over there. Nothing of Django is
imported before the environment is set, so one test run can speak to many installations.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from typing import Any
from uuid import UUID

ORGANISATION = "acme.test"
# stream -> kind, sending domain, the agents that use it
STREAMS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "agents-sales": ("agents", f"sales.{ORGANISATION}", ("ada", "bob")),
    "agents-support": ("agents", f"support.{ORGANISATION}", ("carol",)),
    "transactional": ("transactional", f"mail.{ORGANISATION}", ("robot",)),
}

SELECTORS: Mapping[str, str] = {"rsa-sha256": "walk", "ed25519-sha256": "walk-ed"}


class NotAccepted(Exception):
    """The door did not answer 202: a problem, or no database to decide."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What a fresh installation holds: agents' keys by name, and what its domains publish in DNS."""

    keys: Mapping[str, str]
    zone: Mapping[str, list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Switched:
    """A committed trip or resume: the database's time of it, epoch seconds, and how long the caller waited."""

    scope: str
    at: datetime
    seconds: float


class Inside:
    """A process of the installation that does what it is told. Errors come back as they were raised."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _configure, (dict(env), list(sys.path)))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        act = globals()[name]
        return lambda *args, **kwargs: self._pool.submit(act, *args, **kwargs).result(120)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _configure(env: Mapping[str, str], path: Sequence[str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = path
    import django

    django.setup()
    import config.celery  # noqa: F401  (the alarm kicks through the current app)
    import outbox.tasks  # noqa: F401


def prepare() -> Seed:
    """Tables, rights, queues and rows of a fresh installation, as the owner where it must."""
    from django.core.management import call_command

    call_command("prepare", verbosity=0, stdout=io.StringIO())
    _make_queue()
    keys = {}
    for name in STREAMS:
        keys |= _seed_stream(name)
    from django.db import connections

    published = zone()
    connections.close_all()
    return Seed(keys, published)


def accept(drafts: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Post drafts at the intake, as the HTTP door does; the bodies of the 202s.

    Raises:
        NotAccepted: any of them was refused, or the database could not decide: then none is accepted.
    """
    from django.db import Error
    from django.utils import timezone

    from outbox import intake, keys, payloads

    try:
        caller = keys.authenticate(f"Bearer {key}")
        parsed = [payloads.parse_draft(draft, now=timezone.now(), idempotency_key=None) for draft in drafts]
        answers = intake.accept(parsed, caller, request_id="req_walk", base_url="http://localhost")
    except Error as error:
        raise NotAccepted(f"{type(error).__name__}: {error}") from None
    if refused := [answer.body for answer in answers if answer.status != 202]:
        raise NotAccepted(str(refused[0]))
    return [json.loads(answer.body) for answer in answers]


def trip(scope: str) -> Switched:
    return _switch("trip", scope)


def resume(scope: str) -> Switched:
    """Open a scope, and let its lanes be visited again, as `manage.py resume` does."""
    from outbox import ledger

    done = _switch("resume", scope)
    ledger.unpark(scope)
    ring()
    return done


def reopen(scope: str, why: str = "a test") -> None:
    """Begin to open a scope in steps, as its page does; workers go on with it."""
    from outbox import recheck
    from reputation import reopening
    from reputation.models import OpenStop

    row = reopening.ask(OpenStop.objects.get(pk=scope), who="omar", why=why)
    assert row
    recheck.advance(row.pk, 0)


def suppress(addresses: Sequence[str]) -> None:
    """They complained."""
    from reputation import suppression

    suppression.suppress([suppression.complaint(address, "walk") for address in addresses])


def ring() -> None:
    """Kick a worker, at once."""
    from celery import current_app

    current_app.send_task("outbox.dispatch", ignore_result=True, expires=5)


def purge_queue() -> None:
    """Throw away every hint that waits at the broker."""
    from celery import current_app

    with current_app.connection_for_write() as connection:
        connection.default_channel.queue_purge("outbox")


def run_task(name: str) -> None:
    """What beat would make a worker do, done here."""
    from celery import current_app

    current_app.tasks[name]()


def zone() -> dict[str, list[tuple[str, str]]]:
    """Everything the domains have to publish now, so that a check of theirs finds nothing to complain of."""
    from outbox.management.commands import demo

    return demo.zone()


def leave_by(stream: str, password: str = "", **route: Any) -> None:
    """Give a stream's domain a route of its own, or change it."""
    from reputation.models import Route, SendingDomain
    from reputation.vault import vault

    route["password_sealed"] = vault().seal(password.encode()) if password else b""
    made, _ = Route.objects.update_or_create(name=stream, defaults={"preset": "none", **route})
    SendingDomain.objects.filter(stream__name=stream).update(route=made)


def sign_twice(stream: str) -> None:
    """Add the second signature."""
    from reputation.models import SendingDomain

    SendingDomain.objects.filter(stream__name=stream).update(ed25519=True)


def responder(name: str, password: str) -> None:
    """Somebody who may stop and resume."""
    from django.contrib.auth.models import Group, User

    from outbox.people import make_groups

    make_groups()
    user = User.objects.create_user(name, password=password, is_staff=True)
    user.groups.add(Group.objects.get(name="responders"))


def token_reads(token: str) -> UUID | None:
    """The delivery a return-path token speaks of, by the keys of this installation."""
    from django.conf import settings
    from django.utils import timezone

    from outbox import verp

    return verp.read_token(token, [key.encode() for key in settings.AO_VERP_KEYS], timezone.now().date())


def _switch(action: str, scope: str) -> Switched:
    import time

    from reputation import killswitch

    started = time.monotonic()
    done = getattr(killswitch, action)(scope, who="walk", why="a test")
    return Switched(scope, done.at, time.monotonic() - started)


def _make_queue() -> None:
    from celery import current_app

    with current_app.connection_for_write() as connection:
        current_app.amqp.queues["outbox"].bind(connection.default_channel).declare()


def _seed_stream(name: str) -> dict[str, str]:
    from outbox import keys, policy_numbers
    from outbox.models import Agent, Policy
    from reputation import signing
    from reputation.models import OrganisationalDomain, Route, SendingDomain, SigningKey, Stream
    from reputation.vault import vault

    kind, domain_name, agents = STREAMS[name]
    stream = Stream.objects.create(name=name, kind=kind)
    # also an agent that is judged by what receivers say sends at once
    lenient = policy_numbers.stored(policy_numbers.LENIENT)
    Policy.objects.create(stream=stream, version=stream.policy_version, numbers=lenient, who="walk")
    route, _ = Route.objects.get_or_create(
        name="direct", defaults={"ehlo": f"out.{ORGANISATION}", "preset": "none"}
    )
    declared = {"use": "agents", "preset": "none"}
    organisation, _ = OrganisationalDomain.objects.get_or_create(name=ORGANISATION, defaults=declared)
    domain = SendingDomain.objects.create(
        name=domain_name,
        stream=stream,
        organisation=organisation,
        state="verified",
        preset="none",
        route=route,
        default_sender=f"{agents[0]}@{domain_name}",
    )
    # as enrolment does: the second signs only where it is switched on
    for algorithm, selector in SELECTORS.items():
        pair = signing.generate(signing.Algorithm(algorithm))
        SigningKey.objects.create(
            domain=domain,
            selector=selector,
            algorithm=algorithm,
            private_sealed=vault().seal(pair.private_pem),
            public_record=pair.public_record,
            state=SigningKey.State.ACTIVE,
        )
    made = {}
    for agent_name in agents:
        limits = {"requests_per_minute": 1_000_000, "recipients_per_message": 50}
        agent = Agent.objects.create(name=agent_name, stream=stream, exempt=True, **limits)
        made[agent_name] = keys.issue(agent, "agent", keys.SCOPES, "walk")[1]
    return made

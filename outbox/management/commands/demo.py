"""``manage.py demo``: an installation to try things on, for the simulated internet. Safe to repeat.

Three streams with their sending domains and keys, three agents, the people, and `var/demo.json` (mode 600) with
what is shown only once. Refuses to run where mail could reach the real internet.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from outbox import keys
from outbox.models import Agent, ApiKey
from outbox.people import make_groups
from reputation import domains, keyring, publishing
from reputation.models import Kind, OrganisationalDomain, Route, SendingDomain, Stream

WHO: Final = "demo"
WARM: Final = Route.Preset.NONE
ORGANISATION: Final = "acme.test"
PARENT_DMARC: Final = "v=DMARC1; p=reject; adkim=s; aspf=s; psd=n"
# stream -> kind, sending domain, default sender
STREAMS: Final = {
    "agents-demo": (Kind.AGENTS, f"agents.{ORGANISATION}", f"ada@agents.{ORGANISATION}"),
    "transactional": (Kind.TRANSACTIONAL, f"mail.{ORGANISATION}", f"robot@mail.{ORGANISATION}"),
    # what `manage.py drill` stops
    "drill": (Kind.AGENTS, f"drill.{ORGANISATION}", f"canary@drill.{ORGANISATION}"),
}
POSTAL_ADDRESS: Final = "Acme Ltd, 1 Example Street, Springfield"
LIMITLESS: Final = {
    "exempt": True,
    "requests_per_minute": 1_000_000,
    "recipients_per_message": 50,
    "recipients_per_hour": 1_000_000,
    "recipients_per_day": 1_000_000,
    "recipients_per_run": 1_000_000,
}
# key in demo.json -> agent (None: a returns key) and what it has instead of the product's defaults
KEYS: Final[dict[str, tuple[str | None, dict[str, Any]]]] = {
    "api_key": ("demo", LIMITLESS),
    "strict_api_key": ("demo-strict", {}),
    "other_api_key": ("demo-other", {}),
    "returns_key": (None, {}),
}
# who -> group; the first is a superuser and needs none
PEOPLE: Final[dict[str, str | None]] = {
    "admin": None,
    "reviewer": "reviewers",
    "auditor": "auditors",
    "responder-1": "responders",
    "responder-2": "responders",
}


class Command(BaseCommand):
    help = "Make the demo installation and write var/demo.json."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not settings.AO_ALLOW_TEST_NAMES:
            raise CommandError("The demo is for the simulated internet: AO_ALLOW_TEST_NAMES is not set.")
        path = settings.BASE_DIR / "var" / "demo.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        make_groups()
        with transaction.atomic():
            for name in STREAMS:
                _stream(name)
            shown = {name: _key(known.get(name, ""), *spec) for name, spec in KEYS.items()}
            people = {name: _person(name, group, _password(known, name)) for name, group in PEOPLE.items()}
        _write_private(path, json.dumps(_demo(shown, people), indent=2) + "\n")
        _write_private(settings.BASE_DIR / "var" / "zone.json", json.dumps(zone(), indent=2) + "\n")


def _demo(shown: dict[str, str], people: dict[str, str]) -> dict[str, Any]:
    """What `var/demo.json` holds; the keys are a promise to scripts."""
    admin, reviewer, auditor, *responders = (
        {"user": name, "password": word} for name, word in people.items()
    )
    return {
        "api_url": settings.PUBLIC_URL,
        **shown,
        "sender": STREAMS["agents-demo"][2],
        "killswitch_url": f"{settings.AO_SWITCH_URL}/killswitch/",
        "admin_url": f"{settings.PUBLIC_URL}/admin/",
        "admin_user": admin["user"],
        "admin_password": admin["password"],
        "reviewer": reviewer,
        "auditor": auditor,
        "responders": responders,
        "database_url": os.environ.get("DATABASE_URL", ""),
        "oracle_log": os.environ.get("SIMULATOR_LOG", ""),
        "smtp_returns": os.environ.get("AO_RETURNS", ""),
    }


def _stream(name: str) -> None:
    kind, domain_name, sender = STREAMS[name]
    stream, _ = Stream.objects.get_or_create(
        name=name, defaults={"kind": kind, "postal_address": POSTAL_ADDRESS}
    )
    route, _ = Route.objects.get_or_create(
        name="direct", defaults={"ehlo": f"out.{ORGANISATION}", "preset": WARM}
    )
    domain = SendingDomain.objects.filter(name=domain_name).first()
    if domain is None:
        _dedicate()
        domain = domains.enrol(stream, domain_name, route, sender, who=WHO, preset=WARM)
        for key in domain.keys.defer("private_sealed"):
            keyring.activate(key, WHO, "the simulator serves the zone", force=True)
        # by its own zone, which the simulator will serve: `manage.py verify` says the same
        SendingDomain.objects.filter(pk=domain.pk).update(
            state=SendingDomain.State.VERIFIED, verified_at=timezone.now()
        )


def _dedicate() -> None:
    warm = {"preset": WARM, "dmarc": PARENT_DMARC}
    OrganisationalDomain.objects.get_or_create(name=ORGANISATION, defaults=warm)
    domains.declare(ORGANISATION, OrganisationalDomain.Use.AGENTS, who=WHO)


def _key(known: str, agent_name: str | None, limits: dict[str, Any]) -> str:
    """The key as it was shown the last time, if it still opens the door, else a new one."""
    key = keys.read(known)
    row = ApiKey.objects.filter(prefix=key.prefix, revoked_at=None).first() if key else None
    if key and row and key.matches(bytes(row.secret_hash)):
        return known
    agent = None
    if agent_name is not None:
        stream = Stream.objects.get(name="agents-demo")
        agent, _ = Agent.objects.get_or_create(name=agent_name, defaults={"stream": stream, **limits})
    kind = ApiKey.Kind.AGENT if agent else ApiKey.Kind.RETURNS
    _, text = keys.issue(agent, kind, keys.SCOPES if agent else (), "demo")
    return text


def _person(name: str, group_name: str | None, password: str) -> str:
    """Make the user, unless there is one with this password already; hashing is slow on purpose."""
    user = User.objects.filter(username=name).first()
    if user is None:
        user = User(username=name, is_staff=True, is_superuser=group_name is None)
    elif password:
        return password
    word = secrets.token_urlsafe(12)
    user.set_password(word)
    user.save()
    if group_name is not None:
        user.groups.add(Group.objects.get(name=group_name))
    return word


def _password(known: dict[str, Any], name: str) -> str:
    logins = [known.get("reviewer", {}), known.get("auditor", {}), *known.get("responders", [])]
    logins.append({"user": known.get("admin_user"), "password": known.get("admin_password")})
    return next((login["password"] for login in logins if login.get("user") == name), "")


def zone() -> dict[str, list[tuple[str, str]]]:
    """What the domains below acme.test have to publish, as the simulator's name server reads it."""
    names: dict[str, list[tuple[str, str]]] = {f"_dmarc.{ORGANISATION}": [("TXT", PARENT_DMARC)]}
    for domain in SendingDomain.objects.exclude(state=SendingDomain.State.RETIRED):
        for name, kind, value in publishing.data(domains.to_publish(domain)):
            known = names.setdefault(name, [])
            known.extend({(kind, value)} - set(known))
        replies = names.setdefault(domain.name, [])
        if all(kind != "MX" for kind, _ in replies):  # where people's replies go is left to the owner
            replies.append(("MX", f"10 mx.{ORGANISATION}."))
    return names


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)

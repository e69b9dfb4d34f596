"""People at the admin, and mail for them to look at: plain functions, through the product's own doors."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission, User
from django.test import Client

from outbox import ids, ledger, sessions
from outbox.ledger import Settlement
from tests import factories

# Everything a hostile agent would try on whoever looks at its mail; the API refuses control characters in it.
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}{% now %}"


def person(name: str, *permissions: str, superuser: bool = False) -> Client:
    """A logged-in member of staff who has just these permissions (``outbox.view_message``)."""
    user = User.objects.create_user(name, is_staff=True, is_superuser=superuser)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def root(name: str = "root") -> Client:
    """A superuser: who may do everything that anybody may."""
    return person(name, superuser=True)


def posted(agent: Any, *messages: dict[str, Any]) -> list[UUID]:
    """The keys of messages that this agent has posted, in order."""
    body: Any = {
        "messages": [{"to": "grace@example.org", "subject": "Hello", "text": "Hi", **one} for one in messages]
    }
    headers = {"Authorization": f"Bearer {factories.key(agent)}"}
    response = Client().post("/v1/messages/batch", body, content_type="application/json", headers=headers)
    accepted = response.json()["data"]
    keys = [ids.parsed("msg", one["id"]) for one in accepted if "id" in one]
    assert len(keys) == len(messages), accepted
    return [key for key in keys if key]


def answered(status: str, code: str, **reply: Any) -> list[UUID]:
    """The deliveries that were due, each attempted once and settled so."""
    session = sessions.begin("test")
    claimed = ledger.claim(session, tier=1, limit=1000)
    told = {
        "spoke": True,
        "phase": "replied",
        "host": "mx.example.org",
        "address": "192.0.2.7",
        "tls": "TLSv1.3",
        **reply,
    }
    settled = ledger.settle(
        session,
        [
            Settlement(one.id, one.attempt, status, code, wait=60.0 if status == "deferred" else None, **told)
            for one in claimed
        ],
    )
    return sorted(settled)

"""What a responder does at the page, and mail that goes out meanwhile."""

import re
from html import unescape
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from outbox import ledger, sessions

PAGE = "/killswitch/"
PASSWORD = "correct horse battery"


def one_of(group: str, name: str = "", **session: Any) -> Client:
    """Somebody of a group, logged in long ago."""
    user = User.objects.create_user(name or f"one-of-{group}", password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def shown(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response
    return unescape(response.getvalue().decode())


def stopped(client: Client, scope: str, **more: str) -> int:
    """Stop a scope on the page; the epoch of the page that it leads to."""
    response = client.post("/killswitch/stop/", {"scope": scope, **more})
    assert response.status_code == 302, shown(response, response.status_code)
    return int(re.fullmatch(r"/killswitch/(\d+)/", response["Location"])[1])  # type: ignore[index]


def resumed(client: Client, epoch: int, why: str = "fixed", password: str = PASSWORD) -> Any:
    return client.post(f"/killswitch/{epoch}/resume/", {"why": why, "password": password})


def cleared(count: int = 1000) -> tuple[int, list[Any]]:
    """A worker that has claimed and cleared what was due."""
    session = sessions.begin("cleared")
    claimed = ledger.claim(session, tier=1, limit=count)
    assert ledger.clear(session, [(one.id, one.attempt) for one in claimed])
    return session, claimed


def went_out(status: str, code: str, **reply: Any) -> None:
    """What was due was cleared, dotted and answered."""
    session, claimed = cleared()
    said = {"spoke": True, "phase": "replied", "host": "mx.gmail.test", **reply}
    done = [ledger.Settlement(one.id, one.attempt, status, code, **said) for one in claimed]
    assert ledger.settle(session, done)

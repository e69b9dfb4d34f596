"""Unsubscribing by the link: looking changes nothing, one click does it, and nobody learns who is meant."""

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from outbox import ids, optouts, unsubscribes
from outbox.models import Delivery, Event, Signal
from outbox.unsubscribes import Leaving
from reputation import suppression
from reputation.models import Suppression
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.test_api import Caller

GRACE = "Grace+ao@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
HOST = {"HTTP_HOST": "u.agents.acme.test"}


@pytest.fixture
def ada(live_db: Any) -> Iterator[Caller]:
    with override_settings(AO_MASTER_KEYS=[new_master_key()]):
        yield Caller(factories.key(factories.agent("ada")))


def token_of(delivery: Delivery, recipient: str = GRACE) -> str:
    leaving = Leaving(delivery.id, delivery.lane.stream_id, suppression.person_mark(recipient))
    return unsubscribes.make_token(leaving, suppression.key())


@pytest.fixture
def token(ada: Caller) -> str:
    assert ada.post(to=GRACE).status_code == 202
    return token_of(Delivery.objects.get())


def nothing_happened() -> bool:
    return not Suppression.objects.exists() and not Event.objects.filter(kind="unsubscribed").exists()


def stopped(stream: str = "agents-support") -> bool:
    return bool(suppression.look_up(["grace@example.org"], stream, "agents"))


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_changes_nothing(token: str, method: str) -> None:
    for _ in range(3):
        response = getattr(Client(), method)(f"/u/{token}", **HOST)
        assert response.status_code == 200
    assert nothing_happened()


@pytest.mark.parametrize("query", ["?List-Unsubscribe=One-Click", "?x=1"])
def test_a_query_is_no_click(token: str, query: str) -> None:
    assert Client().get(f"/u/{token}{query}").status_code == 200
    assert Client().post(f"/u/{token}{query}").status_code == 200
    assert nothing_happened()


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options"])
def test_other_methods_are_refused(token: str, method: str) -> None:
    assert getattr(Client(), method)(f"/u/{token}").status_code == 405
    assert nothing_happened()


@pytest.mark.parametrize("kind", ["multipart", "urlencoded"])
def test_one_click_unsubscribes_without_login_cookie_or_redirect(token: str, kind: str) -> None:
    client = Client(enforce_csrf_checks=True)
    if kind == "multipart":
        response = client.post(f"/u/{token}", ONE_CLICK, **HOST)
    else:
        sent = "List-Unsubscribe=One-Click"  # 26 octets, as Gmail sends them
        response = client.post(f"/u/{token}", sent, content_type="application/x-www-form-urlencoded", **HOST)
    assert response.status_code == 200
    assert not response.cookies
    assert stopped()
    assert not stopped("agents-other")
    (row,) = Suppression.objects.all()
    assert (row.scope, row.reason, row.source) == ("stream:agents-support", "unsubscribed", "link")


@pytest.mark.parametrize("form", [{}, {"List-Unsubscribe": "one-click"}, {"list-unsubscribe": "One-Click"}])
def test_a_post_of_something_else_shows_the_page(token: str, form: dict[str, str]) -> None:
    response = Client().post(f"/u/{token}", form)
    assert (response.status_code, b"<form" in response.content) == (200, True)
    assert nothing_happened()


def test_a_body_that_is_no_form_is_not_read(token: str) -> None:
    response = Client().post(f"/u/{token}", ONE_CLICK | {"x": "y" * 20_000})
    assert response.status_code == 413
    assert nothing_happened()


def test_the_story_says_so_once_and_the_delivery_stays_where_it_is(ada: Caller, token: str) -> None:
    for _ in range(3):
        Client().post(f"/u/{token}", ONE_CLICK)
    (event,) = Event.objects.filter(kind="unsubscribed")
    delivery = Delivery.objects.get()
    assert (event.delivery_id, event.status, delivery.status) == (delivery.id, "queued", "queued")
    assert Signal.objects.get().kind == "unsubscribed"
    assert Suppression.objects.count() == 1
    refused = ada.post(to="grace@example.org", subject="again")
    assert (refused.status_code, refused.data["code"]) == (422, "recipient_suppressed")


def test_an_old_link_works_again_after_it_was_lifted(token: str) -> None:
    Client().post(f"/u/{token}", ONE_CLICK)
    suppression.lift(Suppression.objects.get().pk, "person:dana", "asked by phone")
    assert not stopped()
    Client().post(f"/u/{token}", ONE_CLICK)
    assert stopped()


def test_a_link_works_when_its_delivery_is_long_forgotten(token: str) -> None:
    Delivery.objects.all().delete()
    assert optouts.leave(token, "mime") is not None
    assert stopped()
    assert bytes(Suppression.objects.get().address_sealed) == b""


def test_a_link_of_a_stream_that_is_gone_changes_nothing(ada: Caller) -> None:
    leaving = Leaving(ids.delivery_id(ids.new_id(0), 1), 65_000, b"0123456789")
    assert optouts.leave(unsubscribes.make_token(leaving, suppression.key()), "link") == leaving.delivery
    assert nothing_happened()


def shown(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.mark.parametrize("form", [None, ONE_CLICK])
def test_a_link_that_nobody_made_is_answered_like_any_other(token: str, form: Any) -> None:
    client = Client()
    answers = [
        client.post(f"/u/{each}", form) if form else client.get(f"/u/{each}") for each in (token, "nonsense")
    ]
    assert shown(answers[0]) == shown(answers[1])
    assert dict(answers[0].headers) == dict(answers[1].headers)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert Suppression.objects.count() == (1 if form else 0)


def test_a_forged_link_asks_the_database_nothing(token: str) -> None:
    forged = token[:-5] + ("aaaaa" if token[-5:] != "aaaaa" else "bbbbb")
    with CaptureQueriesContext(connection) as asked:
        assert optouts.leave(forged, "link") is None
        Client().post(f"/u/{forged}", ONE_CLICK)
        Client().get(f"/u/{token}")
    assert len(asked) == 0


def test_the_pages_name_nobody_and_run_nothing(token: str) -> None:
    for response in (Client().get(f"/u/{token}"), Client().post(f"/u/{token}", ONE_CLICK)):
        page = shown(response).lower()
        for told in ("grace", "example.org", "agents-support", "acme", token):
            assert told not in page
        assert not re.search(r"<script|<style|\sstyle\s*=|\son[a-z]+\s*=", page)
        policy = response["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert (response["Cache-Control"], response["Referrer-Policy"]) == ("no-store", "no-referrer")


def test_the_button_is_the_click(token: str) -> None:
    page = Client().get(f"/u/{token}").content.decode()
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)">', page))
    assert fields == ONE_CLICK
    assert re.search(r'<form method="post">', page)  # without an action: to this very address
    assert "unsubscribed" in shown(Client().post(f"/u/{token}", fields))


def test_while_the_database_is_away_they_are_told_to_come_again(token: str) -> None:
    with patch.object(optouts, "leave", side_effect=OperationalError("gone")):
        response = Client().post(f"/u/{token}", ONE_CLICK)
    assert (response.status_code, b"<form" in response.content) == (503, True)

"""Endpoints in the admin: a secret is shown once, and only who may change them changes or repeats anything."""

import re
from typing import Any

import pytest
from django.test import Client

from outbox import endpoints, ids, webhooks
from outbox.models import Endpoint, Notice
from outbox.webhook_events import Verdict
from outbox.webhooks import Outcome
from reputation.vault import new_master_key, vault
from tests.pages.desk import person, root

pytestmark = pytest.mark.usefixtures("live_db")
LIST = "/admin/outbox/endpoint/"
URL = "https://hooks.example.org/in"


@pytest.fixture(autouse=True)
def _master_key(settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]


def secret_in(page: Any) -> str:
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", page.content.decode())
    assert found, page.content
    return found[0]


def test_a_new_endpoints_secret_is_shown_once() -> None:
    client = root()
    shown = client.post(f"{LIST}add/", {"name": "ops", "url": URL, "events": ["stop.tripped"]})
    made = Endpoint.objects.get()
    assert vault().unseal(bytes(made.secret_sealed)).decode() == secret_in(shown)
    assert (made.url, made.events, made.stream) == (URL, ["stop.tripped"], None)
    for page in (f"{LIST}{made.pk}/change/", LIST):
        assert b"whsec_" not in client.get(page).content


def test_a_url_that_leads_inside_is_refused_with_a_sentence(settings: Any) -> None:
    settings.AO_ALLOW_LOOPBACK = False
    page = root().post(f"{LIST}add/", {"name": "ops", "url": "http://169.254.169.254/"})
    assert b"only https to port 443 or 8443 is followed" in page.content
    assert not Endpoint.objects.exists()


def test_rotating_shows_the_new_secret_and_keeps_the_old_for_a_day() -> None:
    made, old = endpoints.add("ops", URL)
    shown = root().post(f"{LIST}{made.pk}/rotate/")
    row = Endpoint.objects.get()
    assert vault().unseal(bytes(row.secret_sealed)).decode() == secret_in(shown) != old
    assert vault().unseal(bytes(row.old_secret_sealed)).decode() == old
    assert row.old_until


def test_changing_an_endpoint_touches_neither_its_secret_nor_its_name() -> None:
    made, _ = endpoints.add("ops", URL)
    other = "https://hooks.example.org/other"
    answer = root().post(f"{LIST}{made.pk}/change/", {"name": "x", "url": other, "events": []})
    row = Endpoint.objects.get()
    assert answer.status_code == 302
    assert (row.name, row.url, bytes(row.secret_sealed)) == ("ops", other, bytes(made.secret_sealed))


def test_disabled_by_a_person_or_by_itself_stands_in_sight_and_is_undone() -> None:
    made, _ = endpoints.add("ops", URL)
    client = root()
    client.post(f"{LIST}{made.pk}/switch/")
    assert not Endpoint.objects.get().enabled
    assert endpoints.BY_PERSON.encode() in client.get(f"{LIST}{made.pk}/change/").content
    client.post(f"{LIST}{made.pk}/switch/")
    assert Endpoint.objects.get().enabled


def test_a_notice_is_looked_at_and_sent_again() -> None:
    made, _ = endpoints.add("ops", URL)
    client = root()
    client.post(f"{LIST}{made.pk}/try/")
    [due] = webhooks.claim(10)
    webhooks.settle(due, Outcome(Verdict.GIVEN_UP, 500, "<b>no</b>"))
    notice = Notice.objects.get()
    page = client.get(f"/admin/outbox/notice/{notice.pk}/change/").content.decode()
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert notice.event_id in page
    for word, seen in ((notice.event_id, True), ("evt_other", False)):
        found = client.get(f"/admin/outbox/notice/?q={word}").content
        assert (str(notice.pk).encode() in found) is seen
    client.post(f"/admin/outbox/notice/{notice.pk}/again/")
    assert Notice.objects.get().state == "waiting"


def test_a_notice_is_found_by_its_message_and_by_each_delivery() -> None:
    made, _ = endpoints.add("ops", URL)
    endpoints.try_out(made.pk)
    message = ids.new_id(1)
    Notice.objects.update(subject=ids.printed("msg", message))
    mine = ids.delivery_id(message, 2)
    strange = ids.delivery_id(ids.new_id(2), 1)
    client = root()
    for word, seen in (
        (ids.printed("msg", message), 1),
        (ids.printed("dlv", mine), 1),
        (ids.printed("dlv", strange), 0),
    ):
        assert len(client.get(f"/admin/outbox/notice/?q={word}").context["cl"].result_list) == seen


def test_all_since_a_time_are_sent_again() -> None:
    made, _ = endpoints.add("ops", URL)
    endpoints.try_out(made.pk)
    [due] = webhooks.claim(10)
    webhooks.settle(due, Outcome(Verdict.GIVEN_UP, 500, "no"))
    client = root()
    client.post(f"{LIST}{made.pk}/again/", {"since": "2999-01-01T00:00"})
    assert Notice.objects.get().state == "given_up"
    client.post(f"{LIST}{made.pk}/again/", {"since": "2020-01-01T00:00"})
    assert Notice.objects.get().state == "waiting"


ACTS = ["rotate", "switch", "try", "again"]


@pytest.mark.parametrize("act", ACTS)
def test_who_only_looks_changes_nothing(act: str) -> None:
    made, _ = endpoints.add("ops", URL)
    watcher: Client = person("watcher", "outbox.view_endpoint", "outbox.view_notice")
    assert watcher.get(f"{LIST}{made.pk}/change/").status_code == 200
    assert watcher.post(f"{LIST}{made.pk}/{act}/").status_code == 403
    row = Endpoint.objects.get()
    assert (row.enabled, bytes(row.secret_sealed)) == (True, bytes(made.secret_sealed))


@pytest.mark.parametrize("act", ACTS)
def test_asking_changes_nothing(act: str) -> None:
    made, _ = endpoints.add("ops", URL)
    assert root().get(f"{LIST}{made.pk}/{act}/").status_code == 200
    row = Endpoint.objects.get()
    assert (row.enabled, bytes(row.secret_sealed)) == (True, bytes(made.secret_sealed))
    assert not Notice.objects.exists()

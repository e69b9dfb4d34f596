"""The admin of reputation: what people enter, what is refused of it, and what never comes out."""

import re
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.admin.utils import quote
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reputation import killswitch
from reputation.models import (
    Allowance,
    KnownDomain,
    OpenStop,
    ProviderLimit,
    ProviderSuffix,
    Ramp,
    RampEvent,
    Route,
    SendingDomain,
    Stream,
    SwitchEvent,
    TlsPolicy,
)
from reputation.vault import new_master_key, vault
from tests import factories
from tests.pages.desk import HOSTILE, person, root

BASE = "/admin/reputation"


@pytest.fixture(autouse=True)
def master_key(settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]


@pytest.fixture
def domain(live_db: Any) -> SendingDomain:
    return SendingDomain.objects.get(stream=factories.stream())


def shown(client: Any, path: str, **query: Any) -> str:
    response = client.get(BASE + path, query)
    assert response.status_code == 200, (path, response.status_code)
    return response.content.decode()


# -- routes --------------------------------------------------------------------------------------------------

RELAY = {"name": "relay", "means": "relay", "ehlo": "mta.acme.test", "host": "smtp.relay.test", "port": "587",
         "security": "starttls", "username": "acme", "password": "s3cret <word>", "preset": "none",
         "target": "1000"}  # fmt: skip


def test_a_relays_password_goes_in_sealed_and_never_comes_out(live_db: Any) -> None:
    client = root()
    assert client.post(f"{BASE}/route/add/", RELAY).status_code == 302
    route = Route.objects.get()
    assert vault().unseal(bytes(route.password_sealed)) == b"s3cret <word>"
    for path in ("/route/", f"/route/{route.pk}/change/", f"/route/{route.pk}/history/"):
        page = shown(client, path)
        assert "s3cret" not in page
        assert bytes(route.password_sealed).decode() not in page


def test_a_refused_form_does_not_show_the_password_again(live_db: Any) -> None:
    page = root().post(f"{BASE}/route/add/", RELAY | {"host": ""}).content.decode()
    assert "enter its name, or choose direct" in page
    assert "s3cret" not in page


def test_a_password_is_kept_replaced_or_forgotten_as_asked(live_db: Any) -> None:
    client = root()
    client.post(f"{BASE}/route/add/", RELAY)
    page = f"{BASE}/route/{Route.objects.get().pk}/change/"
    for given, held in [
        ({"password": ""}, b"s3cret <word>"),  # an empty field says nothing
        ({"password": " new "}, b" new "),  # spaces are part of it
        ({"password": "", "forget_password": "on"}, b""),
    ]:
        assert client.post(page, RELAY | given).status_code == 302
        sealed = bytes(Route.objects.get().password_sealed)
        assert (vault().unseal(sealed) if sealed else b"") == held


def test_without_a_master_key_a_password_is_refused_with_what_to_do(live_db: Any, settings: Any) -> None:
    settings.AO_MASTER_KEYS = []
    assert "Set AO_MASTER_KEYS" in root().post(f"{BASE}/route/add/", RELAY).content.decode()
    assert not Route.objects.exists()


# -- lists ---------------------------------------------------------------------------------------------------


def test_what_the_switch_did_is_only_shown(domain: SendingDomain) -> None:
    killswitch.trip("agent:ada", who="root", why=HOSTILE)
    client = root()
    for model, key in [("openstop", "agent_3Aada"), ("switchevent", str(SwitchEvent.objects.get().pk))]:
        page = shown(client, f"/{model}/") + shown(client, f"/{model}/{key}/change/")
        assert "agent:ada" in page
        assert "<script>alert" not in page
        for path in ("add/", f"{key}/change/", f"{key}/delete/"):
            assert client.post(f"{BASE}/{model}/{path}", {"post": "yes", "who": "x"}).status_code == 403
    assert OpenStop.objects.get().who == "root"


def test_a_suffix_is_kept_as_it_is_looked_up(live_db: Any) -> None:
    root().post(f"{BASE}/providersuffix/add/", {"suffix": " .MX.Example.NET. ", "family": "example"})
    assert ProviderSuffix.objects.filter(suffix="mx.example.net").exists()


def make_rows(model: Any, count: int) -> None:
    for number in range(model.objects.count(), count):
        if model in {Stream, SendingDomain, Route}:
            stream = factories.stream(f"s{number}", f"s{number}.acme.test")
            route = Route.objects.create(name=f"r{number}", ehlo="mta.acme.test")
            SendingDomain.objects.filter(stream=stream).update(route=route)
        elif model in {Ramp, RampEvent}:
            ramp = Ramp.objects.create(kind="domain", key=f"d{number}.test", provider="gmail")
            RampEvent.objects.create(ramp=ramp, at="2026-11-22T00:00Z", kind="advanced", step=1)
            begin = datetime(2026, 11, 22, tzinfo=UTC)
            Allowance.objects.create(ramp=ramp, day=begin.date(), opens_at=begin, closes_at=begin, cap=10)
        elif model is ProviderLimit:
            model.objects.create(family=f"family{number}")
        elif model is TlsPolicy:
            model.objects.create(domain=f"d{number}.test", expires_at="2026-11-22T00:00Z")
        elif model is ProviderSuffix:
            model.objects.create(suffix=f"mx{number}.test", family=f"family{number % 3}")
        elif model is KnownDomain:
            model.objects.create(domain=f"d{number}.test", family="other", learned_at="2026-11-22T00:00Z")
        else:
            killswitch.trip(f"agent:a{number}", who="root", why="")


READ_ONLY = [KnownDomain, OpenStop, SwitchEvent, Ramp, RampEvent, TlsPolicy]


@pytest.mark.parametrize("model", [Stream, SendingDomain, Route, ProviderSuffix, ProviderLimit, *READ_ONLY])
def test_a_list_costs_the_same_for_5_rows_and_for_45(live_db: Any, model: Any) -> None:
    client, costs = root(), []
    for count in (5, 45):
        make_rows(model, model.objects.count() + count)
        for _ in range(2):
            with CaptureQueriesContext(connection) as captured:
                shown(client, f"/{model._meta.model_name}/")
        costs.append(len(captured))
    filters = 2 if model is SendingDomain else 0
    assert abs(costs[1] - costs[0]) <= filters


@pytest.mark.parametrize("model", [Ramp, RampEvent, TlsPolicy])
def test_what_rules_and_receivers_wrote_is_only_shown(live_db: Any, model: Any) -> None:
    make_rows(model, 1)
    client, row, base = root(), model.objects.first(), f"{BASE}/{model._meta.model_name}"
    assert client.get(f"{base}/{quote(row.pk)}/change/").status_code == 200
    for path in ("add/", f"{quote(row.pk)}/change/", f"{quote(row.pk)}/delete/"):
        assert client.post(f"{base}/{path}", {"post": "yes", "step": "9", "mode": "none"}).status_code == 403
    assert vars(model.objects.get()) | {"_state": None} == vars(row) | {"_state": None}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"kind": "advanced"}, 2),
        ({"kind": "held"}, 0),
        ({"kind": "nonsense"}, 2),
        ({"q": "d0.test"}, 1),
        ({"q": "d"}, 0),  # in full
    ],
)
def test_events_are_found_by_kind_and_by_whose_ramp(live_db: Any, query: dict[str, str], found: int) -> None:
    make_rows(RampEvent, 2)
    assert f"{found} ramp event" in shown(root(), "/rampevent/", **query)


@pytest.mark.parametrize(
    ("query", "found"),
    [({"family": "gmail"}, 2), ({"family": "yahoo"}, 0), ({"valve__exact": "closed"}, 1), ({"q": "d1"}, 1)],
)
def test_ramps_are_found_by_provider_valve_and_key(live_db: Any, query: dict[str, str], found: int) -> None:
    make_rows(Ramp, 2)
    Ramp.objects.filter(key="d0.test").update(valve="closed")
    assert f"{found} ramp" in shown(root(), "/ramp/", **query)


# -- what people must not miss -------------------------------------------------------------------------------


@pytest.fixture
def stopped(domain: SendingDomain) -> str:
    killswitch.trip(f"stream:{domain.stream}", who="responder-1", why=HOSTILE)
    return f"stream {domain.stream}"


@pytest.mark.parametrize("page", ["", "reputation/stream/", "reputation/stream/{}/change/"])
def test_an_open_stop_is_said_where_people_look_first_and_read_once(
    stopped: str, domain: SendingDomain, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, path = root(), f"/admin/{page.format(domain.stream_id)}"
    read = Mock(side_effect=killswitch.open_stops)
    monkeypatch.setattr(killswitch, "open_stops", read)
    told = client.get(path).content.decode()
    assert f"STOPPED: stream:{domain.stream}" in told
    assert "by responder-1" in told
    assert f"manage.py resume {stopped} --why" in told
    assert "<script>alert" not in told
    assert read.call_count == 1
    killswitch.resume(f"stream:{domain.stream}", who="responder-1", why="The agent is mended")
    assert "STOPPED" not in client.get(path).content.decode()


def test_stops_are_said_only_to_who_may_see_them(stopped: str) -> None:
    assert "STOPPED" in person("viewer", "reputation.view_openstop").get("/admin/").content.decode()
    assert "STOPPED" not in person("nobody").get("/admin/").content.decode()


def test_a_new_stream_sends_on_every_day_unless_somebody_says_otherwise(live_db: Any) -> None:
    form = shown(root(), "/stream/add/")
    days = re.findall(r'name="sending_days" value="(\d)"[^>]* checked', form)
    assert days == list("1234567")

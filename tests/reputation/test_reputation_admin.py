"""The admin of reputation: what people enter, what is refused of it, and what never comes out."""

import threading
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from reputation import keyring, killswitch, signing, sql
from reputation.admin import txt_strings
from reputation.models import (
    KnownDomain,
    OpenStop,
    ProviderSuffix,
    Route,
    SendingDomain,
    SigningKey,
    Stream,
    SwitchEvent,
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
         "security": "starttls", "username": "acme", "password": "s3cret <word>"}  # fmt: skip


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


# -- sending domains -----------------------------------------------------------------------------------------


def enrol(client: Any, **fields: Any) -> Any:
    stream, _ = Stream.objects.get_or_create(name="sales")
    factories.organisation("acme.co.uk")
    route, _ = Route.objects.get_or_create(name="direct", defaults={"ehlo": "mta.acme.test"})
    form = {"name": "agents.acme.co.uk", "stream": stream.pk, "route": route.pk, "preset": "careful", "target": 1000, "rotate_after_days": 180,
            "default_sender": "Ada <ada@agents.acme.co.uk>", "organisational_domain": "evil.test",
            "keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}  # fmt: skip
    return client.post(f"{BASE}/sendingdomain/add/", form | fields)


def test_the_organisational_domain_is_looked_up_not_believed(live_db: Any) -> None:
    assert enrol(root()).status_code == 302
    assert SendingDomain.objects.get().organisation.name == "acme.co.uk"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "acme.co.uk", "default_sender": "a@acme.co.uk"}, "agents.acme.co.uk"),  # organisational
        ({"name": "co.uk", "default_sender": "a@co.uk"}, "public suffix"),  # everybody's
        ({"name": "agents acme.test"}, "Enter a domain name"),  # no name
        ({"name": "агенты.рф"}, "xn--"),  # no A-label
        ({"default_sender": "ada@acme.co.uk"}, "an address at agents.acme.co.uk"),  # outside the lane
        ({"default_sender": "ada@agents.acme.co.uk.evil.test"}, "an address at"),  # looks inside
    ],
)
def test_a_domain_that_must_not_send_is_refused_with_what_to_do(
    live_db: Any, fields: dict[str, str], says: str
) -> None:
    answer = enrol(root(), **fields)
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert not SendingDomain.objects.exists()


def test_a_transactional_stream_may_have_the_organisational_domain(live_db: Any) -> None:
    stream = Stream.objects.create(name="resets", kind="transactional")
    fields = {"name": "ACME.co.uk", "default_sender": "robot@acme.co.uk", "stream": stream.pk}
    assert enrol(root(), **fields).status_code == 302
    assert SendingDomain.objects.get().name == "acme.co.uk"


def test_names_and_streams_are_fixed_once_they_are_made(domain: SendingDomain) -> None:
    client, other = root(), Stream.objects.create(name="other")
    form = {"name": "evil.test", "stream": other.pk, "route": domain.route_id, "preset": "careful", "target": 1000, "rotate_after_days": 180,
            "default_sender": domain.default_sender, "keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}  # fmt: skip
    assert client.post(f"{BASE}/sendingdomain/{domain.pk}/change/", form).status_code == 302
    client.post(f"{BASE}/stream/{domain.stream_id}/change/", {"name": "evil", "kind": "transactional"})
    now = SendingDomain.objects.select_related("stream").get()
    assert (now.name, now.stream.name, now.stream.kind) == ("agents.acme.test", "agents-support", "agents")
    for path in (f"stream/{domain.stream_id}", f"sendingdomain/{domain.pk}", f"route/{domain.route_id}"):
        assert client.post(f"{BASE}/{path}/delete/", {"post": "yes"}).status_code == 403


# -- signing keys --------------------------------------------------------------------------------------------


def test_a_key_is_made_activated_and_revoked_by_hand(domain: SendingDomain) -> None:
    client, keys = root(), f"{BASE}/sendingdomain/{domain.pk}/keys"
    assert client.post(f"{keys}/make/", {"algorithm": "rsa-sha256"}).status_code == 302
    made = SigningKey.objects.get(state="created")
    sealed = vault().unseal(bytes(made.private_sealed))
    assert (
        signing.load(domain.name, made.selector, signing.Algorithm.RSA, sealed).public_record
        == made.public_record
    )

    for word, states in [("activate", {"retiring", "active"}), ("revoke", {"retiring", "revoked"})]:
        assert client.get(f"{keys}/{made.pk}/{word}/").status_code == 200
        assert client.post(f"{keys}/{made.pk}/{word}/").status_code == 302
        assert set(SigningKey.objects.values_list("state", flat=True)) == states


def test_a_domains_page_shows_the_record_to_publish_and_no_private_half(domain: SendingDomain) -> None:
    key = keyring.make(domain, "rsa-sha256")
    page = shown(root(), f"/sendingdomain/{domain.pk}/change/")
    assert f"{key.selector}._domainkey.agents.acme.test." in page
    assert txt_strings(key.public_record).splitlines()[0].strip('"') in page
    assert bytes(key.private_sealed).decode() not in page
    assert "PRIVATE" not in page


def test_a_record_is_split_into_strings_that_join_to_it() -> None:
    record = "v=DKIM1; k=rsa; p=" + "A" * 392
    strings = [line.strip('"') for line in txt_strings(record).splitlines()]
    assert "".join(strings) == record
    assert max(map(len, strings)) == 255


@pytest.mark.parametrize(
    ("state", "word", "allowed"),
    [
        ("created", "activate", True),
        ("retiring", "activate", True),  # back to the one before
        ("active", "activate", False),
        ("revoked", "activate", False),  # revoked is for good
        ("active", "revoke", True),
        ("revoked", "revoke", False),
    ],
)
def test_a_key_moves_only_from_where_it_may(
    domain: SendingDomain, state: str, word: str, allowed: bool
) -> None:
    SigningKey.objects.update(state="retiring")
    key = keyring.make(domain, "rsa-sha256")
    SigningKey.objects.filter(pk=key.pk).update(state=state)
    path = f"{BASE}/sendingdomain/{domain.pk}/keys/{key.pk}/{word}/"
    page = root().post(path, follow=True).content.decode()
    key.refresh_from_db()
    assert key.state == (keyring.MOVES[word].target if allowed else state)
    assert ("left alone" in page) is not allowed


def test_of_two_activations_at_once_the_second_sees_the_first(domain: SendingDomain) -> None:
    first, second = (keyring.make(domain, "rsa-sha256") for _ in range(2))
    moved: list[Any] = []

    def activate() -> None:
        try:
            moved.append(keyring.move(second, "activate"))
        except IntegrityError as error:
            moved.append(error)
        finally:
            connections.close_all()

    other = threading.Thread(target=activate)
    with transaction.atomic():
        keyring.move(first, "activate")
        other.start()
        while not sql.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert other.is_alive(), "it did not wait"
    other.join()
    assert moved == [True]
    states = SigningKey.objects.filter(pk__in=[first.pk, second.pk]).order_by("pk")
    assert list(states.values_list("state", flat=True)) == ["retiring", "active"]


def test_keys_want_their_own_permissions(domain: SendingDomain) -> None:
    viewer = person("viewer", "reputation.view_sendingdomain", "reputation.change_sendingdomain")
    key = SigningKey.objects.get()
    keys = f"{BASE}/sendingdomain/{domain.pk}/keys"
    assert viewer.post(f"{keys}/make/", {"algorithm": "rsa-sha256"}).status_code == 403
    assert viewer.post(f"{keys}/{key.pk}/revoke/").status_code == 403
    assert (
        person("keeper", "reputation.change_signingkey").post(f"{keys}/{key.pk}/revoke/").status_code == 302
    )


@pytest.mark.parametrize("path", ["keys/0/activate/", "keys/1/burn/", "keys/1/delete/"])
def test_there_is_no_such_key_or_move(domain: SendingDomain, path: str) -> None:
    assert root().post(f"{BASE}/sendingdomain/{domain.pk}/{path}").status_code == 404
    assert SigningKey.objects.get().state == "active"


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
        elif model is ProviderSuffix:
            model.objects.create(suffix=f"mx{number}.test", family=f"family{number % 3}")
        elif model is KnownDomain:
            model.objects.create(domain=f"d{number}.test", family="other", learned_at="2026-11-22T00:00Z")
        else:
            killswitch.trip(f"agent:a{number}", who="root", why="")


@pytest.mark.parametrize(
    "model", [Stream, SendingDomain, Route, ProviderSuffix, KnownDomain, OpenStop, SwitchEvent]
)
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


@pytest.mark.parametrize(("algorithm", "name"), [("rsa-sha256", "RSA"), ("ed25519-sha256", "Ed25519")])
def test_a_keys_algorithm_is_spelled_as_people_write_it(
    domain: SendingDomain, algorithm: str, name: str
) -> None:
    keyring.make(domain, algorithm)
    assert f"<p>{name}</p>" in shown(root(), f"/sendingdomain/{domain.pk}/change/")

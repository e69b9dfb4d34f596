"""What is written down for endpoints: with the event, once, and nothing where nobody wants it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.db import connections, transaction

from outbox import endpoints, ids, intake, ledger, openapi_webhooks, sessions, webhooks
from outbox.keys import Caller, authenticate
from outbox.ledger import Settlement, Testimony
from outbox.models import Delivery, Endpoint, Event, Notice
from outbox.openapi_webhooks import model_of
from outbox.payloads import parse_draft
from outbox.webhook_events import EVENTS, Verdict, body
from reputation import killswitch, sql
from reputation.models import Ramp
from reputation.vault import new_master_key
from tests import factories

pytestmark = pytest.mark.usefixtures("live_db")
URL = "https://hooks.example.org/in"


@pytest.fixture(autouse=True)
def _master_key(settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]


@pytest.fixture
def caller(live_db: Any) -> Caller:
    return authenticate(f"Bearer {factories.key(factories.agent())}")


def endpoint(name: str = "all", **more: Any) -> Endpoint:
    return endpoints.add(name, URL, **more)[0]


def post(caller: Caller, *to: str, **more: Any) -> list[UUID]:
    body = {"to": list(to or ["grace@example.org"]), "subject": "Hi", "text": "A secret text", **more}
    draft = parse_draft(body, now=datetime.now(UTC), idempotency_key=None)
    [answer] = intake.accept([draft], caller, request_id="r", base_url="https://ao.test")
    assert answer.status == 202
    message = ids.parsed("msg", orjson.loads(answer.body)["id"])
    assert message
    return list(
        Delivery.objects.filter(pk__gt=message, pk__lte=ids.last_delivery_of(message)).values_list(
            "pk", flat=True
        )
    )


def settled(caller: Caller, status: str, code: str) -> None:
    session = sessions.begin("test")
    claimed = ledger.claim(session, tier=1, limit=100)
    ledger.clear(session, [(one.id, one.attempt) for one in claimed])
    ledger.settle(session, [Settlement(one.id, one.attempt, status, code) for one in claimed])
    sessions.end(session)


def kinds() -> list[str]:
    return list(Notice.objects.order_by("id").values_list("kind", flat=True))


def test_without_an_endpoint_nothing_is_written(caller: Caller) -> None:
    endpoints.disable(endpoint().pk)
    post(caller)
    settled(caller, "delivered", "accepted_by_server")
    killswitch.trip("all", who="ada", why="")
    assert kinds() == []


def test_each_event_is_told_once_to_each_endpoint(caller: Caller) -> None:
    first, second = endpoint("one"), endpoint("two")
    post(caller)
    settled(caller, "delivered", "accepted_by_server")
    for each in (first, second):
        mine = Notice.objects.filter(endpoint=each).order_by("id")
        assert [one.kind for one in mine] == ["delivery.queued", "delivery.delivered"]
        events = Event.objects.exclude(kind="claimed").order_by("id")
        assert [one.event_id for one in mine] == [ids.printed("evt", event.pk) for event in events]


def test_a_disabled_endpoint_beside_an_enabled_one_is_told_nothing(caller: Caller) -> None:
    endpoint("on")
    endpoints.disable(endpoint("off").pk)
    post(caller)
    killswitch.trip("stream:x", who="ada", why="")
    assert set(Notice.objects.values_list("endpoint__name", flat=True)) == {"on"}


def test_a_rollback_tells_nothing(caller: Caller) -> None:
    endpoint()

    with transaction.atomic():
        post(caller)
        assert kinds() == ["delivery.queued"]
        transaction.set_rollback(True)
    assert kinds() == []


def test_what_became_of_a_message_is_told_in_order_whatever_it_is_told_of(caller: Caller) -> None:
    endpoint()
    [delivery, _] = post(caller, "grace@example.org", "ada@example.org")
    ledger.cancel_message(ids.message_of(delivery), "by_agent", "agent:ada")
    told = []
    for _ in range(3):
        [due] = webhooks.claim(10)
        told.append(due.kind)
        webhooks.settle(due, webhooks.Outcome(Verdict.TAKEN, 200))
    assert told == ["delivery.queued", "delivery.queued", "message.cancelled"]


def test_what_is_told_names_things_as_the_api_does_and_holds_no_content(caller: Caller) -> None:
    endpoint()
    [delivery] = post(caller, agent={"run_id": "r-1"})
    settled(caller, "bounced", "recipient_unknown")
    bounced = Notice.objects.get(kind="delivery.bounced")
    assert bounced.subject == ids.printed("msg", ids.message_of(delivery))
    assert bounced.data == {
        "delivery": ids.printed("dlv", delivery),
        "message": ids.printed("msg", ids.message_of(delivery)),
        "recipient": "grace@example.org",
        "agent": "ada",
        "run_id": "r-1",
        "stream": "agents-support",
        "status": "bounced",
        "code": "recipient_unknown",
        "attempt": 1,
    }


def test_a_message_is_told_of_once_for_all_its_deliveries(caller: Caller) -> None:
    endpoint()
    deliveries = post(caller, "a@example.org", "b@example.org", "c@example.org")
    ledger.cancel_message(ids.message_of(deliveries[0]), "by_agent", "key")
    cancelled = Notice.objects.get(kind="message.cancelled")
    assert cancelled.subject == cancelled.data["message"] == ids.printed("msg", ids.message_of(deliveries[0]))
    assert cancelled.data["deliveries"] == [ids.printed("dlv", each) for each in deliveries]
    assert cancelled.data["code"] == "by_agent"


def test_an_endpoint_gets_the_events_and_the_stream_it_asked_for(caller: Caller) -> None:
    other = factories.stream("agents-sales", "sales.acme.test")
    endpoint("others", stream=other)
    endpoint("own", stream=factories.stream())
    endpoint("finals", events=["delivery.delivered"])
    post(caller)
    settled(caller, "delivered", "accepted_by_server")
    told = Notice.objects.order_by("id").values_list("endpoint__name", "kind")
    assert sorted(told) == [
        ("finals", "delivery.delivered"),
        ("own", "delivery.delivered"),
        ("own", "delivery.queued"),
    ]


def test_what_is_told_later_of_a_delivery_is_told_too(caller: Caller) -> None:
    endpoint(events=["delivery.complained", "delivery.bounced"])
    [delivery] = post(caller)
    settled(caller, "delivered", "accepted_by_server")
    ledger.report(Testimony(delivery, "complained", "smtp", "abuse"))
    ledger.report(Testimony(delivery, "complained", "smtp", "abuse"))
    ledger.report(Testimony(delivery, "bounced", "smtp", "unknown", code="recipient_unknown"))
    assert kinds() == ["delivery.complained", "delivery.bounced"]


def test_what_is_told_is_what_the_document_describes(caller: Caller) -> None:
    endpoint()
    deliveries = post(caller, "a@example.org", "b@example.org")
    settled(caller, "delivered", "accepted_by_server")
    ledger.report(Testimony(deliveries[0], "bounced", "smtp", "unknown", code="recipient_unknown"))
    ledger.cancel_message(ids.message_of(post(caller)[0]), "by_agent", "key")
    killswitch.trip("all", who="ada", why="")
    webhooks.confirm_stops()
    killswitch.resume("all", who="ada", why="Over")
    for one in Notice.objects.all():
        model_of(one.kind).model_validate_json(body(one.kind, one.at, one.data))
    assert len(set(kinds())) == 7


def test_the_document_has_every_event() -> None:
    paths, schemas = openapi_webhooks.described("#/components/schemas/{model}")
    assert paths.keys() == EVENTS.keys()
    for path in paths.values():
        reference = path["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        assert reference.rpartition("/")[2] in schemas


SCOPES = [
    ("all", True, "everything"),
    ("agents", True, "every agent stream"),
    ("stream:agents-support", True, "its own"),
    ("stream:agents-sales", False, "another's"),
    ("agent:ada", True, "an agent of it"),
    ("agent:bob", False, "an agent of another"),
    ("run:ada/r-1", True, "a run of its agent"),
    ("run:bob/r-1", False, "a run of another's"),
    ("domain:agents.acme.test", True, "its sending domain"),
    ("domain:sales.acme.test", False, "another's"),
    ("domain_provider:sales.acme.test/gmail", False, "another's"),
    ("provider:gmail", True, "shared"),
    ("source:192.0.2.1", True, "shared"),
]


@pytest.mark.parametrize(("scope", "told", "_why"), SCOPES)
def test_a_stop_is_told_to_endpoints_whose_stream_it_may_concern(
    caller: Caller, scope: str, told: bool, _why: str
) -> None:
    factories.agent("bob", stream=factories.stream("agents-sales", "sales.acme.test"))
    endpoint("all")
    endpoint("own", stream=factories.stream())
    done = killswitch.trip(scope, who="ada", why="Too much")
    names = set(Notice.objects.values_list("endpoint__name", flat=True))
    assert names == ({"all", "own"} if told else {"all"})
    one = Notice.objects.get(endpoint__name="all")
    assert (one.kind, one.event_id, one.subject) == ("stop.tripped", f"stop_{done.epoch}", scope)
    assert one.data == {"scope": scope, "epoch": done.epoch, "who": "ada", "why": "Too much"}


def test_whatever_is_wrong_with_telling_the_stop_stands(live_db: Any) -> None:
    endpoint()
    long = "run:" + "x" * 395
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE outbox_notice ADD CONSTRAINT broken CHECK (kind <> 'stop.tripped')")
    try:
        killswitch.trip(long, who="ada", why="")
        assert [stop.scope for stop in killswitch.open_stops()] == [long]
        assert kinds() == []
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute("ALTER TABLE outbox_notice DROP CONSTRAINT broken")


def test_a_stop_is_confirmed_once_when_every_living_worker_has_acknowledged_it(live_db: Any) -> None:
    endpoint(events=["stop.confirmed"])
    quick, slow, dead = (sessions.begin(name) for name in ("quick", "slow", "dead"))
    sql.count("UPDATE outbox_session SET lease_until = clock_timestamp() WHERE id = %s", [dead])
    epoch = killswitch.trip("all", who="ada", why="").epoch
    sessions.renew(quick, epoch)
    assert webhooks.confirm_stops() == 0
    sessions.renew(slow, epoch)
    assert webhooks.confirm_stops() == 1
    assert webhooks.confirm_stops() == 0
    one = Notice.objects.get()
    assert (one.kind, one.subject, one.data) == ("stop.confirmed", "all", {"scope": "all", "epoch": epoch})


RAMPS = [
    ("advanced", "ramp.advanced"),
    ("held", "ramp.held"),
    ("stepped_down", "ramp.stepped_down"),
    ("idle", "ramp.stepped_down"),
    ("closed", None),
    ("settled", None),
]


@pytest.mark.parametrize(("kind", "told"), RAMPS)
def test_a_ramp_is_told_of_when_it_moves(live_db: Any, kind: str, told: str | None) -> None:
    endpoint("all")
    endpoint("own", stream=factories.stream())
    endpoint("other", stream=factories.stream("agents-sales", "sales.acme.test"))
    ramp = Ramp.objects.create(kind="domain", key="agents.acme.test", provider="gmail")
    sql.count(
        "INSERT INTO reputation_rampevent (ramp_id, at, kind, step, cap, why, evidence) "
        "VALUES (%s, ao_now(), %s, 3, 40, 'earned', '{}')",
        [ramp.pk, kind],
    )
    assert set(Notice.objects.values_list("kind", flat=True)) == ({told} if told else set())
    assert Notice.objects.count() == (2 if told else 0)


TOLD = [
    ("accepted", "held", "first_contact", "message.held"),
    ("accepted", "queued", "", "delivery.queued"),
    ("held", "held", "content_changed", "message.held"),
    ("released", "queued", "", "message.released"),
    ("refused", "refused", "by_reviewer", "message.refused"),
    ("expired", "expired", "approval_lapsed", "message.lapsed"),
    ("expired", "expired", "expires_at_passed", "delivery.expired"),
    ("cancelled", "cancelled", "by_agent", "message.cancelled"),
    ("claimed", "sending", "", None),
    ("deferred", "deferred", "", "delivery.deferred"),
    ("delivered", "delivered", "accepted_by_server", "delivery.delivered"),
    ("relayed", "relayed", "accepted_by_relay", "delivery.relayed"),
    ("bounced", "bounced", "recipient_unknown", "delivery.bounced"),
    ("bounced", "suppressed", "recipient_unknown", None),
    ("delayed", "delivered", "", None),
    ("complained", "delivered", "", "delivery.complained"),
    ("unsubscribed", "delivered", "", "delivery.unsubscribed"),
    ("suppressed", "suppressed", "complaint", "delivery.suppressed"),
    ("rescued", "uncertain", "session_lost_after_clearance", "delivery.uncertain"),
    ("rescued", "held", "poison", "message.held"),
    ("returned", "queued", "", "delivery.queued"),
    ("resent", "queued", "", "delivery.queued"),
    ("unheard_of", "sending", "", None),
]


@pytest.mark.parametrize(("kind", "status", "code", "told"), TOLD)
def test_what_an_event_is_called_outside(kind: str, status: str, code: str, told: str | None) -> None:
    assert sql.one("SELECT ao_told_as(%s, %s, %s) AS name", [kind, status, code]).name == told
    assert told is None or told in EVENTS


def test_the_database_prints_keys_as_we_do(live_db: Any) -> None:
    for key in (ids.new_id(1_700_000_000_000), UUID(int=0), UUID(int=(1 << 128) - 1)):
        assert sql.one("SELECT ao_printed('dlv', %s) AS text", [key]).text == ids.printed("dlv", key)


def test_only_events_of_the_list_can_be_asked_for(live_db: Any) -> None:
    with pytest.raises(ValueError, match="no such event"):
        endpoint(events=["delivery.read"])
    assert not Endpoint.objects.exists()

"""Into doubt after a restore, and out of it by a person's word: what moves, what stays, and who did it."""

import io
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client

from outbox import doubt, ids, ledger, sessions
from outbox.doubt import Word
from outbox.ledger import Settlement
from outbox.models import Audit, Delivery, Event, Lane, Session, Uncertain
from reputation.models import OpenStop
from tests import factories
from tests.outbox.test_api import Caller
from tests.pages import desk

pytestmark = pytest.mark.usefixtures("live_db")

SOON = timedelta(hours=1)


@pytest.fixture
def ada(live_db: Any) -> Caller:
    return Caller(factories.key(factories.agent()))


@pytest.fixture
def doubtful(ada: Caller) -> list[Delivery]:
    """Three deliveries that a dead worker had cleared."""
    for number in range(3):
        ada.post(to=f"p{number}@example.org")
    session = sessions.begin("test")
    taken = ledger.claim(session, tier=1, limit=10)
    ledger.clear(session, [(one.id, one.attempt) for one in taken])
    Session.objects.update(lease_until=datetime.now(UTC) - SOON)
    ledger.rescue()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"uncertain"}
    return list(Delivery.objects.order_by("pk"))


def statuses() -> dict[str, tuple[str, str]]:
    rows = Delivery.objects.values_list("recipient", "status", "code")
    return {recipient.partition("@")[0]: (status, code) for recipient, status, code in rows}


def restore(**options: Any) -> str:
    told = io.StringIO()
    given = {"backup_taken": "2099-01-01T00:00:00Z", "why": "the disk died", "who": "grace"} | options
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    call_command("after_restore", *words, stdout=told)
    return told.getvalue()


def now() -> str:
    return datetime.now(UTC).isoformat()


# after a restore


def test_whatever_was_open_is_uncertain_and_what_was_final_stays(ada: Caller) -> None:
    for name in ("held", "deferred", "sending", "cleared", "done"):
        ada.post(to=f"{name}@example.org")
    session = sessions.begin("test")
    taken = {one.recipient.partition("@")[0]: one for one in ledger.claim(session, tier=1, limit=10)}
    ledger.clear(session, [(taken[name].id, taken[name].attempt) for name in ("cleared", "done")])
    done, deferred = taken["done"], taken["deferred"]
    ledger.settle(session, [Settlement(done.id, done.attempt, "delivered", "accepted_by_server")])
    ledger.settle(session, [Settlement(deferred.id, deferred.attempt, "deferred", "", wait=60.0)])
    ledger.settle(session, [Settlement(taken["held"].id, taken["held"].attempt, "held", "recheck")])
    ada.post(to="queued@example.org")
    Session.objects.update(lease_until=datetime.now(UTC) - SOON)

    told = restore(backup_taken=now())
    expected = dict.fromkeys(
        ("held", "deferred", "sending", "cleared", "queued"), ("uncertain", "restored_from_backup")
    )
    assert statuses() == expected | {"done": ("delivered", "accepted_by_server")}
    assert "5 deliveries were open and are uncertain now; sessions ended: 1" in told
    events = Event.objects.filter(kind__in=["restored", "restored_held"])
    assert events.count() == 5
    assert {(one.actor, one.code) for one in events} == {("grace", "restored_from_backup")}
    assert all("the disk died" in one.note for one in events)
    [stop] = OpenStop.objects.all()
    assert (stop.scope, stop.who) == ("all", "grace")
    assert Audit.objects.filter(act="restored", who="grace").exists()
    assert not Session.objects.filter(ended_at=None).exists()


def test_what_waited_for_an_approval_waits_for_it_again_when_it_is_sent_again(ada: Caller) -> None:
    for name in ("held", "queued"):
        ada.post(to=f"{name}@example.org")
    session = sessions.begin("test")
    [one] = [each for each in ledger.claim(session, tier=1, limit=10) if each.recipient.startswith("held")]
    ledger.settle(session, [Settlement(one.id, one.attempt, "held", "first_contact")])
    Session.objects.update(lease_until=datetime.now(UTC) - SOON)
    restore(backup_taken=now(), why="was held: so it said")
    assert sorted(Event.objects.filter(code="restored_from_backup").values_list("kind", flat=True)) == [
        "restored",
        "restored_held",
    ]
    everything = list(Delivery.objects.values_list("pk", flat=True))
    assert doubt.decide(everything, Word.SEND_AGAIN, actor="grace", note="nothing of it arrived") == 2
    assert statuses() == {"held": ("held", "policy"), "queued": ("queued", "")}
    # approved, and restored once more: it owes nothing any more
    Delivery.objects.filter(status="held").update(status="queued", code="")
    assert doubt.restored("grace", "again") == 2
    assert doubt.decide(everything, Word.SEND_AGAIN, actor="grace", note="nothing of it arrived") == 2
    assert {status for status, _ in statuses().values()} == {"queued"}


def test_what_was_restored_before_is_told_apart_by_the_migration(ada: Caller) -> None:
    for name in ("held", "queued"):
        ada.post(to=f"{name}@example.org")
    Delivery.objects.filter(recipient__startswith="held").update(status="held", code="first_contact")
    assert doubt.restored("grace", "the disk died") == 2
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE outbox_event SET kind = 'restored' WHERE kind = 'restored_held'")  # as it was
        cursor.execute(import_module("outbox.migrations.0015_restored_while_held").TOLD_APART)
    everything = list(Delivery.objects.values_list("pk", flat=True))
    doubt.decide(everything, Word.SEND_AGAIN, actor="grace", note="nothing of it arrived")
    assert statuses() == {"held": ("held", "policy"), "queued": ("queued", "")}


def test_nothing_brings_them_back_by_itself(ada: Caller) -> None:
    stream = factories.stream("mail", "mail.acme.test", "transactional")
    stream.resend_uncertain = True
    stream.save()
    Caller(factories.key(factories.agent("robot", stream=stream))).post(
        to="reset@example.org", **{"from": "ada@mail.acme.test"}
    )
    ada.post(to="x@example.org")
    restore(backup_taken=now())
    from reputation import killswitch

    killswitch.resume("all", who="grace", why="all is taken over")
    ledger.unpark("all")
    assert (ledger.rescue(), ledger.resend_uncertain(), ledger.expire(), ledger.rouse()) == ([], 0, 0, 0)
    session = sessions.begin("test")
    assert [ledger.claim(session, tier=tier, limit=10) for tier in (0, 1)] == [[], []]


def test_it_may_be_said_again_and_in_pages(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubt, "PAGE", 2)
    for number in range(5):
        ada.post(to=f"p{number}@example.org")
    at = now()
    assert "5 deliveries were open" in restore(backup_taken=at)
    assert "0 deliveries were open" in restore(backup_taken=at)
    assert Event.objects.filter(kind="restored").count() == 5


@pytest.mark.parametrize(
    ("taken", "why", "said"),
    [
        ("2099-01-01T00:00:00Z", "the disk died", "in the future"),
        ("2020-01-01T00:00:00+00:00", "the disk died", "in use since"),  # somebody's living database
        (None, " ", "Say why"),
    ],
)
def test_what_cannot_be_right_changes_nothing(ada: Caller, taken: str | None, why: str, said: str) -> None:
    ada.post()
    with pytest.raises(CommandError, match=said):
        restore(backup_taken=taken or now(), why=why)
    assert not OpenStop.objects.exists()
    assert Delivery.objects.get().status == "queued"


@pytest.mark.parametrize("renews", [True, False])
def test_while_a_worker_is_alive_nothing_is_changed(
    ada: Caller, monkeypatch: pytest.MonkeyPatch, renews: bool
) -> None:
    ada.post()
    session = sessions.begin("host:17")
    if renews:
        monkeypatch.setattr(time, "sleep", lambda _: sessions.renew(session, 0))
    else:  # it may still: its lease is as long as one of here
        monkeypatch.setattr(sessions, "LEASE_SECONDS", 0)
    with pytest.raises(CommandError, match="A worker is alive here: host:17"):
        restore(backup_taken=now())
    assert not OpenStop.objects.exists()
    assert Delivery.objects.get().status == "queued"


def test_a_lease_that_came_with_the_backup_is_waited_for(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.post()
    monkeypatch.setattr(sessions, "LEASE_SECONDS", 0.3)
    sessions.begin("host:17")
    monkeypatch.setattr(sessions, "LEASE_SECONDS", 15.0)
    assert "1 deliveries were open and are uncertain now" in restore(backup_taken=now())


# by a person's word


def test_what_is_sent_again_is_due_once_more_and_says_who_wanted_it(doubtful: list[Delivery]) -> None:
    Lane.objects.update(state="asleep", wake_at="9999-12-31T00:00:00Z")
    assert doubt.decide([doubtful[0].pk], Word.SEND_AGAIN, actor="grace", note="it never arrived") == 1
    session = sessions.begin("another")
    [taken] = ledger.claim(session, tier=1, limit=10)
    assert (taken.id, taken.attempt) == (doubtful[0].pk, 2)
    assert ledger.clear(session, [(taken.id, taken.attempt)]) == {taken.id}
    event = Event.objects.get(kind="resent")
    assert (event.delivery_id, event.actor, event.note) == (doubtful[0].pk, "grace", "it never arrived")
    assert Delivery.objects.filter(status="uncertain").count() == 2


@pytest.mark.parametrize(("word", "status"), [(Word.ARRIVED, "delivered"), (Word.LOST, "bounced")])
def test_what_is_counted_is_final_by_a_persons_word(
    doubtful: list[Delivery], word: Word, status: str
) -> None:
    assert doubt.decide([one.pk for one in doubtful[:2]], word, actor="grace", note="their log") == 2
    assert sorted(statuses().values()) == sorted(
        [(status, "by_person")] * 2 + [("uncertain", "session_lost_after_clearance")]
    )
    assert not Delivery.objects.filter(status=status, finished_at=None).exists()
    assert set(Event.objects.filter(kind=status).values_list("actor", "note")) == {("grace", "their log")}


def test_what_has_outlived_itself_or_was_settled_meanwhile_stays(doubtful: list[Delivery]) -> None:
    past, settled, fresh = doubtful
    Delivery.objects.filter(pk=past.pk).update(expires_at=datetime.now(UTC) - SOON)
    late = Settlement(settled.pk, settled.attempt, "delivered", "accepted_by_server")
    assert ledger.settle(settled.session_id, [late])
    chosen = [one.pk for one in doubtful]
    assert doubt.decide(chosen, Word.SEND_AGAIN, actor="grace", note="again") == 1
    found = {one.pk: one.status for one in Delivery.objects.all()}
    assert found == {past.pk: "uncertain", settled.pk: "delivered", fresh.pk: "queued"}
    # and the attempt that was cleared has no say about what is sent again
    assert not ledger.settle(
        fresh.session_id, [Settlement(fresh.pk, fresh.attempt, "delivered", "accepted_by_server")]
    )


def test_a_reason_is_owed(doubtful: list[Delivery]) -> None:
    with pytest.raises(ValueError, match="how you know"):
        doubt.decide([doubtful[0].pk], Word.LOST, actor="grace", note=" ")


# in the admin

LIST = "/admin/outbox/uncertain/"
DECIDER = ("outbox.view_uncertain", "outbox.settle_uncertain", "outbox.view_delivery")


def chosen(client: Client, word: str, *keys: Any, **more: str) -> Any:
    boxes = {"action": word, "_selected_action": [str(key) for key in keys], **more}
    return client.post(LIST, boxes)


def confirmed(client: Client, page: Any, **more: str) -> Any:
    kept: dict[str, Any] = {}
    for name, value in page.context_data["kept"]:
        kept.setdefault(name, []).append(str(value))
    return client.post(LIST, kept | {"why": "their log"} | more)


def test_a_person_sees_why_each_is_uncertain_and_decides_for_one(doubtful: list[Delivery]) -> None:
    client = desk.person("grace", *DECIDER)
    page = client.get(LIST)
    assert "session lost after clearance" in page.content.decode()
    assert all(one.recipient in page.content.decode() for one in doubtful)
    asked = chosen(client, "send_again", doubtful[1].pk)
    assert "1 uncertain deliveries" in asked.content.decode()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"uncertain"}  # nothing is done before
    confirmed(client, asked)
    assert {one.pk for one in Delivery.objects.filter(status="queued")} == {doubtful[1].pk}
    assert Event.objects.get(kind="resent").actor == "grace"


def test_a_person_decides_for_all_that_a_filter_finds(doubtful: list[Delivery]) -> None:
    client = desk.person("grace", *DECIDER)
    Delivery.objects.filter(pk=doubtful[2].pk).update(code="no_reply_after_dot")
    where = f"{LIST}?code=session_lost_after_clearance"
    boxes = {"action": "arrived", "_selected_action": [str(doubtful[0].pk)], "select_across": "1"}
    asked = client.post(where, boxes)
    kept = dict(asked.context_data["kept"])
    client.post(where, kept | {"why": "their log"})
    found = {one.pk: one.status for one in Delivery.objects.all()}
    assert found == {doubtful[0].pk: "delivered", doubtful[1].pk: "delivered", doubtful[2].pk: "uncertain"}


def test_what_changed_while_it_was_read_is_asked_again(doubtful: list[Delivery]) -> None:
    client = desk.person("grace", *DECIDER)
    asked = chosen(client, "send_again", doubtful[0].pk, select_across="1")
    doubt.decide([doubtful[2].pk], Word.ARRIVED, actor="ada", note="it is there")
    again = confirmed(client, asked)
    assert "The list changed" in again.content.decode()
    assert Delivery.objects.filter(status="uncertain").count() == 2
    confirmed(client, again)
    assert Delivery.objects.filter(status="queued").count() == 2


def test_without_a_reason_nothing_is_done(doubtful: list[Delivery]) -> None:
    client = desk.person("grace", *DECIDER)
    answer = confirmed(client, chosen(client, "lost", doubtful[0].pk), why="")
    assert "This field is required" in answer.content.decode()
    assert not Delivery.objects.filter(status="bounced").exists()


def test_who_may_only_look_is_offered_nothing_and_can_do_nothing(doubtful: list[Delivery]) -> None:
    client = desk.person("looker", "outbox.view_uncertain")
    assert "send_again" not in client.get(LIST).content.decode()
    chosen(client, "send_again", doubtful[0].pk, why="because", chosen="x")
    assert set(Delivery.objects.values_list("status", flat=True)) == {"uncertain"}


def test_a_get_does_nothing(doubtful: list[Delivery]) -> None:
    client = desk.root()
    client.get(LIST, {"action": "send_again", "_selected_action": str(doubtful[0].pk), "why": "x"})
    assert set(Delivery.objects.values_list("status", flat=True)) == {"uncertain"}


def test_its_page_is_its_story(doubtful: list[Delivery]) -> None:
    page = desk.root().get(f"{LIST}{doubtful[0].pk}/change/").content.decode()
    assert ids.printed("dlv", doubtful[0].pk) in page
    assert "rescued" in page
    assert Uncertain.objects.count() == 3

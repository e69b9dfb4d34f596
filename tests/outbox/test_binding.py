"""An approval covers what was shown: anything changed since is not sent, and waits for a person again."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from outbox import deciding, dispatch, ledger, press, releasing, sessions
from outbox.binding import Changed, Outdated, digest_of
from outbox.compose import Content
from outbox.delivery import Envelope
from outbox.models import Agent, Delivery, Event, Held
from reputation import signing
from reputation.models import SigningKey, Stream
from reputation.vault import new_master_key, vault
from tests import factories
from tests.clocks import later
from tests.outbox.asked import accepted, carried, counts, draft, held, many, request, reviewer, shown
from tests.outbox.reopened import ask

pytestmark = pytest.mark.usefixtures("live_db")

FULL = {
    "to": ["Grace <grace@example.org>", "heidi@example.org"],
    "cc": ["ivan@example.org"],
    "bcc": ["judy@example.org"],
    "reply_to": "ada@agents.acme.test",
    "subject": "Your invoice 🎉",
    "text": "Hi Grace,\nplease find it below.\n",
    "html": "<p>Hi Grä</p>",
    "headers": {"X-Ticket": "4711"},
    "attachments": [{"filename": "a.pdf", "content": "AAAA", "content_type": "application/pdf"}],
}


@pytest.fixture(autouse=True)
def sealed(live_db: Any) -> Any:
    with override_settings(AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=["0123456789abcdef"]):
        press._verp_key.cache_clear()
        yield
        press._verp_key.cache_clear()


@pytest.fixture
def ada(sealed: Any) -> Agent:
    made = factories.agent("ada")
    pair = signing.generate(signing.Algorithm.RSA)
    sealed_key = vault().seal(pair.private_pem)
    SigningKey.objects.update(private_sealed=sealed_key, public_record=pair.public_record)
    return made


@pytest.fixture
def rita(live_db: Any) -> User:
    return reviewer()


def pressed() -> list[Envelope | Exception]:
    """What a worker makes of all that is due; what it cannot send is settled."""
    session = sessions.begin("test")
    jobs = press.gather(session, ledger.claim(session, tier=1, limit=100))
    jobs = [job if job.sheet else press.load(job) for job in jobs]
    made = [press.pressed(job) for job in jobs]
    wrong = [
        dispatch._unpressed(job, one)
        for job, one in zip(jobs, made, strict=True)
        if isinstance(one, Exception)
    ]
    ledger.settle(session, wrong)
    return made


def test_what_was_approved_is_what_is_composed(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, FULL)
    deciding.release(shown(), rita)
    carried()
    assert [type(one) for one in pressed()] == [Envelope] * 4


def test_the_digest_of_a_draft_is_that_of_the_content_it_becomes(ada: Agent) -> None:
    one = draft(FULL)
    [message] = accepted(ada, [one])
    content = press.contents([message])[message]
    people = [mailbox.addr for mailbox in one.recipients]
    assert digest_of(content, content.sender, people, 1) == digest_of(one, content.sender, people, 1)


CHANGES = {
    "subject": "UPDATE outbox_message SET subject = 'You have won'",
    "text": "UPDATE outbox_message SET text = text || ' '",
    "html": "UPDATE outbox_message SET html = NULL",
    "headers": """UPDATE outbox_message SET headers = '[["X-Ticket", "4712"]]'""",
    "sender": """UPDATE outbox_message SET addressing = jsonb_set(addressing, '{from,local}', '"boss"')""",
    "sender's name": """UPDATE outbox_message SET addressing = jsonb_set(addressing, '{from,name}', '"Boss"')""",
    "reply to": """UPDATE outbox_message SET addressing = jsonb_set(addressing, '{reply_to,0,local}', '"eve"')""",
    "to": """UPDATE outbox_message SET addressing = jsonb_set(addressing, '{to,0,name}', '"Eve"')""",
    "recipients": "UPDATE outbox_message SET addresses = addresses || '{eve@example.org}'::text[]",
    "an attachment": "UPDATE outbox_attachment SET content = 'AAAB'",
    "its name": "UPDATE outbox_attachment SET filename = 'a.exe'",
    "its policy": """UPDATE outbox_message SET decision = jsonb_set(decision, '{policy_version}', '7')""",
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_since_goes_back_to_wait(ada: Agent, live_db: Any, rita: User, what: str) -> None:
    held(live_db, ada, FULL)
    deciding.release(shown(), rita)
    carried()
    ask(live_db, CHANGES[what])  # type: ignore[arg-type]
    assert {type(one) for one in pressed()} == {Changed}
    assert set(Delivery.objects.values_list("status", "code")) == {("held", "content_changed")}
    assert not Delivery.objects.exclude(cleared_at=None).exists()
    assert Event.objects.filter(kind="held", code="content_changed").count() == 4


def test_a_recipient_who_was_put_in_later_gets_nothing(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, {})
    deciding.release(shown(), rita)
    carried()
    ask(live_db, "UPDATE outbox_delivery SET recipient = 'eve@example.org'")
    assert [type(one) for one in pressed()] == [Changed]


def test_a_policy_that_was_edited_voids_the_approval(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, {})
    deciding.release(shown(), rita)
    carried()
    Stream.objects.update(policy_version=2)
    assert [type(one) for one in pressed()] == [Outdated]
    assert Delivery.objects.get().code == "policy"


def test_what_came_back_is_asked_about_and_goes_when_it_is_approved_as_it_is(
    ada: Agent, live_db: Any, rita: User
) -> None:
    held(live_db, ada, *many(2))
    deciding.release(shown(), rita)
    carried()
    ask(live_db, "UPDATE outbox_message SET subject = 'another'")
    pressed()
    releasing.tend()
    assert counts() == {"held": 2}
    again = list(Held.objects.filter(decision=None))
    assert len(again) == 2
    assert again[0].approval.reasons == ["content_changed"]
    deciding.release(shown(again[0].approval), rita)
    carried(again[0].approval)
    assert [type(one) for one in pressed()] == [Envelope] * 2


def test_what_came_back_to_the_same_request_is_in_no_further_wave(
    ada: Agent, live_db: Any, rita: User
) -> None:
    """It is as if it had joined again, after what was shown."""
    held(live_db, ada, *many(30), cluster=None)
    deciding.release_in_waves(shown(), rita)
    carried()
    first = Delivery.objects.filter(status="queued").order_by("id")[0]
    ask(live_db, "UPDATE outbox_message SET subject = 'another' WHERE id = %s", first.message_id)
    assert Changed in {type(one) for one in pressed()}
    releasing._ask()
    assert Held.objects.filter(approval=request(), decision=None).count() == 11
    ask(live_db, "UPDATE outbox_delivery SET status = 'delivered', code = 'accepted_by_server', "
        "finished_at = now() WHERE status = 'sending'")  # fmt: skip
    later(live_db, "16 minutes")
    releasing.tend(60)
    assert counts() == {"delivered": 19, "queued": 10, "held": 1}
    first.refresh_from_db()
    assert first.code == "content_changed"


def test_what_never_was_held_is_not_looked_up(ada: Agent, live_db: Any) -> None:
    accepted(ada, [draft({})])
    assert [type(one) for one in pressed()] == [Envelope]


def test_content_has_what_the_digest_covers() -> None:
    """A field that is added to what is composed has to be covered, or named here."""
    covered = {"sender", "to", "cc", "reply_to", "subject", "text", "html", "headers", "attachments"}
    assert set(Content.__dataclass_fields__) - covered == {"message_id", "date"}


def test_for_an_agent_that_is_exempt_nothing_is_looked_up(ada: Agent, live_db: Any, monkeypatch: Any) -> None:
    accepted(ada, [draft({})])
    asked: list[bool] = []
    contents = ledger.contents

    def watched(found: Any, largest: int, *, bound: bool = True) -> Any:
        asked.append(bound)
        return contents(found, largest, bound=bound)

    monkeypatch.setattr(ledger, "contents", watched)
    session = sessions.begin("test")
    claimed = ledger.claim(session, tier=1, limit=1)
    press.gather(session, claimed)
    press.gather(session, [replace(one, exempt=True) for one in claimed])
    assert asked == [True, False]

"""What an agent meets when some of whom it writes to may not be mailed: the others get theirs; no reason is told."""

from typing import Any

import pytest
from django.test import override_settings

from outbox.models import Delivery, Message
from reputation import suppression
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.test_api import POST, Caller, refused

ADA, GRACE, JOAN = "ada@example.org", "grace@example.org", "joan@example.net"


@pytest.fixture(autouse=True)
def sealed() -> Any:
    with override_settings(AO_MASTER_KEYS=[new_master_key()]):
        yield


@pytest.fixture
def ada(live_db: Any) -> Caller:
    agent = factories.agent("ada")
    return Caller(factories.key(agent), agent)


def complain(*addresses: str) -> None:
    suppression.suppress(suppression.complaint(address, "arf") for address in addresses)


def not_mailed(*addresses: str) -> list[dict[str, str]]:
    return [{"to": address, "code": "recipient_suppressed"} for address in addresses]


def test_the_others_get_their_mail(ada: Caller) -> None:
    complain(GRACE)
    posted = ada.post(to=[GRACE, JOAN], cc=[ADA])
    assert posted.status_code == 202
    assert [each["to"] for each in posted.data["deliveries"]] == [JOAN, ADA]
    assert posted.data["refused"] == not_mailed(GRACE)
    assert sorted(Delivery.objects.values_list("recipient", flat=True)) == [ADA, JOAN]


def test_what_was_answered_is_kept_and_shown_again(ada: Caller) -> None:
    complain(GRACE)
    posted = ada("POST", "/v1/messages", POST | {"to": [GRACE, JOAN]}, **{"Idempotency-Key": "k"}).data
    again = ada("POST", "/v1/messages", POST | {"to": [GRACE, JOAN]}, **{"Idempotency-Key": "k"}).data
    assert again == posted
    assert ada("GET", f"/v1/messages/{posted['id']}").data["refused"] == not_mailed(GRACE)
    assert Message.objects.get().refused == not_mailed(GRACE)


def test_who_is_left_out_stands_in_no_header_either(ada: Caller) -> None:
    complain(GRACE)
    ada.post(to=[GRACE, JOAN])
    (message,) = Message.objects.all()
    assert [each["local"] for each in message.addressing["to"]] == ["joan"]


def test_if_nobody_is_left_nothing_is_accepted(ada: Caller) -> None:
    complain(GRACE, JOAN)
    problem = refused(ada.post(to=[GRACE], bcc=[JOAN]), "recipient_suppressed")
    assert problem.retry == "never"
    assert [each.pointer for each in problem.violations] == ["/to/0", "/bcc/0"]
    assert not Message.objects.exists()


def test_all_or_nothing_is_nothing(ada: Caller) -> None:
    complain(GRACE)
    problem = refused(ada.post(to=[JOAN, GRACE], all_or_nothing=True), "recipient_suppressed")
    assert [each.pointer for each in problem.violations] == ["/to/1"]
    assert ada.post(to=[JOAN], all_or_nothing=True).status_code == 202


@pytest.mark.parametrize(
    "spelling", ["Grace@Example.org", "grace+x@example.org", "Grace <GRACE@example.org>"]
)
def test_a_spelling_is_no_way_around(ada: Caller, spelling: str) -> None:
    complain(GRACE)
    refused(ada.post(to=[spelling]), "recipient_suppressed")


def test_a_dead_tag_does_not_take_the_person_with_it(ada: Caller) -> None:
    suppression.suppress([suppression.hard_bounce("grace+old@example.org", "dsn")])
    posted = ada.post(to=["grace+old@example.org"], cc=[GRACE])
    assert [each["to"] for each in posted.data["deliveries"]] == [GRACE]
    assert posted.data["refused"] == not_mailed("grace+old@example.org")


def test_the_answer_is_the_same_whatever_the_reason(ada: Caller) -> None:
    people = [f"p{number}@example.org" for number in range(4)]
    suppression.suppress(
        [
            suppression.hard_bounce(people[0], "dsn"),
            suppression.complaint(people[1], "arf"),
            suppression.unsubscribed(people[2], "agents-support", "link"),
            suppression.Entry(people[3], suppression.Reason.BY_PERSON, "all", "person:dana"),
        ]
    )
    answers = [refused(ada.post(to=[person]), "recipient_suppressed").model_dump() for person in people]
    for answer in answers:
        del answer["request_id"]
    assert answers == [answers[0]] * 4
    assert "bounce" not in str(answers[0])


def test_a_complaint_never_stops_a_password_reset(live_db: Any) -> None:
    stream = factories.stream("resets", "mail.acme.test", kind="transactional")
    agent = factories.agent("resets", stream=stream)
    complain(GRACE)
    suppression.suppress([suppression.unsubscribed(GRACE, "agents-support", "link")])
    assert Caller(factories.key(agent)).post(to=[GRACE]).status_code == 202
    suppression.suppress([suppression.hard_bounce(GRACE, "dsn")])
    refused(Caller(factories.key(agent)).post(to=[GRACE]), "recipient_suppressed")


def test_a_batch_answers_each_by_itself(ada: Caller) -> None:
    complain(GRACE)
    messages = [POST | {"to": to} for to in ([GRACE], [GRACE, JOAN], [JOAN])]
    data = ada("POST", "/v1/messages/batch", {"messages": messages}).data["data"]
    assert [each["status"] for each in data] == [422, 202, 202]
    assert [each["message"]["refused"] for each in data[1:]] == [not_mailed(GRACE), []]


def test_preflight_says_who_would_get_nothing(ada: Caller) -> None:
    complain(GRACE)
    seen = ada("POST", "/v1/messages/preflight", POST | {"to": [GRACE, JOAN]}).data
    assert (seen["status"], seen["refused"]) == (202, not_mailed(GRACE))
    assert [each["to"] for each in seen["deliveries"]] == [JOAN]
    nobody = ada("POST", "/v1/messages/preflight", POST | {"to": [GRACE]}).data
    assert (nobody["status"], nobody["problem"]["code"]) == (422, "recipient_suppressed")
    assert not Message.objects.exists()

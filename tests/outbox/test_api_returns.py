"""What an MTA hands over by HTTP: who may, what it is answered, and that the answer tells nothing."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import Error
from django.test import Client, override_settings

from outbox import mailboxes, openapi, returns, sessions
from outbox.models import Agent, ApiKey, Quarantine
from outbox.problems import CODES
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.returning import DOMAIN, VERP, bounce, delivered, kinds, return_path, standing

pytestmark = pytest.mark.usefixtures("live_db")
PATH = "/v1/returns/mime"


@pytest.fixture(autouse=True)
def keys(live_db: Any) -> Iterator[None]:
    with override_settings(AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=[VERP]):
        mailboxes.forget()
        yield
        mailboxes.forget()


@pytest.fixture
def one(live_db: Any) -> UUID:
    [made] = delivered(sessions.begin("test"))
    return made


@pytest.fixture
def mta(one: UUID) -> str:
    return factories.key(None, kind=ApiKey.Kind.RETURNS)


def post(key: str, raw: bytes, to: str | None, **headers: str) -> Any:
    envelope = {} if to is None else {"X-Envelope-To": to}
    return Client(raise_request_exception=False).generic(
        "POST",
        PATH,
        raw,
        content_type="message/rfc822",
        headers={"Authorization": f"Bearer {key}", **envelope, **headers},
    )


def refused(response: Any, code: str) -> openapi.Problem:
    problem = openapi.Problem.model_validate_json(response.content)
    assert (problem.code, response.status_code) == (code, CODES[code].status)
    return problem


def test_a_report_is_received_and_moves_its_delivery(mta: str, one: UUID) -> None:
    response = post(mta, bounce(one), f"<{return_path(one)}>")
    assert response.status_code == 202
    assert openapi.Received.model_validate_json(response.content).received is True
    assert standing(one) == ("bounced", "recipient_unknown")


def test_genuine_replayed_and_forged_are_answered_alike(mta: str, one: UUID) -> None:
    genuine, forged = return_path(one), f"b+{'a' * 48}@rp.{DOMAIN}"
    answers = [post(mta, bounce(one), to) for to in (genuine, genuine, forged, "nobody@evil.example")]
    assert {(each.status_code, each.content) for each in answers} == {(202, b'{"received":true}')}
    assert kinds(one).count("bounced") == 1


def test_what_breaks_a_parser_is_received_too(mta: str, one: UUID) -> None:
    assert post(mta, b"\0\r\0\n", return_path(one)).status_code == 202
    assert Quarantine.objects.get().source == "mime"


@pytest.mark.parametrize("kind", [ApiKey.Kind.AGENT, ApiKey.Kind.OPERATOR])
def test_only_a_returns_key_opens_this_door(one: UUID, kind: str) -> None:
    agent = Agent.objects.first() if kind == ApiKey.Kind.AGENT else None
    refused(post(factories.key(agent, kind=kind), bounce(one), return_path(one)), "insufficient_scope")
    assert standing(one)[0] == "delivered"


def test_a_returns_key_opens_no_other_door(mta: str) -> None:
    response = Client().get("/v1/messages", headers={"Authorization": f"Bearer {mta}"})
    refused(response, "insufficient_scope")


def test_without_a_key_nothing_is_received(one: UUID) -> None:
    refused(post("ao_live_nobody", bounce(one), return_path(one)), "unauthenticated")
    assert standing(one)[0] == "delivered"


BAD = [
    # the body, the envelope recipient, and what is missing
    (b"Subject: x\r\n\r\n", None, ["/X-Envelope-To"]),
    (b"Subject: x\r\n\r\n", "<>", ["/X-Envelope-To"]),
    (b"", "postmaster@acme.test", [""]),
    (b" \r\n", None, ["/X-Envelope-To", ""]),
]


@pytest.mark.parametrize(("raw", "to", "pointers"), BAD)
def test_what_is_no_returned_message_is_refused(
    mta: str, raw: bytes, to: str | None, pointers: list[str]
) -> None:
    problem = refused(post(mta, raw, to), "validation_failed")
    assert [each.pointer for each in problem.violations] == pointers


def test_more_than_one_mebibyte_is_too_large(mta: str, one: UUID) -> None:
    raw = bounce(one)
    whole = raw + b" " * (returns.MAX_BYTES - len(raw))
    assert refused(post(mta, whole + b" ", return_path(one)), "payload_too_large").limit == returns.MAX_BYTES
    assert post(mta, whole, return_path(one)).status_code == 202


@pytest.mark.parametrize("trouble", [Error("gone"), returns.TryLater("full")])
def test_what_cannot_be_taken_now_may_come_again(
    mta: str, one: UUID, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise trouble

    with monkeypatch.context() as broken:
        broken.setattr(returns, "take", fail)
        assert refused(post(mta, bounce(one), return_path(one)), "undecidable").retry == "after"
    assert post(mta, bounce(one), return_path(one)).status_code == 202


def test_openapi_says_what_is_posted_and_with_which_header() -> None:
    operation = Client().get("/v1/openapi.json").json()["paths"][PATH]["post"]
    assert list(operation["requestBody"]["content"]) == ["message/rfc822"]
    assert [(each["name"], each["required"]) for each in operation["parameters"]] == [("X-Envelope-To", True)]

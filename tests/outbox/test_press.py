"""From accepted rows to signed bytes, on a real database."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from typing import Any

import pytest
from django.test import override_settings

from outbox import intake, ledger, press, sessions, unsubscribes, verp
from outbox.grammar import Places
from outbox.keys import authenticate
from outbox.payloads import parse_draft
from outbox.press import Job, NotReady
from reputation import providerlimits, signing, suppression
from reputation.models import ProviderLimit, Route, SendingDomain, SigningKey, Stream
from reputation.vault import new_master_key, vault
from tests import factories

VERP = "0123456789abcdef"
ATTACHED = {"filename": "a.bin", "content": "AAAA" * 100_000, "content_type": "application/octet-stream"}


@pytest.fixture(autouse=True)
def sealed(live_db: Any) -> Any:
    with override_settings(AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=[VERP]):
        press._verp_key.cache_clear()
        yield
        press._verp_key.cache_clear()


def give_key(algorithm: signing.Algorithm = signing.Algorithm.RSA, selector: str = "s1") -> str:
    pair = signing.generate(algorithm)
    SigningKey.objects.update_or_create(
        domain=SendingDomain.objects.get(),
        selector=selector,
        defaults={
            "algorithm": algorithm.value,
            "private_sealed": vault().seal(pair.private_pem),
            "public_record": pair.public_record,
            "state": "active",
        },
    )
    return pair.public_record


def jobs(*, attempts: int = 1, **body: Any) -> list[Job]:
    """The jobs of so many attempts at the deliveries of one message."""
    caller = authenticate(f"Bearer {factories.key(factories.agent())}")
    posted = {"to": "grace@example.org", "subject": "Hi", "text": "Hi Grace", **body}
    draft = parse_draft(posted, now=datetime.now(UTC), idempotency_key=None)
    intake.accept([draft], caller, request_id="r", base_url="https://ao.test")
    session, found = sessions.begin("test"), []
    for _ in range(attempts):
        claimed = ledger.claim(session, tier=1, limit=50)
        found += press.gather(session, claimed)
        given_back = [ledger.Settlement(one.id, one.attempt, "queued", "", wait=0) for one in claimed]
        ledger.settle(session, given_back)
    return found


def test_the_message_is_signed_by_the_active_key_and_carries_its_token_twice() -> None:
    factories.stream()
    record = give_key()
    [job] = jobs()
    sent = press.envelope(job)
    [signature] = signing.verify(sent.content, {"s1._domainkey.agents.acme.test": record}.get)
    assert signature.valid
    token = verp.token_in(sent.mail_from)
    assert token == message_from_bytes(sent.content)["X-AO-Ref"]
    assert verp.read_token(token, [VERP.encode()], date.today()) == job.claimed.id


def test_both_keys_sign_when_the_domain_wants_it() -> None:
    factories.stream()
    give_key()
    give_key(signing.Algorithm.ED25519, "e1")
    SendingDomain.objects.update(ed25519=True)
    [job] = jobs()
    assert job.selectors == "s1 e1"
    assert press.envelope(job).content.count(b"DKIM-Signature:") == 2


def test_below_the_signature_every_attempt_sends_the_same_bytes() -> None:
    factories.stream()
    give_key()
    first, second = (press.envelope(job) for job in jobs(attempts=2))
    assert first.mail_from == second.mail_from
    assert first.content.partition(b"\r\nFrom:")[2] == second.content.partition(b"\r\nFrom:")[2]


def test_bcc_is_mailed_and_never_written() -> None:
    factories.stream()
    give_key()
    for job in jobs(bcc=["hidden@example.net"]):
        assert b"hidden" not in press.envelope(job).content


@pytest.mark.parametrize("without", ["key", "domain"])
def test_without_key_or_domain_nothing_is_composed(without: str) -> None:
    factories.stream()
    give_key()
    [job] = jobs()
    if without == "key":
        SigningKey.objects.update(state="revoked")
    else:
        SendingDomain.objects.update(state="retired")
    [again] = press.gather(job.session, [job.claimed])
    with pytest.raises(NotReady):
        press.envelope(again)


@pytest.mark.parametrize("lost", ["key", "password"])
def test_a_secret_that_cannot_be_opened_stops_its_own_domain_only(lost: str) -> None:
    factories.stream()
    give_key()
    [mine] = jobs()
    other = factories.agent("bob", stream=factories.stream("agents-sales", "sales.acme.test"))
    broken = SendingDomain.objects.get(name="sales.acme.test")
    if lost == "key":
        SigningKey.objects.filter(domain=broken).update(private_sealed=b"garbage")
    else:
        good = bytes(SigningKey.objects.get(domain__name="agents.acme.test").private_sealed)
        SigningKey.objects.filter(domain=broken).update(private_sealed=good)
        broken.route = Route.objects.create(
            name="relay", means="relay", host="r.test", password_sealed=b"garbage"
        )
        broken.save()
    theirs = replace(mine.claimed, domain_id=broken.pk, agent=other.name)
    good_job, bad_job = press.gather(mine.session, [mine.claimed, theirs])
    assert press.envelope(good_job).content
    with pytest.raises(NotReady):
        press.envelope(bad_job)


def test_megabytes_are_read_only_when_their_turn_has_come() -> None:
    factories.stream()
    give_key()
    [job] = jobs(attachments=[ATTACHED])
    assert job.sheet is None
    [body] = [
        part
        for part in message_from_bytes(press.envelope(press.load(job)).content).walk()
        if part.get_filename()
    ]
    assert len(body.get_payload(decode=True)) == 300_000


def test_one_message_that_cannot_be_composed_is_not_the_others_trouble() -> None:
    factories.stream()
    give_key()
    [good] = jobs()
    broken = replace(good, signers=())
    first, second = map(press.pressed, (broken, good))
    assert isinstance(first, NotReady)
    assert isinstance(second, press.Envelope)


@pytest.fixture
def limits_read_anew() -> Any:
    providerlimits.forget()
    yield
    providerlimits.forget()


def test_the_places_of_its_provider_go_with_a_delivery(limits_read_anew: Any) -> None:
    ProviderLimit.objects.create(family="gmail", connections=7, reserved=3)
    ProviderLimit.objects.create(family="yahoo", connections=0, reserved=3)  # a slip, and no reason to stop
    found = jobs(to=["a@gmail.com", "b@yahoo.com", "c@example.org"])
    give_key()
    found = press.gather(found[0].session, [job.claimed for job in found])
    places = {job.claimed.recipient: press.envelope(job).places for job in found}
    assert places == {"a@gmail.com": Places(7, 3), "b@yahoo.com": Places(1, 3), "c@example.org": None}


def test_only_transactional_mail_may_use_reserved_places() -> None:
    [job] = jobs()
    give_key()
    [job] = press.gather(job.session, [job.claimed])
    assert not press.envelope(job).urgent
    assert press.envelope(replace(job, claimed=replace(job.claimed, tier=0))).urgent


def test_a_domain_that_requires_tls_says_so_on_its_route() -> None:
    [job] = jobs()
    assert job.route is not None
    assert not job.route.require_tls
    SendingDomain.objects.update(require_tls=True)
    [job] = press.gather(job.session, [job.claimed])
    assert job.route is not None
    assert job.route.require_tls


def ways_out(sent: press.Envelope) -> tuple[str, str]:
    """The link and the mailbox of List-Unsubscribe: RFC 8058 §3.1 has exactly one of each kind here."""
    message = message_from_bytes(sent.content)
    [ways], [post] = message.get_all("List-Unsubscribe") or [], message.get_all("List-Unsubscribe-Post") or []
    assert post == "List-Unsubscribe=One-Click"
    link, mailbox = re.fullmatch(r"<([^>]+)>, <mailto:([^>]+)>", ways.replace("\r\n", "")).groups()  # type: ignore[union-attr]
    return link, mailbox


@override_settings(AO_UNSUBSCRIBE_URL="https://u.{domain}")
def test_every_recipient_has_a_way_out_of_their_own() -> None:
    factories.stream()
    give_key()
    Stream.objects.update(postal_address="Acme Ltd\n1 Main St")
    found = jobs(to=["grace@example.org", "Joan+x@example.net"], html="<p>Hi</p>")
    links = {}
    for job in found:
        sent = press.envelope(job)
        link, mailbox = ways_out(sent)
        token = unsubscribes.token_in(mailbox)
        assert token is not None
        assert link == f"https://u.agents.acme.test/u/{token}"
        leaving = unsubscribes.read_token(token, suppression.key())
        assert leaving is not None
        assert leaving.delivery == job.claimed.id
        assert leaving.mark == suppression.person_mark(job.claimed.recipient)
        parts = {part.get_content_type(): part for part in message_from_bytes(sent.content).walk()}
        for kind in ("text/plain", "text/html"):
            body = parts[kind].get_payload(decode=True).decode()
            assert link in body
            assert "1 Main St" in body
        links[job.claimed.recipient] = link
    assert len(set(links.values())) == 2


def test_both_fields_are_under_the_signature_and_cannot_be_added_to() -> None:
    factories.stream()
    record = give_key()
    [job] = jobs()
    sent = press.envelope(job).content
    signed = (
        message_from_bytes(sent)["DKIM-Signature"].replace("\r\n", "").partition("h=")[2].partition(";")[0]
    )
    names = [name.strip() for name in signed.split(":")]
    assert names.count("list-unsubscribe") == names.count("list-unsubscribe-post") == 2
    for spoiled in (
        sent.replace(b"List-Unsubscribe: <http", b"List-Unsubscribe: <ftp"),
        sent.replace(b"List-Unsubscribe:", b"List-Unsubscribe: <https://evil.example/>\r\nList-Unsubscribe:"),
    ):
        assert spoiled != sent
        [signature] = signing.verify(spoiled, {"s1._domainkey.agents.acme.test": record}.get)
        assert not signature.valid


def test_transactional_mail_has_no_way_out_and_is_composed_once_for_all() -> None:
    factories.stream()
    give_key()
    Stream.objects.update(postal_address="1 Main St")
    found = jobs(to=["grace@example.org", "joan@example.net"])
    for job in found:
        assert job.standing is not None
        resets = replace(job, standing=replace(job.standing, stream_kind="transactional"))
        sent = press.envelope(resets).content
        assert b"List-Unsubscribe:" not in sent
        assert b"Main" not in sent
    [sheet] = {id(job.sheet): job.sheet for job in found}.values()
    assert sheet is not None
    assert sheet.composed(None)[0] is sheet.composed(None)[0]


def test_what_has_expired_is_not_put_into_an_envelope() -> None:
    factories.stream()
    give_key()
    [job] = jobs()
    press.envelope(job)
    for life, late in ((timedelta(seconds=1), False), (timedelta(0), True), (timedelta(hours=-1), True)):
        again = replace(job, claimed=replace(job.claimed, expires_at=job.claimed.now + life))
        assert isinstance(press.pressed(again), press.Late) is late


def test_who_left_since_the_message_was_accepted_is_not_mailed() -> None:
    factories.stream()
    give_key()
    with override_settings(AO_SUPPRESSION_KEY="k" * 32):
        first, second = jobs(to=["grace@example.org", "ada@example.org"])
        suppression.suppress([suppression.unsubscribed("grace@example.org", "agents-support", "link")])
        again = press.gather(first.session, [first.claimed, second.claimed])
    left = next(job for job in again if job.claimed.recipient == "grace@example.org")
    [stays] = [job for job in again if job is not left]
    with pytest.raises(press.Unwanted, match="unsubscribed"):
        press.envelope(left)
    assert not stays.unwanted

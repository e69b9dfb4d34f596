"""What comes in, on a real database: what it moves, what it must not, and how often it counts."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import Error, connections
from django.test import Client, override_settings

from outbox import counting, ledger, mailboxes, quarantine, returns, sessions, unsubscribes
from outbox.models import Delivery, Event, Quarantine, ReturnCount, Signal
from outbox.returns import End, take
from outbox.unsubscribes import Leaving
from reputation import signing, sql, suppression
from reputation.models import Allowance, Stream, Suppression
from reputation.signing import Algorithm
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.returning import (
    DOMAIN,
    UNTIL,
    VERP,
    bounce,
    complaint,
    delivered,
    kinds,
    return_path,
    settle,
    signals,
    standing,
)
from tests.pages.desk import root

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def keys(live_db: Any) -> Iterator[None]:
    with override_settings(AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=[VERP]):
        mailboxes.forget()
        yield
        mailboxes.forget()


@pytest.fixture
def session(live_db: Any) -> int:
    return sessions.begin("test")


@pytest.fixture
def one(session: int) -> UUID:
    """A delivery that its server took."""
    [made] = delivered(session)
    return made


def sent_back(raw: bytes, delivery: UUID, **path: Any) -> returns.Taken:
    return take(raw, return_path(delivery, **path), source="smtp")


def untouched(delivery: UUID) -> bool:
    return (
        standing(delivery)[0] == "delivered"
        and not Signal.objects.exists()
        and not Suppression.objects.exists()
    )


# -- what a report moves -------------------------------------------------------------------------------------

VERDICTS = [
    # status, text, code the delivery ends with, whether the person is suppressed
    ("5.1.1", "550 5.1.1 User unknown", "recipient_unknown", True),
    ("5.2.2", "552 5.2.2 Mailbox full", "mailbox_full", False),  # it may be emptied
    ("5.7.26", "550 5.7.26 unauthenticated", "authentication_refused", False),  # about us: suppresses nobody
    ("5.7.1", "554 5.7.1 listed by zen.spamhaus.org", "reputation_refused", False),  # about us
]


@pytest.mark.parametrize(("status", "says", "code", "suppressed"), VERDICTS)
def test_a_failure_after_the_250_bounces_the_delivery(
    one: UUID, status: str, says: str, code: str, suppressed: bool
) -> None:
    taken = sent_back(bounce(one, status=status, says=says), one)
    assert (taken.end, taken.delivery, taken.kind) == (End.COUNTED, one, "bounced")
    assert standing(one) == ("bounced", code)
    assert kinds(one) == ["accepted", "claimed", "delivered", "bounced"]
    assert [row.scope for row in Suppression.objects.all()] == ["all"] * suppressed
    assert Event.objects.get(kind="bounced").actor == "smtp"


FROM_STATES = [
    # before the report, its action, after it, and the event
    ("relayed", "failed", "bounced", "bounced"),
    ("relayed", "delivered", "delivered", "delivered"),  # the relay's own word
    ("relayed", "delayed", "relayed", "delayed"),  # an event, no state
    ("delivered", "delayed", "delivered", "delayed"),
    ("uncertain", "failed", "bounced", "bounced"),  # a report proves that the message had been taken
    ("uncertain", "delivered", "delivered", "delivered"),
]


@pytest.mark.parametrize(("before", "action", "after", "event"), FROM_STATES)
def test_what_a_report_does_to_a_state(
    session: int, before: str, action: str, after: str, event: str
) -> None:
    [one] = delivered(session, status=before)
    status = {"failed": "5.1.1", "delivered": "2.0.0", "delayed": "4.4.1"}[action]
    assert sent_back(bounce(one, action=action, status=status), one).kind == event
    assert standing(one)[0] == after
    assert kinds(one)[-1] == event


@pytest.mark.parametrize("action", ["relayed", "expanded"])
def test_a_report_that_ends_our_knowledge_is_ignored(one: UUID, action: str) -> None:
    assert sent_back(bounce(one, action=action, status="2.0.0"), one).end is End.IGNORED
    assert untouched(one)


def test_a_report_faster_than_the_settle_waits_for_it(session: int) -> None:
    [one] = delivered(session, status="sending")
    assert sent_back(bounce(one), one).end is End.COUNTED
    assert standing(one)[0] == "sending"  # the lease is the worker's
    assert ledger.catch_up() == 0
    settle(session, Delivery.objects.filter(pk=one))
    assert ledger.catch_up() == 1
    assert standing(one) == ("bounced", "recipient_unknown")
    assert kinds(one) == ["accepted", "claimed", "delivered", "bounced"]
    assert ledger.catch_up() == 0


def test_a_contradiction_is_recorded_and_moves_nothing(one: UUID) -> None:
    sent_back(bounce(one), one)
    sent_back(bounce(one, action="delivered", status="2.0.0"), one)
    assert standing(one)[0] == "bounced"
    assert kinds(one)[-2:] == ["bounced", "delivered"]


def test_the_report_of_several_is_read_for_the_one_it_is_about(session: int) -> None:
    first, second = delivered(session, 2)
    other = bounce(second).replace(b"Final-Recipient", b"X-Was")
    group = b"Final-Recipient: rfc822; p1@example.org\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n"
    two = bounce(first).replace(b"Final-Recipient: rfc822; p0", group + b"Final-Recipient: rfc822; p0", 1)
    assert other != two
    assert sent_back(two, second).kind == "delivered"
    assert standing(second)[0] == "delivered"
    assert sent_back(two, first).kind == "bounced"
    assert standing(first)[0] == "bounced"


# -- counted once --------------------------------------------------------------------------------------------


def test_a_replay_counts_once_however_often(one: UUID) -> None:
    raw = bounce(one)
    ends = [sent_back(raw, one).end for _ in range(5)]
    assert ends == [End.COUNTED, *[End.KNOWN] * 4]
    assert kinds(one).count("bounced") == 1
    assert signals() == [(one, "bounced")]


def test_the_same_report_at_once_from_many_counts_once(one: UUID) -> None:
    raw = bounce(one)

    def again(_: int) -> End:
        try:
            return sent_back(raw, one).end
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        ends = Counter(pool.map(again, range(24)))
    assert ends == {End.COUNTED: 1, End.KNOWN: 23}


def test_late_bounces_and_complaints_count_on_the_ramps(session: int) -> None:
    domain = factories.stream().domain
    domain.preset = "careful"
    domain.save()
    [one] = delivered(session)
    for _ in range(2):
        sent_back(bounce(one), one)
        sent_back(complaint(one), one)
    counted = Allowance.objects.values_list("ramp__kind", "bounced", "complained").order_by("ramp__kind")
    assert list(counted) == [("domain", 1, 1), ("organisation", 1, 1)]


def test_what_speaks_of_us_is_no_bounce_of_the_ramp(one: UUID) -> None:
    sent_back(bounce(one, status="5.7.26", says="550 5.7.26 unauthenticated"), one)
    assert set(Allowance.objects.values_list("bounced", flat=True)) == {0}


def test_signals_cannot_be_changed_by_the_application(one: UUID) -> None:
    sent_back(bounce(one), one)
    with pytest.raises(Error, match="permission denied"):
        Signal.objects.update(kind="delayed")
    with pytest.raises(Error, match="permission denied"):
        sql.count("DELETE FROM outbox_signal")


# -- complaints ----------------------------------------------------------------------------------------------

COMPLAINTS = [
    ("abuse", True),
    ("fraud", True),
    ("virus", True),
    ("not-spam", False),  # praise
    ("auth-failure", False),
    ("opt-out", False),
    ("other", False),
]


@pytest.mark.parametrize(("kind", "counts"), COMPLAINTS)
def test_only_abuse_fraud_and_virus_complain(one: UUID, kind: str, counts: bool) -> None:
    taken = sent_back(complaint(one, kind=kind), one)
    assert taken.end is (End.COUNTED if counts else End.IGNORED)
    assert standing(one)[0] == "delivered"  # an event, not a state
    assert kinds(one).count("complained") == counts
    assert [(row.scope, row.reason) for row in Suppression.objects.all()] == [
        ("agents", "complaint")
    ] * counts


@pytest.fixture(scope="module")
def pair() -> signing.KeyPair:
    return signing.generate(Algorithm.RSA)


@pytest.fixture
def provider(pair: signing.KeyPair, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Signs a report; the DNS has its key, and counts who asks."""
    asked: list[str] = []

    def values(_self: Any, name: str, _type: str) -> tuple[str, ...]:
        asked.append(name)
        return (pair.public_record,)

    monkeypatch.setattr(returns.Lookups, "values", values)

    def sign(raw: bytes, domain: str = "arf.mail.yahoo.com") -> bytes:
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.replace(b"\r\n ", b" ").split(b"\r\n")
        fields = [tuple(line.split(b": ", 1)) for line in lines]
        unfolded = b"\r\n".join(lines) + b"\r\n\r\n" + body
        signer = signing.load(domain, "s", Algorithm.RSA, pair.private_pem)
        return signing.sign(fields, body, [signer], 1_795_000_000) + unfolded  # type: ignore[arg-type]

    sign.asked = asked  # type: ignore[attr-defined]
    return sign


FBL = f"fbl@rp.{DOMAIN}"


def test_a_signed_complaint_counts_at_the_feedback_address(one: UUID, provider: Any) -> None:
    assert take(provider(complaint(one)), FBL, source="smtp").end is End.COUNTED
    assert kinds(one)[-1] == "complained"
    assert Signal.objects.get().reporter == "arf.mail.yahoo.com"


def test_an_unsigned_complaint_there_counts_for_nothing(one: UUID, provider: Any) -> None:
    assert take(complaint(one), FBL, source="smtp").end is End.UNMATCHED
    assert untouched(one)


def test_the_signature_of_a_stranger_counts_for_nothing(one: UUID, provider: Any) -> None:
    assert take(provider(complaint(one), "evil.example"), FBL, source="smtp").end is End.UNMATCHED
    assert provider.asked == []  # nor is its DNS asked
    assert untouched(one)


def test_a_signed_complaint_whose_body_was_changed_counts_for_nothing(one: UUID, provider: Any) -> None:
    raw = provider(complaint(one)).replace(
        b"This is an email abuse report", b"This is an email abuse rapport"
    )
    assert take(raw, FBL, source="smtp").end is End.UNMATCHED
    assert untouched(one)


def test_a_signed_complaint_without_our_token_asks_nobody(one: UUID, provider: Any) -> None:
    raw = provider(complaint(one, token="a" * 48))
    assert take(raw, FBL, source="smtp").end is End.UNMATCHED
    assert provider.asked == []


def test_a_signature_over_a_part_of_the_body_vouches_for_nothing(one: UUID, provider: Any) -> None:
    raw = provider(complaint(one)).replace(b"a=rsa-sha256;", b"a=rsa-sha256; l=10;", 1)
    assert b"l=10" in raw
    assert take(raw, FBL, source="smtp").end is End.UNMATCHED
    assert provider.asked == []


def test_when_the_dns_is_silent_the_complaint_has_to_come_again(
    one: UUID, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> tuple[str, ...]:
        raise returns.Temporary("nobody")

    raw = provider(complaint(one))
    monkeypatch.setattr(returns.Lookups, "values", silent)
    with pytest.raises(returns.TryLater):
        take(raw, FBL, source="smtp")
    assert untouched(one)


# -- forgeries -----------------------------------------------------------------------------------------------


def altered(path: str) -> str:
    return path.replace(path[10], "a" if path[10] != "a" else "b", 1)


FORGERIES = {
    "another key": lambda one: return_path(one, key="a key of somebody else"),
    "one letter altered": lambda one: altered(return_path(one)),
    "expired yesterday": lambda one: return_path(one, until=UNTIL - timedelta(days=31)),
    "a domain that is not ours": lambda one: return_path(one, domain="evil.example"),
    "no token": lambda _: f"b+@rp.{DOMAIN}",
    "a person": lambda _: f"ada@{DOMAIN}",
    "nothing": lambda _: "",
    "an address that is none": lambda _: "\0@@\r\n",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_return_path_moves_nothing(one: UUID, name: str) -> None:
    for raw in (bounce(one), complaint(one)):
        assert take(raw, FORGERIES[name](one), source="mime").end is End.UNMATCHED
    assert untouched(one)
    assert not Quarantine.objects.exists()


def test_a_token_is_good_on_its_last_day_and_not_after(one: UUID, live_db: Any) -> None:
    with psycopg.connect(live_db.owner, autocommit=True) as owner:
        owner.execute("UPDATE outbox_clockshift SET shift = interval '31 days'")
    mailboxes.forget()
    assert sent_back(bounce(one), one).end is End.UNMATCHED
    with psycopg.connect(live_db.owner, autocommit=True) as owner:
        owner.execute("UPDATE outbox_clockshift SET shift = interval '29 days'")
    mailboxes.forget()
    assert sent_back(bounce(one), one).end is End.COUNTED


def test_a_genuine_token_of_a_delivery_that_is_gone_matches_nothing(one: UUID) -> None:
    assert sent_back(bounce(one), uuid4()).end is End.UNMATCHED
    assert untouched(one)


def test_an_older_key_still_testifies(one: UUID) -> None:
    with override_settings(AO_VERP_KEYS=["the newest key of all", VERP]):
        assert sent_back(bounce(one), one).end is End.COUNTED


def flood(one: UUID, count: int) -> int:
    """Send so many forgeries of every kind; by how many octets memory grew after the first tenth."""
    random = Random(4)
    raw = bounce(one)
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"

    def forged() -> str:
        return f"b+{''.join(random.choices(alphabet, k=48))}@rp.{DOMAIN}"

    for _ in range(count // 10):
        take(raw, forged(), source="smtp")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(count - count // 10):
        assert take(raw, forged(), source="smtp").end is End.UNMATCHED
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_a_flood_of_forgeries_moves_nothing_in_flat_memory(one: UUID, count: int) -> None:
    assert flood(one, count) < 256 * 1024
    counting.write()
    assert untouched(one)
    assert kinds(one) == ["accepted", "claimed", "delivered"]
    assert ReturnCount.objects.get(source="smtp", end="unmatched").messages == count


# -- what testifies nothing, and what breaks -----------------------------------------------------------------

AUTO_REPLY = (
    b"From: grace@example.org\r\nTo: you\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\n"
    b"I am away until Monday.\r\n"
)


def test_an_automatic_reply_is_ignored(one: UUID) -> None:
    assert sent_back(AUTO_REPLY, one).end is End.IGNORED
    assert untouched(one)
    assert not Quarantine.objects.exists()


def nested(depth: int) -> bytes:
    parts = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(depth)
    )
    return b"From: <>\r\n" + parts


POISON = {
    "2,000 nested parts": nested(2000),
    "a header line of 1 MB": b"Subject: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "NUL and bare CR": b"\0\r\0\r" * 1000,
    "nothing": b"",
    "no header": b"\r\n\r\nhello",
}


@pytest.mark.parametrize("name", POISON)
def test_what_no_parser_understands_waits_for_a_person(one: UUID, name: str) -> None:
    assert sent_back(POISON[name], one).end is End.KEPT
    row = Quarantine.objects.get()
    assert (bytes(row.content), row.delivery_id) == (POISON[name], one)
    assert untouched(one)


HOSTILE = [b"\0mx\0", b"\xff\xfe\xed\xa0\x80", b"=?utf-8?q?=00=ED=A0=80?=", b"x" * 5000, "mx\u202e".encode()]


@pytest.mark.parametrize("word", HOSTILE)
def test_words_that_no_database_holds_do_not_stop_a_report(one: UUID, word: bytes) -> None:
    raw = bounce(one).replace(b"dns; mx.example.org", b"dns; " + word)
    raw = raw.replace(b"User unknown", b"User unknown " + word).replace(b"Subject: ", b"Subject: " + word)
    assert sent_back(raw, one).end is End.COUNTED
    assert standing(one)[0] == "bounced"


@pytest.mark.parametrize("word", HOSTILE)
def test_nor_a_message_on_its_way_to_a_person(one: UUID, word: bytes) -> None:
    assert sent_back(b"Subject: " + word + b"\r\n\r\nHello there\r\n", one).end is End.KEPT


def test_a_parser_that_fails_costs_only_its_message(one: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> Any:
        raise RecursionError("too deep")

    with monkeypatch.context() as broken:
        broken.setattr(returns.reports, "read", fail)
        assert sent_back(bounce(one), one).end is End.KEPT
    assert Quarantine.objects.get().why == "unreadable"
    assert "RecursionError" in Quarantine.objects.get().detail
    assert sent_back(bounce(one), one).end is End.COUNTED


def test_one_genuine_token_cannot_fill_the_quarantine(one: UUID) -> None:
    most = quarantine.KEPT_OF_ONE_DELIVERY
    ends = [sent_back(b"\0%d" % number, one).end for number in range(most + 3)]
    assert ends == [End.KEPT] * most + [End.DROPPED] * 3
    assert sent_back(b"\0" + b"0", one).end is End.KNOWN
    assert Quarantine.objects.count() == most


def test_what_is_dropped_is_counted_for_people_and_machines(
    one: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "KEPT_OF_ONE_DELIVERY", 0)
    sent_back(b"\0", one)
    counting.write()
    assert "dropped" in root().get("/admin/outbox/returncount/").content.decode()
    assert 'ao_returns_total{end="dropped",source="smtp"} 1.0' in Client().get("/metrics").content.decode()


def test_a_full_mailbox_lets_its_peers_keep_what_they_bring(
    one: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "KEPT_OF_ONE_MAILBOX", 2)
    letters = [b"Subject: %d\r\n\r\nHello" % number for number in range(3)]
    postmaster = f"postmaster@rp.{DOMAIN}"
    ends = [take(letter, postmaster, source="smtp").end for letter in (*letters[:2], letters[0])]
    assert ends == [End.KEPT, End.KEPT, End.KNOWN]
    with pytest.raises(returns.TryLater):
        take(letters[2], postmaster, source="smtp")


def test_quarantine_is_forgotten_after_thirty_days(one: UUID, live_db: Any) -> None:
    take(b"Subject: hello\r\n\r\n", f"abuse@{DOMAIN}", source="smtp")
    assert quarantine.forget() == 0
    with psycopg.connect(live_db.owner, autocommit=True) as owner:
        owner.execute("UPDATE outbox_clockshift SET shift = interval '31 days'")
    assert quarantine.forget() == 1


MAILBOXES = [
    (f"postmaster@rp.{DOMAIN}", "person"),
    (f"Postmaster@{DOMAIN}", "person"),
    ("postmaster", "person"),  # RFC 5321 §4.5.1: without a domain
    ("abuse@acme.test", "person"),
    (f"dmarc@rp.{DOMAIN}", "dmarc"),
    (f"tlsrpt@{DOMAIN}", "tlsrpt"),
]


@pytest.mark.parametrize(("address", "why"), MAILBOXES)
def test_what_is_written_to_people_waits_for_them(one: UUID, address: str, why: str) -> None:
    assert take(b"Subject: hello\r\n\r\nHello", address, source="lmtp").end is End.KEPT
    assert Quarantine.objects.get().why == why


def test_a_domain_enrolled_this_moment_has_its_mailboxes(one: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "ASK_AGAIN_SECONDS", 0.0)
    assert mailboxes.find("postmaster@news.acme.test") is None
    factories.stream("agents-news", "news.acme.test")
    assert mailboxes.find("postmaster@news.acme.test") is not None


# -- unsubscribing by mail -----------------------------------------------------------------------------------


def test_mail_to_an_unsubscribe_address_unsubscribes_whatever_is_written_in_it(one: UUID) -> None:
    stream = Stream.objects.get()
    person = suppression.person_mark("p0@example.org")
    token = unsubscribes.make_token(Leaving(one, stream.id, person), b"only for tests, sixteen or more")
    address = unsubscribes.mailbox(token, DOMAIN)
    for _ in range(2):
        assert take(b"Subject: whatever\r\n\r\n", address, source="smtp").end is End.COUNTED
    assert kinds(one).count("unsubscribed") == 1
    assert suppression.look_up(["p0@example.org"], stream.name, stream.kind) == {
        "p0@example.org": "unsubscribed"
    }
    assert take(b"\r\n", altered(address), source="smtp").end is End.UNMATCHED


# -- when the database cannot ---------------------------------------------------------------------------------


def test_what_cannot_be_written_whole_is_not_written_at_all(
    one: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> int:
        raise Error("no")

    with monkeypatch.context() as broken:
        broken.setattr(suppression, "suppress", fail)
        with pytest.raises(Error):
            sent_back(bounce(one), one)
    assert untouched(one)
    assert sent_back(bounce(one), one).end is End.COUNTED

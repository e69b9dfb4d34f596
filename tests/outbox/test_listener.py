"""The SMTP and LMTP edge, over real sockets: what is refused before DATA, and how much one peer may cost."""

import asyncio
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import Error
from django.test import override_settings

from outbox import counting, listener, mailboxes, returns, sessions
from outbox.listener import Listener, has_bare_ends
from outbox.models import Quarantine, ReturnCount, Signal
from reputation.vault import new_master_key
from tests.outbox.returning import DOMAIN, VERP, bounce, delivered, kinds, return_path, standing

pytestmark = pytest.mark.usefixtures("live_db")

Start = Callable[..., tuple[str, int]]


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
def start(live_db: Any) -> Iterator[Start]:
    """Listeners in a thread of their own; their ports."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made: list[Listener] = []

    def make(**how: Any) -> tuple[str, int]:
        one = Listener([("127.0.0.1", 0)], **how)
        made.append(asyncio.run_coroutine_threadsafe(one.__aenter__(), loop).result(10))
        return one.addresses[0]

    yield make
    for each in made:
        asyncio.run_coroutine_threadsafe(each.__aexit__(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def peer(start: Start) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(*start(), timeout=10) as client:
        client.ehlo("mx.example.org")
        yield client


def test_a_bounce_that_comes_by_smtp_moves_its_delivery(peer: smtplib.SMTP, one: UUID) -> None:
    assert peer.sendmail("", [return_path(one)], bounce(one)) == {}
    assert standing(one) == ("bounced", "recipient_unknown")
    assert peer.sendmail("", [return_path(one)], bounce(one)) == {}  # received, and known
    assert kinds(one).count("bounced") == 1


def test_lmtp_is_the_same_by_another_greeting(start: Start, one: UUID) -> None:
    with smtplib.LMTP(*start(lmtp=True)) as client:
        client.sendmail("", [return_path(one)], bounce(one))
    assert standing(one)[0] == "bounced"
    assert Signal.objects.get().source == "lmtp"


ADDRESSES = [
    # the address, and whether RCPT takes it
    (f"postmaster@{DOMAIN}", 250),
    (f"abuse@rp.{DOMAIN}", 250),
    (f"fbl@rp.{DOMAIN}", 250),
    (f"dmarc@rp.{DOMAIN}", 250),
    (f"tlsrpt@rp.{DOMAIN}", 250),
    (f"b+{'a' * 48}@rp.{DOMAIN}", 550),  # a guessed token
    (f"ada@{DOMAIN}", 550),
    (f"u+{'a' * 61}@rp.{DOMAIN}", 550),
    ("postmaster@evil.example", 550),  # no relay
    ("postmaster@", 553),
]


@pytest.mark.parametrize(("address", "code"), ADDRESSES)
def test_what_is_not_ours_is_refused_before_any_of_it_is_read(
    peer: smtplib.SMTP, one: UUID, address: str, code: int
) -> None:
    peer.mail("")
    assert peer.docmd(f"RCPT TO:<{address}>")[0] == code
    assert peer.docmd("DATA")[0] == (354 if code == 250 else 503)
    peer.close()


def test_postmaster_is_there_without_a_domain(peer: smtplib.SMTP, one: UUID) -> None:
    peer.mail("")
    assert peer.docmd("RCPT TO:<Postmaster>")[0] == 250
    assert peer.data(b"Subject: hello\r\n\r\nIs anybody there?\r\n")[0] == 250
    assert Quarantine.objects.get().envelope_to == "postmaster"


def test_one_recipient_at_a_time(peer: smtplib.SMTP, one: UUID) -> None:
    peer.mail("")
    assert peer.docmd(f"RCPT TO:<{return_path(one)}>")[0] == 250
    assert peer.docmd(f"RCPT TO:<postmaster@{DOMAIN}>")[0] == 452


def test_a_message_over_one_mebibyte_is_refused_and_the_next_one_is_not(
    peer: smtplib.SMTP, one: UUID
) -> None:
    peer.mail("")
    peer.docmd(f"RCPT TO:<{return_path(one)}>")
    assert peer.data(b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * (returns.MAX_BYTES // 2))[0] == 552
    peer.mail("")
    peer.docmd(f"RCPT TO:<{return_path(one)}>")
    assert peer.data(bounce(one))[0] == 250


def test_an_announced_size_is_judged_at_once(peer: smtplib.SMTP) -> None:
    assert peer.docmd(f"MAIL FROM:<> SIZE={returns.MAX_BYTES + 1}")[0] == 552


SMUGGLED = [b"\n.\r\nMAIL FROM:<evil@example>\r\n", b"\r.\r\n", b"a\nb", b"\r\n.\n", b"\n.\n"]


@pytest.mark.parametrize("middle", SMUGGLED)
def test_bare_line_ends_are_refused(peer: smtplib.SMTP, one: UUID, middle: bytes) -> None:
    peer.mail("")
    peer.docmd(f"RCPT TO:<{return_path(one)}>")
    assert peer.docmd("DATA")[0] == 354
    peer.send(bounce(one) + middle + b"\r\n.\r\n")
    assert peer.getreply()[0] == 550
    assert peer.docmd("NOOP")[0] == 250  # and nothing of it was a command
    assert standing(one)[0] == "delivered"


@pytest.mark.parametrize(
    ("raw", "bare"), [(b"a\r\nb\r\n", False), (b"a\nb", True), (b"a\rb", True), (b"", False)]
)
def test_a_line_end_is_both_or_it_is_bare(raw: bytes, bare: bool) -> None:
    assert has_bare_ends(raw) is bare


def test_a_line_without_end_ends_the_connection(peer: smtplib.SMTP, one: UUID) -> None:
    peer.mail("")
    peer.docmd(f"RCPT TO:<{return_path(one)}>")
    peer.docmd("DATA")
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        peer.send(b"x" * 100 * returns.MAX_BYTES)


def test_connections_of_one_address_are_counted(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "CONNECTIONS_OF_ONE", 2)
    place = start()
    guests = [socket.create_connection(place, 10) for _ in range(3)]
    greetings = [guest.recv(100)[:3] for guest in guests]
    assert greetings == [b"220", b"220", b"421"]
    guests[0].sendall(b"QUIT\r\n")
    assert guests[0].recv(100)[:3] == b"221"
    assert guests[0].recv(100) == b""
    with socket.create_connection(place, 10) as again:
        assert again.recv(100)[:3] == b"220"
    for guest in guests:
        guest.close()


@pytest.mark.parametrize(
    "trouble", [Error("gone"), returns.TryLater("the DNS is silent"), RuntimeError("a bug")]
)
def test_what_cannot_be_taken_now_has_to_come_again(
    peer: smtplib.SMTP, one: UUID, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise trouble

    with monkeypatch.context() as broken:
        broken.setattr(returns, "take", fail)
        peer.mail("")
        peer.docmd(f"RCPT TO:<{return_path(one)}>")
        assert peer.data(bounce(one))[0] == 451
    peer.rset()
    assert peer.sendmail("", [return_path(one)], bounce(one)) == {}
    assert standing(one)[0] == "bounced"


def test_refusals_are_counted(peer: smtplib.SMTP, one: UUID) -> None:
    peer.mail("")
    for _ in range(20):
        peer.docmd(f"RCPT TO:<b+{'a' * 48}@rp.{DOMAIN}>")
    counting.write()
    assert ReturnCount.objects.get(end="refused").messages == 20

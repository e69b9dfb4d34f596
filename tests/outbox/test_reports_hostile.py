"""What nobody sends but an enemy: nothing that comes in can break or stall the reader of returned mail."""

import time
import tracemalloc

import pytest

from outbox.reports import MAX_BYTES, Kind, read

TOKEN = "aaaabbbbccccddddeeeeffffgggghhhhiiiijjjjkkkkllll"


def _nested(levels: int) -> bytes:
    parts = (b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(levels))
    return b"From: MAILER-DAEMON@x.example\n" + b"".join(parts)


DAEMON = b"From: MAILER-DAEMON@x.example\nSubject: Undeliverable\n"
PART = b"Content-Type: multipart/report; boundary=b\n\n--b\n"
HOSTILE = {
    "a header line of 1 MB": b"From: a@b.example\nSubject: " + b"a" * MAX_BYTES + b"\n\n",
    "a boundary of 1 MB of quotes": b"Content-Type: multipart/mixed; boundary=" + b'"' * MAX_BYTES,
    "parameters without end": b"Content-Type: multipart/report;" + b' a="x";' * 150_000,
    "2,000 nested parts": _nested(2000),
    "messages in messages": b"From: a@b.example\n" + b"Content-Type: message/rfc822\n\n" * 20_000,
    "200,000 parts": DAEMON + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 200_000,
    "a status of blank lines": DAEMON + PART + b"Content-Type: message/delivery-status\n\n" + b"\n" * MAX_BYTES,
    "20,000 recipients": DAEMON + PART + b"Content-Type: message/delivery-status\n"
    + b"\nFinal-Recipient: rfc822; a@b.example\n" * 20_000,
    "100 named in a long notice": DAEMON
    + b"".join(b"X-Failed-Recipients: a%d@b.example\n" % n for n in range(100)) + b"\n" + b"host said 550 no " * 60_000,
    "100 diagnostics of 1,000 characters": DAEMON + PART + b"Content-Type: message/delivery-status\n"
    + b"".join(
        b"\nFinal-Recipient: rfc822; a%d@b.example\nDiagnostic-Code: smtp; 550 %d %s\n" % (n, n, b"mailbox konto " * 70)
        for n in range(100)
    ),
    "200,000 header fields": b"a: b\n" * 200_000,
    "folding without end": b"Subject: x" + b"\n " * 500_000,
    "NUL": DAEMON + b"\n" + b"\0" * MAX_BYTES,
    "bare CR": DAEMON.replace(b"\n", b"\r") + b"\r" + b"a@b.example: x\r" * 60_000,
    "at signs": DAEMON + b"\n" + b"a@" * 500_000,
    "one long word": DAEMON + b"\n" + b"a" * MAX_BYTES,
    "dots": DAEMON + b"\na@" + b"a." * 500_000,
    "words that lead nowhere": DAEMON + b"\n" + b"mail from " * 100_000,
    "labels": DAEMON + b"\n" + b"aaaa bbbb cccc: \n" * 60_000,
    "JSON in JSON": DAEMON + b"\n" + b'{"a":' * 200_000,
    "tags": DAEMON + b"Content-Type: text/html\n\n" + b"<a " * 300_000,
    "shifts of UTF-7": DAEMON + b"Content-Type: text/plain; charset=utf-7\n\n" + b"+AEA-+" * 200_000,
    "a quadratic charset": DAEMON + b"Content-Type: text/plain; charset=punycode\n\n" + b"a-" * 500_000,
    "encoded words": b"From: MAILER-DAEMON@x.example\nSubject: " + b"=?utf-8?q?a?= " * 60_000 + b"\n\n",
    "all bytes": bytes(range(256)) * 4096,
}  # fmt: skip


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_costs_under_a_second_and_100_mb_and_raises_nothing(raw):
    tracemalloc.start()
    started = time.process_time()
    reading = read(raw)
    spent, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # one with a backtracking pattern or an unbounded parser takes minutes here, not parts of a second
    assert spent < 1
    assert peak < 100e6
    assert len(reading.reports) <= 100


@pytest.mark.parametrize("raw", [b"", b"\n\n\n", b"\0" * 100, b"no header at all", b"\r\r\r"])
def test_what_is_no_message_is_unparsable_and_says_why(raw):
    reading = read(raw)
    assert (reading.kind, reading.why) == (Kind.UNPARSABLE, "no header field")


def test_what_cannot_be_parsed_still_gives_its_tokens():
    reading = read(_nested(20) + f"\nX-AO-Ref: {TOKEN}\n".encode())
    assert (reading.kind, reading.tokens) == (Kind.UNPARSABLE, (TOKEN,))

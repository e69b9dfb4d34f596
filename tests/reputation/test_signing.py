"""Signatures: two verifiers that are not ours must agree with each of them, and with no altered byte."""

import base64
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from reputation import signing as room
from reputation.signing import (
    PROTECTED,
    Algorithm,
    BadKey,
    Signer,
    Unsignable,
    body_hash,
    generate,
    load,
    sign,
    verify,
)

DOMAIN = "agents.acme.example"
NOW = 1_700_000_000
RSA_PAIR, EDWARDS_PAIR = generate(Algorithm.RSA), generate(Algorithm.ED25519)
RSA = load(DOMAIN, "r1", Algorithm.RSA, RSA_PAIR.private_pem)
EDWARDS = load(DOMAIN, "e1", Algorithm.ED25519, EDWARDS_PAIR.private_pem)
RECORDS = {
    f"r1._domainkey.{DOMAIN}": RSA_PAIR.public_record,
    f"e1._domainkey.{DOMAIN}": EDWARDS_PAIR.public_record,
}

HEADERS = (
    (b"From", b"Ada at Acme <ada@agents.acme.example>"),
    (b"To", b"grace@example.org"),
    (b"Subject", b"Your question"),
    (b"Date", b"Mon, 23 Nov 2026 09:10:00 +0000"),
    (b"Message-ID", b"<018f@agents.acme.example>"),
    (b"MIME-Version", b"1.0"),
    (b"Content-Type", b"text/plain; charset=utf-8"),
    (b"Content-Transfer-Encoding", b"7bit"),
    (b"X-AO-Ref", b"abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnop"),
    (b"Feedback-ID", b"c:a:s:outbox"),
)
BODY = b"Hi Grace\r\n"


@dataclass(frozen=True)
class Case:
    """A message that is easily canonicalised in the wrong way."""

    why: str
    headers: tuple[tuple[bytes, bytes], ...] = HEADERS
    body: bytes = BODY


LONG = b"\r\n ".join([b"word " * 12] * 12)
CASES = [
    Case("plain"),
    Case("empty body", body=b""),
    Case("a body of one line end", body=b"\r\n"),
    Case("a body of line ends", body=b"\r\n" * 5),
    Case("trailing blank lines", body=b"a\r\n\r\n\r\n\r\n"),
    Case("leading blank lines", body=b"\r\n\r\na\r\n"),
    Case("white space at line ends", body=b"a \r\nb\t \r\nc\t\r\n"),
    Case("white space runs", body=b"a  b\t\tc \t d\r\n   e\r\n"),
    Case("lines of white space only", body=b"a\r\n  \r\n\t\r\n \r\n"),
    Case("a body of white space only", body=b"   \r\n"),
    Case("no line end at the end", body=b"a\r\nb"),
    Case("no line end after white space", body=b"a\r\nb \t"),
    Case("dots", body=b".\r\n..\r\n.a\r\n"),
    Case("single spaces only", body=b"a b c\r\n d\r\n"),
    Case("a line of 998", body=b"x" * 998 + b"\r\n"),
    Case("megabytes", body=b"word " * 15 + b"\r\n" + b"y" * 76 + b"\r\n" * 40_000),
    Case("octets", body="Grüße\u2028\r\n".encode()),
    Case("folded headers", headers=(*HEADERS[:2], (b"Subject", b"a\r\n b\r\n\t c"), *HEADERS[3:])),
    Case("runs in headers", headers=(*HEADERS[:2], (b"Subject", b"  a \t b  "), *HEADERS[3:])),
    Case("an empty header", headers=(*HEADERS[:2], (b"Subject", b""), *HEADERS[3:])),
    Case("a long subject", headers=(*HEADERS[:2], (b"Subject", LONG), *HEADERS[3:])),
    Case("a word of 900", headers=(*HEADERS[:2], (b"Subject", b"x" * 900), *HEADERS[3:])),
    Case("odd case of names", headers=tuple((name.swapcase(), value) for name, value in HEADERS)),
    Case("names that occur twice", headers=(*HEADERS, (b"To", b"b@b.test"), HEADERS[2], HEADERS[2])),
    Case("colons and semicolons", headers=(*HEADERS[:2], (b"Subject", b"b=x; bh=y: h=z"), *HEADERS[3:])),
    Case("names that are not signed", headers=(*HEADERS, (b"X-Ticket", b"4711"), (b"X-Ticket", b"4712"))),
    Case("every protected name", headers=tuple((name.title(), b"<a@b.test>") for name in PROTECTED)),
]  # fmt: skip


def raw(headers, body, top=b""):
    """A message as it is transmitted: SMTP ends every body with a line end."""
    body = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    return top + b"".join(b"%s: %s\r\n" % header for header in headers) + b"\r\n" + body


def signed(headers=HEADERS, body=BODY, signers=(RSA,)):
    return raw(headers, body, sign(headers, body, signers, NOW))


def tags(signature: bytes) -> dict[str, str]:
    unfolded = re.sub(r"\s+", "", signature.decode("ascii").partition(":")[2])
    return dict(tag.split("=", 1) for tag in unfolded.split(";"))


def holds(message: bytes) -> list[bool]:
    return [each.valid for each in verify(message, RECORDS.get)]


# dkimpy


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_dkimpy_agrees(case):
    assert holds(signed(case.headers, case.body, [RSA, EDWARDS])) == [True, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hi Grace", b"Hi Grave"),
        (b"Hi Grace\r\n", b"Hi Grace\r\nP.S.\r\n"),
        (b"Subject: Your question", b"Subject: Your answer"),
        (b"To: grace@", b"To: eve@"),
        (b"MIME-Version: 1.0\r\n", b""),
        (b"X-AO-Ref: a", b"X-AO-Ref: b"),
        *(
            (b"Feedback-ID: c", b"%s: added\r\nFeedback-ID: c" % name)
            for name in PROTECTED
            if name != b"from"
        ),
        (b"Feedback-ID: c", b"From: eve@y.test\r\nFeedback-ID: c"),
    ],
    ids=lambda part: part.decode(),
)
def test_no_protected_byte_can_be_changed_and_no_protected_header_added(old, new):
    message = signed(signers=[RSA, EDWARDS])
    assert message.count(old) == 1
    assert holds(message.replace(old, new)) == [False, False]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: Your question", b"SUBJECT:   Your\r\n\t question "),
        (b"Hi Grace\r\n", b"Hi  Grace \r\n\r\n\r\n"),
        (b"\r\nTo:", b"\r\nX-Received-By: a relay\r\nTo:"),
    ],
)
def test_what_relays_do_to_white_space_is_forgiven(old, new):
    message = signed(signers=[RSA, EDWARDS])
    assert holds(message.replace(old, new, 1)) == [True, True]


# What is hashed, against dkimpy's own reading of it

WRITTEN = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"\n", b"\r", b"\x0b", b"a", b":", b";", b"b="])
).map(b"".join)
NAMED = st.sampled_from(
    [b"To", b"TO", b"to ", b"From", b"sUBJECT", b"X-Ticket", b"DKIM-Signature", b"X-AO-Ref"]
)
LINES = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b".", b"\xc3"]), max_size=40).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(NAMED, WRITTEN), max_size=12))
def test_the_headers_hashed_are_those_dkimpy_selects_as_it_writes_them(headers):
    canonical = Relaxed.canonicalize_headers([(name, value + b"\r\n") for name, value in headers])
    names = Counter(name for name, _ in canonical)
    covered = [name for name in PROTECTED for _ in range(names[name] + 1)]
    chosen = dkim.select_headers(canonical, covered)
    assert room._hashed(room._protected(headers)) == b"".join(b"%s:%s" % header for header in chosen)


@settings(max_examples=500, deadline=None)
@given(LINES)
def test_the_body_hashed_is_the_one_dkimpy_writes(body):
    assert room._relaxed(body) == Relaxed.canonicalize_body(body)


@settings(max_examples=50, deadline=None)
@given(LINES.map(lambda text: text.replace(b"\r\n", b"\r\n ")), LINES)
def test_dkimpy_verifies_whatever_white_space_is_signed(value, body):
    headers = (
        *HEADERS[:2],
        (b"Subject", b"x" + value.rstrip()),
        *HEADERS[3:],
        (b"to", value.rstrip() + b"y"),
    )
    assert holds(signed(headers, body, [RSA, EDWARDS])) == [True, True]


# Independent verifiers: Mail::DKIM and OpenDKIM

VERIFIER = r"""
use strict; use warnings; use Mail::DKIM::Verifier; use Net::DNS::RR;
my ($name, $record) = @ARGV;
{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query_async = sub {
        my ($host, $type, %prms) = @_;
        my @found = $host eq $name
            ? (Net::DNS::RR->new(owner => $host, type => 'TXT', txtdata => [$record =~ /(.{1,255})/g])) : ();
        return sub { $prms{Callbacks}{Success}->(@found) };
    };
}
binmode STDIN;
my $verifier = Mail::DKIM::Verifier->new;
while (read STDIN, my $chunk, 65536) { $verifier->PRINT($chunk) }
$verifier->CLOSE;
print $verifier->result_detail;
"""


def perl_has_mail_dkim() -> bool:
    perl = shutil.which("perl")
    if perl is None:
        return False
    return subprocess.run([perl, "-MMail::DKIM", "-e1"], capture_output=True, check=False).returncode == 0


needs_mail_dkim = pytest.mark.skipif(
    not perl_has_mail_dkim(), reason="Mail::DKIM is not installed (Debian: libmail-dkim-perl)"
)


def mail_dkim(message: bytes) -> str:
    name = f"r1._domainkey.{DOMAIN}"
    command = ["perl", "-e", VERIFIER, name, RECORDS[name]]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout.decode()


needs_opendkim = pytest.mark.skipif(
    shutil.which("opendkim") is None, reason="opendkim is not installed (Debian: opendkim)"
)


@pytest.fixture
def opendkim(tmp_path):
    """Verdict of OpenDKIM in its test mode, with the public key from a file instead of DNS."""
    keys, conf, mail = tmp_path / "keys", tmp_path / "conf", tmp_path / "mail"
    keys.write_text(f"r1._domainkey.{DOMAIN} {RSA_PAIR.public_record}\n")
    conf.write_text(f"Mode v\nTestPublicKeys {keys}\n")

    def verdict(message: bytes) -> str:
        mail.write_bytes(message)
        ran = subprocess.run(["opendkim", "-x", conf, "-t", mail], capture_output=True, check=False)
        return ran.stdout.decode()

    return verdict


@needs_mail_dkim
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_mail_dkim_agrees(case):
    assert mail_dkim(signed(case.headers, case.body)) == "pass"


@needs_mail_dkim
def test_mail_dkim_disagrees_with_an_altered_message():
    assert mail_dkim(signed().replace(b"Grace\r\n", b"Eve\r\n")).startswith("fail")


@needs_opendkim
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_opendkim_agrees(case, opendkim):
    assert "succeeded" in opendkim(signed(case.headers, case.body))


@needs_opendkim
def test_opendkim_disagrees_with_an_altered_message(opendkim):
    assert "succeeded" not in opendkim(signed().replace(b"Grace\r\n", b"Eve\r\n"))


# The signature itself


def test_each_protected_name_is_signed_once_more_than_it_occurs():
    headers = (*HEADERS, (b"to", b"b@b.test"), (b"X-Ticket", b"4711"))
    covered = tags(sign(headers, BODY, [RSA], NOW))["h"].split(":")
    present = [name.lower().decode() for name, _ in headers]
    assert sorted(covered) == sorted(
        name
        for name in (protected.decode() for protected in PROTECTED)
        for _ in range(present.count(name) + 1)
    )
    assert covered.count("to") == 3
    assert covered.count("list-unsubscribe") == 1
    assert "x-ticket" not in covered


def test_the_tags_are_the_ones_decided():
    found = tags(sign(HEADERS, BODY, [RSA], NOW))
    assert set(found) == {"v", "a", "c", "d", "s", "t", "h", "bh", "b"}, "and never l="
    assert (found["a"], found["c"], found["d"], found["s"]) == ("rsa-sha256", "relaxed/relaxed", DOMAIN, "r1")
    assert found["t"] == str(NOW)


def test_rsa_is_on_top_whatever_the_order():
    for signers in ([RSA, EDWARDS], [EDWARDS, RSA]):
        message = signed(signers=signers)
        assert [each.algorithm for each in verify(message, RECORDS.get)] == ["rsa-sha256", "ed25519-sha256"]


def test_signature_lines_are_folded():
    long = load("a-long-label." * 8 + DOMAIN, "selector-2026-11", Algorithm.RSA, RSA_PAIR.private_pem)
    for line in sign(HEADERS, BODY, [RSA, EDWARDS], NOW).split(b"\r\n"):
        assert len(line) <= 78
    assert max(map(len, sign(HEADERS, BODY, [long], NOW).split(b"\r\n"))) <= 998
    message = raw(HEADERS, BODY, sign(HEADERS, BODY, [long], NOW))
    (only,) = verify(message, lambda name: RSA_PAIR.public_record)
    assert only.valid


def test_a_body_hash_serves_every_recipient():
    bh = body_hash(BODY)
    other = ((b"From", b"ada@agents.acme.example"), (b"To", b"bob@example.org"))
    for headers in (HEADERS, other):
        message = raw(headers, BODY, sign(headers, b"not looked at", [RSA, EDWARDS], NOW, bh=bh))
        assert holds(message) == [True, True]


def test_empty_bodies_have_the_hash_the_rfc_gives():
    assert body_hash(b"") == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="  # RFC 6376 §3.4.4


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"\n", b"a\r", b"a\r\r\n", b"\n\r\n"])
def test_a_body_that_is_not_canonical_is_not_signed(body):
    with pytest.raises(Unsignable):
        body_hash(body)
    with pytest.raises(Unsignable):
        sign(HEADERS, body, [RSA], NOW)


@pytest.mark.parametrize(
    ("headers", "signers"),
    [
        (HEADERS, []),  # no key
        (HEADERS, [EDWARDS]),  # Ed25519 is only ever a second one
        (HEADERS[1:], [RSA]),  # no From
        ((*HEADERS, HEADERS[0]), [RSA]),  # two of them
        ((*HEADERS, (b"FROM", b"eve@y.test")), [RSA]),
    ],
)
def test_what_must_not_be_signed_is_not(headers, signers):
    with pytest.raises(Unsignable):
        sign(headers, BODY, signers, NOW)


# Keys


def pem(key) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@pytest.mark.parametrize(
    ("algorithm", "private_pem"),
    [
        (Algorithm.RSA, EDWARDS_PAIR.private_pem),
        (Algorithm.ED25519, RSA_PAIR.private_pem),
        (Algorithm.RSA, pem(rsa.generate_private_key(65537, 1024))),  # RFC 8301 allows it, we do not
        (Algorithm.RSA, pem(ec.generate_private_key(ec.SECP256R1()))),
        (Algorithm.RSA, b""),
        (Algorithm.RSA, RSA_PAIR.private_pem[:-200]),
    ],
)
def test_a_key_of_the_wrong_kind_is_not_loaded_and_not_shown(algorithm, private_pem):
    with pytest.raises(BadKey) as refused:
        load(DOMAIN, "s1", algorithm, private_pem)
    assert "PRIVATE" not in str(refused.value)


BAD_DOMAINS = ("acme", "Acme.example", "acme.example;x=y", "a\r\n.b", "a b.example", "")
BAD_SELECTORS = ("", "s 1", "s;1", "-s", "s1\n", "S1", "s..1")


@pytest.mark.parametrize(
    ("domain", "selector"), [*((bad, "s1") for bad in BAD_DOMAINS), *((DOMAIN, bad) for bad in BAD_SELECTORS)]
)
def test_names_that_could_write_tags_of_their_own_are_refused(domain, selector):
    with pytest.raises(BadKey):
        load(domain, selector, Algorithm.RSA, RSA_PAIR.private_pem)


def test_no_representation_shows_a_key():
    shown = f"{RSA!r} {RSA_PAIR!r} {EDWARDS!r} {EDWARDS_PAIR!r}"
    assert "PRIVATE" not in shown
    assert "object at" not in shown


@pytest.mark.parametrize(("signer", "pair"), [(RSA, RSA_PAIR), (EDWARDS, EDWARDS_PAIR)])
def test_the_published_record_belongs_to_the_key(signer: Signer, pair):
    assert signer.public_record == pair.public_record


def test_records_have_the_form_of_their_rfc():
    kind, octets = re.fullmatch(r"v=DKIM1; k=(\w+); p=(\S+)", EDWARDS_PAIR.public_record).groups()
    assert (kind, len(base64.b64decode(octets))) == ("ed25519", 32)  # RFC 8463 §4
    kind, octets = re.fullmatch(r"v=DKIM1; k=(\w+); p=(\S+)", RSA_PAIR.public_record).groups()
    assert kind == "rsa"
    assert serialization.load_der_public_key(base64.b64decode(octets)).key_size == 2048


# Verification


def test_a_message_without_signature_has_none():
    assert verify(raw(HEADERS, BODY), RECORDS.get) == ()
    assert verify(b"", RECORDS.get) == ()
    assert verify(b"\xff no header\r\n\r\n", RECORDS.get) == ()


@pytest.mark.parametrize(
    "record", [None, "", "x", "v=DKIM1; k=rsa; p=", "v=DKIM1; k=rsa; p=!!!", "v=DKIM1; p=AAAA"]
)
def test_a_signature_without_usable_record_does_not_hold(record):
    (only,) = verify(signed(), lambda name: record)
    assert (only.domain, only.selector, only.valid) == (DOMAIN, "r1", False)


@pytest.mark.parametrize(
    "junk", [b"", b"v=1", b"v=1; a=rsa-sha256; b=!; bh=!; d=x; h=from; s=y", b"\xff", b"b=; b="]
)
def test_a_signature_that_cannot_be_read_does_not_hold(junk):
    message = b"DKIM-Signature: " + junk + b"\r\n" + signed()
    assert holds(message) == [False, True]

"""Whatever lane a message takes, its receiver finds that lane and no other: key, return-path, name and address."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import dkim
import pytest

from reputation import signing
from reputation.asking import Lookup
from simulator.oracle import Entry
from tests.walks.harness.inside import STREAMS
from tests.walks.harness.installation import Accepted, Installation
from tests.walks.harness.receiver import Signature, Verdict, judge

SOURCES = {stream: f"127.0.2.{number}" for number, stream in enumerate(STREAMS, 1)}
ROUNDS = 8

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="has no other loopback addresses to send from"
)


@pytest.fixture
def lanes(here: Installation) -> Installation:
    """Each stream leaves from an address of its own, under a name of its own."""
    for stream, source in SOURCES.items():
        here.inside.leave_by(stream, ehlo=f"{stream}.out.acme.test", source_address=source)
    here.publish()
    return here


@pytest.fixture
def lookup(here: Installation) -> Iterator[Lookup]:
    with here.lookups() as asking:
        yield asking.values


def test_dmarc_passes_for_every_message_that_was_received(lanes: Installation, lookup: Lookup) -> None:
    streams = {one.header_id: stream for stream, one in posted(lanes)}
    lanes.worker()
    lanes.until_status(lanes.accepted, "delivered")
    received = lanes.oracle()
    assert len(received) == len(lanes.accepted)
    judged = Counter(streams[entry.message_id or ""] for entry in received)
    assert judged.keys() == STREAMS.keys()
    for entry in received:
        check(streams[entry.message_id or ""], entry, judge(lanes.kept(entry), entry, lookup))
    print(f"\nDMARC passed, strictly aligned by DKIM: {sum(judged.values())} messages, {dict(judged)}")
    lanes.check_invariants()


def posted(here: Installation) -> Iterator[tuple[str, Accepted]]:
    """Messages of many shapes from all agents, and their streams."""
    people = ["ok.a@gmail.test", "ok.b@outlook.test", "ok.c@corp.test"]
    file = {"filename": "a.bin", "content": "AAAA" * 2000, "content_type": "application/octet-stream"}
    for stream, (_, domain, agents) in STREAMS.items():
        shapes = [
            {"subject": "Grüße " * 30, "html": "<p>Hello</p>"},
            {
                "from": f'"boss@mail.acme.test" <boss@{domain.upper()}>',
                "headers": {"X-From": "a@mail.acme.test"},
            },
            {"text": ".\n..\nFrom: boss@mail.acme.test\n  \n\n\n", "attachments": [file]},
            {"reply_to": "boss@mail.acme.test", "agent": {"run_id": "r-1"}},
        ]
        for number in range(ROUNDS):
            draft = {"to": people, "subject": "A walk", "text": "Hello\n"} | shapes[number % len(shapes)]
            for one in here.post_many([draft], agents[number % len(agents)]):
                yield stream, one


def check(stream: str, entry: Entry, verdict: Verdict) -> None:
    """All that tells a lane is this stream's."""
    domain = STREAMS[stream][1]
    assert verdict == Verdict(domain, (Signature(domain, "walk", True),), "pass", "pass", True)
    assert entry.mail_from.rpartition("@")[2] == f"rp.{domain}"
    assert (entry.message_id or "").endswith(f"@{domain}>")
    assert (entry.helo, entry.peer.partition(":")[0]) == (f"{stream}.out.acme.test", SOURCES[stream])


def test_what_is_altered_or_of_another_lanes_key_fails(lanes: Installation, lookup: Lookup) -> None:
    lanes.worker()
    entry, content = received(lanes)
    again = partial(judge, entry=entry, lookup=lookup)
    assert again(content).dmarc == "pass"
    assert again(content.replace(b"this is a walk", b"this is a wolk")).dmarc == "fail"
    assert again(content.replace(b"@sales.acme.test\r\n", b"@support.acme.test\r\n", 1)).dmarc == "fail"

    # a signature that holds, of the lane next door: strict alignment is what refuses it
    forged, record = signed_by("support.acme.test", content)
    verdict = judge(forged, entry, lambda *asked: record.get(asked) or lookup(*asked))
    assert verdict.signatures == (Signature("support.acme.test", "next", True),)
    assert verdict.dmarc == "fail"

    # the installation itself goes wrong, and signs with the key of another lane
    lanes.ask(SWAPPED)
    entry, content = received(lanes)
    verdict = judge(content, entry, lookup)
    assert verdict.signatures == (Signature("sales.acme.test", "walk", False),)
    assert verdict.dmarc == "fail"


SWAPPED = """
UPDATE reputation_signingkey AS mine SET private_sealed = other.private_sealed
FROM reputation_signingkey AS other, reputation_sendingdomain AS d, reputation_sendingdomain AS e
WHERE mine.algorithm = 'rsa-sha256' AND d.id = mine.domain_id AND d.name = 'sales.acme.test'
  AND other.algorithm = 'rsa-sha256' AND e.id = other.domain_id AND e.name = 'support.acme.test'
"""


def received(here: Installation) -> tuple[Entry, bytes]:
    """One more message of a lane, as it arrived."""
    (delivery,) = here.post("ok@gmail.test")
    here.until_status([delivery], "delivered")
    [entry] = [entry for entry in here.oracle() if entry.message_id == delivery.header_id]
    return entry, here.kept(entry)


def signed_by(domain: str, content: bytes) -> tuple[bytes, dict[tuple[str, ...], tuple[str, ...]]]:
    """The message without its signature, under one of this domain; and the record of its key."""
    pair = signing.generate(signing.Algorithm.RSA)
    signer = signing.load(domain, "next", signing.Algorithm.RSA, pair.private_pem)
    headers, body = dkim.rfc822_parse(content)
    headers = [(name, value.removesuffix(b"\r\n")) for name, value in headers if name != b"DKIM-Signature"]
    signature = signing.sign(headers, body, [signer], int(time.time()))
    rest = b"".join(b"%s:%s\r\n" % field for field in headers)
    return signature + rest + b"\r\n" + body, {(f"next._domainkey.{domain}", "TXT"): (pair.public_record,)}

"""From POST /v1/messages to the receiving server's 250, through every process of an installation."""

from email import message_from_bytes
from email.policy import default

import dkim

from outbox import verp
from tests.walks.harness.installation import Installation

DRAFT = {
    "to": "ok.grace@gmail.test",
    "cc": ["ok.cc@outlook.test"],
    "bcc": ["ok.secret@yahoo.test"],
    "subject": "Grüße",
    "text": "Hello Grace,\n\n.a line that begins with a dot\n",
    "agent": {"run_id": "walk-1", "purpose": "show that it works"},
}


def test_a_message_is_accepted_signed_delivered_and_told(house: Installation) -> None:
    answer = house.http("/v1/messages", DRAFT)
    assert answer.status == 202
    house.note(answer.body)
    message = answer.body
    while message["status"] != "delivered":
        told = house.http(
            f"/v1/messages/{answer.body['id']}?wait=10&after_version={message.get('version', 0)}"
        ).body
        assert told.get("version") != message.get("version"), told
        message = told
    kinds = [event["type"] for event in house.http(f"/v1/messages/{answer.body['id']}/events").body["data"]]
    assert kinds.count("accepted") == 3
    assert "claimed" in kinds

    entries = [entry for entry in house.oracle() if entry.message_id == answer.body["message_id"]]
    recipients = {"ok.grace@gmail.test", "ok.cc@outlook.test", "ok.secret@yahoo.test"}
    assert {entry.rcpt for entry in entries} == recipients
    assert len(entries) == 3
    for entry in entries:
        content = (house.folder / "kept" / entry.sha256).read_bytes()
        token = verp.token_in(entry.mail_from)
        # the return-path and the signed header name the delivery, and nobody else could have made the token
        assert token is not None
        assert house.inside.token_reads(token) is not None
        parsed = message_from_bytes(content, policy=default)
        assert parsed["X-AO-Ref"] == token
        text = parsed.get_body(("plain",)).get_content().replace("\r\n", "\n")
        assert text.startswith(f"{DRAFT['text']}\n--\n")
        # the bytes as they arrived carry a signature that the zone's key verifies
        assert dkim.verify(content, dnsfunc=lambda name, **_: _txt(house, name))
        # nobody learns of the blind copy, and all bytes are 7-bit
        assert b"secret" not in content
        assert content.isascii()
    house.check_invariants()


def _txt(house: Installation, name: bytes) -> bytes:
    ((_kind, text),) = house.template.seed.zone[name.decode().rstrip(".")]
    return text.encode()

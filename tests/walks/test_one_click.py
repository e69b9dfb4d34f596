"""One click: the link that a received message carries ends this stream for its reader, and nobody else's."""

import re
from email import message_from_bytes
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tests.walks.harness.installation import Installation

BOTH = {"to": ["ok.leaver@gmail.test"], "cc": ["ok.stayer@outlook.test"], "subject": "Hi", "text": "Hi"}


def test_the_link_of_a_received_message_unsubscribes_its_reader(house: Installation) -> None:
    first = house.http("/v1/messages", BOTH)
    assert first.status == 202
    house.until_status(house.note(first.body), "delivered")
    link = _link(house, "ok.leaver@gmail.test")
    urlopen(link, timeout=10).close()  # a scanner follows it
    again = house.http("/v1/messages", BOTH | {"subject": "Still here"})
    assert [each["to"] for each in again.body["deliveries"]] == [
        "ok.leaver@gmail.test",
        "ok.stayer@outlook.test",
    ]
    house.note(again.body)
    click = Request(
        link, b"List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}
    )
    with urlopen(click, timeout=10) as response:
        assert response.status == 200
        assert response.url == link
    after = house.http("/v1/messages", BOTH | {"subject": "Gone"})
    house.until_status(house.note(after.body), "delivered")
    assert after.body["refused"] == [{"to": "ok.leaver@gmail.test", "code": "recipient_suppressed"}]
    assert [each["to"] for each in after.body["deliveries"]] == ["ok.stayer@outlook.test"]
    events = house.http(f"/v1/messages/{first.body['id']}/events").body["data"]
    assert [event["type"] for event in events].count("unsubscribed") == 1
    house.until_quiet()
    house.check_invariants()


def _link(house: Installation, recipient: str) -> str:
    (entry,) = [entry for entry in house.oracle() if entry.rcpt == recipient]
    message = message_from_bytes(house.kept(entry))
    found = re.match(r"<(http[^>]+)>", message["List-Unsubscribe"])
    assert found is not None
    assert urlsplit(found[1]).path.startswith("/u/")
    return found[1]

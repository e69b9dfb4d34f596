"""A bounce and a complaint after the 250, from the simulated internet's servers, through the listener, to the story."""

import smtplib
from typing import Any
from uuid import UUID

from outbox import ids
from tests.walks.harness.installation import Accepted, Installation
from tests.walks.harness.waiting import until


def told(here: Installation, one: Accepted) -> list[str]:
    rows = here.ask("SELECT kind FROM outbox_event WHERE delivery_id = %s ORDER BY id", one.delivery)
    return [row.kind for row in rows]


def suppressed(here: Installation) -> set[tuple[str, str]]:
    return {(row.reason, row.scope) for row in here.ask("SELECT reason, scope FROM reputation_suppression")}


def test_a_bounce_and_a_complaint_find_their_way_back(here: Installation) -> None:
    here.returns()
    here.worker()
    here.beat()
    bounced, fine = here.post("bounce.x@corp.test", "ok.x@corp.test")
    [complained] = here.post("complain.x@yahoo.test")
    here.until_status([bounced], "bounced", 40)
    until(lambda: "complained" in told(here, complained), 40, "complained", lambda: told(here, complained))

    # each kind once, in the order of what happened, whichever was faster: the report or the settle
    assert here.status(bounced) == ("bounced", "recipient_unknown")
    assert told(here, bounced)[-1] == "bounced"
    assert told(here, bounced).count("bounced") == 1
    # a complaint is an event, not a state
    until(lambda: here.status(complained)[0] == "delivered", 20, "delivered")
    assert here.status(complained) == ("delivered", "accepted_by_server")
    until(lambda: here.status(fine)[0] == "delivered", 20, "delivered")
    assert suppressed(here) == {("hard_bounce", "all"), ("complaint", "agents")}

    # the agent reads it where it reads everything
    here.web()
    story = here.http(f"/v1/messages/{ids.printed('msg', complained.message)}/events").body["data"]
    assert "complained" in {event["type"] for event in story}

    # the same report again, to the same return-path: received, and counted no second time
    replay(here, bounced.delivery)
    assert told(here, bounced).count("bounced") == 1


def replay(here: Installation, delivery: UUID) -> None:
    from simulator.reports import Subject, dsn

    [sent] = [entry for entry in here.oracle() if entry.rcpt == "bounce.x@corp.test"]
    raw = dsn(Subject(sent.mail_from, sent.rcpt, b"", "mx.corp.test", "Mon, 23 Nov 2026 09:00:00 +0000"))
    host, _, port = here.env["AO_RETURNS"].partition(":")
    with smtplib.SMTP(host, int(port)) as client:
        for _ in range(3):
            refused: dict[str, Any] = client.sendmail("", [sent.mail_from], raw)
            assert refused == {}
    [row] = here.ask("SELECT count(*) AS n FROM outbox_signal WHERE delivery_id = %s", delivery)
    assert row.n == 1

"""The list of everyone who received it: complete, of this scope and window alone, no formulas, and on record."""

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from outbox import ledger, recipients, sessions
from outbox.ledger import Settlement
from outbox.models import Agent, Audit
from reputation import killswitch, sql
from tests import factories
from tests.pages.desk import person, posted

pytestmark = pytest.mark.usefixtures("live_db")


def went_out(status: str = "delivered", code: str = "accepted_by_server", **reply: Any) -> None:
    """What was due was cleared, dotted and answered."""
    session = sessions.begin("worker")
    claimed = ledger.claim(session, tier=1, limit=1000)
    assert ledger.clear(session, [(one.id, one.attempt) for one in claimed])
    said = {"spoke": True, "phase": "replied", "host": "mx.gmail.test", "reply_code": 250, **reply}
    assert ledger.settle(session, [Settlement(one.id, one.attempt, status, code, **said) for one in claimed])


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


@pytest.fixture
def rita(live_db: Any) -> Client:
    return person("rita", "reputation.export_switch", "reputation.view_openstop")


def listed(client: Client, epoch: int, hours: int = 24) -> list[dict[str, str]]:
    response = client.get(f"/killswitch/{epoch}/recipients.csv?hours={hours}")
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(response.getvalue().decode())))


def test_everyone_whom_it_reached_is_on_it_page_by_page(ada: Agent, rita: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(recipients, "PAGE", 2)
    posted(ada, *({"to": [f"n{n}@gmail.test"], "subject": "=cmd()"} for n in range(5)))
    went_out(reply="2.0.0 OK q-17")
    posted(ada, {"to": ["later@gmail.test"]})
    went_out("uncertain", "no_reply_after_dot")
    posted(factories.agent("bob"), {"to": ["bobs@gmail.test"]})
    went_out()
    posted(ada, {"to": ["refused@gmail.test"]})
    went_out("bounced", "recipient_unknown", reply_code=550)
    done = killswitch.trip("agent:ada", who="rita", why="")
    found = listed(rita, done.epoch)
    assert sorted(row["recipient"] for row in found) == [
        "later@gmail.test",
        *(f"n{n}@gmail.test" for n in range(5)),
    ]
    assert {row["subject"] for row in found if row["status"] == "delivered"} == {"'=cmd()"}
    assert found[0]["reply"] == "250 2.0.0 OK q-17"
    assert found[0]["delivery"].startswith("dlv_")


def test_the_window_and_the_scope_of_recipients_hold(ada: Agent, rita: Client) -> None:
    posted(ada, {"to": ["a@gmail.test"]}, {"to": ["b@example.org"]})
    went_out()
    done = killswitch.trip("recipient_domain:example.org", who="rita", why="")
    assert [row["recipient"] for row in listed(rita, done.epoch)] == ["b@example.org"]
    killswitch.resume("recipient_domain:example.org", who="rita", why="fine")
    posted(ada, {"to": ["after@example.org"]})
    went_out()
    assert [row["recipient"] for row in listed(rita, done.epoch)] == ["b@example.org"]


def test_whoever_may_not_export_does_not_and_each_list_is_on_record(ada: Agent, rita: Client) -> None:
    done = killswitch.trip("agent:ada", who="rita", why="")
    here = f"/killswitch/{done.epoch}/recipients.csv"
    assert person("viewer", "reputation.view_openstop").get(here).status_code == 403
    assert Client().get(here).status_code == 302
    assert rita.get(f"{here}?hours=9999").status_code == 404
    assert rita.get("/killswitch/99/recipients.csv").status_code == 404
    assert not Audit.objects.filter(act="export").exists()
    listed(rita, done.epoch, hours=1)
    [entry] = Audit.objects.filter(act="export")
    assert (entry.who, entry.subject) == ("rita", "recipients:agent:ada")
    assert User.objects.filter(username="rita").exists()


def test_what_relays_hold_is_told_until_they_report(ada: Agent, rita: Client) -> None:
    posted(ada, {"to": ["a@gmail.test"]}, {"to": ["b@gmail.test"]})
    went_out("relayed", "accepted_by_relay", host="smtp.relay.test")
    done = killswitch.trip("agent:ada", who="rita", why="")
    told = rita.get(f"/killswitch/{done.epoch}/").content.decode()
    assert "taken by the relay <b>smtp.relay.test</b>" in told
    assert "<b>2</b> of agents.acme.test" in told
    sql.count("UPDATE outbox_delivery SET status = 'delivered', code = 'accepted_by_server'")
    assert recipients.relayed("agent:ada", done.at, None) == []

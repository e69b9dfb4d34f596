"""A stop's page: what it proves, who has heard, whose keys are used."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import DatabaseError
from django.test import Client

from outbox import keys, ledger, proof, sessions
from outbox.models import Agent, ApiKey
from reputation import killswitch, sql
from reputation.models import SwitchEvent, SwitchNote
from tests import factories
from tests.outbox.killswitch.page import cleared, resumed, shown, stopped, went_out
from tests.pages.desk import posted

pytestmark = pytest.mark.usefixtures("live_db")


def test_the_proof_names_what_was_cleared_before_and_what_became_of_it(rita: Client, ada: Agent) -> None:
    posted(ada, *({"to": [f"n{n}@gmail.test"]} for n in range(3)))
    session, claimed = cleared(2)
    epoch = stopped(rita, "agent:ada")
    [one, other] = claimed
    ledger.settle(session, [ledger.Settlement(one.id, one.attempt, "delivered", "accepted_by_server", spoke=True,
                                              phase="replied", reply_code=250)])  # fmt: skip
    before = proof.clearances("agent:ada", killswitch.open_stops()[0].tripped_at)
    assert {fate.id: fate.status for fate in before.before} == {one.id: "delivered", other.id: "sending"}
    assert (before.after, before.dots_after, before.looked, before.all_of_them) == (0, 0, 1, True)
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    for words in ("1 delivered", "1 sending", "Cleared before it: 2", "Cleared after it: 0", one.recipient):
        assert words in told, words


def test_a_clearance_or_dot_after_the_stop_would_be_seen(ada: Agent) -> None:
    """What must never happen is written behind the ledger's back, to see that the counter is not always 0."""
    posted(ada, {"to": ["a@gmail.test"]}, {"to": ["b@gmail.test"]})
    done = killswitch.trip("agent:bob", who="rita", why="")
    went_out("delivered", "accepted_by_server", reply_code=250)
    found = proof.clearances("agent:ada", done.at)
    assert (found.before, found.after, found.dots_after) == ((), 2, 2)
    assert proof.clearances("agent:bob", done.at).after == 0
    later = killswitch.resume("agent:bob", who="rita", why="fine")
    posted(ada, {"to": ["c@gmail.test"]})
    went_out("delivered", "accepted_by_server", reply_code=250)
    assert proof.clearances("agent:ada", done.at, later.at).after == 2, (
        "what went after a resume is no breach"
    )


def test_what_ended_before_the_stop_is_not_in_its_proof(ada: Agent) -> None:
    posted(ada, {"to": ["a@gmail.test"]})
    went_out("delivered", "accepted_by_server", reply_code=250)
    done = killswitch.trip("agent:ada", who="rita", why="")
    assert proof.clearances("agent:ada", done.at).before == ()


def test_a_worker_that_has_not_acknowledged_is_named_and_looked_for_again(rita: Client) -> None:
    session = sessions.begin("worker-1")
    epoch = stopped(rita, "agents")
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "worker-1: not yet" in told
    assert '<noscript><meta http-equiv="refresh"' in told
    sessions.renew(session, epoch)
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "worker-1: <b>yes</b>" in told
    assert "http-equiv" not in told
    assert "Acknowledged by 1 of 1 workers." in told


def test_the_proof_opens_when_its_figures_fail(rita: Client, monkeypatch: Any) -> None:
    epoch = stopped(rita, "agents")
    for room, name in ((proof, "workers"), (proof, "clearances"), (keys, "of_scope")):
        monkeypatch.setattr(room, name, lambda *_: (_ for _ in ()).throw(DatabaseError("no")))
    assert shown(rita.get(f"/killswitch/{epoch}/")).count("Not known now.") == 5


def test_a_reason_is_filled_in_later_and_never_overwritten(rita: Client, omar: Client) -> None:
    epoch = stopped(rita, "agents")
    assert "No reason given yet" in shown(rita.get(f"/killswitch/{epoch}/"))
    rita.post(f"/killswitch/{epoch}/note/", {"text": "follow-ups to everybody"})
    omar.post(f"/killswitch/{epoch}/note/", {"text": "owner called"})
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "by rita: follow-ups to everybody." in told
    assert "owner called" in told
    assert list(SwitchNote.objects.values_list("who", flat=True)) == ["rita", "omar"]
    assert rita.post(f"/killswitch/{epoch}/note/", {"text": " "}).status_code == 422
    assert [stop.why for stop in killswitch.open_stops()] == ["follow-ups to everybody"]
    ended = resumed(rita, epoch)["Location"]
    assert "by rita: follow-ups to everybody." in shown(rita.get(ended)), "the resume tells what it ended"


def test_a_nul_that_was_pasted_fails_nothing(rita: Client) -> None:
    epoch = stopped(rita, "agents", why="a\0b")
    assert rita.post(f"/killswitch/{epoch}/note/", {"text": "c\0d"}).status_code == 302
    assert rita.get("/killswitch/timeline/", {"q": "\0"}).status_code == 200
    assert resumed(rita, epoch, "e\0f").status_code == 302
    assert [event.why for event in SwitchEvent.objects.order_by("pk")] == ["ab", "ef"]


@pytest.mark.parametrize(
    "table", ["reputation_switchnote", "reputation_resumeproposal", "reputation_switchevent"]
)
def test_the_application_cannot_rewrite_the_book(live_db: Any, table: str) -> None:
    for verb in (f"DELETE FROM {table}", f"UPDATE {table} SET who = 'nobody'"):
        with pytest.raises(DatabaseError, match="permission denied"):
            sql.count(verb)  # type: ignore[arg-type]


def test_keys_are_revoked_beside_the_stop(rita: Client, ada: Agent) -> None:
    text = factories.key(ada, name="laptop")
    epoch = stopped(rita, "agent:ada")
    keys.authenticate(f"Bearer {text}")
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "laptop" in told
    assert "1 of them was used since the stop" in told
    assert text not in told
    key = ApiKey.objects.get()
    assert rita.post(f"/killswitch/{epoch}/revoke/{key.pk}/")["Location"] == f"/killswitch/{epoch}/#keys"
    with pytest.raises(Exception, match="no valid key"):
        keys.authenticate(f"Bearer {text}")
    assert LogEntry.objects.get().user.username == "rita"


REFUSED, TAKEN = (
    "What agent streams post in it is refused",
    "What transactional streams post in it is still taken",
)


@pytest.mark.parametrize(
    ("scope", "refused", "taken"),
    [("agent:ada", True, False), ("stream:receipts", False, True), ("all", True, True)],
)
def test_what_becomes_of_posts_after_a_stop_is_said_of_its_streams(
    rita: Client, ada: Agent, scope: str, refused: bool, taken: bool
) -> None:
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    texts = [factories.key(agent) for agent in (ada, factories.agent("robot", stream=receipts))]
    epoch = killswitch.trip(scope, who="rita", why="").epoch
    for text in texts:
        keys.authenticate(f"Bearer {text}")
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert (REFUSED in told, TAKEN in told) == (refused, taken)


def test_a_wide_stop_lists_the_keys_that_were_used_last(rita: Client, ada: Agent) -> None:
    keys.authenticate(f"Bearer {factories.key(ada, name='loud')}")
    factories.key(ada, name="silent")
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    factories.key(factories.agent("robot", stream=receipts), name="robots")
    told = shown(rita.get(f"/killswitch/{stopped(rita, 'agents')}/"))
    assert told.index("loud") < told.index("silent")
    assert "robots" not in told
    assert "robots" in shown(rita.get(f"/killswitch/{stopped(rita, 'all', sure='all')}/"))


def test_there_is_no_page_of_what_never_happened(rita: Client) -> None:
    for path in ("/killswitch/99/", "/killswitch/99/now/", f"/killswitch/{10**30}/"):
        assert rita.get(path).status_code == 404

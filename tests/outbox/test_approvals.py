"""Requests: what joins them, who decides, and that a decision covers what was shown and nothing else."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import ProgrammingError, transaction

from outbox import approvals, deciding, ledger, lineage, releasing, story, waits
from outbox.budgets import Spent
from outbox.deciding import NotYours, Overtaken, Shown, Stopped
from outbox.models import Agent, Approval, Audit, Decision, Delivery, Event, Held
from reputation import killswitch, suppression
from reputation.models import Stream
from reputation.vault import new_master_key
from tests import factories
from tests.clocks import later
from tests.outbox.asked import (
    accepted,
    carried,
    counts,
    draft,
    held,
    hold,
    join,
    many,
    request,
    reviewer,
    shown,
    statuses,
    to,
)
from tests.outbox.reopened import ask

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


@pytest.fixture
def rita(live_db: Any) -> User:
    return reviewer()


@pytest.fixture(autouse=True)
def fresh() -> None:
    waits.forget()


# -- joining -------------------------------------------------------------------------------------------------


def test_what_is_alike_in_one_tree_of_runs_is_one_request(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, *many(3))
    held(live_db, ada, *to("x", agent={"run_id": "r2", "parent_run_id": "r1"}), code="cluster_size")
    one = request()
    assert (one.run.name, one.cluster, one.leaf, one.state) == ("r1", 7, None, "open")
    assert sorted(one.reasons) == ["cluster_size", "first_contact"]
    assert one.expires_at - one.opened_at == timedelta(hours=24)
    assert Held.objects.count() == 4


def test_other_clusters_and_trees_are_other_requests_and_no_cluster_is_its_runs(
    ada: Agent, live_db: Any
) -> None:
    for cluster in (7, 8, None):
        held(live_db, ada, *many(2), cluster=cluster)
    held(live_db, ada, *to("x", agent={"run_id": "r9"}))
    held(live_db, ada, *to("x", agent={"run_id": "r2", "parent_run_id": "r1"}), cluster=None)
    found = {(one.run.name, one.cluster, one.leaf and one.leaf.name) for one in Approval.objects.all()}
    assert found == {
        ("r1", 7, None),
        ("r1", 8, None),
        ("r1", None, "r1"),
        ("r9", 7, None),
        ("r1", None, "r2"),
    }


def test_a_flood_of_unlike_messages_is_few_requests(ada: Agent, live_db: Any) -> None:
    for cluster in range(30):
        held(live_db, ada, *to("x"), cluster=cluster)
    assert Approval.objects.count() == approvals.MOST + 1
    assert Held.objects.filter(approval__cluster=None).count() == 30 - approvals.MOST


def test_what_opens_by_itself_asks_nobody(ada: Agent, live_db: Any) -> None:
    one = draft({})
    [message] = accepted(ada, [one])
    assert join(ada, [(message, one)], code="recheck") == [None]
    assert not Approval.objects.exists()


def test_an_agent_is_told_of_its_request(ada: Agent, live_db: Any) -> None:
    one = draft({})
    [message] = accepted(ada, [one])
    [told] = join(ada, [(message, one)])
    assert told
    assert (told.id, told.expires_at) == (request().pk, request().expires_at)
    assert (told.p50, told.p90) == (None, None), "nobody has decided anything yet"


def test_two_that_open_the_same_request_at_once_are_one(ada: Agent, live_db: Any) -> None:
    one = draft({})
    first, second = accepted(ada, [one, one])
    caller_now = request_of(ada, first, one)
    join(ada, [(second, one)])
    with pytest.raises(Spent), transaction.atomic():
        caller_now.keep()
    join(ada, [(first, one)])
    assert Held.objects.filter(approval=request()).count() == 2


def request_of(agent: Agent, message: Any, one: Any) -> approvals.Requests:
    """A call that has looked, and not yet written."""
    from outbox import facts, keys

    caller = keys.authenticate(f"Bearer {factories.key(agent)}")
    picture = facts.read(agent.pk, agent.stream_id, ["r1"])
    requests = approvals.read(caller, picture.place)
    requests.join(message, one, picture.known["r1"], 7, ["first_contact"], picture.place.now)
    return requests


def test_nothing_joins_a_request_that_was_closed_meanwhile(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, {})
    one = draft({})
    [message] = accepted(ada, [one])
    late = request_of(ada, message, one)
    deciding.refuse(shown(), rita, "no")
    carried()
    releasing.tend()
    assert request().state == "ended"
    with pytest.raises(Spent), transaction.atomic():
        late.keep()


def test_what_is_held_later_joins_another_request(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, {})
    later(live_db, "13 hours")
    releasing.tend()
    held(live_db, ada, {})
    assert Approval.objects.count() == 2


# -- deciding ------------------------------------------------------------------------------------------------


def test_a_release_queues_what_was_shown_and_what_joined_later_stays(
    ada: Agent, live_db: Any, rita: User
) -> None:
    held(live_db, ada, *many(3))
    page = shown()
    held(live_db, ada, *to("late"))
    deciding.release(page, rita, "fine")
    carried()
    assert counts() == {"queued": 3, "held": 1}
    assert statuses()["late@example.org"] == "held first_contact"
    event = Event.objects.filter(kind="released").latest("id")
    assert (event.actor, event.note, event.status) == ("rita", "fine", "queued")
    assert request().state == "open"
    deciding.release(shown(), rita)
    carried()
    releasing.tend()
    assert counts() == {"queued": 4}
    assert request().state == "ended"


def test_what_commits_late_with_an_earlier_key_was_not_shown(ada: Agent, live_db: Any, rita: User) -> None:
    """Keys are made before the commit: the last key shown says nothing of those that were still on their way."""
    one = draft({"to": "early@example.org"})
    [early] = accepted(ada, [one])
    hold(live_db, [early])
    held(live_db, ada, *many(2))
    with psycopg.connect(live_db.app) as accepting:
        accepting.execute(
            "INSERT INTO outbox_held (approval_id, message_id, digest) VALUES (%s, %s, '')",
            [request().pk, early],
        )
        page = shown()
        accepting.commit()
    assert page.upto
    assert early < page.upto
    deciding.release(page, rita)
    carried()
    assert counts() == {"queued": 2, "held": 1}
    assert statuses()["early@example.org"] == "held first_contact"


def test_a_decision_ends_at_the_last_message_that_was_shown(ada: Agent, live_db: Any, rita: User) -> None:
    messages = sorted(held(live_db, ada, *many(3)))
    page = shown()
    cut = Shown(page.approval, page.version, page.policy_version, messages[1], page.seen, page.at)
    deciding.release(cut, rita)
    carried()
    assert counts() == {"queued": 2, "held": 1}
    assert Delivery.objects.get(status="held").message_id == messages[2]


def test_a_refusal_ends_it_with_a_reason_and_gives_the_budget_back(
    ada: Agent, live_db: Any, rita: User
) -> None:
    messages = held(live_db, ada, *many(2))
    ask(live_db, "INSERT INTO outbox_budget (kind, key, opens_at, used) SELECT 'agent_day', agent_id::text, "
        "date_trunc('day', created_at, 'UTC'), 9 FROM outbox_message LIMIT 1")  # fmt: skip
    ask(live_db, "UPDATE outbox_message SET charged = jsonb_build_array(jsonb_build_array('agent_day', agent_id::text, "
        "date_trunc('day', created_at, 'UTC'), 1))")  # fmt: skip
    with pytest.raises(ValueError, match="why"):
        deciding.refuse(shown(), rita, " ")
    deciding.refuse(shown(), rita, "Grace has asked us not to.")
    carried()
    assert set(statuses().values()) == {"refused by_reviewer"}
    told = Event.objects.filter(message_id=messages[0]).latest("id")
    assert (told.kind, told.code, told.note) == ("refused", "by_reviewer", "Grace has asked us not to.")
    body = story.one(ada.pk, messages[0])
    assert body
    assert body["refusal"] == "Grace has asked us not to."
    assert ask(live_db, "SELECT used FROM outbox_budget WHERE kind = 'agent_day'") == [(7,)]


def test_a_part_is_released_or_refused_and_the_rest_waits(ada: Agent, live_db: Any, rita: User) -> None:
    messages = held(live_db, ada, *many(4))
    deciding.release_part(shown(), rita, messages[:1])
    carried()
    deciding.refuse(shown(), rita, "not these", messages[1:2])
    carried()
    assert counts() == {"queued": 1, "refused": 1, "held": 2}


def test_so_many_are_released_and_the_rest_waits(ada: Agent, live_db: Any, rita: User, settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]
    messages = sorted(held(live_db, ada, *many(5)))
    gone = Delivery.objects.get(message_id=messages[1]).recipient
    suppression.suppress([suppression.complaint(gone, "arf")])
    made = deciding.release_first(shown(), rita, 3, "begin with three")
    assert (made.kind, made.most, made.people) == ("part", 3, 3)
    held(live_db, ada, *to("late"))
    carried()
    assert set(Held.objects.exclude(decision=None).values_list("message_id", flat=True)) == set(messages[:3])
    assert counts() == {"queued": 2, "suppressed": 1, "held": 3}
    assert request().state == "open", "nothing goes on by itself"
    with pytest.raises(ValueError, match="how many"):
        deciding.release_first(shown(), rita, 0)
    deciding.release_first(shown(), rita, 100)
    carried()
    assert counts() == {"queued": 5, "suppressed": 1}


def test_so_many_above_the_line_need_two(ada: Agent, live_db: Any, large: None, rita: User) -> None:
    deciding.release_first(shown(), rita, 2)
    carried()
    deciding.release_first(shown(), rita, 2)
    assert request().state == "confirming"
    deciding.confirm(shown(), reviewer("omar"))
    carried()
    assert counts() == {"queued": 4}


def test_a_part_that_is_not_there_any_more_is_not_decided(ada: Agent, live_db: Any, rita: User) -> None:
    first, second = held(live_db, ada, *many(2))
    page = shown()
    [late] = held(live_db, ada, *to("late"))
    for part in ([first, uuid4()], [late]):
        with pytest.raises(Overtaken, match="choose"):
            deciding.release_part(page, rita, part)
        with pytest.raises(Overtaken, match="choose"):
            deciding.refuse(page, rita, "not these", part)
    deciding.release_part(page, rita, [first, first])
    carried()
    with pytest.raises(Overtaken, match="choose"):
        deciding.refuse(shown(), rita, "not these", [first, second])
    assert Decision.objects.count() == 1
    assert counts() == {"queued": 1, "held": 2}


def test_every_decision_is_written_down_and_audited_and_never_rewritten(
    ada: Agent, live_db: Any, rita: User
) -> None:
    held(live_db, ada, *many(2))
    page = shown()
    made = deciding.release(page, rita, "fine")
    assert (made.kind, made.who, made.why, made.upto, made.shown_at) == (
        "release",
        "rita",
        "fine",
        page.upto,
        page.at,
    )
    assert (made.version, made.people) == (1, 2)
    entry = Audit.objects.get(act="approval.release")
    assert (entry.who, entry.subject[:13]) == ("rita", "approval:apr_")
    with pytest.raises(ProgrammingError, match="only be added"):
        Decision.objects.update(who="nobody")
    with pytest.raises(ProgrammingError, match="only be added"):
        Decision.objects.all()._raw_delete("default")


OVERTAKEN = {
    "decided": "decided",
    "its policy edited": "UPDATE reputation_stream SET policy_version = policy_version + 1",
    "its deadline over": "UPDATE outbox_approval SET expires_at = now() - interval '1 s'",
}


@pytest.mark.parametrize("meanwhile", OVERTAKEN)
def test_a_page_that_was_overtaken_decides_nothing(
    ada: Agent, live_db: Any, rita: User, meanwhile: str
) -> None:
    held(live_db, ada, *many(2))
    page = shown()
    if meanwhile == "decided":
        deciding.refuse(shown(), rita, "no")
    else:
        ask(live_db, OVERTAKEN[meanwhile])  # type: ignore[arg-type]
    with pytest.raises(Overtaken):
        deciding.release(page, reviewer("omar"))
    assert not Decision.objects.filter(kind="release").exists()


def test_a_page_that_was_tampered_with_is_none(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, {})
    with pytest.raises(ValueError, match="again"):
        Shown.parsed(str(shown())[:-1] + "x")


def test_who_may_not_decide_does_not(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, {})
    for one in (
        reviewer("otto", "auditors"),
        reviewer("resi", "responders"),
        User.objects.create_user("nobody"),
    ):
        for say in (deciding.release, deciding.confirm):
            with pytest.raises(NotYours):
                say(shown(), one)
        with pytest.raises(NotYours):
            deciding.refuse(shown(), one, "no")
    gone = reviewer("gone")
    gone.is_active = False
    with pytest.raises(NotYours):
        deciding.release(shown(), gone)


def test_the_owner_of_an_agent_does_not_release_what_it_asks_for(
    ada: Agent, live_db: Any, rita: User
) -> None:
    Agent.objects.update(owner=rita)
    held(live_db, ada, {})
    with pytest.raises(NotYours, match="own"):
        deciding.release(shown(), rita)
    Stream.objects.update(owner_may_approve=True)
    deciding.release(shown(), rita)
    carried()
    assert counts() == {"queued": 1}


def test_the_owner_may_refuse(ada: Agent, live_db: Any, rita: User) -> None:
    Agent.objects.update(owner=rita)
    held(live_db, ada, {})
    deciding.refuse(shown(), rita, "a mistake of mine")
    carried()
    assert counts() == {"refused": 1}


# -- two people ----------------------------------------------------------------------------------------------


@pytest.fixture
def large(ada: Agent, live_db: Any) -> None:
    Stream.objects.update(second_person_above=3)
    held(live_db, ada, *many(4))


def test_above_a_size_another_person_has_to_confirm(large: None, rita: User) -> None:
    proposed = deciding.release(shown(), rita)
    releasing.tend()
    assert request().state == "confirming"
    assert counts() == {"held": 4}
    with pytest.raises(NotYours, match="already"):
        deciding.confirm(shown(), rita)
    made = deciding.confirm(shown(), reviewer("omar"))
    assert made.of == proposed
    carried()
    assert counts() == {"queued": 4}


def test_what_is_confirmed_is_what_was_proposed(ada: Agent, live_db: Any, large: None, rita: User) -> None:
    deciding.release(shown(), rita)
    held(live_db, ada, *to("late"))
    deciding.confirm(shown(), reviewer("omar"))
    carried()
    assert counts() == {"queued": 4, "held": 1}


def test_parts_do_not_go_round_the_line(ada: Agent, live_db: Any, large: None, rita: User) -> None:
    messages = list(Held.objects.order_by("message_id").values_list("message_id", flat=True))
    deciding.release_part(shown(), rita, messages[:3])
    carried()
    assert request().state == "open"
    made = deciding.release_part(shown(), rita, messages[3:])
    assert request().state == "confirming"
    assert made.people == 1, "those of the part before are not told again"


def test_what_was_proposed_can_be_withdrawn_or_refused(large: None, rita: User) -> None:
    deciding.release(shown(), rita)
    deciding.withdraw(shown(), rita)
    assert request().state == "open"
    deciding.release(shown(), rita)
    deciding.refuse(shown(), reviewer("omar"), "no")
    carried()
    assert counts() == {"refused": 4}


def test_a_small_one_needs_one_person(ada: Agent, live_db: Any, rita: User) -> None:
    Stream.objects.update(second_person_above=4)
    held(live_db, ada, *many(4))
    deciding.release(shown(), rita)
    carried()
    assert counts() == {"queued": 4}


# -- judged again --------------------------------------------------------------------------------------------

FATES = {
    "its life is over": (
        "UPDATE outbox_delivery SET expires_at = now() - interval '1 s'",
        "expired approval_lapsed",
    ),
    "its run was cancelled": (
        "UPDATE outbox_run SET cancelled_at = now()",
        "cancelled run_cancelled",
    ),
    "its domain's records broke": (
        "UPDATE reputation_sendingdomain SET state = 'degraded'",
        "held recheck",
    ),
    "its agent was switched off": ("UPDATE outbox_agent SET enabled = false", "held first_contact"),
    "nothing": ("SELECT 1", "queued"),
}


@pytest.mark.parametrize("meanwhile", FATES)
def test_what_may_not_go_any_more_does_not(ada: Agent, live_db: Any, rita: User, meanwhile: str) -> None:
    happened, fate = FATES[meanwhile]
    held(live_db, ada, {})
    deciding.release(shown(), rita)
    ask(live_db, happened)  # type: ignore[arg-type]
    carried()
    assert statuses() == {"grace@example.org": fate}
    told = Event.objects.filter(kind__in=["released", "held", "cancelled", "expired"])
    assert told.count() == (fate != "held first_contact")


def test_who_left_meanwhile_is_not_mailed(ada: Agent, live_db: Any, rita: User, settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]
    held(live_db, ada, *many(2))
    suppression.suppress([suppression.complaint("n0@example.org", "arf")])
    deciding.release(shown(), rita)
    carried()
    assert statuses() == {"n0@example.org": "suppressed complaint", "n1@example.org": "queued"}


def test_what_is_stopped_stays_held_and_can_be_decided_again(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, {"to": ["a@gmail.test", "b@example.org"]}, {"to": "c@example.org"})
    killswitch.trip("recipient_domain:gmail.test", who="omar", why="a test")
    assert deciding.stopped(request().pk) == Stopped(["recipient_domain:gmail.test"], off=False, whole=False)
    deciding.release(shown(), rita)
    carried()
    assert statuses() == {
        "a@gmail.test": "held first_contact",
        "b@example.org": "held first_contact",
        "c@example.org": "queued",
    }, "a message goes whole or not at all"
    assert "stopped" in request().said
    ask(live_db, "DELETE FROM reputation_openstop")
    deciding.release(shown(), rita)
    carried()
    assert counts() == {"queued": 3}


WHOLE_STOPS = {
    "agent": (lambda: killswitch.trip("agent:ada", who="omar", why="a test"), "agent:ada"),
    "all": (lambda: killswitch.trip("all", who="omar", why="a test"), "all"),
    "off": (lambda: Agent.objects.update(enabled=False), "switched off"),
}


@pytest.mark.parametrize("kind", WHOLE_STOPS)
def test_what_is_stopped_whole_is_refused_and_not_released(
    ada: Agent, live_db: Any, rita: User, kind: str
) -> None:
    stop, named = WHOLE_STOPS[kind]
    Stream.objects.update(second_person_above=1)
    held(live_db, ada, *many(2))
    deciding.release(shown(), rita)
    stop()
    with pytest.raises(Overtaken, match=named):
        deciding.confirm(shown(), reviewer("omar"))
    deciding.withdraw(shown(), rita)
    for release in (deciding.release, deciding.release_in_waves):
        with pytest.raises(Overtaken, match=named):
            release(shown(), rita)
    deciding.refuse(shown(), rita, "not while this goes on")
    carried()
    assert counts() == {"refused": 2}


def test_approved_mail_of_a_broken_domain_goes_on_when_it_is_mended(
    ada: Agent, live_db: Any, rita: User
) -> None:
    held(live_db, ada, {})
    ask(live_db, "UPDATE reputation_sendingdomain SET state = 'degraded'")
    deciding.release(shown(), rita)
    carried()
    ask(live_db, "UPDATE reputation_sendingdomain SET state = 'verified'")
    assert ledger.release_rechecked() == 1


# -- deadlines, and whatever else ends it ---------------------------------------------------------------------


def test_what_nobody_decides_in_time_lapses_and_never_goes(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, *many(3, expires_at=None))
    page = shown()
    later(live_db, "24 hours 1 second")
    with pytest.raises(Overtaken):
        deciding.release(page, rita)
    releasing.tend()
    assert set(statuses().values()) == {"expired approval_lapsed"}
    one = request()
    assert (one.state, one.carrying) == ("lapsed", None)
    assert Decision.objects.get().who == "rule:deadline"
    with pytest.raises(Overtaken):
        deciding.release(shown(), rita)


def test_what_was_decided_in_time_is_carried_out_after_the_deadline(
    ada: Agent, live_db: Any, rita: User
) -> None:
    held(live_db, ada, *many(3))
    deciding.release(shown(), rita)
    later(live_db, "25 hours")
    releasing.tend()
    assert counts() == {"queued": 3}


def test_a_request_whose_members_are_gone_is_ended(ada: Agent, live_db: Any) -> None:
    first, second = held(live_db, ada, *many(2))
    ledger.cancel_message(first, "by_agent", "agent:ada")
    releasing.tend()
    assert request().state == "open"
    lineage.cancel(lineage.tree(ada.pk, "r1"), "agent:ada")
    releasing.tend()
    assert request().state == "ended"
    assert second


def test_what_comes_back_to_wait_for_a_person_is_asked_about(ada: Agent, live_db: Any, rita: User) -> None:
    [message] = accepted(ada, [draft({})])
    hold(live_db, [message], "poison")
    releasing.tend()
    one = request()
    assert (one.reasons, one.leaf and one.leaf.name) == (["poison"], "r1")
    releasing.tend()
    assert Held.objects.count() == 1
    deciding.release(shown(), rita)
    carried()
    assert counts() == {"queued": 1}


# -- waves ---------------------------------------------------------------------------------------------------


def settled(
    live_db: Any, status: str = "delivered", code: str = "accepted_by_server", most: int = 10_000
) -> None:
    """So many of those that are queued have come to this."""
    ask(live_db, "UPDATE outbox_delivery SET status = %s, code = %s, finished_at = now() WHERE id IN "
        "(SELECT id FROM outbox_delivery WHERE status = 'queued' ORDER BY id LIMIT %s)",
        status, code, most)  # fmt: skip


def test_waves_go_when_what_became_of_those_before_was_fine(ada: Agent, live_db: Any, rita: User) -> None:
    Stream.objects.update(second_person_above=1000)
    held(live_db, ada, *many(230))
    deciding.release_in_waves(shown(), rita)
    carried()
    held(live_db, ada, *to("late"))
    assert counts() == {"queued": 20, "held": 211}
    settled(live_db)
    releasing.tend()
    assert counts()["held"] == 211, "they are watched first"
    later(live_db, "16 minutes")
    releasing.tend()
    assert counts() == {"delivered": 20, "queued": 200, "held": 11}
    later(live_db, "16 minutes")
    releasing.tend()
    assert counts()["held"] == 11, "nothing became of them yet"
    settled(live_db)
    releasing.tend()
    assert counts() == {"delivered": 220, "queued": 10, "held": 1}
    assert request().state == "open"
    assert [one.kind for one in Decision.objects.order_by("id")] == ["waves", "wave", "wave"]


TROUBLE = {
    "addresses bounced": ("bounced", "recipient_unknown", 2),
    "refused for": ("bounced", "reputation_refused", 1),
}


@pytest.mark.parametrize("said", TROUBLE)
def test_waves_stop_by_themselves(ada: Agent, live_db: Any, rita: User, said: str) -> None:
    held(live_db, ada, *many(30))
    deciding.release_in_waves(shown(), rita)
    carried()
    settled(live_db, *TROUBLE[said])
    settled(live_db)
    later(live_db, "16 minutes")
    releasing.tend()
    assert counts()["held"] == 10
    one = request()
    assert (one.state, one.watching) == ("open", None)
    assert said in one.said
    stop = Decision.objects.latest("id")
    assert (stop.kind, stop.who) == ("stop", "rule:waves")


def test_one_bounce_of_twenty_stops_nothing(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, *many(30))
    deciding.release_in_waves(shown(), rita)
    carried()
    settled(live_db, "bounced", "recipient_unknown", 1)
    settled(live_db)
    later(live_db, "16 minutes")
    releasing.tend()
    assert "held" not in counts()


def test_a_trip_of_its_scope_stops_the_waves(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, *many(30))
    deciding.release_in_waves(shown(), rita)
    carried()
    killswitch.trip("agent:ada", who="omar", why="a test")
    releasing.tend()
    assert request().said == "agent:ada is stopped"
    later(live_db, "16 minutes")
    releasing.tend()
    assert counts() == {"queued": 20, "held": 10}


def test_a_person_stops_the_waves(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, *many(30))
    deciding.release_in_waves(shown(), rita)
    carried()
    settled(live_db)
    deciding.stop_waves(shown(), rita, "look first")
    later(live_db, "16 minutes")
    releasing.tend()
    assert counts() == {"delivered": 20, "held": 10}


# -- crashes, and those who come between ----------------------------------------------------------------------


def test_whoever_dies_between_two_pages_another_goes_on(
    ada: Agent, live_db: Any, rita: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr(releasing, "PAGE", 2)
    held(live_db, ada, *many(5))
    deciding.release(shown(), rita)
    releasing.advance(request().pk, 0)
    assert counts() == {"queued": 2, "held": 3}
    releasing.tend()
    assert counts() == {"queued": 5}


def test_a_refusal_stops_a_release_that_is_under_way(
    ada: Agent, live_db: Any, rita: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr(releasing, "PAGE", 2)
    held(live_db, ada, *many(5))
    deciding.release(shown(), rita)
    releasing.advance(request().pk, 0)
    with pytest.raises(Overtaken):
        deciding.release(shown(), rita)
    deciding.refuse(shown(), reviewer("omar"), "stop this")
    carried()
    assert counts() == {"queued": 2, "refused": 3}


def test_a_page_that_was_read_before_the_refusal_moves_nothing_after_it(
    ada: Agent, live_db: Any, rita: User, monkeypatch: Any
) -> None:
    held(live_db, ada, *many(2))
    deciding.release(shown(), rita)
    reasons = releasing._reasons

    def refused_meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(releasing, "_reasons", reasons)
        deciding.refuse(shown(), reviewer("omar"), "stop this")
        return reasons(*args)

    monkeypatch.setattr(releasing, "_reasons", refused_meanwhile)
    releasing.advance(request().pk)
    assert counts() == {"held": 2}
    carried()
    assert counts() == {"refused": 2}


def test_a_policy_that_is_edited_stops_a_release_that_is_under_way(
    ada: Agent, live_db: Any, rita: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr(releasing, "PAGE", 2)
    held(live_db, ada, *many(5))
    deciding.release(shown(), rita)
    releasing.advance(request().pk, 0)
    Stream.objects.update(policy_version=9)
    carried()
    assert counts() == {"queued": 2, "held": 3}
    assert "version 9" in request().said


# -- waits ---------------------------------------------------------------------------------------------------


def test_the_projected_wait_follows_what_was_decided(ada: Agent, live_db: Any, rita: User) -> None:
    assert approvals.projected_wait(ada.stream_id) == waits.Wait(None, None)
    held(live_db, ada, *many(2))
    later(live_db, "10 minutes")
    deciding.release(shown(), rita)
    waits.forget()
    wait = approvals.projected_wait(ada.stream_id)
    assert wait.p50 == pytest.approx(600, abs=10)
    assert wait.p90 == pytest.approx(600, abs=10)


def test_a_pause_in_which_nothing_waited_makes_nobody_slow(ada: Agent, live_db: Any, rita: User) -> None:
    held(live_db, ada, *many(2))
    later(live_db, "1 minute")
    deciding.release(shown(), rita)
    later(live_db, "7 hours")
    for place in range(3):
        held(live_db, ada, *many(1), cluster=place)
    waits.forget()
    wait = approvals.projected_wait(ada.stream_id)
    assert wait.p50 == pytest.approx(180, abs=10)  # three wait, one took a minute
    later(live_db, "30 hours")
    waits.forget()
    assert approvals.projected_wait(ada.stream_id).p90 == waits.LONGEST


def test_what_nobody_looks_at_is_told_honestly(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, {})
    later(live_db, "5 hours")
    waits.forget()
    assert approvals.projected_wait(ada.stream_id).p90 == pytest.approx(18000, abs=10)


def test_keys_of_another_cluster_do_not_hide_what_is_held(ada: Agent, live_db: Any, rita: User) -> None:
    """Restored from a dump: members carry transactions that this cluster has not come to."""
    held(live_db, ada, *many(2))
    ask(live_db, "UPDATE outbox_held SET joined = '99999999999'::xid8")
    deciding.release(shown(), rita)
    carried()
    assert counts() == {"queued": 2}

"""What receivers say closes the narrowest scope that explains it, through the whole stack, within a second.

Mixes are posted in one go, before anything is heard of them: what goes out until the stop is up to the worker, which
speaks to few at once here, so that what was under way at that moment does not hide how soon it was judged.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import count

import pytest

from tests.walks.harness.inside import NotAccepted
from tests.walks.harness.installation import Accepted, Installation, Template
from tests.walks.harness.waiting import until

Mix = tuple[float, float]
SENDING = "192.0.2.7"
HEALTHY, BAD, UNKNOWN_LIST = (0.01, 0.0005), (0.08, 0.005), (0.30, 0.0)  # bounces, complaints
PREDICTED = {BAD: 82, UNKNOWN_LIST: 13}

JUDGED = """
UPDATE outbox_agent SET exempt = false, recipients_per_hour = 1000000, recipients_per_day = 1000000,
    recipients_per_run = 1000000, domains_per_run = 1000000
"""
# From the settle of a refusal, or the signal of a report, to the commit of the trip that it led to.
WAITED = """
SELECT extract(epoch FROM e.at - greatest(
    (SELECT max(ended_at) FROM outbox_attempt WHERE outcome = 'bounced' AND ended_at <= e.at),
    (SELECT max(at) FROM outbox_signal WHERE at <= e.at)))::float8 AS seconds
FROM reputation_switchevent AS e WHERE e.action = 'trip' AND e.who LIKE 'rule:%%' AND e.scope LIKE 'run:bob/run-%%'
"""
STRONG = "SELECT * FROM reputation_judgement WHERE scope = %s AND strength = 'strong'"
_numbers = count()


@pytest.fixture(scope="module")
def judged(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One without beat for all tests, whose agents are judged like anybody's; each test has an agent of its own."""
    with Installation.of(
        template, tmp_path_factory.mktemp("judged"), AO_MAX_CONVERSATIONS="8", AO_SENDING_ADDRESSES=SENDING
    ) as here:
        here.ask(JUDGED)
        here.returns()
        here.worker()
        yield here


def mixed(mix: Mix, chance: random.Random) -> str:
    """Somebody who takes it, is unknown, or complains; each at a domain of their own."""
    number, roll = next(_numbers), chance.random()
    bounces, complaints = mix
    who = "nobody" if roll < bounces else "complain" if roll < bounces + complaints else "ok"
    return f"{who}.{number}@d{number}.test"


def send(here: Installation, to: Sequence[str], run: str, agent: str = "ada") -> list[Accepted]:
    of_run = {"subject": "A mix", "text": "x", "agent": {"run_id": run}}
    return here.post_many([{"to": address} | of_run for address in to], agent)


def send_mix(here: Installation, mix: Mix, number: int, run: str, agent: str = "ada") -> list[Accepted]:
    chance = random.Random(run + agent)
    return send(here, [mixed(mix, chance) for _ in range(number)], run, agent)


def stops(here: Installation) -> set[str]:
    return {row.scope for row in here.ask("SELECT scope FROM reputation_openstop")}


def until_closed(here: Installation, scope: str) -> None:
    until(lambda: scope in stops(here), 60, f"{scope} is closed", lambda: (stops(here), here.statuses()))


def test_healthy_mail_goes_out_whole(judged: Installation) -> None:
    sent = send_mix(judged, HEALTHY, 400, "r1", "carol")
    judged.until_quiet()
    assert stops(judged) == set()
    assert judged.statuses(sent)["bounced"] > 1
    counted = "SELECT scope FROM reputation_watch WHERE scope = 'agent:carol' AND signal = 'bounces' AND trials = 400"
    until(lambda: judged.ask(counted), 20, "all are counted")


def test_mail_of_an_agent_for_trying_is_never_judged(judged: Installation) -> None:
    judged.ask("UPDATE outbox_agent SET exempt = true WHERE name = 'bob'")
    sent = send_mix(judged, UNKNOWN_LIST, 60, "r1", "bob")
    judged.until_quiet()
    judged.ask(JUDGED)
    assert judged.statuses(sent)["bounced"] > 10
    assert stops(judged) == set()
    assert judged.ask("SELECT scope FROM reputation_watch WHERE scope = 'agent:bob'") == []


def test_one_refusal_by_a_named_provider_for_what_we_are_closes_the_domain_there(
    judged: Installation,
) -> None:
    scope = "domain_provider:support.acme.test/gmail"
    send(judged, ["auth@gmail.test"], "r2", "carol")
    until_closed(judged, scope)
    assert stops(judged) == {scope}
    [event] = judged.ask("SELECT who, why FROM reputation_switchevent WHERE scope = %s", scope)
    assert event.who == "rule:authentication"
    assert "5.7.26" in event.why
    judged.resume(scope)


def test_a_block_list_that_a_stranger_names_closes_the_domain_once_it_says_so_itself(
    judged: Installation,
) -> None:
    scope = "domain:support.acme.test"
    judged.publish(**{"7.2.0.192.zen.spamhaus.org": "127.0.0.3"})
    send(judged, ["block@stranger.test"], "r3", "carol")
    until_closed(judged, scope)
    assert stops(judged) == {scope}
    [event] = judged.ask("SELECT who, why FROM reputation_switchevent WHERE scope = %s", scope)
    assert event.who == "rule:block_list"
    assert event.why.startswith("192.0.2.7 is on zen.spamhaus.org (CSS), by our own look-up")
    judged.publish()
    judged.resume(scope)


def test_a_bad_run_is_closed_and_a_second_one_closes_its_agent(judged: Installation) -> None:
    sent = send_mix(judged, BAD, 600, "r1")
    until_closed(judged, "run:ada/r1")
    assert stops(judged) == {"run:ada/r1"}
    [row] = judged.ask(STRONG, "run:ada/r1")
    [event] = judged.ask("SELECT * FROM reputation_switchevent WHERE scope = 'run:ada/r1'")
    assert (event.epoch, event.who, event.why) == (row.epoch, f"rule:{row.rule}", row.why)
    assert row.arithmetic["trials"] < 2 * PREDICTED[BAD]
    judged.until_quiet(waiting=["queued"])
    assert judged.statuses(sent)["queued"] > 300  # what was not on its way stays
    # other runs and agents are not blamed for it
    judged.until_status(send(judged, ["ok@fine.test"], "r2"), "delivered")

    send_mix(judged, UNKNOWN_LIST, 200, "r3")
    until_closed(judged, "agent:ada")
    assert stops(judged) == {"run:ada/r1", "run:ada/r3", "agent:ada"}
    [row] = judged.ask(STRONG, "run:ada/r3")
    assert row.arithmetic["trials"] < 3 * PREDICTED[UNKNOWN_LIST]  # one draw of it
    [row] = judged.ask(STRONG, "agent:ada")
    assert row.arithmetic["without"]["events"] >= 4
    with pytest.raises(NotAccepted, match="stopped"):
        send(judged, ["ok@fine.test"], "r4")
    judged.until_status(send(judged, ["ok@fine.test"], "r2", "bob"), "delivered")
    judged.until_quiet(waiting=["queued"])
    judged.check_invariants()


def test_from_the_refusal_or_the_complaint_to_the_stop_it_is_less_than_a_second(judged: Installation) -> None:
    for turn in range(12):
        judged.ask("DELETE FROM reputation_watch")  # each turn alone: nothing is held for what came before
        who = "complain" if turn % 3 == 2 else "nobody"
        run = f"run-{turn}"
        send(judged, [f"{who}.{turn}-{each}@w{turn}-{each}.test" for each in range(6)], run, "bob")
        until_closed(judged, f"run:bob/{run}")
        judged.until_quiet(waiting=["queued", "held"])
    waited = sorted(row.seconds for row in judged.ask(WAITED))
    assert len(waited) == 12
    print(f"\nfrom evidence to trip: median {waited[6] * 1000:.0f} ms, slowest {waited[-1] * 1000:.0f} ms")


@pytest.mark.soak
def test_twenty_thousand_healthy_messages_go_out_whole(judged: Installation) -> None:
    sent = [one for turn in range(10) for one in send_mix(judged, HEALTHY, 2000, f"r{turn}")]
    judged.until_quiet(1800)
    assert stops(judged) == set()
    assert 150 < judged.statuses(sent)["bounced"] < 260


@pytest.mark.soak
@pytest.mark.parametrize("mix", [BAD, UNKNOWN_LIST], ids=["bad", "unknown list"])
def test_bad_mixes_are_closed_when_they_are_expected_to_be(judged: Installation, mix: Mix) -> None:
    trials = []
    for turn in range(30):
        judged.ask(
            "DELETE FROM reputation_watch"
        )  # each turn alone: what came before would close the agent first
        judged.ask("DELETE FROM outbox_budget WHERE kind = 'root_runs'")
        run = f"bad-{mix[0]:.0%}-{turn}".replace("%", "")
        send_mix(judged, mix, 1000, run)
        until_closed(judged, f"run:ada/{run}")
        judged.until_quiet(300, waiting=["queued"])
        trials.append(judged.ask(STRONG, f"run:ada/{run}")[0].arithmetic["trials"])
        for scope in stops(judged):
            if not scope.startswith("run:"):
                judged.resume(scope)
    mean = sum(trials) / len(trials)
    print(f"\n{mean:.0f} messages to a trip on average, {PREDICTED[mix]} were predicted: {trials}")
    assert PREDICTED[mix] / 2 < mean < 2 * PREDICTED[mix]

"""The rules, one by one and in their order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from outbox import policies
from outbox.fingerprints import Earlier, Likeness
from outbox.payloads import Draft, parse_draft
from outbox.policies import Facts, judge
from outbox.policy_numbers import DEFAULT, LENIENT, TRANSACTIONAL, Policy

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACTS = Facts(
    now=NOW,
    stream="agents-support",
    stream_kind="agents",
    policy_version=3,
    domain="agents.acme.test",
    signed=True,
    stopped_scope=None,
    weak_scope=None,
    run_cancelled=False,
    expires_at=NOW + timedelta(days=5),
    forecast_at=NOW,
    degraded=False,
    exempt=False,
    recipients=1,
    recipients_per_message=None,
    budgets=(),
    suppressed=frozenset(),
    test_names=False,
)


def draft(**more: Any) -> Draft:
    body = {"to": "grace@example.org", "subject": "Hi", "text": "Hi Grace", **more}
    return parse_draft(body, now=NOW, idempotency_key=None)


def test_nothing_in_the_way_is_a_release() -> None:
    verdict = judge(draft(), FACTS)
    assert (verdict.word, verdict.holds) == ("release", ())


@pytest.mark.parametrize(
    ("facts", "body", "code"),
    [
        ({"signed": False}, {}, "lane_not_ready"),  # never unsigned
        ({"domain": None}, {}, "lane_not_ready"),  # nothing enrolled
        ({"stopped_scope": "agents"}, {}, "stopped"),
        ({"run_cancelled": True}, {"agent": {"run_id": "r-1"}}, "run_cancelled"),
        ({}, {"to": ["a@example.org", "b@gmail.test"]}, "validation_failed"),  # a simulator's name
        ({}, {"from": "ceo@acme.test"}, "sender_not_in_lane"),  # the organisational domain itself
        ({}, {"from": "ada@evil.agents.acme.test"}, "sender_not_in_lane"),  # below the sending domain
        ({}, {"from": "ada@agents.acme.test.evil.example"}, "sender_not_in_lane"),
        ({"forecast_at": NOW + timedelta(days=5)}, {}, "forecast_past_expiry"),
        ({"forecast_at": None}, {}, "forecast_past_expiry"),  # not within years
        ({"stopped_scope": "all", "signed": False}, {}, "stopped"),  # the first refusal is the answer
    ],
)
def test_what_is_refused_and_why(facts: dict[str, Any], body: dict[str, Any], code: str) -> None:
    verdict = judge(draft(**body), replace(FACTS, **facts))
    assert verdict.refusal is not None
    assert verdict.refusal.code == code


def test_a_stopped_transactional_stream_keeps_accepting() -> None:
    facts = replace(FACTS, stream_kind="transactional", stopped_scope="all")
    assert judge(draft(), facts).word == "release"


@pytest.mark.parametrize("sender", ["ada@agents.acme.test", "Ada <ada@AGENTS.acme.TEST>"])
def test_an_address_of_the_sending_domain_may_be_the_sender(sender: str) -> None:
    assert judge(draft(**{"from": sender}), FACTS).word == "release"


def test_the_agent_for_loading_is_told_and_not_refused_what_its_ramp_forecasts() -> None:
    assert judge(draft(), replace(FACTS, forecast_at=None, exempt=True)).word == "release"


def test_new_mail_of_a_domain_whose_records_broke_is_held() -> None:
    verdict = judge(draft(), replace(FACTS, degraded=True))
    assert [hold.code for hold in verdict.holds] == ["recheck"]


GRACE = "grace@example.org"
MESSAGE = UUID("0193536f-2d00-7000-8000-000000000001")


def codes(facts: Facts, **body: Any) -> list[str]:
    verdict = judge(draft(**body), facts)
    assert verdict.refusal is None, verdict.refusal
    return [hold.code for hold in verdict.holds]


def near(
    hours: float = 24, within_hour: int = 0, message: UUID | None = MESSAGE, to: str = GRACE
) -> Likeness:
    return Likeness({to: Earlier(message, NOW - timedelta(hours=hours), within_hour)}, 7, 1)


def by(**numbers: Any) -> Facts:
    return replace(FACTS, policy=replace(DEFAULT, **numbers))


@pytest.mark.parametrize(
    ("facts", "body", "code"),
    [
        ({"first_contacts": frozenset({GRACE})}, {}, "first_contact"),
        ({"accepted_before": 9}, {}, "new_agent"),  # the tenth
        ({"run_recent": 9, "recipients": 2}, {}, "run_recipients"),  # more than ten within ten minutes
        ({"likeness": Likeness({}, 7, 6)}, {}, "cluster_size"),
        ({}, {"attachments": [{"filename": "a.exe", "content": "TVo="}]}, "attachment_type"),
        ({}, {"to": "grace@paypa1.com"}, "lookalike_domain"),
        ({}, {"text": "See https://paypa1.com/login"}, "lookalike_domain"),
        ({}, {"reply_to": "ceo@acme-billing.com"}, "lookalike_domain"),
        ({}, {"text": "Hi {{name}}"}, "content_lint"),
        ({}, {"html": '<a href="https://evil.example">https://bank.example</a>'}, "link_mismatch"),
        ({"policy": replace(DEFAULT, quiet_from=22, quiet_until=13)}, {}, "quiet_hours"),
        ({"policy": replace(DEFAULT, hold_everything=True)}, {}, "policy"),
    ],
)
def test_what_is_held_and_why(facts: dict[str, Any], body: dict[str, Any], code: str) -> None:
    told = replace(FACTS, own_domains=frozenset({"acme.test"}), **facts)
    assert codes(told, **body) == [code]
    assert codes(replace(told, exempt=True), **body) == []
    lenient = replace(told, policy=LENIENT)
    assert codes(lenient, **body) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"accepted_before": 10},
        {"run_recent": 9, "recipients": 1},
        {"likeness": Likeness({}, 7, 5)},
        {"policy": replace(DEFAULT, quiet_from=13, quiet_until=22)},
        {"policy": replace(DEFAULT, quiet_from=12, quiet_until=12)},  # none
        {"policy": replace(DEFAULT, first_contact=False), "first_contacts": frozenset({GRACE})},
        {"policy": replace(DEFAULT, run_recipients=0), "run_recent": 1000},
    ],
)
def test_what_is_within_the_numbers_goes(facts: dict[str, Any]) -> None:
    assert codes(replace(FACTS, **facts)) == []


def test_quiet_hours_are_those_of_their_time_zone() -> None:
    at_night = by(quiet_from=1, quiet_until=3, quiet_zone="Asia/Tokyo")
    assert codes(at_night, scheduled_at="2026-11-23T17:30:00Z") == ["quiet_hours"]  # 02:30 there
    assert codes(at_night, scheduled_at="2026-11-23T18:30:00Z") == []


@pytest.mark.parametrize(
    ("to", "at", "held"),
    [
        (["a@example.com"], "2026-11-23T02:30:00Z", True),  # tells no country: the stream's hours
        (["a@example.io"], "2026-11-23T02:30:00Z", True),
        (["a@example.de"], "2026-11-23T02:30:00Z", False),
        (["a@example.de"], "2026-11-23T01:30:00Z", True),
        (["a@example.co.uk"], "2026-11-23T02:30:00Z", True),
        (["a@example.co.uk"], "2026-11-23T01:30:00Z", False),
        (["a@example.de", "b@example.jp"], "2026-11-23T17:30:00Z", True),
        (["a@example.com.au"], "2026-11-23T15:30:00Z", True),  # half past two, in Sydney alone
    ],
)
def test_quiet_hours_are_those_of_the_recipients_country(to: list[str], at: str, held: bool) -> None:
    at_night = by(quiet_from=2, quiet_until=3)
    assert codes(at_night, to=to, scheduled_at=at) == ["quiet_hours"] * held
    everywhere = by(quiet_from=2, quiet_until=3, quiet_by_region=False)
    assert codes(everywhere, to=to, scheduled_at=at) == ["quiet_hours"] * ("T02:" in at)


def test_reasons_are_told_in_the_order_of_the_rules() -> None:
    facts = replace(
        FACTS,
        degraded=True,
        first_contacts=frozenset({GRACE}),
        accepted_before=0,
        likeness=Likeness({}, 1, 9),
    )
    verdict = judge(draft(text="Hi {{name}}"), facts)
    assert [hold.code for hold in verdict.holds] == [
        *("recheck", "first_contact", "new_agent", "cluster_size", "content_lint")
    ]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"degraded": True}, "recheck"),
        ({"degraded": True, "weak_scope": "agent:ada"}, "recheck"),
        ({"degraded": True, "accepted_before": 0}, "new_agent"),  # or right records would let it go unseen
        ({"weak_scope": "agent:ada", "first_contacts": frozenset({GRACE})}, "first_contact"),
    ],
)
def test_a_delivery_is_held_for_what_a_person_must_decide(facts: dict[str, Any], code: str) -> None:
    assert judge(draft(), replace(FACTS, **facts)).code == code


# -- the same again ------------------------------------------------------------------------------------------


def test_a_copy_is_refused_and_names_what_came_before() -> None:
    refusal = judge(draft(), replace(FACTS, likeness=near())).refusal
    assert refusal is not None
    assert (refusal.code, refusal.status) == ("duplicate_content", 403)
    assert "msg_" in refusal.detail
    assert "24 h ago" in refusal.detail


def test_of_another_agents_message_only_the_age_is_told() -> None:
    refusal = judge(draft(), replace(FACTS, likeness=near(message=None))).refusal
    assert refusal is not None
    assert refusal.detail == "The recipient had nearly the same content 24 h ago."


def test_who_had_it_gets_nothing_and_the_others_their_mail() -> None:
    facts, to = replace(FACTS, likeness=near()), [GRACE, "bob@example.org"]
    assert judge(draft(to=to), facts).word == "release"
    assert policies.duplicates(draft(to=to), facts) == {GRACE}
    whole = judge(draft(to=to, all_or_nothing=True), facts).refusal
    assert whole is not None
    assert whole.code == "duplicate_content"


def test_another_spelling_of_the_same_person_is_the_same_person() -> None:
    facts, to = replace(FACTS, likeness=near()), [GRACE, "Grace+x@example.org", "bob@example.org"]
    assert policies.duplicates(draft(to=to), facts) == {GRACE, "Grace+x@example.org"}


@pytest.mark.parametrize(
    ("likeness", "kind", "text", "word"),
    [
        (near(0.1), "one_time_code", "Your code is 482913", "release"),
        (near(0.1), "one_time_code", "Buy now", "refuse"),  # a tag alone is no code
        (near(0.1), "support", "Your code is 482913", "refuse"),
        (near(21), "reminder", "Your visit is tomorrow", "release"),
        (near(19), "reminder", "Your visit is tomorrow", "refuse"),  # twice a day is no reminder
        (near(0.1, within_hour=3), "one_time_code", "Your code is 482913", "refuse"),  # the fourth in an hour
    ],
)
def test_what_may_be_repeated(likeness: Likeness, kind: str, text: str, word: str) -> None:
    tags = [{"name": "kind", "value": kind}]
    assert judge(draft(text=text, tags=tags), replace(FACTS, likeness=likeness)).word == word
    strict = replace(FACTS, likeness=likeness, policy=replace(DEFAULT, repeats=()))
    assert judge(draft(text=text, tags=tags), strict).word == "refuse"


@pytest.mark.parametrize(("within_hour", "loops"), [(2, False), (3, True), (9, True)])
def test_the_fourth_within_an_hour_is_a_loop(within_hour: int, loops: bool) -> None:
    facts = replace(FACTS, likeness=near(0.1, within_hour))
    assert (policies.loop(facts) is not None) is loops
    assert policies.loop(replace(facts, exempt=True)) is None
    assert policies.loop(replace(facts, policy=replace(DEFAULT, loop_repeats=0))) is None


# -- content that never leaves, and waits that are too long ---------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"text": "-----BEGIN PRIVATE KEY-----\nMIIE"},
        {"subject": "ao_live_abcdefgh_0123456789abcdefghij"},
        {"text": "x", "html": "<script>alert(1)</script>"},
        {"text": "x", "html": '<img src="x" onerror="alert(1)">'},
    ],
)
def test_secrets_and_scripts_are_refused_not_held(body: dict[str, Any]) -> None:
    refusal = judge(draft(**body), FACTS).refusal
    assert refusal is not None
    assert (refusal.code, str(refusal.retry)) == ("content_refused", "when_changed")
    assert "0123456789" not in refusal.detail


@pytest.mark.parametrize(
    ("wait", "facts", "code"),
    [
        (3600.0, {"accepted_before": 0}, None),
        (5 * 86400.0, {"accepted_before": 0}, "approval_wait_past_expiry"),
        (5 * 86400.0, {}, None),  # nothing waits for a person
        (5 * 86400.0, {"degraded": True}, None),  # goes on by itself
        (None, {"accepted_before": 0}, None),  # nobody knows
    ],
)
def test_what_would_lapse_in_the_queue_is_refused_at_the_door(
    wait: float | None, facts: dict[str, Any], code: str | None
) -> None:
    refusal = judge(draft(), replace(FACTS, projected_wait=wait, **facts)).refusal
    assert (refusal and refusal.code) == code


def test_transactional_mail_is_held_for_nothing_by_itself() -> None:
    facts = replace(
        FACTS,
        stream_kind="transactional",
        policy=TRANSACTIONAL,
        first_contacts=frozenset({GRACE}),
        accepted_before=0,
        run_recent=500,
        likeness=Likeness({}, 7, 500),
    )
    assert codes(facts, text="Hi {{name}}, see https://paypa1.com") == []


def test_a_survey_says_what_each_rule_says() -> None:
    facts = replace(FACTS, stopped_scope="agents", accepted_before=0, first_contacts=frozenset({GRACE}))
    found = policies.survey(draft(), facts)
    assert list(found) == [*policies.RULES, "approval_wait_past_expiry"]
    assert {name for name, finding in found.items() if finding} == {"stopped", "new_agent", "first_contact"}


# -- the numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"new_agent": -1}, "new_agent"),
        ({"new_agent": 101}, "new_agent"),  # further nobody counts
        ({"new_agent": True}, "new_agent"),
        ({"quiet_zone": "Nowhere/Town"}, "quiet_zone"),
        ({"quiet_from": 25}, "quiet_from"),
        ({"repeats": ("anything",)}, "repeats"),
        ({"own_domains": "acme.test"}, "own_domains"),
    ],
)
def test_numbers_that_cannot_be_are_refused(numbers: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Policy(**numbers)

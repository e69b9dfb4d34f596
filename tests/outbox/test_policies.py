"""The rules, one by one and in their order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outbox.payloads import Draft, parse_draft
from outbox.policies import Facts, judge

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

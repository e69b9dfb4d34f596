"""The closed list of refusals, and how one is written (RFC 9457)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from outbox.problems import CODES, VIOLATIONS, Problem, Refused, Retry, Violation, body_of, instant, refused

# The contract's list, written down a second time: a code may be added, never changed.
CONTRACT = {
    (400, "never"): "malformed_json idempotency_key_invalid",
    (401, "never"): "unauthenticated key_expired",
    (403, "ask_human"): "insufficient_scope agent_disabled run_budget_exhausted lane_not_ready stopped "
    "approval_wait_past_expiry",
    (404, "never"): "not_found",
    (409, "never"): "not_cancellable idempotency_key_reused run_parent_conflict",
    (409, "after"): "idempotency_in_progress",
    (413, "never"): "payload_too_large",
    (422, "when_changed"): "validation_failed run_parent_unknown",
    (422, "never"): "recipient_suppressed",
    (403, "when_changed"): "sender_not_in_lane content_refused forecast_past_expiry",
    (403, "never"): "duplicate_content run_cancelled",
    (
        429,
        "after",
    ): "agent_hour_limit agent_day_limit principal_limit stream_limit organisation_limit request_rate_limited "
    "probing",
    (503, "after"): "undecidable",
}


def test_every_code_of_the_contract_has_its_status_and_retry_and_there_is_no_other() -> None:
    promised = {code: meaning for meaning, codes in CONTRACT.items() for code in codes.split()}
    assert {code: (kind.status, str(kind.retry)) for code, kind in CODES.items()} == promised


def test_waiting_is_advised_exactly_where_the_status_is_one_of_those_that_pass() -> None:
    for code, kind in CODES.items():
        assert (kind.retry is Retry.AFTER) == (kind.status in (429, 503) or code == "idempotency_in_progress")


def test_the_violation_codes_are_the_contracts() -> None:
    assert " ".join(sorted(VIOLATIONS)) == (
        "bad_address bad_base64 bad_value control_character encoded_word header_not_allowed missing too_long "
        "too_many unknown_field"
    )


@pytest.mark.parametrize("code", CODES)
def test_a_problem_says_all_that_the_contract_asks_for(code: str) -> None:
    body = body_of(Problem(code, "Why."), "req_1", "https://mail.acme.test")
    assert body["type"] == f"https://mail.acme.test/v1/errors/{code}"
    assert (body["status"], body["title"]) == (CODES[code].status, CODES[code].title)
    assert (body["code"], body["detail"], body["request_id"]) == (code, "Why.", "req_1")
    assert body["retry"] in {"never", "after", "when_changed", "ask_human"}
    assert body["remedy"]
    assert not {"scope", "limit", "used", "remaining"} & set(body)  # no limit spoke


def test_a_limit_that_spoke_is_shown_even_at_zero() -> None:
    problem = Problem("agent_day_limit", "Full.", scope="agent", limit=0, used=0, remaining=0)
    body = body_of(problem, "r", "")
    assert (body["scope"], body["limit"], body["used"], body["remaining"]) == ("agent", 0, 0, 0)


def test_violations_and_next_steps_are_written_out() -> None:
    call = {"method": "GET", "href": "/v1/whoami"}
    violation = Violation("/to/0", "bad_address", "No.")
    body = body_of(Problem("validation_failed", "x", remedy=(call, "y"), violations=(violation,)), "r", "")
    assert body["remedy"] == [call, "y"]
    assert body["violations"] == [{"pointer": "/to/0", "code": "bad_address", "detail": "No."}]


@pytest.mark.parametrize(
    ("code", "untrue"),
    [
        ("run_budget_exhausted", "nothing left"),  # of two that are left, three were wanted
        ("validation_failed", "message"),  # of a stop, a budget, a query too
        ("recipient_suppressed", "No recipient"),  # with all_or_nothing one is enough
    ],
)
def test_a_title_is_true_of_all_that_its_code_refuses(code: str, untrue: str) -> None:
    assert untrue not in CODES[code].title


def test_a_code_that_is_not_on_the_list_cannot_be_said() -> None:
    with pytest.raises(KeyError):
        Problem("quota_exceeded", "x")


def test_the_exception_carries_the_problem() -> None:
    error = refused("not_found", "No.", scope="x")
    assert isinstance(error, Refused)
    assert error.problem == Problem("not_found", "No.", scope="x")


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 11, 23, 9, 10, tzinfo=UTC), "2026-11-23T09:10:00.000Z"),
        (datetime(2026, 11, 23, 9, 10, 0, 1999, tzinfo=UTC), "2026-11-23T09:10:00.001Z"),
        (datetime(2026, 11, 23, 9, 10, tzinfo=timezone(timedelta(hours=2))), "2026-11-23T07:10:00.000Z"),
    ],
)
def test_instants_are_in_utc(at: datetime, text: str) -> None:
    assert instant(at) == text

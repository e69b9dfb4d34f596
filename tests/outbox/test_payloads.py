"""What a post may hold, tried by people who mean well and by others."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox import ids
from outbox.payloads import (
    MAX_VIOLATIONS,
    Accepted,
    AcceptedDelivery,
    Draft,
    accepted_body,
    parse_batch,
    parse_draft,
    parse_json,
    parse_preflight,
)
from outbox.problems import VIOLATIONS, Problem, Refused

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
POST: dict[str, Any] = {"to": "grace@example.org", "subject": "Hello", "text": "Hi Grace"}
FILE = {"filename": "a.pdf", "content": "aGk=", "content_type": "application/pdf"}

FULL: dict[str, Any] = {
    "from": "Ada at Acme <ada@agents.acme.example>",
    "to": ["grace@example.org"],
    "cc": [],
    "bcc": [],
    "reply_to": "ada@acme.example",
    "subject": "Your question about invoices",
    "text": "Hi Grace, ...",
    "html": "<p>Hi Grace, ...</p>",
    "headers": {"X-Ticket": "4711"},
    "attachments": [FILE | {"content_id": None}],
    "tags": [{"name": "kind", "value": "support"}],
    "scheduled_at": None,
    "expires_at": "2026-12-01T00:00:00Z",
    "priority": "normal",
    "agent": {
        "run_id": "r-81",
        "parent_run_id": "r-7",
        "on_behalf_of": "user:grace",
        "purpose": "answer ticket 4711",
    },
}


def draft(**fields: Any) -> Draft:
    return parse_draft(POST | fields, now=NOW, idempotency_key=None)


def refusal(data: Any) -> Problem:
    with pytest.raises(Refused) as caught:
        parse_draft(data, now=NOW, idempotency_key=None)
    return caught.value.problem


def violations(**fields: Any) -> list[tuple[str, str]]:
    problem = refusal(POST | fields)
    assert problem.code == "validation_failed"
    assert all(each.code in VIOLATIONS and each.detail for each in problem.violations)
    return [(each.pointer, each.code) for each in problem.violations]


# -- what is right -------------------------------------------------------------------------------------------


def test_the_contracts_example_is_read_whole() -> None:
    read = parse_draft(FULL, now=NOW, idempotency_key="k")
    assert read.sender is not None
    assert (read.sender.name, read.sender.addr) == ("Ada at Acme", "ada@agents.acme.example")
    assert [each.addr for each in read.to] == ["grace@example.org"]
    assert [each.addr for each in read.reply_to] == ["ada@acme.example"]
    assert read.headers == (("X-Ticket", "4711"),)
    assert (read.attachments[0].filename, read.attachments[0].content) == ("a.pdf", b"hi")
    assert read.tags == ({"name": "kind", "value": "support"},)
    assert (read.scheduled_at, read.expires_at) == (None, datetime(2026, 12, 1, tzinfo=UTC))
    assert (read.run_id, read.parent_run_id) == ("r-81", "r-7")
    assert (read.on_behalf_of, read.purpose) == ("user:grace", "answer ticket 4711")
    assert (read.priority, read.all_or_nothing, read.idempotency_key) == (1, False, "k")


def test_the_least_post_is_enough() -> None:
    read = draft()
    assert (read.sender, read.cc, read.html, read.run_id) == (None, (), None, None)


@pytest.mark.parametrize(("word", "number"), [("high", 0), ("normal", 1), ("low", 2)])
def test_priorities_sort_high_before_low(word: str, number: int) -> None:
    assert draft(priority=word).priority == number


def test_null_is_the_same_as_leaving_an_optional_field_out() -> None:
    names = [
        "from",
        "cc",
        "bcc",
        "reply_to",
        "html",
        "headers",
        "attachments",
        "tags",
        "scheduled_at",
        "expires_at",
        "agent",
    ]
    spoken, silent = draft(**dict.fromkeys(names)), draft()
    assert [getattr(spoken, each) for each in Draft.__slots__ if each != "digest"] == [
        getattr(silent, each) for each in Draft.__slots__ if each != "digest"
    ]


def test_a_missing_text_is_made_from_the_html() -> None:
    assert (
        "Hi Grace"
        in parse_draft(
            {"to": "a@example.org", "subject": "x", "html": "<p>Hi <b>Grace</b></p>"},
            now=NOW,
            idempotency_key=None,
        ).text
    )


def test_each_person_is_a_recipient_once_in_the_order_given() -> None:
    read = draft(
        to=["b@example.org", "a@example.org"],
        cc="B@EXAMPLE.org",
        bcc=["a+news@example.org", "c@example.org"],
    )
    assert [each.addr for each in read.recipients] == ["b@example.org", "a@example.org", "c@example.org"]


def test_line_ends_become_line_feeds_and_tabs_stay() -> None:
    assert draft(text="a\r\nb\n\tc").text == "a\nb\n\tc"


def test_what_other_scripts_need_is_kept() -> None:
    text = "\u200d \u200c \u200e \U0001f469\u200d\U0001f4bb \u06a9\u062a\u0627\u0628\u200c\u0647\u0627 \u2028"
    assert draft(text=text).text == text
    assert draft(subject="\u06a9\u062a\u0627\u0628\u200c\u0647\u0627").subject


def test_instants_are_read_with_any_offset() -> None:
    assert draft(scheduled_at="2026-11-24T01:00:00.5+02:00").scheduled_at == datetime(
        2026, 11, 23, 23, 0, 0, 500_000, tzinfo=UTC
    )


# -- digests -------------------------------------------------------------------------------------------------


def test_the_digest_knows_content_not_the_order_of_fields() -> None:
    assert draft().digest == parse_draft(dict(reversed(POST.items())), now=NOW, idempotency_key="k").digest


@pytest.mark.parametrize("name", FULL)
def test_the_digest_changes_with_every_field(name: str) -> None:
    changed = {each: value for each, value in FULL.items() if each != name} | {"subject": "Other"}
    first = parse_draft(FULL | {"subject": "Other"}, now=NOW, idempotency_key=None)
    if name == "subject":
        first = parse_draft(FULL, now=NOW, idempotency_key=None)
    if name == "to":
        changed["to"] = "alan@example.org"
    assert parse_draft(changed, now=NOW, idempotency_key=None).digest != first.digest


# -- what is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        # types are strict, nothing is coerced
        ("subject", 5, ("/subject", "bad_value")),
        ("text", ["x"], ("/text", "bad_value")),
        ("to", 5, ("/to", "bad_value")),
        ("to", [5], ("/to/0", "bad_value")),
        ("cc", {"a": 1}, ("/cc", "bad_value")),
        ("from", ["a@example.org"], ("/from", "bad_value")),
        ("all_or_nothing", "true", ("/all_or_nothing", "bad_value")),
        ("all_or_nothing", 1, ("/all_or_nothing", "bad_value")),
        ("priority", "urgent", ("/priority", "bad_value")),
        ("priority", 1, ("/priority", "bad_value")),
        ("headers", [["X-A", "b"]], ("/headers", "bad_value")),
        ("headers", {"X-A": 5}, ("/headers/X-A", "bad_value")),
        ("agent", "r-1", ("/agent", "bad_value")),
        ("scheduled_at", 1795000000, ("/scheduled_at", "bad_value")),
        # unknown fields, at every depth
        ("stream", "x", ("/stream", "unknown_field")),
        ("sender", "a@example.org", ("/sender", "unknown_field")),
        ("idempotency_key", "k", ("/idempotency_key", "unknown_field")),
        ("a/b~c", 1, ("/a~1b~0c", "unknown_field")),
        ("agent", {"run": "r"}, ("/agent/run", "unknown_field")),
        ("tags", [{"name": "a", "value": "b", "x": 1}], ("/tags/0/x", "unknown_field")),
        ("attachments", [FILE | {"path": "/etc"}], ("/attachments/0/path", "unknown_field")),
        # what must be there
        ("to", [], ("/to", "missing")),
        ("text", "", ("/text", "missing")),
        ("tags", [{"name": "a"}], ("/tags/0/value", "missing")),
        ("attachments", [{"filename": "a"}], ("/attachments/0/content", "missing")),
        ("agent", {"parent_run_id": "r"}, ("/agent/run_id", "missing")),
        # addresses
        ("to", ["ok@example.org", "b@y.example,c@z.example"], ("/to/1", "bad_address")),
        ("to", "b@y.example> SIZE=1", ("/to", "bad_address")),
        ("cc", "bob@x <c@z.example>", ("/cc", "bad_address")),
        ("bcc", ["a@[127.0.0.1]"], ("/bcc/0", "bad_address")),
        ("to", "b@y.example\r\nRCPT TO:<c@z.example>", ("/to", "control_character")),
        ("to", "b@y.example\0", ("/to", "control_character")),
        ("from", "=?utf-8?q?Ada?= <a@y.example>", ("/from", "encoded_word")),
        ("reply_to", f"{'a' * 65}@y.example", ("/reply_to", "too_long")),
        # how long, how many
        ("subject", "x" * 999, ("/subject", "too_long")),
        ("subject", "\u00e9" * 500, ("/subject", "too_long")),  # octets count, not characters
        ("headers", {"X-A": "x" * 1000}, ("/headers/X-A", "too_long")),
        ("to", [f"a{n}@example.org" for n in range(51)], ("/to", "too_many")),
        ("cc", [f"a{n}@example.org" for n in range(50)], ("/to", "too_many")),  # with the one in `to`
        ("to", ["a@example.org"] * 10_000, ("/to", "too_many")),
        ("headers", {f"X-{n}": "" for n in range(1000)}, ("/headers", "too_many")),
        ("tags", [{"name": "a", "value": "b"}] * 51, ("/tags", "too_many")),
        ("attachments", [FILE] * 101, ("/attachments", "too_many")),
        # tags, runs, principals
        ("tags", [{"name": "a b", "value": "c"}], ("/tags/0/name", "bad_value")),
        ("tags", [{"name": "a", "value": "\u00e9"}], ("/tags/0/value", "bad_value")),
        ("tags", [{"name": "a\n", "value": "b"}], ("/tags/0/name", "bad_value")),
        ("agent", {"run_id": "r 1"}, ("/agent/run_id", "bad_value")),
        ("agent", {"run_id": ""}, ("/agent/run_id", "bad_value")),
        ("agent", {"run_id": "r\n"}, ("/agent/run_id", "bad_value")),
        ("agent", {"run_id": "x" * 129}, ("/agent/run_id", "bad_value")),
        ("agent", {"purpose": "a\nb"}, ("/agent/purpose", "control_character")),
        ("agent", {"on_behalf_of": "x" * 201}, ("/agent/on_behalf_of", "too_long")),
        # times
        ("scheduled_at", "2026-11-24", ("/scheduled_at", "bad_value")),
        ("scheduled_at", "2026-11-24T10:00:00", ("/scheduled_at", "bad_value")),  # no offset
        ("scheduled_at", "2026-11-24 10:00:00Z", ("/scheduled_at", "bad_value")),
        ("scheduled_at", "2026-13-24T10:00:00Z", ("/scheduled_at", "bad_value")),
        ("scheduled_at", "0001-01-01T00:00:00+14:00", ("/scheduled_at", "bad_value")),  # before year 1
        ("scheduled_at", "in 5 minutes", ("/scheduled_at", "bad_value")),
        ("scheduled_at", "2027-01-23T09:00:00Z", ("/scheduled_at", "bad_value")),  # 61 days
        ("expires_at", "2026-11-23T09:00:00Z", ("/expires_at", "bad_value")),  # now is too late
        ("expires_at", "2027-01-23T09:00:00Z", ("/expires_at", "bad_value")),
    ],
)
def test_one_thing_wrong_is_named_where_it_is(field: str, value: Any, found: tuple[str, str]) -> None:
    assert violations(**{field: value}) == [found]


def test_a_message_must_expire_after_it_is_scheduled() -> None:
    times = {"scheduled_at": "2026-11-25T00:00:00Z", "expires_at": "2026-11-24T00:00:00Z"}
    assert violations(**times) == [("/expires_at", "bad_value")]


def test_a_message_scheduled_in_the_past_is_due_at_once() -> None:
    assert draft(scheduled_at="2026-11-22T00:00:00Z").scheduled_at == datetime(2026, 11, 22, tzinfo=UTC)


def test_the_limits_themselves_are_allowed() -> None:
    sixty = (NOW + timedelta(days=60)).isoformat()
    assert draft(to=[f"a{n}@example.org" for n in range(50)], subject="x" * 998, expires_at=sixty)
    assert draft(agent={"run_id": "x" * 128}, scheduled_at=sixty)


# -- text that becomes a header (REFERENCES 6.1) -------------------------------------------------------------

HOSTILE = {
    "\r\nBcc: eve@example.org": "control_character",
    "a\rb": "control_character",
    "a\nb": "control_character",
    "a\0b": "control_character",
    "a\x1bb": "control_character",  # C0
    "a\x7fb": "control_character",
    "a\x85b": "control_character",  # NEL, of C1
    "a\u2028b": "control_character",
    "a\u2029b": "control_character",
    "a\u202eb": "control_character",  # turns the reading direction
    "=?utf-8?q?a=0D=0ABcc:_eve@example.org?=": "encoded_word",
}
PLACES: dict[str, tuple[Any, str]] = {
    "subject": (lambda text: {"subject": text}, "/subject"),
    "display name": (lambda text: {"from": f"{text} <a@y.example>"}, "/from"),
    "header": (lambda text: {"headers": {"X-A": text}}, "/headers/X-A"),
    "In-Reply-To": (lambda text: {"headers": {"In-Reply-To": text}}, "/headers/In-Reply-To"),
    "file name": (lambda text: {"attachments": [FILE | {"filename": text}]}, "/attachments/0/filename"),
    "content type": (
        lambda text: {"attachments": [FILE | {"content_type": text}]},
        "/attachments/0/content_type",
    ),
    "content id": (lambda text: {"attachments": [FILE | {"content_id": text}]}, "/attachments/0/content_id"),
    "purpose": (lambda text: {"agent": {"purpose": text}}, "/agent/purpose"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_that_could_end_a_header_gets_into_one(place: str, text: str) -> None:
    fields, pointer = PLACES[place]
    assert violations(**fields(text)) == [(pointer, HOSTILE[text])]


@pytest.mark.parametrize(
    "text", [text for text, code in HOSTILE.items() if code == "control_character"], ids=ascii
)
def test_a_hostile_header_name_is_refused(text: str) -> None:
    [(pointer, code)] = violations(headers={"X-" + text: "v"})
    assert pointer.startswith("/headers/X-")
    assert code == "control_character"


NOT_THEIRS = [
    *[
        "From",
        "Sender",
        "Return-Path",
        "Bcc",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Received",
        "DKIM-Signature",
    ],
    *["Authentication-Results", "ARC-Seal", "List-Unsubscribe", "Auto-Submitted", "Feedback-ID"],
    *["X-AO-Ref", "x-ao-anything"],  # ours
    "X-SMTPAPI",  # a relay takes orders by it
    *["X-", "X_A", "X:A"],  # no names at all
]


@pytest.mark.parametrize("name", NOT_THEIRS)
def test_headers_outside_the_allow_list_are_refused_not_dropped(name: str) -> None:
    assert violations(headers={name: "v"}) == [(f"/headers/{name}", "header_not_allowed")]


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("In-Reply-To", "<a@example.org>", True),
        ("in-reply-to", "<a@example.org>", True),
        ("References", "<a@example.org> <b@example.org>", True),
        ("In-Reply-To", "a@example.org", False),
        ("In-Reply-To", "<a@example.org", False),
        ("References", "<a b@example.org>", False),
        ("References", "", False),
    ],
)
def test_threading_headers_hold_message_ids(name: str, value: str, fine: bool) -> None:
    if fine:
        assert draft(headers={name: value}).headers == ((name, value),)
    else:
        assert violations(headers={name: value}) == [(f"/headers/{name}", "bad_value")]


def test_a_header_given_twice_in_different_case_is_refused() -> None:
    assert violations(headers={"X-A": "1", "x-a": "2"}) == [("/headers/x-a", "bad_value")]


# -- bodies and attachments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["text", "html"])
@pytest.mark.parametrize("text", ["\0", "a\rb", "\x0b", "\x0c", "\x1b[31m", "\x7f", "\x9b31m"], ids=ascii)
def test_bodies_hold_no_control_characters_but_tab_and_line_feed(field: str, text: str) -> None:
    assert violations(**{field: text}) == [(f"/{field}", "control_character")]


@pytest.mark.parametrize(
    "content",
    [
        "a",
        "aGk",
        "aGk=\n",
        "aG k=",
        "aGk==",
        "a-_=",
        "\u00e9",
        "data:text/plain;base64,aGk=",
        "====",
        "aGkh=",
        "aGkh====",
    ],
)
def test_what_is_not_strictly_base64_is_refused(content: str) -> None:
    assert violations(attachments=[FILE | {"content": content}]) == [("/attachments/0/content", "bad_base64")]


@pytest.mark.parametrize("filename", ["../a", "a/b", "a\\b", "", " ", ".", ".."])
def test_a_file_name_is_no_path(filename: str) -> None:
    found = violations(attachments=[FILE | {"filename": filename}])
    assert found == [("/attachments/0/filename", "bad_value")]


@pytest.mark.parametrize(
    "kind", ["pdf", "a/b/c", "text/", "/plain", "multipart/mixed", "message/rfc822", "a b/c"]
)
def test_a_content_type_is_one_that_can_be_attached(kind: str) -> None:
    found = violations(attachments=[FILE | {"content_type": kind}])
    assert found == [("/attachments/0/content_type", "bad_value")]


# -- sizes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * (25 * 1024 * 1024 + 1)},
        {"text": "\u00e9" * (13 * 1024 * 1024)},  # octets count
        {"text": "x" * (20 * 1024 * 1024), "html": "x" * (6 * 1024 * 1024)},
        {"attachments": [FILE | {"content": base64.b64encode(bytes(13 * 1024 * 1024)).decode()}] * 2},
        {"attachments": [FILE | {"content": "!" * (35 * 1024 * 1024)}]},  # junk is not decoded to be weighed
        {"headers": {f"X-{n}": "x" * 900 for n in range(60)}},
        {"headers": {"X-A": "x" * 60_000}},
    ],
    ids=["text", "octets", "text and html", "attachments", "junk", "headers", "a header"],
)
def test_too_much_is_too_large(fields: dict[str, Any]) -> None:
    assert refusal(POST | fields).code == "payload_too_large"


def test_just_enough_is_not_too_large() -> None:
    content = base64.b64encode(bytes(25 * 1024 * 1024 - len(POST["text"]))).decode()
    assert len(draft(attachments=[FILE | {"content": content}]).attachments[0].content) > 26_000_000


def test_all_faults_are_told_at_once() -> None:
    found = violations(to=["a@b", "x\0@y.example"], subject="a\n", foo=1, headers={"Bcc": "x"}, priority=0)
    assert sorted(found) == [
        ("/foo", "unknown_field"),
        ("/headers/Bcc", "header_not_allowed"),
        ("/priority", "bad_value"),
        ("/subject", "control_character"),
        ("/to/0", "bad_address"),
        ("/to/1", "control_character"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {f"field{n}": n for n in range(100_000)},
        {"agent": {f"field{n}": n for n in range(100_000)}},
        {"tags": [{f"field{n}": n for n in range(1000)}] * 1000},
    ],
    ids=["body", "agent", "tags"],
)
def test_a_crowd_of_fields_is_refused_unread(fields: dict[str, Any]) -> None:
    assert violations(**fields) == [("", "unknown_field")]


def test_a_hostile_body_gets_a_short_answer() -> None:
    tags = [{f"field{n}": n for n in range(90)}] * 50
    assert len(violations(tags=tags)) == MAX_VIOLATIONS


@pytest.mark.parametrize("data", [None, 5, "x", [], [POST]])
def test_what_is_no_object_is_no_message(data: Any) -> None:
    assert [(each.pointer, each.code) for each in refusal(data).violations] == [("", "bad_value")]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(FULL)), JSON))
def test_whatever_json_is_posted_is_a_draft_or_a_refusal(fields: dict[str, Any]) -> None:
    [found] = parse_batch({"messages": [POST | fields]}, now=NOW)
    assert isinstance(found, Draft) or found.code == "validation_failed"


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("agent", "x", "This must be an object."),
        ("attachments", ["x"], "This must be an object."),
        ("tags", ["x"], "This must be an object."),
        ("tags", {"kind": "support"}, "This must be a list of objects."),
        ("headers", [], "This must be an object."),
        ("to", 5, "This must be a list of strings, or one string."),
        ("reply_to", {"a": "b"}, "This must be a list of strings, or one string."),
        ("subject", 5, "This must be a string."),
        ("all_or_nothing", "yes", "This must be true or false."),
        ("priority", "urgent", "This must be 'low', 'normal' or 'high'."),
        ("agent", {"run_id": "a b"}, r"This must match the pattern ^[A-Za-z0-9._:\-]{1,128}$."),
        (
            "headers",
            {"": "x"},
            "A header name is empty; X-*, In-Reply-To and References can be set.",
        ),
    ],
)
def test_what_may_stand_there_is_said_in_words_of_json(field: str, value: Any, detail: str) -> None:
    [violation] = refusal(POST | {field: value}).violations
    assert violation.detail == detail


@pytest.mark.parametrize(
    ("recipients", "detail"),
    [
        ("5", "This must be a whole number."),
        (0, "This must be at least 1."),
        (10**9, "This must be at most 100000000."),
    ],
)
def test_the_size_of_a_plan_is_a_number_within_bounds(recipients: Any, detail: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_preflight({"recipients": recipients}, now=NOW)
    assert [each.detail for each in caught.value.problem.violations] == [detail]


def test_messages_that_are_no_list_are_not_missing() -> None:
    with pytest.raises(Refused) as caught:
        parse_batch({"messages": {}}, now=NOW)
    [violation] = caught.value.problem.violations
    assert (violation.pointer, violation.code) == ("/messages", "bad_value")


# -- batches -------------------------------------------------------------------------------------------------


def test_a_batch_keeps_its_order_and_its_items_apart() -> None:
    items = [POST, {"to": "x"}, POST | {"idempotency_key": "k"}, 5, POST | {"idempotency_key": ""}]
    good, bad, keyed, nothing, wrong_key = parse_batch({"messages": items}, now=NOW)
    assert isinstance(good, Draft)
    assert isinstance(keyed, Draft)
    assert (good.idempotency_key, keyed.idempotency_key) == (None, "k")
    assert good.digest == keyed.digest == draft().digest  # one namespace with single posts
    assert isinstance(bad, Problem)
    assert {each.pointer for each in bad.violations} == {
        "/messages/1/to",
        "/messages/1/subject",
        "/messages/1/text",
    }
    assert isinstance(nothing, Problem)
    assert nothing.violations[0].pointer == "/messages/3"
    assert isinstance(wrong_key, Problem)
    assert wrong_key.code == "idempotency_key_invalid"


# -- JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}x",
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\\ud800"',
        b"NaN",
        b"[Infinity]",
        b"{'a': 1}",
        b"[" * 5000,
    ],
)
def test_what_is_not_json_in_utf_8_is_malformed(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert caught.value.problem.code == "malformed_json"


# -- answers -------------------------------------------------------------------------------------------------


def test_an_acceptance_is_written_as_the_contract_has_it() -> None:
    key = ids.new_id(1_795_000_000_000)
    delivery = AcceptedDelivery(ids.delivery_id(key, 1), "grace@example.org", "held", "first_contact", NOW)
    accepted = Accepted(
        id=key,
        status="held",
        created_at=NOW,
        header_id="<x@agents.acme.example>",
        stream="agents-support",
        run_id="r-81",
        verdict="hold",
        reasons=({"code": "first_contact", "detail": "New."},),
        policy_version=12,
        deliveries=(delivery,),
        refused=({"to": "x@example.org", "code": "suppressed"},),
        budget={"run": {"limit": 50, "used": 12, "remaining": 38}},
        scheduled_at=None,
        expires_at=NOW,
    )
    body = orjson.loads(orjson.dumps(accepted_body(accepted)))
    name = ids.printed("msg", key)
    assert body == {
        "id": name,
        "status": "held",
        "created_at": "2026-11-23T09:00:00.000Z",
        "message_id": "<x@agents.acme.example>",
        "stream": "agents-support",
        "run_id": "r-81",
        "decision": {
            "verdict": "hold",
            "reasons": [{"code": "first_contact", "detail": "New."}],
            "policy_version": 12,
        },
        "approval": None,
        "deliveries": [
            {
                "id": ids.printed("dlv", delivery.id),
                "to": "grace@example.org",
                "status": "held",
                "reason": "first_contact",
                "forecast_at": "2026-11-23T09:00:00.000Z",
            }
        ],
        "refused": [{"to": "x@example.org", "code": "suppressed"}],
        "budget": {"run": {"limit": 50, "used": 12, "remaining": 38}},
        "scheduled_at": None,
        "expires_at": "2026-11-23T09:00:00.000Z",
        "links": {"self": f"/v1/messages/{name}", "cancel": f"/v1/messages/{name}/cancel"},
    }

"""Words that are not finished, words that open doors, and files that are not what they say."""

import base64
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from outbox import content_rules
from outbox.payloads import Draft, parse_draft
from outbox.policy_numbers import DEFAULT


def draft(text: str = "Hi", **more: Any) -> Draft:
    body = {"to": "grace@example.org", "subject": "Your question", "text": text, **more}
    return parse_draft(body, now=datetime.now(UTC), idempotency_key=None)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Hi {{name}},",
            "Hi {{ first_name }},",
            "Hi ${user.name}",
            "Hi *|FNAME|*",
            "Hi <%= name %>",
            "Hi {name}",
        ),
        *(
            "Hi {first_name}",
            "Dear [First Name],",
            "[Your Company]",
            "[insert link here]",
            "Hi %s,",
            "Hi %(name)s",
        ),
        *(
            "Dear undefined,",
            "Hi null,",
            "Hello None!",
            "Hi nan,",
            "Value: [object Object]",
            "Lorem ipsum dolor",
        ),
        *("As an AI language model, I cannot", "Card 4111 1111 1111 1111", "5500-0000-0000-0004 is it"),
    ],
)
def test_what_a_person_would_not_have_written(text: str) -> None:
    assert content_rules.placeholder(draft(text))
    assert content_rules.placeholder(draft(subject=text))
    assert content_rules.placeholder(draft("x", html=f"<p>{text}</p>"))


@pytest.mark.parametrize(
    "text",
    [
        *("100% sure and 50 % discount", "see [1] and [2]", '{"id": 3}', "{x: 1}", "f(x) = {x | x > 0}"),
        *("Dear Nancy,", "Hello there", "None of this is urgent.", "order 4111 1111 1111 1112"),
        *("+49 30 1234567", "2026-11-23 12:00", "1234567890123456789012", "[sic] he said"),
    ],
)
def test_what_a_person_may_well_write(text: str) -> None:
    assert content_rules.placeholder(draft(text)) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "a private key"),
        ("ao_live_abcdefgh_0123456789abcdefghij", "an API key of this gateway"),
        (
            "ao_live\u200b_abcdefgh_0123456789abcdefghij",
            "an API key of this gateway",
        ),  # an invisible space in it
        ("key AKIAIOSFODNN7EXAMPLE.", "an AWS access key"),
        ("ghp_" + "a1" * 18, "a GitHub token"),
        ("xoxb-123456789012-abcdef", "a Slack token"),
        ("sk_live_" + "a1" * 12, "a Stripe key"),
        ("sk-proj-" + "a1" * 20, "a model provider's key"),
        ("AIza" + "a" * 35, "a Google API key"),
        ("postgres://ada:hunter22@db.example/x", "a password"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3In0.dozjgNryP4J3jVmNHl0w5N", "a signed token"),
        ("https://x.example/in?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3In0.dozjgNryP4J3jVmNHl0w5N", None),
        ("https://user:page@x.example/", None),
        ("Your code is 482913", None),
        ("a risk-based-approach-to-everything-we-do-2026", None),
        ("BEGIN PUBLIC KEY", None),
    ],
)
def test_secrets_by_their_marks(text: str, kind: str | None) -> None:
    assert content_rules.secret(draft(text)) == kind
    assert content_rules.secret(draft(headers={"X-Note": text.replace("\u200b", "")})) == kind


@pytest.mark.parametrize("within", ["<b></b>", "<!-- x -->", "&shy;", "&#8203;", "</span><span>"])
def test_a_secret_is_seen_that_only_the_page_shows_whole(within: str) -> None:
    html = f"<p>Your key: <span>AKIA{within}Z7QX4LWN2RTYB3KD</span></p>"
    assert content_rules.secret(draft("See the page.", html=html)) == "an AWS access key"
    assert content_rules.secret(draft("See the page.", html=html.replace(within, "</p><p>"))) is None


@pytest.mark.parametrize(
    ("more", "odd"),
    [
        ({"from": "Acme\u200b Billing <billing@agents.acme.test>"}, True),
        ({"from": "Ac\u00adme <billing@agents.acme.test>"}, True),
        ({"from": "Acme <billing@agents.acme.test>"}, False),
        ({"reply_to": "Ac\ufeffme <billing@agents.acme.test>"}, True),
        ({"subject": "Pay\u200bPal"}, True),
        ({"to": "Gr\u00adace <grace@example.org>"}, True),
        ({"subject": "Re: your question"}, True),
        ({"subject": "RE: x", "headers": {"In-Reply-To": "<a@b.example>"}}, False),
        ({"subject": "Renewal"}, False),
        ({"subject": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"}, False),  # Persian needs its joiner
        ({"html": "<p hidden>x</p>"}, True),
        ({"html": '<p>x</p><img src="https://t.example/o.gif" width="1" height="1">'}, True),
        ({"html": '<a href="https://x.example">x</a>' * 101}, True),
    ],
)
def test_what_looks_like_something_that_it_is_not(more: dict[str, Any], odd: bool) -> None:
    assert bool(content_rules.oddity(draft(**more))) is odd


PDF, ZIP = b"%PDF-1.7 ...", b"PK\x03\x04..."


@pytest.mark.parametrize(
    ("filename", "content", "content_type", "words"),
    [
        ("a.pdf", PDF, "application/pdf", None),
        ("a.PDF", PDF, None, None),
        ("a.docx", ZIP, None, None),
        ("notes.txt", b"hello", "text/plain", None),
        ("a.exe", b"MZ", None, "type exe"),
        ("invoice.pdf.exe", PDF, "application/pdf", "type exe"),
        ("invoice.exe.", b"MZ", None, "type exe"),
        ("a.zip", ZIP, None, "type zip"),
        ("README", b"x", None, "type unknown"),
        ("a.pdf", b"MZ\x90", "application/pdf", "is none"),
        ("a.png", b"<svg onload=x>", "image/png", "is none"),
        ("a.txt", b"MZ\x90", "text/plain", "is a program"),
        ("a.txt", b"x", "text/html", "said to be text/html"),
        ("a.docx", ZIP + b"word/vbaProject.bin", None, "macros"),
    ],
)
def test_files_that_may_go_and_files_that_wait(
    filename: str, content: bytes, content_type: str | None, words: str | None
) -> None:
    part = {"filename": filename, "content": base64.b64encode(content).decode(), "content_type": content_type}
    found = content_rules.bad_file(draft(attachments=[part]).attachments, DEFAULT.attachment_types)
    assert (words in found) if words and found else found is None and words is None


@pytest.mark.parametrize("text", ["code 482913", "123 456", "AB12-CD34"])
def test_a_one_time_code_is_seen(text: str) -> None:
    assert content_rules.code_in(draft(text))
    assert not content_rules.code_in(draft("call me at noon"))


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "{{",
        "[your ",
        "%(",
        "eyJaaaaaaaaaa.",
        ".eyJ",
        "sk-",
        " hi undefined",
        "4111 ",
        "://a:",
        "gh",
        "SG.",
    ],
)
def test_hostile_text_costs_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    hostile = replace(draft(), text=text, html=text)
    started = time.process_time()
    for look in (content_rules.placeholder, content_rules.secret, content_rules.code_in):
        look(hostile)
    assert time.process_time() - started < 1  # 0.05 on a free machine; what is not linear takes minutes

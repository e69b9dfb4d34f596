"""Pages for people who have no login: what this is, and what each problem means.

Everything on them comes from the closed lists of ``problems``; no page reads the database, so they also open
when it is down. Refuses nothing: a code that nobody knows gets a page that leads to those there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from outbox.problems import CODES, VIOLATIONS, Kind, Retry

RETRIES: Final[Mapping[Retry, str]] = {
    Retry.NEVER: "No. The same request will get the same answer.",
    Retry.AFTER: "Yes, later: wait until `retry_at`, or as long as `Retry-After` says, then send it again.",
    Retry.WHEN_CHANGED: "Yes, once it is changed: what was sent is refused, a corrected request is not.",
    Retry.ASK_HUMAN: "Not by itself. A person has to change something first; ask them.",
}
VIOLATION_WORDS: Final[Mapping[str, str]] = {
    "unknown_field": "There is no such field. Nothing unknown is passed over in silence.",
    "missing": "The field is needed.",
    "too_long": "The text is longer than the field may be.",
    "too_many": "The list has more entries than it may have.",
    "bad_value": "The value is of the wrong type, out of range, or contradicts another field.",
    "bad_address": "This is not an address that mail can be sent to.",
    "bad_base64": "The content is not base64 (RFC 4648, padded, on one line).",
    "control_character": "The text holds a character that could end a line or turn the reading direction.",
    "encoded_word": "The text holds an encoded word (RFC 2047); write it plainly in UTF-8.",
    "header_not_allowed": "This header is ours to write, or is not on the list of those that may be set.",
}
assert set(RETRIES) == set(Retry)
assert set(VIOLATION_WORDS) == VIOLATIONS


@dataclass(frozen=True, slots=True)
class Told:
    """A problem as its page tells it."""

    code: str
    title: str
    status: int
    retry: Retry
    again: SafeString
    explanation: SafeString
    remedy: SafeString
    violations: Mapping[str, str]


def marked(text: str) -> SafeString:
    """Escaped text in which what stands between backticks is code."""
    shapes = ("{}", "<code>{}</code>")
    parts = enumerate(text.split("`"))
    return format_html_join("", "{}", ((format_html(shapes[at % 2], part),) for at, part in parts))


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What this is, and where to go from here."""
    return render(request, "outbox/home.html")


@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    """Every problem there is."""
    told = [_told(code, kind) for code, kind in CODES.items()]
    return render(request, "outbox/problems.html", {"problems": told})


@require_safe
def problem(request: HttpRequest, code: str) -> HttpResponse:
    """One problem; a code that nobody knows is 404, with the way to the list."""
    if code not in CODES:
        return render(request, "outbox/unknown_problem.html", {"code": code}, status=404)
    return render(request, "outbox/problem.html", {"problem": _told(code, CODES[code])})


def _told(code: str, kind: Kind) -> Told:
    return Told(
        code,
        kind.title,
        kind.status,
        kind.retry,
        marked(RETRIES[kind.retry]),
        marked(kind.explanation),
        marked(kind.remedy),
        VIOLATION_WORDS if code == "validation_failed" else {},
    )

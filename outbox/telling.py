"""A message or a delivery with its whole story, as a page shows it to people.

Guarantees: what servers said stands there verbatim; everything agents and servers wrote is a plain string,
which templates escape, with what hides or turns it spelled out. A page is a fixed number of statements. HTML
stays source text.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from outbox import ids, story
from outbox.lifecycle import LEAST_FINISHED_FIRST, Status
from outbox.models import Attachment, Attempt, Delivery, Held, Message
from outbox.outcomes import Phase
from reputation import sql
from reputation.viewing import block, chip, stamp, timed, visible

ATTEMPTS_SHOWN: Final = 1000  # fifty recipients, twenty attempts each: more than any message is given

WAITS: Final = "waits for a person"
# What may have an attempt before it; an uncertain delivery only where its stream resends.
DUE: Final = frozenset({Status.QUEUED, Status.DEFERRED, Status.UNCERTAIN})
CONTENT_PHASES: Final = frozenset({Phase.DATA, Phase.BODY, Phase.READY, Phase.DOT, Phase.REPLIED})

Facts = list[tuple[str, Any]]


def of_message(message: Message) -> dict[str, Any]:
    """What its page shows: the decision, the content, deliveries with their attempts, events in order."""
    range_of_it = Delivery.objects.filter(pk__gt=message.pk, pk__lte=ids.last_delivery_of(message.pk))
    return {
        "facts": _facts(message),
        "content": _content(message),
        "bodies": _bodies(message),
        "deliveries": _with_attempts(range_of_it),
        "events": _spelled(story.events(message.pk)),
    }


def of_delivery(delivery: Delivery) -> dict[str, Any]:
    """What its page shows: where it stands, its attempts, and its part of the message's events."""
    mine = ids.printed("dlv", delivery.pk)
    events = story.events(ids.message_of(delivery.pk))
    return {
        "facts": _facts_of_delivery(delivery),
        "alone": _with_attempts(Delivery.objects.filter(pk=delivery.pk))[0],
        "events": _spelled(
            event for event in events if event["delivery"] and event["delivery"]["id"] == mine
        ),
    }


def statuses(messages: Sequence[UUID]) -> Mapping[UUID, SafeString]:
    """How the deliveries of each of these messages stand, least finished first; one statement for all."""
    counted: defaultdict[UUID, Counter[Status]] = defaultdict(Counter)
    last = [ids.last_delivery_of(key) for key in messages]
    for row in sql.rows(story.DELIVERIES, [list(messages), last]):
        counted[ids.message_of(row.id)][Status(row.status)] += 1
    return {key: _chips(counted[key]) for key in messages}


def link(model: str, key: UUID | int, text: str) -> SafeString:
    """A link to the page of one row of outbox's."""
    return format_html(
        '<a href="{}">{}</a>', reverse(f"admin:outbox_{model}_change", args=[quote(key)]), text
    )


def message_link(key: UUID) -> SafeString:
    """A link to a message, named as the API names it."""
    return link("message", key, ids.printed("msg", key))


def delivery_link(key: UUID) -> SafeString:
    """A link to a delivery, named as the API names it."""
    return link("delivery", key, ids.printed("dlv", key))


def filtered(model: str, text: str, **filters: object) -> SafeString:
    """A link to a list of outbox's with some filters on."""
    address = reverse(f"admin:outbox_{model}_changelist", query=filters)
    return format_html('<a href="{}">{}</a>', address, text)


def _chips(counted: Counter[Status]) -> SafeString:
    shown = sorted(counted.items(), key=lambda pair: LEAST_FINISHED_FIRST.index(pair[0]))
    return format_html_join(" ", "{}", ((chip(status, f"×{n}" if n > 1 else ""),) for status, n in shown))


def _facts(message: Message) -> Facts:
    decision = message.decision
    reasons = "; ".join(f"{reason['code']}: {reason['detail']}" for reason in decision["reasons"])
    context = message.context
    return _told(
        ("Accepted", message.created_at),
        ("Agent", link("agent", message.agent_id, str(message.agent))),
        ("Run", filtered("message", visible(message.run.name), run=message.run_id)),
        ("On behalf of", visible(context.get("on_behalf_of") or "")),
        ("Purpose", visible(context.get("purpose") or "")),
        ("Stream", str(message.stream)),
        ("Sending domain", str(message.domain)),
        ("Decision", f"{decision['verdict']} (policy version {decision['policy_version']})"),
        ("Reasons", visible(reasons)),
        ("Request", _request(message)),
        ("Scheduled", message.scheduled_at),
        ("Expires", message.expires_at),
        ("Message-ID", visible(message.header_id)),
        ("Not mailed", ", ".join(visible(f"{each['to']} ({each['code']})") for each in message.refused)),
    )


def _request(message: Message) -> SafeString | None:
    """Where a person decides, or decided, about it; the newest, if it was held more than once."""
    asked = (
        Held.objects.filter(message_id=message.pk).select_related("approval").order_by("-approval_id").first()
    )
    if asked is None:
        return None
    name = ids.printed("apr", asked.approval_id)
    words = WAITS if asked.decision_id is None and asked.approval.ended_at is None else "was decided"
    return format_html('<a href="{}">{}</a>', reverse("approval", args=[name]), words)


def _facts_of_delivery(delivery: Delivery) -> Facts:
    return _told(
        ("Status", chip(delivery.status, delivery.code)),
        ("Message", message_link(ids.message_of(delivery.pk))),
        ("Recipient", visible(delivery.recipient)),
        ("Agent", link("agent", delivery.lane.agent_id, str(delivery.lane.agent))),
        ("Stream", str(delivery.lane.stream)),
        ("Run", filtered("message", visible(delivery.lane.run.name), run=delivery.lane.run_id)),
        ("Provider", delivery.lane.provider),
        ("Next attempt", _next_attempt(delivery)),
        ("Answered with “later”", delivery.tries),
        ("Taken back from dead workers", delivery.rescues),
        ("Cleared", delivery.cleared_at),
        ("Finished", delivery.finished_at),
        ("Expires", delivery.expires_at),
    )


def _next_attempt(delivery: Delivery) -> str:
    if delivery.status == Status.HELD:
        return WAITS
    return stamp(delivery.next_attempt_at, never=WAITS) if delivery.status in DUE else ""


def signed_with(attempt: Attempt) -> str:
    """The selectors of what was sent; nothing, if the conversation ended before there was anything to sign."""
    return attempt.selectors if attempt.phase in CONTENT_PHASES else ""


def _content(message: Message) -> Facts:
    people = message.addressing
    return _told(
        ("From", visible(_mailbox(people["from"]))),
        *((name.capitalize(), _mailboxes(people.get(name, ()))) for name in ("to", "cc", "bcc")),
        ("Reply-To", _mailboxes(people.get("reply_to", ()))),
        ("Subject", visible(message.subject)),
        ("Headers", visible("\n".join(f"{name}: {value}" for name, value in message.headers))),
        ("Tags", visible(", ".join(f"{tag['name']}={tag['value']}" for tag in message.tags))),
        ("Attachments", _attachments(message)),
    )


def _bodies(message: Message) -> list[tuple[str, SafeString]]:
    shown = [("Text", block(message.text))]
    return shown if message.html is None else [*shown, ("HTML, its source", block(message.html))]


def _attachments(message: Message) -> str:
    if not message.attachment_count:
        return ""
    parts = Attachment.objects.filter(message=message.pk).order_by("ordinal")
    sized = parts.annotate(size=Length("content")).values_list("filename", "content_type", "size")
    return visible("\n".join(f"{name} ({kind}, {size:,} bytes)" for name, kind, size in sized))


def _with_attempts(deliveries: QuerySet[Delivery]) -> list[dict[str, Any]]:
    rows = list(deliveries.order_by("pk"))
    attempts: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    known = Attempt.objects.filter(delivery__in=[row.pk for row in rows])
    for attempt in known.order_by("pk")[:ATTEMPTS_SHOWN]:
        attempts[attempt.delivery_id].append(_shown(attempt))
    return [
        {
            "link": delivery_link(row.pk),
            "recipient": visible(row.recipient),
            "chip": chip(row.status),
            "code": row.code,
            "attempts": attempts[row.pk],
        }
        for row in rows
    ]


def _shown(attempt: Attempt) -> dict[str, Any]:
    names = "number host address tls phase fault seconds reply_code outcome code".split()
    return {name: getattr(attempt, name) for name in names} | {
        "ended": timed(attempt.ended_at),
        "cleared": timed(attempt.cleared_at),
        "reply": visible(attempt.reply),
        "selectors": signed_with(attempt),
    }


def _spelled(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        event
        | {
            "note": visible(event["note"] or ""),
            "chip": chip(event["status"]),
            "at": timed(datetime.fromisoformat(event["at"])),
        }
        for event in events
    ]


def _told(*facts: tuple[str, Any]) -> Facts:
    """Those that say something."""
    shown = ((label, stamp(value) if isinstance(value, datetime) else value) for label, value in facts)
    return [(label, value) for label, value in shown if value not in {None, ""}]


def _mailboxes(people: Iterable[Mapping[str, str]]) -> str:
    return visible("\n".join(map(_mailbox, people)))


def _mailbox(person: Mapping[str, str]) -> str:
    address = f"{person['local']}@{person['domain']}"
    return f"{person['name']} <{address}>" if person["name"] else address

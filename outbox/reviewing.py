"""What the desk shows of requests: the list by urgency, and one of them. Reads only; counts are bounded.

Nothing here costs more for a flood: what is many is said to be many, and a page of members is a page.

Urgency ages, so nothing starves: a request to ten people is as urgent after six hours as one to a hundred is at once,
and one whose deadline is near comes before all that have time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString
from uuid import UUID

from outbox import ids
from reputation import sql

MANY: Final = 10_000  # counted no further: 10,001 says "more"
# Open at once and sorted by urgency: what is beyond it, the newest, is on no page until others are over. The same for
# every page, or a request would move from one to another between two looks.
RANKED: Final = 1_000
STALE: Final = timedelta(hours=4)
NEAR: Final = timedelta(hours=2)  # before the deadline

AGED: Final = timedelta(hours=6)  # waited for as long counts as much as ten times as many people

# The recipients of what still waits, by request, counted up to a bound; and its oldest message that does.
ROWS: Final[LiteralString] = """
WITH wanted AS MATERIALIZED (
    SELECT a.* FROM outbox_approval AS a
    JOIN outbox_agent AS g ON g.id = a.agent_id JOIN reputation_stream AS s ON s.id = a.stream_id
    JOIN outbox_run AS r ON r.id = a.run_id
    WHERE (%(id)s::uuid IS NULL OR a.id = %(id)s)
      AND (%(id)s::uuid IS NOT NULL OR (a.ended_at IS NOT NULL) = %(closed)s)
      AND (%(stream)s::text = '' OR s.name = %(stream)s::text) AND (%(agent)s::text = '' OR g.name = %(agent)s::text)
      AND (%(reason)s::text = '' OR a.reasons @> ARRAY[%(reason)s]::varchar[])
      AND (%(state)s::text = '' OR a.state = %(state)s::text)
      AND (%(words)s::text = ''
           OR strpos(lower(concat_ws(' ', g.name, r.name, r.purpose, r.on_behalf_of, (
               SELECT m.subject FROM outbox_held AS h JOIN outbox_message AS m ON m.id = h.message_id
               WHERE h.approval_id = a.id ORDER BY h.message_id LIMIT 1))), %(words)s::text) > 0)
    ORDER BY CASE WHEN %(closed)s THEN a.ended_at END DESC, a.opened_at LIMIT %(most)s
), counted AS (
    SELECT w.*, c.people, c.messages, c.oldest,
           log(greatest(c.people, 1))
           + extract(epoch FROM ao_now() - w.opened_at) / extract(epoch FROM %(aged)s::interval)
           + CASE WHEN w.expires_at - ao_now() < %(near)s::interval THEN 10 ELSE 0 END AS urgency
    FROM wanted AS w CROSS JOIN LATERAL (
        SELECT least(coalesce(sum(n), 0), %(bound)s) AS people, count(*) AS messages,
               (array_agg(message_id))[1] AS oldest
        FROM (
            SELECT h.message_id, d.n FROM outbox_held AS h CROSS JOIN LATERAL (
                SELECT count(*) AS n FROM outbox_delivery AS d WHERE d.id > h.message_id
                  AND d.id <= (left(h.message_id::text, 33) || 'fff')::uuid AND d.status = 'held') AS d
            WHERE h.approval_id = w.id AND h.decision_id IS NULL AND d.n > 0
            ORDER BY h.message_id LIMIT %(bound)s) AS few
    ) AS c
)
SELECT c.id, c.state, g.name AS agent, s.name AS stream, r.name AS run, c.cluster, r.purpose, c.reasons, c.opened_at,
       c.expires_at, c.ended_at IS NULL AND ao_now() - c.opened_at > %(stale)s::interval AS stale, c.messages, c.people,
       c.urgency::float8 AS urgency, c.people > s.second_person_above AS second_person,
       coalesce(p.who, '') AS proposed_by, coalesce(m.subject, '') AS subject, c.carrying_id IS NOT NULL AS carrying,
       c.watched_until, c.said, coalesce(e.kind, '') AS answer, coalesce(e.who, '') AS answered_by
FROM counted AS c
JOIN outbox_agent AS g ON g.id = c.agent_id JOIN reputation_stream AS s ON s.id = c.stream_id
JOIN outbox_run AS r ON r.id = c.run_id
LEFT JOIN outbox_decision AS p ON p.id = c.proposed_id
LEFT JOIN outbox_message AS m ON m.id = coalesce(c.oldest, (
    SELECT h.message_id FROM outbox_held AS h WHERE h.approval_id = c.id ORDER BY h.message_id LIMIT 1))
LEFT JOIN LATERAL (
    SELECT d.kind, d.who FROM outbox_decision AS d WHERE d.approval_id = c.id AND d.kind <> 'wave'
    ORDER BY d.id DESC LIMIT 1) AS e ON c.ended_at IS NOT NULL
ORDER BY CASE WHEN %(closed)s THEN c.ended_at END DESC, c.urgency DESC, c.id LIMIT %(limit)s OFFSET %(skip)s
"""

MEMBERS: Final[LiteralString] = """
SELECT m.id AS message_id, m.created_at, m.subject, m.sender, m.addresses, m.text, m.html, m.attachment_count,
       m.context ->> 'purpose' AS purpose, r.name AS run, m.decision -> 'reasons' AS reasons
FROM outbox_held AS h JOIN outbox_message AS m ON m.id = h.message_id JOIN outbox_run AS r ON r.id = m.run_id
WHERE h.approval_id = %(id)s AND h.decision_id IS NULL
  AND (%(after)s::uuid IS NULL OR h.message_id > %(after)s::uuid) AND EXISTS (
    SELECT FROM outbox_delivery AS d WHERE d.id > h.message_id
      AND d.id <= (left(h.message_id::text, 33) || 'fff')::uuid AND d.status = 'held')
ORDER BY h.message_id LIMIT %(limit)s
"""

DOMAINS: Final[LiteralString] = """
SELECT split_part(recipient, '@', 2) AS domain, count(*) AS n FROM (
    SELECT d.recipient FROM outbox_held AS h
    JOIN outbox_delivery AS d ON d.id > h.message_id AND d.id <= (left(h.message_id::text, 33) || 'fff')::uuid
    WHERE h.approval_id = %(id)s AND h.decision_id IS NULL AND d.status = 'held'
    ORDER BY h.message_id LIMIT %(bound)s) AS few
GROUP BY 1 ORDER BY n DESC, domain LIMIT %(limit)s
"""

DECISIONS: Final[LiteralString] = """
SELECT c.kind, c.who, c.why, c.at, c.people, c.upto, c.shown_at,
       (SELECT count(*) FROM (
            SELECT FROM outbox_held AS h WHERE h.decision_id = c.id LIMIT %(bound)s) AS few) AS messages
FROM outbox_decision AS c WHERE c.approval_id = %(id)s ORDER BY c.id DESC
"""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which requests are listed; nothing set: all that wait for people."""

    stream: str = ""
    agent: str = ""
    reason: str = ""
    closed: bool = False  # those that are over instead, the newest first
    state: str = ""
    words: str = ""  # in the agent's or the run's name, its purpose, for whom it is, or its first subject


@dataclass(frozen=True, slots=True)
class Listed:
    """One request in the list. ``messages`` and ``people`` (recipients) still wait; ``MANY + 1`` says more."""

    id: UUID
    state: str
    agent: str
    stream: str
    run: str  # the root of the tree
    cluster: int | None
    purpose: str
    reasons: tuple[str, ...]
    opened_at: datetime
    expires_at: datetime
    stale: bool
    messages: int
    people: int
    urgency: float  # the greater the more urgent
    second_person: bool  # whether a release of all of it would need two people
    proposed_by: str
    subject: str  # of its oldest message that waits; of one that is over, its first
    carrying: bool  # whether a decision is being carried out
    watched_until: datetime | None
    said: str  # why waves stopped, or something of it had to stay
    answer: str  # of one that is over, the kind of what was decided last, and who did
    answered_by: str

    @property
    def printed(self) -> str:
        """``apr_...``"""
        return ids.printed("apr", self.id)


@dataclass(frozen=True, slots=True)
class Member:
    """One message of a request that still waits."""

    message_id: UUID
    created_at: datetime
    subject: str
    sender: str
    recipients: tuple[str, ...]
    text: str
    html: str | None
    attachments: int
    purpose: str
    run: str
    reasons: tuple[tuple[str, str], ...]  # code, detail


@dataclass(frozen=True, slots=True)
class Said:
    """One decision about it, as it was made."""

    kind: str
    who: str
    why: str
    at: datetime
    people: int
    upto: UUID | None
    shown_at: datetime | None
    messages: int  # it has let go or ended so far, at most MANY + 1


def listed(filters: Filters, page: int = 1, size: int = 25) -> list[Listed]:
    """A page of the list, the most urgent first; one more than ``size`` rows says that there is another page.

    Requests are few: they are sorted among the oldest ``RANKED``.
    """
    return _listed(filters, page, size, None)


def found(approval: UUID) -> Listed | None:
    """One request, as the list shows it."""
    rows = _listed(Filters(), 1, 1, approval)
    return rows[0] if rows else None


def members(approval: UUID, after: UUID | None = None, limit: int = 25) -> Sequence[Member]:
    """What still waits in a request, in the order it came."""
    rows = sql.rows(MEMBERS, {"id": approval, "after": after, "limit": limit})
    return [
        Member(
            row.message_id,
            row.created_at,
            row.subject,
            row.sender,
            tuple(row.addresses),
            row.text,
            row.html,
            row.attachment_count,
            row.purpose or "",
            row.run,
            tuple((each["code"], each["detail"]) for each in sql.loads(row.reasons or "[]")),
        )
        for row in rows
    ]


def domains(approval: UUID, limit: int = 20) -> Sequence[tuple[str, int]]:
    """Recipient domains of what still waits with their numbers, the greatest first; of the first ``MANY``."""
    rows = sql.rows(DOMAINS, {"id": approval, "bound": MANY, "limit": limit})
    return [(row.domain, row.n) for row in rows]


def decisions(approval: UUID) -> Sequence[Said]:
    """All that was decided about it, the newest first."""
    return [Said(*row) for row in sql.rows(DECISIONS, {"id": approval, "bound": MANY + 1})]


def _listed(filters: Filters, page: int, size: int, approval: UUID | None) -> list[Listed]:
    given = {
        "id": approval,
        "closed": filters.closed,
        "stream": filters.stream,
        "agent": filters.agent,
        "reason": filters.reason,
        "state": filters.state,
        "words": filters.words.lower(),
        "most": max(RANKED, page * size + 1) if filters.closed else RANKED,
        "bound": MANY + 1,
        "aged": AGED,
        "near": NEAR,
        "stale": STALE,
        "limit": size + 1,
        "skip": (page - 1) * size,
    }
    rows = sql.rows(ROWS, given)
    return [_one(row) for row in rows]


def _one(row: sql.Row) -> Listed:
    fields = {name: getattr(row, name) for name in Listed.__slots__}
    return Listed(**fields | {"reasons": tuple(row.reasons)})

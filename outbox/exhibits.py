"""What a reviewer reads of a request: some of its messages with what varies marked, what is attached, earlier mail.

Read only and bounded, however many messages wait: a handful is read, spread over all of them, in three statements.
Guarantees: the text that is compared is the one that is sent; HTML that says something else than its text is named,
since most people would see the HTML. Everything here is an agent's own: hostile until it is escaped or shut in.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from outbox import variation
from outbox.plaintext import text_from_html
from outbox.variation import Part
from reputation import sql

TEXT_READ: Final = 20_000
HTML_READ: Final = 60_000
ATTACHED: Final = 40
PEOPLE: Final = 8  # whose earlier mail is looked for
EARLIER: Final = 3
SAME: Final = 0.8  # of the words of its HTML that its text must have, too
WORDS_A_MINUTE: Final = 250

MESSAGES: Final[LiteralString] = """
SELECT m.id, m.created_at, m.sender, m.addresses, m.subject, left(m.text, %(text)s) AS text,
       left(m.html, %(html)s) AS html, m.addressing::text AS addressing, r.name AS run,
       r.on_behalf_of, r.purpose
FROM outbox_message AS m JOIN outbox_run AS r ON r.id = m.run_id WHERE m.id = ANY (%(ids)s) ORDER BY m.id
"""

ATTACHMENTS: Final[LiteralString] = """
SELECT message_id, filename, content_type, octet_length(content) AS size
FROM outbox_attachment WHERE message_id = ANY (%(ids)s) ORDER BY message_id, ordinal LIMIT %(most)s
"""

# The last messages to each of these people. Found by the index over addresses, then sorted: one person's are few.
BEFORE: Final[LiteralString] = """
SELECT p.addr, e.id, e.created_at, e.subject, a.name AS agent, d.status
FROM unnest(%(people)s::text[]) AS p (addr)
CROSS JOIN LATERAL (
    SELECT f.* FROM (
        SELECT id, created_at, subject, agent_id FROM outbox_message WHERE addresses && ARRAY[p.addr] OFFSET 0
    ) AS f WHERE f.id <> ALL (%(ids)s) AND f.id < %(first)s ORDER BY f.id DESC LIMIT %(most)s
) AS e
JOIN outbox_agent AS a ON a.id = e.agent_id
LEFT JOIN LATERAL (
    SELECT status FROM outbox_delivery AS d
    WHERE d.id > e.id AND d.id <= (left(e.id::text, 33) || 'fff')::uuid AND d.recipient = p.addr LIMIT 1
) AS d ON true
ORDER BY p.addr, e.id DESC
"""


@dataclass(frozen=True, slots=True)
class Attached:
    """What is attached; ``size`` in octets."""

    filename: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A message, what is its own in it marked. ``likeness``: how much of it is the template, from 0 to 1.

    ``reply_to``: where answers go if not to the sender. ``html_says``: the words of its HTML, if they are others.
    """

    id: UUID
    created_at: datetime
    sender: str
    reply_to: str
    to: str
    others: int
    run: str
    on_behalf_of: str
    purpose: str
    plain_subject: str
    subject: tuple[Part, ...]
    text: tuple[Part, ...]
    likeness: float
    has_html: bool
    html_says: str
    attached: tuple[Attached, ...]


@dataclass(frozen=True, slots=True)
class Exhibits:
    """Messages, least like the others first, and what they have in common. ``seconds``: to read one of them."""

    subject: tuple[Part, ...]
    text: tuple[Part, ...]
    shown: tuple[Exhibit, ...]
    attached: tuple[tuple[Attached, int], ...]
    senders: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier message to one of the people, and where that delivery stands (empty: it is forgotten)."""

    id: UUID
    at: datetime
    subject: str
    agent: str
    status: str


def exhibits(keys: Sequence[UUID]) -> Exhibits:
    """These messages, as far as they are still there."""
    rows = sql.rows(MESSAGES, {"ids": list(keys), "text": TEXT_READ, "html": HTML_READ})
    attached = defaultdict[UUID, list[Attached]](list)
    for part in sql.rows(ATTACHMENTS, {"ids": list(keys), "most": ATTACHED}):
        attached[part.message_id].append(Attached(part.filename, part.content_type, part.size))
    subjects = variation.compare([row.subject for row in rows])
    texts = variation.compare([row.text for row in rows])
    shown = [
        _exhibit(row, subject, text, attached[row.id])
        for row, subject, text in zip(rows, subjects.readings, texts.readings, strict=True)
    ]
    counted = Counter(part for parts in attached.values() for part in parts)
    words = sorted(len(row.text.split()) for row in rows)
    return Exhibits(
        subjects.template,
        texts.template,
        tuple(sorted(shown, key=lambda one: (not one.html_says, one.likeness, one.id))),
        tuple(counted.most_common()),
        tuple(dict.fromkeys(row.sender for row in rows)),
        round(words[len(words) // 2] * 60 / WORDS_A_MINUTE) if words else 0,
    )


def before(shown: Sequence[Exhibit]) -> Mapping[str, Sequence[Earlier]]:
    """Earlier mail to the people of these messages, of whatever agent; nothing for whoever never had any."""
    people = list(dict.fromkeys(one.to for one in shown if one.to))[:PEOPLE]
    found: dict[str, list[Earlier]] = {person: [] for person in people}
    if not people:
        return found
    keys = [one.id for one in shown]
    asked = {"people": people, "ids": keys, "first": min(keys), "most": EARLIER}
    for row in sql.rows(BEFORE, asked):
        found[row.addr].append(Earlier(row.id, row.created_at, row.subject, row.agent, row.status or ""))
    return found


def _exhibit(
    row: sql.Row, subject: variation.Reading, text: variation.Reading, attached: Sequence[Attached]
) -> Exhibit:
    first, *others = row.addresses or [""]
    return Exhibit(
        row.id,
        row.created_at,
        row.sender,
        _reply_to(row),
        first,
        len(others),
        row.run,
        row.on_behalf_of,
        row.purpose,
        row.subject,
        subject.parts,
        text.parts,
        min(subject.likeness, text.likeness),
        row.html is not None,
        _html_says(row),
        tuple(attached),
    )


def _reply_to(row: sql.Row) -> str:
    people = sql.loads(row.addressing).get("reply_to") or ()
    return ", ".join(f"{one['local']}@{one['domain']}" for one in people)


def _html_says(row: sql.Row) -> str:
    """The words of its HTML if its text lacks too many of them, which no reader of the text would see."""
    if row.html is None:
        return ""
    words, text = text_from_html(row.html), row.text.lower().split()
    end = len(text) if len(row.text) == TEXT_READ else None  # what was cut off here is not looked for there
    wanted, there = Counter(words.lower().split()[:end]), Counter(text)
    return "" if (wanted & there).total() >= SAME * wanted.total() else words[:TEXT_READ]

"""What the last day's messages of a stream would have met under another policy, before it is saved.

The newest ``MOST`` messages are read once and go through the rules twice in their order, by the policy that holds and
by the edited one; each time what is accepted counts for what follows, as it does in a batch. What rules ask beside the
policy (stops, budgets, ramps, evidence) is left out: it is the same for both. Guarantees: nothing is written; whoever
became a contact since is still new to the messages before that. Refuses to take long: of attachments only the beginning
is read, and not more than ``PATIENCE`` is waited for the database. What was refused at the time was not kept, so it is
not among them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from django.db import transaction

from outbox import ids, policies
from outbox.addresses import Mailbox
from outbox.compose import Attachment
from outbox.duplicates import WINDOW, Rehearsed
from outbox.fingerprints import NOTHING, Print
from outbox.payloads import Draft
from outbox.policies import Facts, Verdict
from outbox.policy_numbers import Policy
from reputation import sql, suppression

DAY: Final = timedelta(days=1)
MOST: Final = 2_000
EXAMPLES: Final = 3
RELEASED: Final = "released"
PATIENCE: Final[LiteralString] = "SET LOCAL statement_timeout = '10s'"

# Newest first by the key; how many messages each agent had before, as far as a policy counts.
READ: Final[LiteralString] = """
WITH newest AS MATERIALIZED (
    SELECT m.id, m.agent_id, m.run_id, m.created_at, m.scheduled_at, m.expires_at, m.addressing, m.subject, m.text,
        m.html, m.headers, m.tags
    FROM outbox_message AS m JOIN outbox_agent AS a ON a.id = m.agent_id
    WHERE m.stream_id = %(stream)s AND NOT a.exempt AND m.id >= ao_uuid_floor(ao_now() - interval '1 day')
    ORDER BY m.id DESC LIMIT %(most)s
), before AS (
    SELECT f.agent_id, (SELECT count(*) FROM (
        SELECT FROM outbox_message AS o WHERE o.agent_id = f.agent_id AND o.id < f.id LIMIT 101) AS o) AS messages
    FROM (SELECT agent_id, min(id::text)::uuid AS id FROM newest GROUP BY agent_id) AS f
)
SELECT n.*, a.name AS agent, r.lineage[1] AS root, b.messages AS accepted_before,
    coalesce((SELECT jsonb_agg(jsonb_build_array(t.filename, t.content_type, encode(substr(t.content, 1, 1024), 'hex'))
              ORDER BY t.ordinal) FROM outbox_attachment AS t WHERE t.message_id = n.id), '[]') AS files
FROM newest AS n JOIN outbox_agent AS a ON a.id = n.agent_id JOIN outbox_run AS r ON r.id = n.run_id
JOIN before AS b ON b.agent_id = n.agent_id
ORDER BY n.id
"""
KNOWN: Final[LiteralString] = "SELECT mark, at FROM outbox_contact WHERE mark = ANY(%s::bytea[])"
OWN: Final[LiteralString] = """
SELECT name::text FROM reputation_organisationaldomain UNION SELECT name FROM reputation_sendingdomain
"""


@dataclass(frozen=True, slots=True)
class Met:
    """How many messages met one code under the one policy and the other; ``examples`` of those for whom it changes."""

    code: str
    before: int
    after: int
    examples: Sequence[tuple[UUID, str]]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was looked at, and what each code would have been met by. ``cut``: there were more messages."""

    messages: int
    cut: bool
    met: Sequence[Met]


@dataclass(frozen=True, slots=True)
class _Post:
    """One message as it was posted: the draft again, and what was so then."""

    id: UUID
    at: datetime
    agent_id: int
    tree: tuple[int, str]
    draft: Draft
    expires_at: datetime
    accepted_before: int


@dataclass(slots=True)
class _Run:
    """One policy on its way through the day."""

    policy: Policy
    stream: str
    kind: str
    own: frozenset[str]
    known: Mapping[str, datetime]
    likenesses: Rehearsed
    accepted: Counter[int] = field(default_factory=Counter)
    recent: defaultdict[tuple[int, str], list[tuple[datetime, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def judge(self, post: _Post) -> Verdict:
        """What it would have met, behind those before it."""
        self.likenesses.at(post.at)
        facts = self._facts(post)
        verdict = policies.judge(post.draft, facts)
        again = policies.duplicates(post.draft, facts)
        if again:
            everybody = {mailbox.addr for mailbox in post.draft.recipients}
            self.likenesses.turn_away(post.draft.without(everybody - again))
        if verdict.refusal is None:
            left = post.draft.without(again)
            self.accepted[post.agent_id] += 1
            self.recent[post.tree].append((post.at, len(left.recipients)))
            if self._compares:
                self.likenesses.add(left, post.id)
        return verdict

    def _recently(self, post: _Post) -> int:
        """Recipients of its tree of runs; no further than the policy asks."""
        since, total = post.at - timedelta(minutes=self.policy.run_minutes), 0
        for at, recipients in reversed(self.recent[post.tree]):
            if at < since or total > self.policy.run_recipients:
                break
            total += recipients
        return total

    @property
    def _compares(self) -> bool:
        return bool(self.policy.duplicate_hours or self.policy.cluster_size)

    def _facts(self, post: _Post) -> Facts:
        addresses = [mailbox.addr for mailbox in post.draft.recipients]
        return Facts(
            now=post.at,
            stream=self.stream,
            stream_kind=self.kind,
            policy_version=0,
            domain="-",
            signed=True,
            stopped_scope=None,
            weak_scope=None,
            run_cancelled=False,
            expires_at=post.expires_at,
            forecast_at=post.at,
            degraded=False,
            exempt=False,
            recipients=len(addresses),
            recipients_per_message=None,
            budgets=(),
            suppressed=frozenset(),
            test_names=True,
            policy=self.policy,
            likeness=self.likenesses.of(post.draft) if self._compares else NOTHING,
            first_contacts=frozenset(
                addr for addr in addresses if addr not in self.known or self.known[addr] >= post.at
            ),
            run_recent=self._recently(post),
            accepted_before=post.accepted_before + self.accepted[post.agent_id],
            own_domains=self.own,
        )


def rehearse(stream_id: int, stream: str, kind: str, saved: Policy, edited: Policy) -> Rehearsal:
    """The last day of a stream under the saved policy and the edited one.

    Raises:
        django.db.OperationalError: it took longer than ``PATIENCE``.
    """
    with transaction.atomic():
        sql.count(PATIENCE)
        rows = sql.rows(READ, {"stream": stream_id, "most": MOST})
        posts = [_post(row) for row in rows]
        own = frozenset(row.name for row in sql.rows(OWN))
        known = _known(posts)
    verdicts = []
    prints: dict[Any, Print] = {}
    for policy in (saved, edited):
        window = timedelta(hours=policy.duplicate_hours) or WINDOW
        run = _Run(policy, stream, kind, own, known, Rehearsed(window, policy.footers, prints))
        verdicts.append([_codes(run.judge(post)) for post in posts])
    return Rehearsal(len(posts), len(posts) == MOST, list(_compared(posts, *verdicts)))


def _compared(
    posts: Sequence[_Post], before: Sequence[frozenset[str]], after: Sequence[frozenset[str]]
) -> Iterator[Met]:
    for code in sorted(frozenset().union(*before, *after), key=lambda code: (code != RELEASED, code)):
        changed = [
            (post.id, post.draft.subject)
            for post, was, now in zip(posts, before, after, strict=True)
            if (code in was) != (code in now)
        ]
        yield Met(
            code, sum(code in was for was in before), sum(code in now for now in after), changed[-EXAMPLES:]
        )


def _codes(verdict: Verdict) -> frozenset[str]:
    if verdict.refusal:
        return frozenset({f"refused: {verdict.refusal.code}"})
    return frozenset(hold.code for hold in verdict.holds) or frozenset({RELEASED})


def _known(posts: Sequence[_Post]) -> dict[str, datetime]:
    """Since when mail was let go to whom, by address."""
    addresses = {mailbox.addr for post in posts for mailbox in post.draft.recipients}
    marks = {addr: suppression.person_mark(addr) for addr in addresses}
    since = {bytes(row.mark): row.at for row in sql.rows(KNOWN, [list(set(marks.values()))])}
    return {addr: since[mark] for addr, mark in marks.items() if mark in since}


def _post(row: sql.Row) -> _Post:
    who = sql.loads(row.addressing)
    to, cc, bcc, reply_to = (
        tuple(Mailbox(**each) for each in who[name]) for name in ("to", "cc", "bcc", "reply_to")
    )
    files = tuple(
        Attachment(name, kind, bytes.fromhex(start), None) for name, kind, start in sql.loads(row.files)
    )
    draft = Draft(
        None, to, cc, bcc, reply_to, row.subject, row.text, row.html,
        tuple((name, value) for name, value in sql.loads(row.headers)), files, tuple(sql.loads(row.tags)),
        row.scheduled_at, row.expires_at, 1, None, None, "", "", False, None, ids.printed("msg", row.id).encode(),
    )  # fmt: skip
    return _Post(
        row.id,
        row.created_at,
        row.agent_id,
        (row.agent_id, row.root),
        draft,
        row.expires_at,
        row.accepted_before,
    )

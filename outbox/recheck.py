"""What waits behind a stop is looked at again before its scope opens, and opens in steps.

While the stop stands, every waiting delivery of the scope is looked at, in the order of keys: what is too old, to
people who left, of cancelled runs or of broken domains does not go. Of the rest, by provider, the first tenth (at least
five) keep their time and the others wait until those have been watched for half an hour; ramps step down. Transactional
mail goes whole, everything does after a false alarm, and next to nothing through the glass.

Guarantees: batches are short transactions that end with how far they came, so anybody goes on where somebody died, and
no two do the same; a trip meanwhile keeps the scope closed; nothing is due before the scope opens.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import orjson
from django.db import transaction

from outbox import alarm, ledger
from outbox.ledger import Staging
from outbox.lifecycle import suppressed_code
from reputation import reopening, rewarming, sql, suppression
from reputation.killswitch import NotTripped
from reputation.models import Reopening

# After so long a request or a tick finds no further page; more is for the ticks that follow.
IN_REQUEST: Final = 1.5
IN_TICK: Final = 0.5

PAGE: Final = 20_000
BATCH: Final = 1_000

WATCHED: Final = ("30 minutes", "30 minutes")  # until the others are due, and over how long they are spread
# Through the glass: later than it closes again, so that the rest waits for whoever confirms.
BEHIND_GLASS: Final = ("65 minutes", "30 minutes")
CONFIRMING: Final = "40 minutes"  # after the glass closes, the last of those it put off is due
SHARE: Final = 0.1
LEAST: Final = 5
THROUGH_GLASS: Final = 20

# A worker hangs up within seconds of a trip, or its lease runs out: what it held comes back into the queue.
COMING_BACK: Final = "30 seconds"

# The lanes of a scope. Recipients' domains are in no lane's keys: there all lanes are read.
LANES: Final[LiteralString] = """
WITH lanes AS MATERIALIZED (
    SELECT id, provider, tier, stream_id FROM outbox_lane WHERE scopes @> ARRAY[%(scope)s]::varchar[]
    UNION ALL SELECT id, provider, tier, stream_id FROM outbox_lane WHERE %(domain)s::text <> ''
), waiting AS (
    SELECT d.id, d.recipient, d.next_attempt_at, l.provider, l.tier, l.stream_id
    FROM lanes AS l CROSS JOIN LATERAL (
        SELECT o.id, o.recipient, o.next_attempt_at FROM outbox_delivery AS o
        WHERE o.lane_id = l.id AND o.status IN ('queued', 'deferred') OFFSET 0) AS d
    WHERE %(domain)s::text = '' OR split_part(d.recipient, '@', 2) = %(domain)s::text
)
"""

COUNT: Final[LiteralString] = "".join((LANES, "SELECT count(*) AS n FROM waiting"))

# The next ones in the order of their keys. The fence keeps the planner from walking the primary key to find them.
ONWARDS: Final[LiteralString] = """
, found AS (SELECT w.id, w.recipient, s.name AS stream, s.kind
            FROM waiting AS w JOIN reputation_stream AS s ON s.id = w.stream_id OFFSET 0)
SELECT * FROM found WHERE (%(last)s::uuid IS NULL OR id > %(last)s::uuid) ORDER BY id LIMIT %(page)s
"""
NEXT: Final[LiteralString] = "".join((LANES, ONWARDS))

# By provider (or of all) the last of those that go first; where all of them do there is none.
RANKED: Final[LiteralString] = """
, ranked AS (
    SELECT part, id, row_number() OVER (PARTITION BY part ORDER BY id) AS place, count(*) OVER (PARTITION BY part) AS n
    FROM (SELECT CASE WHEN %(together)s THEN '' ELSE provider END AS part, id FROM waiting
          WHERE tier > 0 AND next_attempt_at < %(horizon)s) AS due
)
SELECT part, id::text AS cut FROM ranked WHERE place < n
  AND place = CASE WHEN %(together)s THEN %(least)s ELSE greatest(ceil(n * %(share)s::numeric), %(least)s) END
"""
CUTS: Final[LiteralString] = "".join((LANES, RANKED))

# What may still come back undotted into the queue of a scope that was stopped just now.
UNDER_WAY: Final[LiteralString] = """
SELECT %(at)s > clock_timestamp() - %(back)s::interval AND EXISTS (
    SELECT FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
    WHERE d.status = 'sending' AND d.cleared_at IS NULL AND %(scope)s = ANY (ao_scopes(l.scopes, d.recipient))) AS yes
"""

# One process a batch, and only while nobody has come further; a reopening that was given up is left alone.
HOLD: Final[LiteralString] = """
SELECT id FROM reputation_reopening WHERE id = %(id)s AND state = 'checking' AND last IS NOT DISTINCT FROM %(last)s
    AND (cuts IS NULL) = %(looking)s FOR UPDATE SKIP LOCKED
"""

CAME: Final[LiteralString] = """
UPDATE reputation_reopening SET last = %(last)s, looked = looked + %(looked)s, fates = %(fates)s::jsonb
WHERE id = %(id)s
"""

COUNTED: Final[LiteralString] = (
    'UPDATE reputation_reopening SET "of" = %(n)s WHERE id = %(id)s AND "of" IS NULL'
)

CUT: Final[LiteralString] = """
UPDATE reputation_reopening SET cuts = %(cuts)s::jsonb, last = NULL
WHERE id = %(id)s AND cuts IS NULL AND state = 'checking' AND last IS NOT DISTINCT FROM %(last)s
"""

TRY_ALONE: Final[LiteralString] = "SELECT pg_try_advisory_lock(20559, 3) AS ours"
NO_LONGER_ALONE: Final[LiteralString] = "SELECT pg_advisory_unlock(20559, 3)"

HORIZON: Final[LiteralString] = "SELECT coalesce(%s::timestamptz, ao_now()) + %s::interval AS at"


def advance(key: int, seconds: float = IN_REQUEST) -> Reopening:
    """Go on with a reopening until its scope is open or the time is over; how it stands then."""
    until = time.monotonic() + seconds
    reopening.refute()
    row = Reopening.objects.get(pk=key)
    while row.state == Reopening.State.CHECKING and time.monotonic() < until and _go_on(row):
        row.refresh_from_db()
    row.refresh_from_db()
    return row


def tend(seconds: float = IN_TICK) -> None:
    """Close what nobody confirmed, give up what was tripped again, and go on with every reopening a little."""
    reopening.close_unconfirmed()
    with alone() as ours:
        for row in Reopening.objects.filter(state=Reopening.State.CHECKING).order_by("pk") if ours else ():
            advance(row.pk, seconds)


def under_way(scope: str, at: datetime) -> bool:
    """Whether a lease of a stopped scope may still come back undotted: not long after ``at``, when somebody asked."""
    return bool(sql.one(UNDER_WAY, {"scope": scope, "at": at, "back": COMING_BACK}).yes)


@contextlib.contextmanager
def alone() -> Iterator[bool]:
    """Whether no other process tends now: two would read the same page, and one of them in vain."""
    ours = bool(sql.one(TRY_ALONE).ours)
    try:
        yield ours
    finally:
        if ours:
            sql.rows(NO_LONGER_ALONE)


def _go_on(row: Reopening) -> bool:
    """One step of it; whether there may be more to do at once."""
    if row.of is None:
        return _counted(row)
    looking = row.cuts is None
    page = _page(row) if looking or _stages(row) else []
    if page:
        return _walk(row, page, _looked if looking else _staged)
    return _cut(row) if looking else _opened(row)


def _counted(row: Reopening) -> bool:
    if row.resumed_epoch is None and under_way(row.scope, row.at):
        return False
    n = sql.one(COUNT, _scope(row)).n
    return bool(sql.count(COUNTED, {"id": row.pk, "n": n}))


def _stages(row: Reopening) -> bool:
    """Whether anything is put off, or was and is due now."""
    return bool(row.cuts) or row.resumed_epoch is not None


def _page(row: Reopening) -> list[sql.Row]:
    return sql.rows(NEXT, {**_scope(row), "last": row.last, "page": PAGE})


Work = Callable[[Reopening, Sequence[sql.Row]], Mapping[str, int]]


def _walk(row: Reopening, page: Sequence[sql.Row], work: Work) -> bool:
    """A page to its end, since it was dear to find; False if somebody else is at it, or it was given up."""
    looking, last = row.cuts is None, row.last
    fates: Counter[str] = Counter(row.fates)
    for batch in _batches(page):
        with transaction.atomic():
            if not sql.rows(HOLD, {"id": row.pk, "last": last, "looking": looking}):
                return False
            fates.update(work(row, batch))
            last = batch[-1].id
            came = {"id": row.pk, "last": last, "looked": len(batch) if looking else 0}
            sql.count(CAME, came | {"fates": orjson.dumps(fates).decode()})
        if reopening.refute():
            return False
    return True


def _batches(page: Sequence[sql.Row]) -> Iterator[Sequence[sql.Row]]:
    for first in range(0, len(page), BATCH):
        yield page[first : first + BATCH]


def _looked(row: Reopening, batch: Sequence[sql.Row]) -> Mapping[str, int]:
    letters = {one.id: (one.stream, one.kind, one.recipient) for one in batch}
    gone = suppression.look_up_all(letters.values())
    reasons = {
        key: suppressed_code(gone[letter]) if letter in gone else "" for key, letter in letters.items()
    }
    return ledger.look_again(reasons, row.who)


def _cut(row: Reopening) -> bool:
    """Everything was looked at: who goes first."""
    cuts: dict[str, str] = {}
    if not row.whole:
        share = {"together": row.glass, "least": THROUGH_GLASS if row.glass else LEAST, "share": SHARE}
        found = sql.rows(CUTS, {**_scope(row), **share, "horizon": _horizon(row)})
        cuts = {each.part: each.cut for each in found}
    given = {"id": row.pk, "last": row.last, "cuts": orjson.dumps(cuts).decode()}
    return bool(sql.count(CUT, given))


def _staged(row: Reopening, batch: Sequence[sql.Row]) -> Mapping[str, int]:
    after, spread = BEHIND_GLASS if row.glass else WATCHED
    pull = row.resumed_epoch is not None
    plan = Staging(row.cuts or {}, _horizon(row), after, spread, together=row.glass, pull=pull)
    return {"later": ledger.stage([one.id for one in batch], plan, row.who)}


def _horizon(row: Reopening) -> datetime:
    """What is due later than this has its own reasons to wait."""
    glass = reopening.behind(row) if row.resumed_epoch is not None else None
    width = CONFIRMING if glass else "100 minutes" if row.glass else WATCHED[0]
    at: datetime = sql.one(HORIZON, [glass.closes_at if glass else None, width]).at
    return at


def _opened(row: Reopening) -> bool:
    """Ramps first, while it is closed; then the scope. What was staged is due only after it."""
    glass = reopening.behind(row)
    if row.whole and glass:
        rewarming.restore(row.scope, glass.pk)
    elif not row.whole and row.resumed_epoch is None:
        rewarming.step_down(row.scope, row.pk)
    try:
        reopening.open_up(row)
    except NotTripped:
        reopening.refute()
        return False
    ledger.unpark(row.scope)
    alarm.ring()
    return False


def _scope(row: Reopening) -> dict[str, Any]:
    kind, _, key = row.scope.partition(":")
    return {"scope": row.scope, "domain": key if kind == "recipient_domain" else ""}

"""What would have been closed last month under other numbers: history, judged again by the same rules.

Attempts and signals of the last 30 days are read in their order, a lane's outcomes of one hour together, and go through
`reputation.gathering` and `reputation.rules` as they would have when they came. What is closed stays closed and proves
nothing more. Refuses to take long: at most ``MOST`` outcomes, the newest, and ``PATIENCE``; what was left out is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from django.db import transaction
from django.db.models.functions import Now

from outbox import ids
from reputation import sql
from reputation.gathering import FEEDBACK, Key, Outcomes, gathered, learned, width
from reputation.models import SwitchEvent
from reputation.rules import Numbers, Strength, Verdict, judge
from reputation.switchlog import RULE
from reputation.windows import Watch, advance

DAYS: Final = 30
MOST: Final = 200_000
PATIENCE: Final[LiteralString] = "SET LOCAL statement_timeout = '10s'"

SINCE: Final[LiteralString] = "SELECT ao_now() - %s * interval '1 day' AS at"

# What the settle and the reports wrote down as evidence then, hour by hour.
HISTORY: Final[LiteralString] = """
WITH newest AS MATERIALIZED (
    SELECT id, delivery_id, ended_at, outcome, code FROM outbox_attempt
    WHERE id >= %(first)s AND outcome IN ('delivered', 'relayed', 'bounced') ORDER BY id DESC LIMIT %(most)s
), outcomes AS (
    SELECT d.lane_id, date_trunc('hour', a.ended_at) AS hour, a.outcome, a.code,
        split_part(d.recipient, '@', 2) AS domain,
        row_number() OVER (PARTITION BY d.lane_id, date_trunc('hour', a.ended_at) ORDER BY a.id) AS place
    FROM newest AS a JOIN outbox_delivery AS d ON d.id = a.delivery_id
), hours AS (
    SELECT lane_id, hour, 0 AS turn, count(*) AS trials, coalesce(jsonb_agg(
        jsonb_build_array(place, 'bounced', domain, code, false) ORDER BY place)
        FILTER (WHERE code IN ('recipient_unknown', 'recipient_inactive', 'recipient_moved')), '[]') AS events
    FROM outcomes GROUP BY lane_id, hour
    UNION ALL
    SELECT d.lane_id, date_trunc('hour', s.at), 1, 0,
        jsonb_agg(jsonb_build_array(0, s.kind, split_part(d.recipient, '@', 2), s.code, s.source = 'esp') ORDER BY s.id)
    FROM outbox_signal AS s JOIN outbox_delivery AS d ON d.id = s.delivery_id
    WHERE s.at >= %(since)s AND (s.kind IN ('complained', 'unsubscribed') OR s.kind = 'bounced'
          AND s.code IN ('recipient_unknown', 'recipient_inactive', 'recipient_moved'))
    GROUP BY d.lane_id, date_trunc('hour', s.at)
)
SELECT h.hour AS at, t.name AS stream, l.scopes, l.provider, h.trials, h.events, (SELECT count(*) FROM newest) AS read
FROM hours AS h JOIN outbox_lane AS l ON l.id = h.lane_id JOIN outbox_agent AS a ON a.id = l.agent_id
JOIN reputation_stream AS t ON t.id = l.stream_id
WHERE NOT a.exempt AND (t.name = ANY (%(streams)s::text[]) OR %(streams)s IS NULL)
ORDER BY h.hour, h.turn, h.lane_id
"""


@dataclass(frozen=True, slots=True)
class Closed:
    """What would have been closed, in which hour, by what."""

    at: datetime
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Replay:
    """History judged again: how many outcomes were read since when, what would have been closed, and what was.

    ``cut``: there were more outcomes than were read.
    """

    since: datetime
    outcomes: int
    cut: bool
    closed: Sequence[Closed]
    was_closed: Sequence[tuple[datetime, str]]


def replay(numbers: Numbers, streams: Sequence[str] | None) -> Replay:
    """The last 30 days of these streams (None: of all) under these numbers.

    Raises:
        django.db.OperationalError: it took longer than ``PATIENCE``.
    """
    since = sql.one(SINCE, [DAYS]).at
    first = ids.new_id(int(since.timestamp() * 1000))
    asked = {
        "first": first,
        "since": since,
        "most": MOST,
        "streams": list(streams) if streams is not None else None,
    }
    with transaction.atomic():
        sql.count(PATIENCE)
        rows = sql.rows(HISTORY, asked)
    read = rows[0].read if rows else 0
    history = [Outcomes(r.at, r.stream, r.scopes, r.provider, r.trials, sql.loads(r.events)) for r in rows]
    return Replay(
        since, sum(row.trials for row in history), read >= MOST, _again(history, numbers), _was_closed(since)
    )


def _again(history: Sequence[Outcomes], numbers: Numbers) -> list[Closed]:
    feedback = FEEDBACK | learned(history)
    watches: dict[Key, Watch] = {}
    closed: dict[str, Closed] = {}
    for hour in _by_hour(history):
        _judge_hour(hour, numbers, feedback, watches, closed)
    return list(closed.values())


def _judge_hour(
    rows: Sequence[Outcomes],
    numbers: Numbers,
    feedback: frozenset[str] | set[str],
    watches: dict[Key, Watch],
    closed: dict[str, Closed],
) -> None:
    open_rows = [row for row in rows if closed.keys().isdisjoint(row.scopes)]
    stretches = gathered(open_rows, feedback, lambda _scope, _at: True)
    for key in sorted(stretches, key=lambda each: width(each[0])):
        scope, signal = key
        watch = advance(watches.get(key, Watch(scope, signal)), stretches[key], numbers.window(signal))
        watches[key] = watch
        verdict = judge(watch, numbers, closed.keys()) if any(one.events for one in stretches[key]) else None
        if verdict and verdict.strength is Strength.STRONG and scope not in closed:
            closed[scope] = Closed(rows[0].at, verdict)


def _by_hour(history: Sequence[Outcomes]) -> Sequence[Sequence[Outcomes]]:
    hours: dict[datetime, list[Outcomes]] = {}
    for row in history:
        hours.setdefault(row.at, []).append(row)
    return list(hours.values())


def _was_closed(since: datetime) -> list[tuple[datetime, str]]:
    trips = SwitchEvent.objects.filter(action="trip", who__startswith=RULE, at__gte=since, at__lte=Now())
    return list(trips.order_by("epoch").values_list("at", "scope")[:200])

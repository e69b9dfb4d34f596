"""Alarms: raised once while a condition holds, told until they were told, ended when it is over; their end is told too.

Every few seconds one process judges all conditions, each by itself: one that cannot be read raises and ends nothing,
and is named. Telling happens outside any transaction and waits for nobody: a pager that is down costs mail nothing. The
heartbeat goes out only while every condition could be judged, so that its silence means something is wrong.
"""

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

import orjson
from django.conf import settings
from django.db import transaction

from outbox import pager
from outbox.conditions import CONDITIONS, Condition, short
from outbox.models import Alarm, Vigil
from reputation import sql

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = float(os.environ.get("AO_WATCH_SECONDS", "10"))
TOLD_AT_ONCE: Final = 10  # alarms in one round
BACK: Final = "10 minutes"

# One process at a time, and nobody soon after another.
MY_TURN: Final[LiteralString] = """
SELECT pg_try_advisory_xact_lock(20559, 4) AND NOT EXISTS (
    SELECT FROM outbox_vigil WHERE judged_at > clock_timestamp() - %s * interval '0.9 seconds') AS mine
"""

PATIENCE: Final[LiteralString] = "SET LOCAL statement_timeout = '2s'"

JUDGED: Final[LiteralString] = """
INSERT INTO outbox_vigil (id, judged_at, who, failed) VALUES (1, clock_timestamp(), %(who)s, %(failed)s)
ON CONFLICT (id) DO UPDATE SET judged_at = excluded.judged_at, who = excluded.who, failed = excluded.failed
"""

END: Final[LiteralString] = """
UPDATE outbox_alarm SET ended_at = ao_now() WHERE kind = %(kind)s AND ended_at IS NULL AND key <> ALL (%(keys)s::text[])
"""

# What comes and goes is one alarm, told once: one that ended within ``BACK`` begins again instead of another.
RAISE: Final[LiteralString] = """
WITH given AS (
    SELECT * FROM unnest(%(keys)s::text[], %(words)s::text[]) AS t (key, words)
    WHERE NOT EXISTS (SELECT FROM outbox_alarm AS a WHERE a.kind = %(kind)s AND a.key = t.key AND a.ended_at IS NULL)
), back AS (
    UPDATE outbox_alarm AS a SET ended_at = NULL, end_told_at = NULL FROM (
        SELECT max(o.id) AS id FROM outbox_alarm AS o JOIN given ON given.key = o.key
        WHERE o.kind = %(kind)s AND o.ended_at > ao_now() - %(back)s::interval GROUP BY o.key
    ) AS latest WHERE a.id = latest.id RETURNING a.key
)
INSERT INTO outbox_alarm (kind, key, raised_at, words, tries, next_try_at, said)
SELECT %(kind)s, key, ao_now(), words, 0, ao_now(), '' FROM given WHERE key NOT IN (SELECT key FROM back)
ON CONFLICT DO NOTHING
"""

# The next try is put off first: it is the lease of whoever tells now, and longer than telling can take. An end is told
# once it cannot be taken back any more, and what begins is told first.
NEXT: Final[LiteralString] = """
UPDATE outbox_alarm SET tries = least(tries + 1, 1000),
    next_try_at = ao_now() + least(30 * 2 ^ least(tries, 10), 900) * interval '1 second'
WHERE id = (
    SELECT id FROM outbox_alarm WHERE end_told_at IS NULL AND next_try_at <= ao_now()
      AND (told_at IS NULL AND raised_at > ao_now() - interval '1 day'
           OR told_at IS NOT NULL AND ended_at BETWEEN ao_now() - interval '1 day' AND ao_now() - %(back)s::interval)
    ORDER BY told_at NULLS FIRST, next_try_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING id, kind, key, words, raised_at, ended_at, told_at IS NOT NULL AS over
"""

# Who is told of an alarm with its end is told no more of it, unless it has come back meanwhile.
TOLD: Final[LiteralString] = """
UPDATE outbox_alarm SET told_at = coalesce(told_at, ao_now()), said = '', tries = 0, next_try_at = ao_now(),
    end_told_at = CASE WHEN ended_at = %(ended)s::timestamptz THEN ao_now() END
WHERE id = %(id)s
"""
FAILED: Final[LiteralString] = "UPDATE outbox_alarm SET said = %(said)s WHERE id = %(id)s"

BEAT: Final[LiteralString] = """
UPDATE outbox_vigil SET beat_at = clock_timestamp()
WHERE id = 1 AND failed = '' AND judged_at > clock_timestamp() - interval '30 seconds'
  AND (beat_at IS NULL OR beat_at < clock_timestamp() - interval '55 seconds')
"""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is open now, oldest first, and the last judging of all conditions: None if there never was one."""

    alarms: list[Alarm]
    vigil: Vigil | None


def make_round() -> None:
    """Judge if it is our turn, tell what is untold, beat if all could be judged."""
    judge()
    tell()
    beat()


def judge() -> bool:
    """Raise and end alarms by what holds now; False if somebody else does, or has just done."""
    with transaction.atomic():
        if not sql.one(MY_TURN, [WATCH_SECONDS]).mine:
            return False
        failed = [condition.kind for condition in CONDITIONS if not _judged(condition)]
        sql.count(JUDGED, {"who": f"{socket.gethostname()}:{os.getpid()}", "failed": " ".join(failed)})
    return True


def tell() -> int:
    """Tell the pager what it was not told, ends too; how many messages it took. The first failure ends the round."""
    if not has_pager():
        return 0
    for told in range(TOLD_AT_ONCE):
        row = sql.one(NEXT, {"back": BACK})
        if row is None or not _told(row):
            return told
    return TOLD_AT_ONCE


def beat() -> bool:
    """Tell the dead-man's watch that conditions are judged; whether it was its time and it took it."""
    if not settings.AO_HEARTBEAT_URL or not sql.count(BEAT):
        return False
    try:
        pager.call(settings.AO_HEARTBEAT_URL)
    except pager.NotTold as error:
        logger.warning("the heartbeat was not taken: %s", error)
        return False
    return True


def watch() -> Watch:
    """For whoever looks: what is open, and since when nobody has judged."""
    return Watch(list(Alarm.objects.filter(ended_at=None).order_by("pk")), Vigil.objects.first())


def page(about: Mapping[str, Any]) -> None:
    """Hand something to the address and to the command, as far as they are set.

    Raises:
        NotTold: one of them did not take it. The other may have it already; the same ``id`` says so.
    """
    body = orjson.dumps(about)
    if settings.AO_PAGER_URL:
        pager.call(settings.AO_PAGER_URL, body)
    if settings.AO_PAGER_COMMAND:
        pager.run(settings.AO_PAGER_COMMAND, body)


def has_pager() -> bool:
    """Whether there is anybody to tell."""
    return bool(settings.AO_PAGER_URL or settings.AO_PAGER_COMMAND)


def runbook(kind: str) -> str:
    """Where it says what to do."""
    return f"{settings.AO_RUNBOOK_URL}#{kind.replace('_', '-')}"


def payload(
    alarm: str,
    kind: str,
    key: str,
    words: str,
    raised: datetime,
    ended: datetime | None,
    *,
    over: bool = False,
) -> dict[str, Any]:
    """What the pager gets. ``id`` is the same at every try, ``alarm`` also when it is told that it is ``over``."""
    return {
        "id": f"{alarm}_over" if over else alarm,
        "alarm": alarm,
        "kind": kind,
        "key": key,
        "words": f"over: {words}" if over else words,
        "raised_at": raised.astimezone(UTC).isoformat(),
        "ended_at": ended.astimezone(UTC).isoformat() if ended else None,
        "runbook": runbook(kind),
        "page": f"{settings.AO_SWITCH_URL}/killswitch/",
    }


def _judged(condition: Condition) -> bool:
    try:
        with transaction.atomic():
            sql.count(PATIENCE)
            cases = {str(case["key"]): condition.told(case) for case in condition.read()}
            given = {"kind": condition.kind, "keys": list(cases), "words": list(cases.values())}
            sql.count(END, given)
            sql.count(RAISE, given | {"back": BACK})
    except Exception as error:  # a bug in one must not silence the others
        logger.warning("the condition %s could not be judged: %s", condition.kind, error)
        return False
    return True


def _told(row: sql.Row) -> bool:
    words = short(row.kind, row.words) if row.over else row.words
    told = (row.kind, row.key, words, row.raised_at, row.ended_at)
    about = payload(f"alarm_{row.id}", *told, over=row.over)
    try:
        page(about)
    except pager.NotTold as error:
        logger.warning("the pager did not take alarm %s: %s", row.id, error)
        sql.count(FAILED, {"id": row.id, "said": str(error)})
        return False
    sql.count(TOLD, {"id": row.id, "ended": row.ended_at})
    return True

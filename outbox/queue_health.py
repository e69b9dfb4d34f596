"""How the queue of approvals does: what comes, what is answered, how long it waits, and whether anybody reads.

A request is answered by the first word of a person about it. Read only; looked at are the requests of ``DAYS`` and the
newest decisions of one, so that the page costs the same whatever lies before them. Reading time is that of one message
at ``WORDS_A_MINUTE``: the least that a reviewer has to read, who is not asked to read all of them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from django.utils.safestring import SafeString, mark_safe

from reputation import pictures, sql
from reputation.pictures import Level

DAYS: Final = 7
HOURS: Final = 48
NEWEST: Final = 2_000  # decisions whose dwell is looked at
WORDS_A_MINUTE: Final = 250

# When approval has become a rubber stamp: one person, one day.
STAMPS: Final = 20
DWELL_SHARE: Final = 0.1
APPROVED_SHARE: Final = 0.98

NUMBERS: Final = {
    "days": DAYS,
    "hours": HOURS,
    "newest": NEWEST,
    "words": WORDS_A_MINUTE,
}

# The requests of some days, and when a person first said something about each. Keys sort by time.
ASKED: Final[LiteralString] = """
WITH asked AS MATERIALIZED (
    SELECT a.id, a.opened_at, a.state = 'lapsed' AS lapsed, a.ended_at, min(d.at) AS answered_at,
           least(min(d.at), a.ended_at) AS over_at
    FROM outbox_approval AS a
    LEFT JOIN outbox_decision AS d ON d.approval_id = a.id AND d.kind IN ('release', 'waves', 'part', 'refuse')
    WHERE a.id >= ao_uuid_floor(ao_now() - %(days)s * interval '1 day') GROUP BY a.id
)
"""

TOTALS: Final[LiteralString] = (
    ASKED
    + """
SELECT count(*) FILTER (WHERE over_at IS NULL) AS depth,
       extract(epoch FROM ao_now() - min(opened_at) FILTER (WHERE over_at IS NULL))::float8 AS oldest,
       count(*) FILTER (WHERE opened_at > ao_now() - interval '1 day') AS arrived,
       count(*) FILTER (WHERE answered_at > ao_now() - interval '1 day') AS answered,
       count(*) FILTER (WHERE lapsed) AS lapsed, count(*) FILTER (WHERE over_at IS NOT NULL) AS over,
       percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (
           ORDER BY extract(epoch FROM answered_at - opened_at)::float8) AS waits
FROM asked
"""
)

# Each hour up to now: what came and was answered in it; how much waited, and how long the oldest had, at its end.
COURSE: Final[LiteralString] = (
    ASKED
    + """
SELECT h.ends - interval '1 hour' AS begins,
       count(*) FILTER (WHERE a.opened_at > h.ends - interval '1 hour') AS arrived,
       count(*) FILTER (WHERE a.answered_at > h.ends - interval '1 hour' AND a.answered_at <= h.ends) AS answered,
       count(a.id) FILTER (WHERE a.over_at IS NULL OR a.over_at > h.ends) AS depth,
       coalesce(extract(epoch FROM h.ends - min(a.opened_at) FILTER (WHERE a.over_at IS NULL OR a.over_at > h.ends)),
                0)::float8 AS oldest
FROM generate_series(ao_now() - (%(hours)s - 1) * interval '1 hour', ao_now(), interval '1 hour') AS h (ends)
LEFT JOIN asked AS a ON a.opened_at <= h.ends
GROUP BY h.ends ORDER BY h.ends
"""
)

# Each reviewer's day: ``ratio`` is the time they looked, in times of what one message takes to read.
REVIEWERS: Final[LiteralString] = """
SELECT d.who, count(*) AS decisions, count(DISTINCT date_trunc('hour', d.at)) AS hours,
       count(*) FILTER (WHERE d.kind <> 'refuse') AS approved,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY d.dwell) AS dwell,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY w.seconds) AS reading,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY d.dwell / greatest(w.seconds, 1)) AS ratio
FROM (
    SELECT who, kind, at, upto, extract(epoch FROM at - shown_at)::float8 AS dwell FROM outbox_decision
    WHERE at > ao_now() - interval '1 day' AND kind IN ('release', 'waves', 'part', 'refuse', 'confirm')
    ORDER BY at DESC LIMIT %(newest)s
) AS d
LEFT JOIN LATERAL (
    SELECT cardinality(string_to_array(left(m.text, 8000), ' ')) * 60.0::float8 / %(words)s AS seconds
    FROM outbox_message AS m WHERE m.id = d.upto
) AS w ON true
GROUP BY d.who ORDER BY count(*) DESC, d.who LIMIT 50
"""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One reviewer's last day; ``dwell`` and ``reading`` in seconds, medians, None where nobody knows."""

    who: str
    decisions: int
    per_hour: float  # of the hours in which they decided at all
    approved: float  # share of the decisions that were no refusals
    dwell: float | None
    reading: float | None
    stamps: bool


@dataclass(frozen=True, slots=True)
class Health:
    """The queue now and of late; waits and ages in seconds, rates for an hour of the last day."""

    depth: int
    oldest: float | None
    arrivals: float
    service: float
    waits: tuple[float, float, float] | None
    lapsed: int
    over: int
    hours: Sequence[sql.Row]
    reviewers: Sequence[Reviewer]
    depth_picture: SafeString
    age_picture: SafeString

    @property
    def lapse_share(self) -> float | None:
        """Of the requests that are over, those that nobody answered in time."""
        return self.lapsed / self.over if self.over else None


def measured() -> Health:
    """The queue as it is now."""
    total = sql.one(TOTALS, NUMBERS)
    course = sql.rows(COURSE, NUMBERS)
    depths = [Level(_hour(row.begins), row.depth) for row in course]
    ages = [Level(_hour(row.begins), row.oldest / 60) for row in course]
    return Health(
        total.depth,
        total.oldest,
        total.arrived / 24,
        total.answered / 24,
        tuple(total.waits) if total.waits else None,
        total.lapsed,
        total.over,
        course,
        reviewers(),
        _drawn(depths, "Requests that waited", f"Of {HOURS} hours, at the end of each."),
        _drawn(ages, "Minutes that the oldest had waited", f"Of {HOURS} hours, at the end of each."),
    )


def reviewers() -> list[Reviewer]:
    """Who decided within a day, most first."""
    return [_reviewer(row) for row in sql.rows(REVIEWERS, NUMBERS)]


def stamping() -> list[dict[str, Any]]:
    """Reviewers whose approval of the last day was a rubber stamp: many, unread, and nearly all of them yes."""
    return [
        {"key": one.who, "percent": 100 * one.approved, **asdict(one)} for one in reviewers() if one.stamps
    ]


def _reviewer(row: sql.Row) -> Reviewer:
    approved = row.approved / row.decisions
    unread = row.ratio is not None and row.ratio < DWELL_SHARE
    stamps = row.decisions >= STAMPS and unread and approved > APPROVED_SHARE
    return Reviewer(
        row.who, row.decisions, row.decisions / row.hours, approved, row.dwell, row.reading, stamps
    )


def _hour(at: datetime) -> str:
    return f"{at:%a %H:%M}"


def _drawn(points: Sequence[Level], title: str, described: str) -> SafeString:
    return mark_safe(pictures.levels(points, title, described))  # noqa: S308  made of numbers and our own words

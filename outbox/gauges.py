"""What machines that watch want to know of signals, stops and alarms: one line each, read by one statement.

Each statement gives rows: the labels' values, and a number last. A number that is not known is left out, not zero.
Labels come from closed lists: no agent, person, recipient or scope is ever one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, LiteralString

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from outbox import pulse
from outbox.conditions import CONDITIONS, DEAF_SECONDS
from reputation import sql
from reputation.models import Judgement


@dataclass(frozen=True, slots=True)
class Gauge:
    """``always``: values of the only label that are shown as 0 where there is no row."""

    name: str
    words: str
    statement: LiteralString
    labels: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    counter: bool = False

    def read(self) -> Iterator[Metric]:
        """Read it now."""
        family = (CounterMetricFamily if self.counter else GaugeMetricFamily)(
            self.name, self.words, labels=self.labels
        )
        found = {tuple(row[:-1]): row[-1] for row in sql.rows(self.statement, PARAMS)}
        missing = {(value,): 0 for value in self.always}
        for values, n in {**missing, **found}.items():
            if n is not None:
                family.add_metric(values, n)
        yield family


PARAMS: Final = {"looked": pulse.LOOKED, "lately": pulse.LATELY, "patience": DEAF_SECONDS}

STOPS: Final[LiteralString] = """
SELECT CASE WHEN who LIKE 'rule:%%' THEN 'rule' WHEN who LIKE 'drill:%%' THEN 'drill' ELSE 'person' END, count(*) AS n
FROM reputation_switchevent WHERE action = 'trip' GROUP BY 1
"""

DEAF_WORKERS: Final[LiteralString] = "SELECT count(*) FROM (" + pulse.DEAF + ") AS deaf"  # noqa: S608 - both ours

OLDEST_WEBHOOK: Final[LiteralString] = """
SELECT coalesce(extract(epoch FROM ao_now() - min(at)), 0)::float8 AS n FROM outbox_notice
WHERE state IN ('waiting', 'sending')
"""

LAST_DRILL: Final[LiteralString] = """
SELECT t.what, t.n FROM (SELECT * FROM outbox_drill ORDER BY id DESC LIMIT 1) AS d CROSS JOIN LATERAL (VALUES
    ('trip', d.trip_seconds), ('zero', d.zero_seconds), ('heard', d.heard_seconds)) AS t (what, n)
"""

DRILL_AGE: Final[LiteralString] = """
SELECT extract(epoch FROM clock_timestamp() - max(at))::float8 AS n FROM outbox_drill
"""

LAST_DRILL_AFTER: Final[LiteralString] = 'SELECT "after" AS n FROM outbox_drill ORDER BY id DESC LIMIT 1'

REFUSED_POSTS: Final[LiteralString] = """
SELECT code, sum(posts) AS n FROM outbox_refusedposts WHERE minute > ao_now() - interval '10 minutes' GROUP BY code
"""

FULLEST: Final[LiteralString] = """
SELECT coalesce(max(n), 0) AS n FROM (SELECT count(*) AS n FROM outbox_quarantine GROUP BY envelope_to) AS each
"""

JUDGED: Final[LiteralString] = """
SELECT extract(epoch FROM clock_timestamp() - max(judged_at))::float8 AS n FROM outbox_vigil
"""

# How long those that were answered within a day had waited; at least what the oldest that is open has.
APPROVAL_WAIT: Final[LiteralString] = """
WITH asked AS (
    SELECT a.opened_at, min(d.at) AS answered_at FROM outbox_approval AS a
    LEFT JOIN outbox_decision AS d ON d.approval_id = a.id AND d.kind IN ('release', 'waves', 'part', 'refuse')
    WHERE a.id >= ao_uuid_floor(ao_now() - interval '2 days') GROUP BY a.id
)
SELECT q.name, percentile_cont(q.share) WITHIN GROUP (
    ORDER BY extract(epoch FROM asked.answered_at - asked.opened_at)::float8) AS n
FROM (VALUES ('0.5', 0.5::float8), ('0.9', 0.9::float8)) AS q (name, share), asked
WHERE asked.answered_at > ao_now() - interval '1 day' GROUP BY q.name, q.share
"""

OLDEST_APPROVAL: Final[LiteralString] = """
SELECT coalesce(extract(epoch FROM ao_now() - min(opened_at)), 0)::float8 AS n FROM outbox_approval
WHERE state IN ('open', 'confirming', 'watching')
"""

GAUGES: Final = (
    Gauge("ao_stops", "Trips there ever were.", STOPS, ("by",), ("rule", "person", "drill"), counter=True),
    Gauge(
        "ao_judgements",
        "Judgements of rules there ever were.",
        "SELECT strength, count(*) FROM reputation_judgement GROUP BY strength",
        ("strength",),
        tuple(Judgement.Strength.values),
        counter=True,
    ),
    Gauge(
        "ao_scopes_weak",
        "Scopes whose new mail is held for weak evidence.",
        "SELECT count(DISTINCT scope) AS n FROM reputation_watch WHERE weak_since IS NOT NULL",
    ),
    Gauge(
        "ao_uncertain_new",
        "Deliveries cleared within the last 15 minutes that are uncertain.",
        pulse.NEWLY_UNCERTAIN,
    ),
    Gauge("ao_last_dot_seconds", "Since a delivery was last cleared for its dot.", pulse.LAST_DOT),
    Gauge(
        "ao_workers_deaf",
        "Workers whose lease holds and that have not acknowledged an epoch for ten seconds.",
        DEAF_WORKERS,
    ),
    Gauge(
        "ao_posts_refused",
        "Posts of agents that were refused in the last ten minutes.",
        REFUSED_POSTS,
        ("code",),
    ),
    Gauge(
        "ao_webhooks_waiting",
        "Notices that no endpoint has taken yet.",
        "SELECT count(*) AS n FROM outbox_notice WHERE state IN ('waiting', 'sending')",
    ),
    Gauge("ao_webhooks_oldest_seconds", "How old the oldest of these is.", OLDEST_WEBHOOK),
    Gauge(
        "ao_endpoints_disabled",
        "Webhook endpoints that were disabled because they failed.",
        "SELECT count(*) AS n FROM outbox_endpoint WHERE disabled_at IS NOT NULL",
    ),
    Gauge(
        "ao_domains_degraded",
        "Sending domains whose records broke.",
        "SELECT count(*) AS n FROM reputation_sendingdomain WHERE state = 'degraded'",
    ),
    Gauge(
        "ao_audit_broken",
        "Whether a row of the audit is not what it was.",
        "SELECT count(*) AS n FROM outbox_auditlook WHERE broken IS NOT NULL",
    ),
    Gauge(
        "ao_approvals_open",
        "Requests that wait for a person.",
        "SELECT count(*) AS n FROM outbox_approval WHERE state IN ('open', 'confirming', 'watching')",
    ),
    Gauge("ao_approvals_oldest_seconds", "How long the oldest of these has waited.", OLDEST_APPROVAL),
    Gauge(
        "ao_approval_wait_seconds",
        "How long a request waits for its first answer, by those answered within a day.",
        APPROVAL_WAIT,
        ("quantile",),
    ),
    Gauge("ao_quarantine_fullest", "Messages in the fullest mailbox of the quarantine.", FULLEST),
    Gauge(
        "ao_returns",
        "Messages that came in, by door and by what became of them.",
        'SELECT source, "end", sum(messages) AS n FROM outbox_returncount GROUP BY source, "end"',
        ("source", "end"),
        counter=True,
    ),
    Gauge(
        "ao_alarms_open",
        "Alarms that are not over.",
        "SELECT kind, count(*) AS n FROM outbox_alarm WHERE ended_at IS NULL GROUP BY kind",
        ("kind",),
        tuple(condition.kind for condition in CONDITIONS),
    ),
    Gauge(
        "ao_alarms_untold",
        "Alarms of the last day that the pager was tried with and has not taken.",
        "SELECT count(*) AS n FROM outbox_alarm WHERE told_at IS NULL AND tries > 0 "
        "AND raised_at > ao_now() - interval '1 day'",
    ),
    Gauge("ao_judged_seconds", "Since the conditions of alarms were last judged.", JUDGED),
    Gauge("ao_drill_seconds", "What the last drill measured: trip, zero, heard.", LAST_DRILL, ("what",)),
    Gauge("ao_drill_age_seconds", "Since the last drill.", DRILL_AGE),
    Gauge("ao_drill_cleared_after", "Cleared after the stop of the last drill: must be 0.", LAST_DRILL_AFTER),
)

"""What a person is woken for: a table of conditions, each with how it is read, its words, and what to do first.

A reading gives one row for each case that holds now: its ``key``, stable while it lasts, and what its words name. A
condition remembers nothing and writes nothing; ``alarms`` raises and ends. Adding one is a line here, a section of
docs/runbook.md with its name, and a rule in docs/alerts.yml.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, LiteralString

from outbox import proof, pulse, queue_health
from outbox.quarantine import KEPT_OF_ONE_MAILBOX
from reputation import killswitch, sql

Case = Mapping[str, Any]

MANY_UNCERTAIN: Final = 10
LATE_SECONDS: Final = 60.0
SILENT_SECONDS: Final = 300.0
DEAF_SECONDS: Final = 10.0
UNMANNED_SECONDS: Final = 30.0  # a deploy is shorter
NEARLY_FULL: Final = 0.8

# Every trip, for as long as it stands and five minutes at least, so that nobody trips and resumes between two looks. A
# drill is told only when it leaves its stream closed.
TRIPS: Final[LiteralString] = """
SELECT e.epoch::text AS key, e.scope, e.who,
       rtrim(coalesce(nullif(e.why, ''), (SELECT n.text FROM reputation_switchnote AS n WHERE n.event_id = e.epoch
                                          ORDER BY n.id LIMIT 1), 'no reason given yet'), '.') AS why,
       to_char(e.at AT TIME ZONE 'UTC', 'HH24:MI:SS') AS at
FROM (SELECT * FROM reputation_switchevent WHERE action = 'trip' ORDER BY epoch DESC LIMIT 200) AS e
WHERE (e.at > clock_timestamp() - interval '5 minutes' AND e.who NOT LIKE 'drill:%%')
   OR e.epoch IN (SELECT epoch FROM reputation_openstop)
      AND (e.who NOT LIKE 'drill:%%' OR e.at < clock_timestamp() - interval '5 minutes')
ORDER BY e.epoch
"""

WEAK: Final[LiteralString] = """
SELECT left(signal || ' ' || scope, 400) AS key, scope, signal,
       to_char(weak_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS since
FROM reputation_watch WHERE weak_since IS NOT NULL ORDER BY weak_since, id LIMIT 100
"""

ENDPOINTS: Final[LiteralString] = """
SELECT name AS key, name, disabled_why AS why FROM outbox_endpoint WHERE disabled_at IS NOT NULL ORDER BY id LIMIT 100
"""

MAILBOXES: Final[LiteralString] = """
SELECT envelope_to AS key, count(*) AS n, %(most)s::int AS most FROM outbox_quarantine
GROUP BY envelope_to HAVING count(*) >= %(many)s ORDER BY envelope_to LIMIT 100
"""

DEGRADED: Final[LiteralString] = """
SELECT name AS key, name FROM reputation_sendingdomain WHERE state = 'degraded' ORDER BY id LIMIT 100
"""

BROKEN: Final[LiteralString] = (
    "SELECT broken::text AS key, words FROM outbox_auditlook WHERE broken IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """``words`` are filled from the row; ``first`` says what to do first. The kind names its section in the runbook."""

    kind: str
    read: Callable[[], Sequence[Case]]
    words: str
    first: str

    def told(self, case: Case) -> str:
        """What a person reads."""
        return f"{self.words.format(**case)} {self.first}"


def _asked(statement: LiteralString, **params: Any) -> list[Case]:
    return [row._asdict() for row in sql.rows(statement, params)]


def _uncertain() -> list[Case]:
    n = pulse.newly_uncertain()
    return [{"key": "", "n": n, "lately": pulse.LATELY}] if n > MANY_UNCERTAIN else []


def _late() -> list[Case]:
    seconds = pulse.lateness()["transactional"]
    return [{"key": "", "seconds": seconds}] if seconds > LATE_SECONDS else []


def _silent() -> list[Case]:
    late = max(pulse.lateness().values())
    if late < SILENT_SECONDS:
        return []
    since = pulse.since_last_dot()
    if since is not None and since < SILENT_SECONDS:
        return []
    return [{"key": "", "late": late / 60}]


def _deaf() -> list[Case]:
    return [{"key": str(row.id), **row._asdict()} for row in pulse.deaf(DEAF_SECONDS)]


def _unmanned() -> list[Case]:
    since = pulse.unmanned()
    return [{"key": ""}] if since is not None and since > UNMANNED_SECONDS else []


def _after_stop() -> list[Case]:
    found = {stop.scope: proof.clearances(stop.scope, stop.tripped_at) for stop in killswitch.open_stops()}
    return [{"key": scope, "scope": scope, "n": one.after} for scope, one in found.items() if one.after]


CONDITIONS: Final = (
    Condition(
        "cleared_after_stop",
        _after_stop,
        "{n} deliveries were cleared in {scope} after its stop: this must never happen.",
        "End every worker process, keep the database as it is, and call whoever maintains this.",
    ),
    Condition(
        "trip",
        partial(_asked, TRIPS),
        "{scope} was stopped at {at} UTC by {who}: {why}.",
        "Open the kill-switch page: see the proof, and who was sending. Nobody resumes before they know why.",
    ),
    Condition(
        "weak_evidence",
        partial(_asked, WEAK),
        "{signal} of {scope} are above the healthy line since {since} UTC; its new mail is held for a person.",
        "Look at three of its messages and at who receives them, before more evidence stops it.",
    ),
    Condition(
        "uncertain",
        _uncertain,
        "{n} deliveries of the last {lately} are uncertain: they were cleared, and no answer was seen.",
        "See whether workers were killed or a provider hangs. Nothing is sent again by itself on agents' streams.",
    ),
    Condition(
        "transactional_late",
        _late,
        "A transactional delivery is due since {seconds:.0f} s and has not gone: somebody waits for it.",
        "See whether workers run, and what the provider said last.",
    ),
    Condition(
        "no_dots",
        _silent,
        "Nothing was sent for five minutes, and work is due since {late:.0f} minutes.",
        "See whether workers run and reach port 25, the DNS and the database.",
    ),
    Condition(
        "worker_deaf",
        _deaf,
        "Worker {name} has not acknowledged epoch {epoch} for {seconds:.0f} s, though its lease holds.",
        "It can clear no dot in a stopped scope all the same. End its process; another takes its work.",
    ),
    Condition(
        "no_worker",
        _unmanned,
        "No worker is running: nothing is sent.",
        "Start one; what waits goes by itself.",
    ),
    Condition(
        "domain_degraded",
        partial(_asked, DEGRADED),
        "The records of the sending domain {name} broke: its new mail is held.",
        "Its page in the admin names the record and what it must say.",
    ),
    Condition(
        "rubber_stamp",
        queue_health.stamping,
        "{who} approved {percent:.0f} % of {decisions} requests within a day and looked at each for {dwell:.0f} s, "
        "where reading one message takes {reading:.0f} s: nobody reads what goes out.",
        "See the queue's health, and ask: too many requests, too little time, or a rule that asks about nothing.",
    ),
    Condition(
        "endpoint_disabled",
        partial(_asked, ENDPOINTS),
        "The webhook endpoint {name} was disabled: {why}",
        "Whoever listens there learns nothing. Mend it, enable it, replay what it missed.",
    ),
    Condition(
        "quarantine_full",
        partial(_asked, MAILBOXES, most=KEPT_OF_ONE_MAILBOX, many=int(NEARLY_FULL * KEPT_OF_ONE_MAILBOX)),
        "{n} messages to {key} wait to be read; at {most} its peers are asked to come again.",
        "Read them in the admin.",
    ),
    Condition(
        "audit_broken",
        partial(_asked, BROKEN),
        "The audit is not what it was: {words}",
        "Somebody with the owner's rights changed what people and rules did. Keep the database as it is, and a copy.",
    ),
)


def short(kind: str, words: str) -> str:
    """What an alarm of this kind was told with, without what to do first."""
    first = next((condition.first for condition in CONDITIONS if condition.kind == kind), "")
    return words.removesuffix(first).strip()

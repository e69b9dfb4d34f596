"""When mail accepted now would be through: what accept and preflight tell an agent.

From counters a few seconds old and never from counting the backlog: what waits behind each ramp is tallied beside the
walk (``waiting``), where each ramp stands is one short read, remembered for two seconds. The rule of the forecast is
``forecasts``'; a provider that has closed its door to us puts it off until the door is tried again.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Final, LiteralString
from zoneinfo import ZoneInfo

from reputation import forecasts, ramps, sql
from reputation.forecasts import Warming
from reputation.hours import EVERY_DAY, Hours

KEEP_SECONDS: Final = 2.0
KEEP_NAMES: Final = 10_000

READ: Final[LiteralString] = """
SELECT w.provider, ao_now() AS now, s.kind = 'transactional' AS whole, s.time_zone, s.opens_hour, s.closes_hour,
       s.sending_days, k.kind, k.preset, k.own_steps, k.target, coalesce(r.step, 0) AS step,
       coalesce(r.stepped_at, ao_now()) AS stepped_at, coalesce(r.waiting, 0) AS waiting,
       CASE WHEN r.valve = 'closed' THEN r.valve_until END AS closed_until, a.day, a.cap, coalesce(a.taken, 0) AS taken,
       coalesce(a.lapsed, 0) AS lapsed
FROM unnest(%(providers)s::text[]) AS w (provider)
CROSS JOIN reputation_sendingdomain AS d
JOIN reputation_stream AS s ON s.id = d.stream_id
JOIN reputation_route AS t ON t.id = d.route_id
JOIN reputation_organisationaldomain AS o ON o.id = d.organisation_id
CROSS JOIN LATERAL (VALUES
    ('domain', d.name, d.preset, d.own_steps, d.target), ('organisation', o.name, o.preset, o.own_steps, o.target),
    ('source', host(t.source_address), t.preset, t.own_steps, t.target)) AS k (kind, key, preset, own_steps, target)
LEFT JOIN reputation_ramp AS r ON r.kind = k.kind AND r.key = k.key AND r.provider = w.provider
LEFT JOIN LATERAL (
    SELECT * FROM reputation_allowance AS a WHERE a.ramp_id = r.id ORDER BY a.day DESC LIMIT 1
) AS a ON true
WHERE d.id = %(domain)s AND k.key IS NOT NULL
"""

# What waits behind the ramps of sending domains that any cap concerns, each delivery where its lane is.
TALLY: Final[LiteralString] = """
UPDATE reputation_ramp AS r SET waiting = coalesce(t.n, 0)
FROM reputation_ramp AS o
LEFT JOIN unnest(%(ramps)s::bigint[], %(counts)s::int[]) AS t (id, n) ON t.id = o.id
WHERE r.id = o.id AND o.kind = 'domain' AND o.waiting <> coalesce(t.n, 0)
"""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a sending domain's mail to one provider will go on, with so many waiting at ``now``."""

    now: datetime
    hours: Hours
    even: bool
    waiting: int
    warming: tuple[Warming, ...]
    closed_until: datetime | None
    _ends: dict[int, datetime | None] = field(default_factory=dict, compare=False)
    _sent: dict[int, list[int]] = field(default_factory=dict, compare=False)

    def at(self, nth: int, of: int | None = None) -> datetime | None:
        """When the ``nth`` recipient accepted from now on would be through; None if not within three years.

        With ``of`` (how many there will be), by the day: the end of the last one that goes out on the same day.
        """
        if not self.warming:
            return self._not_before(self.now)
        if of is None or of <= 1:
            return self._through(nth)
        return self._through(self._last_of_its_day(nth, of))

    def days(self, recipients: int) -> list[forecasts.Planned]:
        """The sending days until so many more are through."""
        return forecasts.timeline(
            self.waiting + recipients, self.warming, self.hours, self.now, even=self.even
        )

    def _last_of_its_day(self, nth: int, of: int) -> int:
        """Asked for every draft of a batch: what has been sent in all, by the end of each day, is reckoned once."""
        if of not in self._sent:
            self._sent[of] = list(accumulate(day.sent for day in self.days(of)))
        ends = self._sent[of]
        place = bisect_left(ends, self.waiting + nth)
        return min(ends[place] - self.waiting, of) if place < len(ends) else of

    def _through(self, nth: int) -> datetime | None:
        if nth not in self._ends:
            end = forecasts.through(nth, self.waiting, self.warming, self.hours, self.now, even=self.even)
            self._ends[nth] = end and self._not_before(end)
        return self._ends[nth]

    def _not_before(self, time_: datetime) -> datetime:
        return max(time_, self.closed_until) if self.closed_until else time_


_remembered: dict[tuple[int, str], tuple[Outlook, float]] = {}


def outlooks(domain_id: int, providers: Iterable[str]) -> dict[str, Outlook]:
    """How a sending domain's mail to each of these providers will go on."""
    now, found = time.monotonic(), {}
    for provider in set(providers):
        known, until = _remembered.get((domain_id, provider), (None, 0.0))
        if known and until > now:
            found[provider] = known
    if missing := sorted(set(providers) - set(found)):
        read = _read(domain_id, missing)
        _remember(domain_id, read, now + KEEP_SECONDS)
        found |= read
    return found


def tally(waiting: dict[int, int]) -> int:
    """Note how many deliveries wait behind each ramp; how many ramps that changed."""
    return sql.count(TALLY, {"ramps": list(waiting), "counts": list(waiting.values())})


def _read(domain_id: int, providers: Sequence[str]) -> dict[str, Outlook]:
    rows: dict[str, list[sql.Row]] = {}
    for row in sql.rows(READ, {"domain": domain_id, "providers": list(providers)}):
        rows.setdefault(row.provider, []).append(row)
    return {provider: _outlook(provider, three) for provider, three in rows.items()}


def _outlook(provider: str, three: Sequence[sql.Row]) -> Outlook:
    first = three[0]
    zone = ZoneInfo(first.time_zone)
    hours = Hours(zone, first.opens_hour, first.closes_hour, frozenset(first.sending_days))
    if first.whole:
        hours = Hours(zone, 0, 24, EVERY_DAY)
    closed = [row.closed_until for row in three if row.closed_until and row.closed_until > first.now]
    return Outlook(
        now=first.now,
        hours=hours,
        even=not first.whole,
        waiting=sum(row.waiting for row in three),
        warming=tuple(_warming(row, provider, hours) for row in three if row.preset != "none"),
        closed_until=max(closed, default=None),
    )


def _warming(row: sql.Row, provider: str, hours: Hours) -> Warming:
    plan = ramps.steps(row.preset, row.own_steps, row.target, ramps.share(provider), hours.length)
    return Warming(plan, row.step, row.stepped_at, row.day, row.cap, row.taken, row.lapsed)


def _remember(domain_id: int, read: dict[str, Outlook], until: float) -> None:
    if len(_remembered) > KEEP_NAMES:
        _remembered.clear()
    _remembered.update({(domain_id, provider): (outlook, until) for provider, outlook in read.items()})

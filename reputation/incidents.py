"""A provider that calls people unknown who are not (Gmail did, in December 2020): told from how it was all week.

An incident begins when two streams at once see five times the provider's share of unknown users of the last seven days,
and are sure of it (Wilson 95 %). While it lasts nothing of it counts, nobody is suppressed for it, and what it refuses
is tried again later. It ends by itself after ``LASTS``: if the provider is still confused, it begins again. Refuses to
see one where there is no week to compare with.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Final, LiteralString

from reputation import rates, sql

LASTS: Final = "2 hours"
TIMES: Final = 5
STREAMS: Final = 2
LEAST_UNKNOWN: Final = 5  # of one stream
LEAST_BASE: Final = 200  # outcomes of the week
LEAST_SHARE: Final = 0.002  # of a provider that knew everybody: five times nothing is nothing

SHARES: Final[LiteralString] = """
WITH lately AS (
    SELECT provider, stream, sum(trials)::int AS trials, sum(unknown)::int AS unknown FROM reputation_providerhour
    WHERE provider = ANY (%(providers)s) AND hour > ao_now() - interval '2 hours' GROUP BY provider, stream
), week AS (
    SELECT provider, sum(trials)::int AS trials, sum(unknown)::int AS unknown FROM reputation_providerhour
    WHERE provider = ANY (%(providers)s) AND hour > ao_now() - interval '7 days'
      AND hour <= ao_now() - interval '2 hours' GROUP BY provider
)
SELECT l.provider, l.stream, l.trials, l.unknown, w.trials AS base_trials, w.unknown AS base_unknown
FROM lately AS l JOIN week AS w USING (provider) ORDER BY l.provider, l.stream
"""

BEGIN: Final[LiteralString] = """
INSERT INTO reputation_incident (provider, began_at, until, why)
VALUES (%(provider)s, ao_now(), ao_now() + %(lasts)s::interval, %(why)s)
"""

GOING_ON: Final[LiteralString] = "SELECT DISTINCT provider FROM reputation_incident WHERE until > ao_now()"

FORGET: Final[LiteralString] = "DELETE FROM reputation_providerhour WHERE hour < ao_now() - interval '8 days'"


def going_on() -> frozenset[str]:
    """Providers whose word about unknown users is not believed now."""
    return frozenset(row.provider for row in sql.rows(GOING_ON))


def detect(providers: Collection[str]) -> frozenset[str]:
    """Providers among these that are confused, those included that were. In the caller's transaction."""
    known = going_on()
    asked = sorted(set(providers) - known)
    told: defaultdict[str, list[str]] = defaultdict(list)
    for row in sql.rows(SHARES, {"providers": asked}) if asked else []:
        if words := _far_above(row):
            told[row.provider].append(words)
    begun = {provider for provider, words in told.items() if len(words) >= STREAMS}
    for provider in sorted(begun):
        why = f"{provider} calls more people unknown than all week: {'; '.join(told[provider])}."
        sql.count(BEGIN, {"provider": provider, "lasts": LASTS, "why": why})
    return known | begun


def forget() -> int:
    """Drop hours that no comparison needs any more."""
    return sql.count(FORGET)


def _far_above(row: sql.Row) -> str:
    """How far a stream's share lies above the week's, in words; nothing if it does not."""
    if row.base_trials < LEAST_BASE or row.unknown < LEAST_UNKNOWN:
        return ""
    share = max(row.base_unknown / row.base_trials, LEAST_SHARE)
    least = rates.lower(row.unknown, max(row.unknown, row.trials), rates.WEAK)
    if least <= TIMES * share:
        return ""
    return f"{row.unknown} of {row.trials} on {row.stream}, at least {least:.1%}, against {share:.1%}"

"""Webhooks out, as they are written down: which events there are, what a request holds, when it is tried again.

Pure. The names are API.md's closed list; the database maps its own events to them (``ao_told_as``). A body never
holds content or a secret. What an endpoint answers is read here: 2xx took it, 410 wants no more of any, and everything
else, redirects included, is to be tried again until the schedule is at its end; with 429 and 503 an endpoint may ask
for a longer pause.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

import orjson

EVENTS: Final[Mapping[str, str]] = {
    "message.held": "A person has to look at it first.",
    "message.released": "A person let it go.",
    "message.refused": "A person refused it.",
    "message.lapsed": "Nobody decided in time.",
    "message.cancelled": "It, or what was left of it, was taken back.",
    "delivery.queued": "It waits to be sent.",
    "delivery.deferred": "The receiving server said later; it is tried again.",
    "delivery.delivered": "The receiving server took it: not the inbox, and nobody read it.",
    "delivery.relayed": "A relay took it: beyond our reach.",
    "delivery.bounced": "It was refused for good, perhaps after it had been taken.",
    "delivery.complained": "The recipient called it spam.",
    "delivery.unsubscribed": "The recipient wants no more of this stream.",
    "delivery.suppressed": "The recipient must not be mailed.",
    "delivery.expired": "It ran out of time.",
    "delivery.uncertain": "Its data was finished and no answer was seen.",
    "stop.tripped": "A scope was closed.",
    "stop.confirmed": "Every living worker has acknowledged it.",
    "stop.resumed": "A scope was opened again.",
    "ramp.advanced": "A ramp earned its next step.",
    "ramp.held": "Evidence holds a ramp on its step.",
    "ramp.stepped_down": "A ramp went down a step.",
}
TEST: Final = "webhook.test"

# Seconds before each further attempt: three days and some hours in all.
DELAYS: Final = (5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
JITTER: Final = 0.2  # of a delay, spread evenly around it
GONE: Final = 410
BUSY: Final = frozenset({429, 503})
MOST_ASKED: Final = 6 * 3600.0  # seconds: a clock that is wrong must not silence an endpoint for days


class Verdict(StrEnum):
    """What follows from an attempt."""

    TAKEN = "taken"
    LATER = "later"
    GIVEN_UP = "given_up"
    UNWANTED = "unwanted"


def body(kind: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    """The body of a request: the same octets at every attempt."""
    instant = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": kind, "timestamp": instant, "data": data}, option=orjson.OPT_SORT_KEYS)


def verdict(status: int | None, attempts: int) -> Verdict:
    """What follows from an answer with this HTTP status, or none at all, to the so-manieth attempt."""
    if status is not None and 200 <= status < 300:
        return Verdict.TAKEN
    if status == GONE:
        return Verdict.UNWANTED
    return Verdict.LATER if attempts <= len(DELAYS) else Verdict.GIVEN_UP


def delay(attempts: int, draw: float) -> float:
    """Seconds until the next attempt after so many; ``draw`` is random, from 0 to 1."""
    return DELAYS[attempts - 1] * (1 - JITTER / 2 + JITTER * draw)


def pause(status: int | None, retry_after: str, now: datetime) -> float:
    """Seconds that an answer asks to be left alone for, ``MOST_ASKED`` at most (RFC 9110 §10.2.3, RFC 6585 §4)."""
    if status not in BUSY:
        return 0.0
    given = retry_after.strip()
    if given.isascii() and given.isdecimal():
        return min(float(given[:9]), MOST_ASKED)
    try:
        until = parsedate_to_datetime(given)
        seconds = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MOST_ASKED)

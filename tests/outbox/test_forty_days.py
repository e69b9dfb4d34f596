"""A virtual 40 days: the ramp's path is the rule's, written out by hand below, and the forecast of day 0 comes true.

Weekends off; two healthy weeks, a week of bounces, one to recover, one with two days of DNS outage, a healthy one.
The ledger's own functions on a real database, visited every hour; the rules' clock is shifted, nothing sleeps.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import sqrt
from typing import Any, NamedTuple

import psycopg
import pytest

from outbox import intake, ledger, sessions
from outbox.keys import Caller, authenticate
from outbox.ledger import Claimed, Settlement
from outbox.payloads import parse_draft
from reputation import outlook
from reputation.models import Allowance, RampEvent, SendingDomain, Stream
from tests import factories

pytestmark = pytest.mark.usefixtures("live_db")

CAPS = tuple(range(10, 210, 10))
OPENS, CLOSES = 9, 17
WORKDAYS = [1, 2, 3, 4, 5]
DAYS = 40
BAD_WEEK = {14: 2, 15: 3, 16: 3, 17: 3, 18: 1}  # so many of ten recipients do not exist
OUTAGE = range(29, 31)  # nobody's MX can be found
FORECAST = (5, 60, 200, 400)  # recipients, of those accepted before the first day
WAITING = 400  # kept in front of the ramp

ACCEPTED = {"evidence": "accepted", "phase": "replied", "reply_code": 250}
UNKNOWN = {"evidence": "bounced", "phase": "rcpt", "reply_code": 550}
NOWHERE = {"wait": 7200.0, "phase": "resolve", "fault": "dns_temporary"}


def test_forty_days(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "_remembered", {})
    caller = authenticate(f"Bearer {factories.key(factories.agent())}")
    SendingDomain.objects.update(preset="own", own_steps=list(CAPS))
    Stream.objects.update(opens_hour=OPENS, closes_hour=CLOSES, sending_days=WORKDAYS)
    monday = datetime.now(UTC).date() + timedelta(days=8 - datetime.now(UTC).isoweekday())
    with Clock(live_db) as clock:
        clock.set(monday, 8)
        domain = SendingDomain.objects.get()
        forecast = {n: outlook.outlooks(domain.id, ["other"])["other"].at(n) for n in FORECAST}
        walk = Walk(caller, monday, clock)
        for day in range(DAYS):
            walk.live(day)

    expected = list(by_hand(monday))
    assert [(row.day, row.step, row.cap, row.used) for row in own_days()] == [day[:4] for day in expected]
    assert all(row.taken == row.used for row in Allowance.objects.all())
    assert list(RampEvent.objects.order_by("id").values_list("kind", "step", "cap")) == [
        each.event for each in expected if each.event
    ]
    for n, end in forecast.items():
        assert end is not None
        really = walk.through(n)
        print(f"{n} recipients: forecast for {end:%a %d %H:%M}, through on {really:%a %d}")
        assert abs(sending_days(monday, end.date()) - sending_days(monday, really)) <= 1
    tell(expected)


def own_days() -> list[Allowance]:
    return list(Allowance.objects.filter(ramp__kind="domain").order_by("day"))


def sending_days(since: date, until: date) -> int:
    every = (since + timedelta(days=n) for n in range((until - since).days))
    return sum(day.isoweekday() in WORKDAYS for day in every)


def tell(expected: Sequence["Told"]) -> None:
    for one in expected:
        event = one.event[0] if one.event else ""
        print(f"{one.day:%a %d %b}  step {one.step:2}  cap {one.cap:3}  used {one.used:3}  {event}")


# -- what happens


class Clock:
    """The rules' time, as only the owner may set it; back where it was afterwards."""

    def __init__(self, live_db: Any) -> None:
        self._owner = psycopg.connect(live_db.owner, autocommit=True)

    def __enter__(self) -> "Clock":
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.execute("UPDATE outbox_clockshift SET shift = '0'")
        self._owner.close()

    def set(self, day: date, hour: int, minute: int = 0, second: int = 0) -> None:
        at = datetime.combine(day, time(hour, minute, second), UTC)
        self._owner.execute("UPDATE outbox_clockshift SET shift = %s - statement_timestamp()", [at])


class Walk:
    """Forty days of one agent, whose recipients are all with one provider."""

    def __init__(self, caller: Caller, monday: date, clock: Clock) -> None:
        self.caller, self.monday, self.clock = caller, monday, clock
        self.session = sessions.begin("forty days")
        self.posted = 0
        self.handled: list[date] = []  # the day on which each recipient was used, in order

    def live(self, number: int) -> None:
        """A day: mail comes in before its hours; then somebody looks every hour, and just before they end."""
        day = self.monday + timedelta(days=number)
        self.clock.set(day, 8)
        self.post()
        for hour in range(OPENS, CLOSES):
            self.clock.set(day, hour)
            self.visit(number, day)
        self.clock.set(day, CLOSES - 1, 59, 59)
        self.visit(number, day)
        self.clock.set(day, CLOSES, 30)
        assert ledger.claim(self.session, tier=1, limit=500) == []

    def through(self, nth: int) -> date:
        """The day on which the nth recipient was through."""
        return self.handled[nth - 1]

    def post(self) -> None:
        while self.posted < len(self.handled) + WAITING:
            to = [f"grace{self.posted + n}@example.org" for n in range(50)]
            draft = parse_draft(
                {"to": to, "subject": "Hi", "text": "Hi"}, now=datetime.now(UTC), idempotency_key=None
            )
            [answer] = intake.accept([draft], self.caller, request_id="r", base_url="https://ao.test")
            assert answer.status == 202
            self.posted += 50

    def visit(self, number: int, day: date) -> None:
        sessions.renew(self.session, 0)
        claimed = ledger.claim(self.session, tier=1, limit=500)
        gone = [one for n, one in enumerate(claimed, len(self.handled)) if n % 10 < BAD_WEEK.get(number, 0)]
        good = [one for one in claimed if one not in gone]
        if number in OUTAGE:
            self.settle(claimed, "deferred", "dns_failed", **NOWHERE)
        else:
            self.clear(good)
            self.settle(good, "delivered", "accepted_by_server", **ACCEPTED)
            self.settle(gone, "bounced", "recipient_unknown", **UNKNOWN)
            self.handled += [day] * len(claimed)

    def clear(self, claimed: list[Claimed]) -> None:
        if claimed:
            assert len(ledger.clear(self.session, [(one.id, one.attempt) for one in claimed])) == len(claimed)

    def settle(self, claimed: list[Claimed], status: str, code: str, **more: Any) -> None:
        made = [Settlement(one.id, one.attempt, status, code, **more) for one in claimed]
        assert len(ledger.settle(self.session, made)) == len(claimed)


# -- the rule, by hand


class Told(NamedTuple):
    """A sending day: its step, its cap, what is used of it, and what the ramp's story says as it begins."""

    day: date
    step: int
    cap: int
    used: int
    event: tuple[str, int, int] | None
    bounced: int


def by_hand(monday: date) -> Iterator[Told]:
    """The path as DESIGN says it: a step is earned by 70 % of a day or 150 % of seven, held above the line of 2 % of
    bounces, and lost above 4 %, at most one a day.
    """
    past: list[Told] = []
    step, since, holding = 0, monday, False
    for number in range(DAYS):
        day = monday + timedelta(days=number)
        if day.isoweekday() not in WORKDAYS:
            continue
        before, lower = step, bounce_rate_at_least(past, day)
        here = [each for each in past if each.step == step and each.day >= since]
        used = [each.used for each in here if (day - each.day).days <= 7]
        if lower > 0.04 and any(used) and step:
            step -= 1
        elif lower <= 0.02 and used and earned(used, CAPS[step]):
            step = min(step + 1, len(CAPS) - 1)
        held = lower > 0.02 and step == before
        event = None
        if step != before:
            event, since = ("advanced" if step > before else "stepped_down", step, CAPS[step]), day
        elif held and not holding:
            event = ("held", step, CAPS[step])
        holding = held
        cap = CAPS[step]
        bounced = cap * BAD_WEEK.get(number, 0) // 10
        past.append(Told(day, step, cap, 0 if number in OUTAGE else cap, event, bounced))
        yield past[-1]


def earned(used: list[int], cap: int) -> bool:
    return max(used) * 10 >= cap * 7 or sum(used) * 10 >= cap * 15


def bounce_rate_at_least(past: list[Told], today: date) -> float:
    """Wilson's lower bound, 95 % one-sided, of the last 500 outcomes or 7 days, whole days."""
    bounced, outcomes = 0, 0
    for day in reversed(past):
        if (today - day.day).days > 7 or outcomes >= 500:
            break
        bounced, outcomes = bounced + day.bounced, outcomes + day.used
    if not outcomes:
        return 0.0
    z, rate = 1.6448536, bounced / outcomes
    middle = rate + z * z / (2 * outcomes)
    spread = z * sqrt(rate * (1 - rate) / outcomes + z * z / (4 * outcomes * outcomes))
    return (middle - spread) / (1 + z * z / outcomes)

"""The cap is the cap (guarantee 4): 8 dispatchers, 32 API clients at once, kill -9, day after simulated day.

Three sending domains with caps of 1, 10 and 200 recipients a day and provider, and always more mail than that. By the
oracle no day of any of them has more; by the ledger all of it is used, and whatever was reserved in vain came back.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, Final, LiteralString

import pytest

from simulator.oracle import Entry
from tests.walks.harness.installation import Installation
from tests.walks.harness.invariants import delivery_of
from tests.walks.harness.processes import Worker
from tests.walks.harness.waiting import until

WORKERS, CHILDREN = 2, 4
CAPS: Final = {"sales.acme.test": 200, "support.acme.test": 10, "mail.acme.test": 1}
# agent -> API clients that post for it, and recipients with each provider of one of their posts
CLIENTS: Final = {"ada": (8, 10), "bob": (8, 10), "carol": (8, 2), "robot": (8, 1)}
POSTS = 2  # of each client and day: more than the caps
SLOW = ("late-400ms-rcpt", "late-400ms-dot")  # so that a kill finds work under way, and cleared
HOLD_SECONDS = 10.0
_numbers = count()

CAP: Final[LiteralString] = """
UPDATE reputation_sendingdomain AS d SET preset = 'own', own_steps = ARRAY[t.cap]
FROM unnest(%s::text[], %s::int[]) AS t (name, cap) WHERE d.name = t.name
"""
# Two hours: what piles up does not lapse.
HOURS: Final[LiteralString] = (
    "UPDATE reputation_stream SET kind = 'agents', opens_hour = 10, closes_hour = 12"
)
SET_CLOCK: Final[LiteralString] = "UPDATE outbox_clockshift SET shift = %s - statement_timestamp()"
PLACES: Final[LiteralString] = """
SELECT DISTINCT d.name AS domain, l.provider
FROM outbox_lane AS l JOIN reputation_sendingdomain AS d ON d.id = l.domain_id
"""
ALLOWANCES: Final[LiteralString] = """
SELECT r.key AS domain, r.provider, a.cap, a.taken, a.used FROM reputation_allowance AS a
JOIN reputation_ramp AS r ON r.id = a.ramp_id WHERE r.kind = 'domain' AND a.day = %s
"""
RESERVED: Final[LiteralString] = "SELECT * FROM reputation_allowance WHERE taken <> used"
WHERE: Final[LiteralString] = """
SELECT x.id, d.name AS domain, l.provider FROM outbox_delivery AS x JOIN outbox_lane AS l ON l.id = x.lane_id
JOIN reputation_sendingdomain AS d ON d.id = l.domain_id WHERE x.id = ANY(%s)
"""
RESCUED: Final[LiteralString] = """
SELECT count(*) AS n, count(*) FILTER (WHERE cleared_at IS NULL) AS back
FROM outbox_attempt WHERE fault = 'session_lost'
"""


def test_three_days(here: Installation) -> None:
    keep_the_caps(here, days=3, kills=1, providers=("gmail.test", "outlook.test"))


@pytest.mark.soak
def test_forty_days_of_all_providers_or_as_many_as_asked(here: Installation) -> None:
    domains = ("gmail.test", "outlook.test", "yahoo.test", "corp.test", "other.test")
    keep_the_caps(here, days=int(os.environ.get("SOAK_DAYS", "40")), kills=3, providers=domains)


def keep_the_caps(here: Installation, days: int, kills: int, providers: Sequence[str]) -> None:
    here.ask(CAP, list(CAPS), list(CAPS.values()))
    here.ask(HOURS)
    here.beat()
    here.web()
    workers = [here.worker(children=CHILDREN) for _ in range(WORKERS)]
    until(lambda: len(here.sessions()) == WORKERS * CHILDREN, 60, "all dispatch", here.sessions)
    today = datetime.now(UTC).date()
    seen = 0
    for day in (today + timedelta(days=number) for number in range(days)):
        live(here, day, kills, workers, providers)
        dots = here.oracle()[seen:]
        seen += len(dots)
        judge(here, day, dots)
    report = here.check_invariants()
    rescued = here.ask(RESCUED)[0]
    print(
        f"{days} days, {days * kills} kills: {rescued.n} were under way, {rescued.back} slots of them came back"
    )
    # what waits for the next day; what was cleared as its worker died; what had five workers die
    assert report.statuses.keys() <= {"delivered", "queued", "uncertain", "held"}


def live(here: Installation, day: date, kills: int, workers: list[Worker], providers: Sequence[str]) -> None:
    """A day from the middle of its hours on: everybody posts while workers die, until all of it is used."""
    clock = Clock(here, day)
    clients = [agent for agent, (number, _) in CLIENTS.items() for _ in range(number)]
    with ThreadPoolExecutor(len(clients)) as threads:
        clock.set(11)
        posts = [threads.submit(post, here, agent, providers) for agent in clients for _ in range(POSTS)]
        for kill in range(kills):
            clock.set(11, 10 * kill)
            workers.append(replace_one_at_work(here, workers))
        for each in posts:
            here.note(each.result())
    clock.set(11, 59, 40)
    until(lambda: clock.hold() and all_used(here, day), 60, "all used, all at rest", lambda: told(here, day))


def post(here: Installation, agent: str, providers: Sequence[str]) -> Mapping[str, Any]:
    _, each = CLIENTS[agent]
    to = [f"{random.choice(SLOW)}.{next(_numbers)}@{domain}" for domain in providers for _ in range(each)]
    answer = here.http("/v1/messages", {"to": to, "subject": "A walk", "text": "Hello."}, agent)
    assert answer.status == 202, answer
    body: Mapping[str, Any] = answer.body
    return body


def replace_one_at_work(here: Installation, workers: list[Worker]) -> Worker:
    """SIGKILL to a worker and its children at some moment of their work; another comes in its place."""

    def at_work() -> Worker | None:
        busy = {row.session_id for row in here.ask("SELECT DISTINCT session_id FROM outbox_delivery")}
        pids = {pid for session, pid in here.sessions().items() if session in busy}
        return next((worker for worker in workers if pids.intersection(worker.children())), None)

    worker = until(at_work, 60, "one works", here.statuses)
    time.sleep(random.uniform(0, 1))  # any moment: that is the point
    worker.kill()
    workers.remove(worker)
    return here.worker(ready=False, children=CHILDREN)


def all_used(here: Installation, day: date) -> bool:
    """Whether every place's allowance of the day is used to the last, and nothing is under way."""
    rows = here.ask(ALLOWANCES, day)
    places = {(row.domain, row.provider) for row in here.ask(PLACES)}
    full = {(row.domain, row.provider) for row in rows if row.used == row.taken >= row.cap}
    return full == places and "sending" not in here.statuses()


def told(here: Installation, day: date) -> str:
    return f"{here.ask(ALLOWANCES, day)} {here.statuses()}"


def judge(here: Installation, day: date, dots: Sequence[Entry]) -> None:
    """By the oracle no place has more than its cap; by the ledger it has all of it, and nothing stays reserved."""
    keys = [delivery_of(entry) for entry in dots]
    place = {row.id: (row.domain, row.provider) for row in here.ask(WHERE, keys)}
    seen = Counter(place[key] for key in keys)
    used = Counter({(row.domain, row.provider): row.used for row in here.ask(ALLOWANCES, day)})
    for where, n in sorted(used.items()):
        print(f"\n{day} {' to '.join(where)}: {seen[where]} dots, {n} used of {CAPS[where[0]]}", end="")
    assert all(n <= CAPS[domain] for (domain, _), n in seen.items()), f"cap: passed, {seen}"
    assert all(n == CAPS[domain] for (domain, _), n in used.items()), used
    assert seen <= used, f"cap: {seen} seen, {used} counted"
    assert here.ask(RESERVED) == []


class Clock:
    """The rules' time on a day. It goes on by itself, and the last seconds of the hours are short: `hold` it there."""

    def __init__(self, here: Installation, day: date) -> None:
        self._here, self._day = here, day
        self._at = datetime.min
        self._since = 0.0

    def set(self, hour: int, minute: int = 0, second: int = 0) -> None:
        self._at = datetime(self._day.year, self._day.month, self._day.day, hour, minute, second, tzinfo=UTC)
        self._since = time.monotonic()
        self._here.ask(SET_CLOCK, self._at)

    def hold(self) -> bool:
        if time.monotonic() - self._since > HOLD_SECONDS:
            self.set(self._at.hour, self._at.minute, self._at.second)
        return True

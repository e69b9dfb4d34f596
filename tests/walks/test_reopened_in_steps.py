"""Tripped under load, resumed in steps by real workers: a tenth goes first, and nobody who left meanwhile is mailed."""

from collections import Counter
from math import ceil

from tests.walks.harness.inside import Switched
from tests.walks.harness.installation import Installation
from tests.walks.harness.waiting import until

LOAD = 600
LEFT = 8  # of those that wait, so many complain meanwhile

QUEUED = """
SELECT l.provider, count(*) AS n FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
WHERE d.status = 'queued' AND (d.next_attempt_at > ao_now()) = %s GROUP BY l.provider
"""


def test_a_tenth_goes_first_and_the_rest_when_it_was_watched(here: Installation) -> None:
    here.beat()
    here.worker()
    here.worker()
    sent = here.load(LOAD)
    until(lambda: here.statuses()["delivered"] > LOAD // 10, 60, "under load", here.statuses)
    here.trip("agents")
    until(lambda: "sending" not in here.statuses(), 20, "at rest", here.statuses)
    # those who were refused their clearance pause for a moment: then everything that waits is due
    until(lambda: not here.ask(QUEUED, True), 20, "all due", here.statuses)
    waiting = here.ask(
        "SELECT recipient FROM outbox_delivery WHERE status = 'queued' ORDER BY id LIMIT %s", LEFT
    )
    left = [row.recipient for row in waiting]
    assert len(left) == LEFT, "the load was over before the stop"
    here.inside.suppress(left)
    here.inside.reopen("agents")  # and beat's ticks go on with it
    until(
        lambda: here.ask("SELECT id FROM reputation_reopening WHERE state = 'open'"), 30, "open", here.tails
    )
    resumed_at = here.ask("SELECT opened_at FROM reputation_reopening")[0].opened_at
    here.stops = [(stop, Switched("agents", resumed_at, 0.0)) for stop, _ in here.stops]
    first = Counter({row.provider: row.n for row in here.ask(WENT, resumed_at)})
    later = Counter({row.provider: row.n for row in here.ask(QUEUED, True)})
    until(
        lambda: not here.ask(QUEUED, False) and "sending" not in here.statuses(),
        20,
        "the first",
        here.statuses,
    )
    went = Counter({row.provider: row.n for row in here.ask(WENT, resumed_at)})
    assert went == {provider: max(5, ceil(0.1 * (n + went[provider]))) for provider, n in later.items()}, (
        first
    )
    assert here.statuses()["suppressed"] == LEFT
    here.shift_clock(3700)
    here.inside.ring()
    here.until_quiet(60)
    assert here.statuses(sent) == {"delivered": LOAD - LEFT, "suppressed": LEFT}
    assert not {entry.rcpt for entry in here.oracle()} & set(left)
    here.check_invariants()


# What was claimed since the scope opened, by provider.
WENT = """
SELECT l.provider, count(DISTINCT d.id) AS n FROM outbox_event AS e JOIN outbox_delivery AS d ON d.id = e.delivery_id
JOIN outbox_lane AS l ON l.id = d.lane_id WHERE e.kind = 'claimed' AND e.at > %s GROUP BY l.provider
"""

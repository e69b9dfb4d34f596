"""kill -9 at every step of the walk (F01 to F12): nothing is lost, nothing goes twice, and doubt is named.

A worker kills itself at the named point, the rest of it is killed too; a second worker and the rescuer recover.
"""

import pytest

from tests.walks.harness.installation import Installation

COUNT = 10

# point -> what may remain of the ten when it dies there
BEFORE_CLEARANCE = [
    "before_claim",  # F01
    "claimed",  # F02
    "connected",  # F03
    "ehlo",  # F04
    "mail",  # F05
    "rcpt",  # F06
    "354",  # F07
    "midbody",  # F08
    "clearing",
]


@pytest.mark.parametrize("point", BEFORE_CLEARANCE)
def test_killed_before_clearance_all_are_delivered_once(here: Installation, point: str) -> None:
    deliveries = crashed(here, point)
    assert not here.oracle()
    recover(here)
    here.until_status(deliveries, "delivered")
    assert here.check_invariants().dots == COUNT


def test_killed_between_clearance_and_dot_it_is_uncertain_and_never_sent_again(here: Installation) -> None:
    crashed(here, "cleared")  # F09
    cleared = {row.id for row in here.ask("SELECT id FROM outbox_delivery WHERE cleared_at IS NOT NULL")}
    assert cleared
    recover(here)
    here.until_quiet()
    assert doubtful(here) == cleared
    report = here.check_invariants()
    assert report.dots == report.statuses["delivered"] == COUNT - len(cleared)


@pytest.mark.parametrize("point", ["dotted", "replied"])
def test_killed_after_the_dot_only_what_was_cleared_is_uncertain(here: Installation, point: str) -> None:
    crashed(here, point)  # F10, F11
    cleared = {row.id for row in here.ask("SELECT id FROM outbox_delivery WHERE cleared_at IS NOT NULL")}
    recover(here)
    here.until_quiet()
    assert doubtful(here) <= cleared
    assert here.check_invariants().statuses["uncertain"] >= 1


def test_killed_after_the_settle_its_outcome_stands(here: Installation) -> None:
    crashed(here, "settled", count=1)  # F12
    assert here.statuses() == {"delivered": 1}
    recover(here)
    here.until_quiet()
    assert here.check_invariants().statuses == {"delivered": 1}


def crashed(here: Installation, point: str, count: int = COUNT) -> list:
    """Ten messages, and a worker that has died at the first of them to reach this point."""
    deliveries = here.load(count)
    here.until_crashed(here.worker(crash=point, ready=False))
    assert not here.ask("SELECT id FROM outbox_delivery WHERE status = 'uncertain'")
    return deliveries


def recover(here: Installation) -> None:
    here.beat()
    here.worker()


def doubtful(here: Installation) -> set:
    rows = here.ask(
        "SELECT id FROM outbox_delivery WHERE status = 'uncertain' AND code = 'session_lost_after_clearance'"
    )
    return {row.id for row in rows}

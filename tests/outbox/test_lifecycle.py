"""The state machine: every arrow of the design, none besides."""

import itertools

import pytest

from outbox.lifecycle import (
    CODES,
    FINAL,
    LEAST_FINISHED_FIRST,
    OPEN,
    Status,
    may_move,
    message_status,
    origins,
)

ARROWS = {
    "held": "queued refused suppressed expired cancelled uncertain",
    "queued": "sending held suppressed cancelled expired uncertain",
    "sending": "delivered relayed deferred bounced suppressed expired uncertain queued held cancelled",
    "deferred": "sending held suppressed cancelled expired uncertain",
    "uncertain": "delivered relayed bounced deferred queued held",
    "relayed": "delivered bounced",
    "delivered": "bounced",
}


@pytest.mark.parametrize(("origin", "target"), list(itertools.product(Status, Status)))
def test_a_move_exists_exactly_if_the_design_has_the_arrow(origin: Status, target: Status) -> None:
    assert may_move(origin, target) == (target in ARROWS.get(origin, "").split())


def test_uncertain_counts_as_open() -> None:
    assert Status.UNCERTAIN in OPEN
    assert FINAL.isdisjoint(OPEN)
    assert set(Status) == FINAL | OPEN


def test_only_a_bounce_or_a_better_word_leaves_a_final_status() -> None:
    assert {status for status in FINAL if any(may_move(status, target) for target in Status)} == {
        Status.DELIVERED,
        Status.RELAYED,
    }


def test_the_guard_of_a_move_lists_its_origins() -> None:
    assert origins(Status.SENDING) == (Status.QUEUED, Status.DEFERRED)


def test_every_status_that_owes_a_reason_has_a_closed_list() -> None:
    assert set(CODES) == (FINAL | {Status.HELD, Status.UNCERTAIN})


@pytest.mark.parametrize(
    ("deliveries", "message"),
    [
        (["delivered", "held"], "held"),  # one waits for a person: so does the message
        (["uncertain", "sending", "bounced"], "sending"),
        (["delivered", "bounced"], "bounced"),
        (["delivered", "relayed"], "relayed"),
        (["delivered"], "delivered"),
    ],
)
def test_a_message_is_as_finished_as_its_least_finished_delivery(deliveries: list[str], message: str) -> None:
    assert message_status([Status(status) for status in deliveries]) == message


def test_the_order_names_every_status_once() -> None:
    assert sorted(LEAST_FINISHED_FIRST) == sorted(Status)

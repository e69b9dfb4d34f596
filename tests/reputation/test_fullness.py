"""How long a full mailbox is left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from reputation.fullness import Fullness, Rest, after

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


@pytest.mark.parametrize(
    ("times", "terms", "left", "rest"),
    [
        ((), 0, Fullness((NOW,), 0), None),
        ((ago(days=1),), 0, Fullness((ago(days=1), NOW), 0), None),
        ((ago(days=6), ago(days=1)), 0, Fullness((), 1), Rest(NOW + timedelta(days=14))),
        ((ago(days=7), ago(days=1)), 0, Fullness((ago(days=1), NOW), 0), None),  # the first is too old
        ((ago(days=2), ago(days=1)), 1, Fullness((), 2), Rest(NOW + timedelta(days=90))),
        ((ago(days=2), ago(days=1)), 2, Fullness((), 3), Rest(None)),  # until lifted
        ((ago(days=2), ago(days=1)), 9, Fullness((), 10), Rest(None)),
    ],
)
def test_the_third_message_within_a_week_earns_a_rest_that_grows(
    times: tuple[datetime, ...], terms: int, left: Fullness, rest: Rest | None
) -> None:
    assert after(times, terms, NOW) == (left, rest)

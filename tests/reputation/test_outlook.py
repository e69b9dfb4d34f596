"""What an outlook tells the drafts of a batch, and what it costs."""

from datetime import UTC, datetime

import pytest

from reputation import forecasts
from reputation.forecasts import Warming
from reputation.hours import EVERY_DAY, Hours
from reputation.outlook import Outlook
from reputation.ramps import Steps

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEN_A_DAY = Warming(Steps((10,)), 0, NOON)


def test_a_batch_is_told_by_the_day_and_the_days_are_reckoned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = forecasts.timeline
    monkeypatch.setattr(
        forecasts,
        "timeline",
        lambda waiting, *rest, **more: asked.append(waiting) or real(waiting, *rest, **more),
    )
    outlook = Outlook(NOON, Hours(NOON.tzinfo, 0, 24, EVERY_DAY), False, 5, (TEN_A_DAY,), None)
    told = [outlook.at(nth, 25) for nth in range(1, 26)]
    # five wait already, so that today takes five of them, and two whole days follow
    assert [told.count(end) for end in sorted({end for end in told if end})] == [5, 10, 10]
    assert asked == [30]

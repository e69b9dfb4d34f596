"""What has not left can be taken back, and what nobody wants any more ends by itself."""

from datetime import UTC, datetime, timedelta

from outbox import ids
from tests.walks.harness.installation import Installation


def later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_scheduled_message_waits_for_its_time(here: Installation) -> None:
    here.worker()
    (delivery,) = here.post("ok.later@gmail.test", scheduled_at=later(3600))
    (now,) = here.post("ok.now@gmail.test")
    here.until_status([now], "delivered")
    assert here.status(delivery)[0] == "queued"
    here.shift_clock(3601)
    here.until_status([delivery], "delivered")
    here.check_invariants()


def test_a_cancelled_message_never_leaves(house: Installation) -> None:
    deliveries = house.post("ok.one@gmail.test", "ok.two@corp.test", scheduled_at=later(2))
    name = deliveries[0].message
    answer = house.http(f"/v1/messages/{ids.printed('msg', name)}/cancel", body={})
    assert answer.status == 200, answer.body
    assert house.http(f"/v1/messages/{ids.printed('msg', name)}/cancel", body={}).status == 409
    (after,) = house.post("ok.after@gmail.test", scheduled_at=later(2.5))
    house.until_status([after], "delivered")
    assert {house.status(one) for one in deliveries} == {("cancelled", "by_agent")}
    report = house.check_invariants()
    assert report.statuses["cancelled"] == 2


def test_a_message_past_its_life_expires_and_is_not_sent(here: Installation) -> None:
    (delivery,) = here.post("ok.late@gmail.test", expires_at=later(60))
    (deferred,) = here.post("full@gmail.test", expires_at=later(600))
    here.shift_clock(61)
    here.inside.run_task("outbox.expire")
    here.worker()
    assert here.status(delivery) == ("expired", "expires_at_passed")
    # its next attempt would be after its end: it is told at once, not in ten minutes
    here.until_status([deferred], "expired")
    assert here.status(deferred) == ("expired", "expires_at_passed")
    assert here.check_invariants().dots == 0

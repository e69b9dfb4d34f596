"""What a person sees of alarms, drills and doubt in a real browser, and how they decide."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outbox import alarms, ledger, sessions
from outbox.models import Alarm, Delivery, Drill, Event
from reputation import killswitch
from tests import factories
from tests.pages import desk

Windows = Callable[..., Any]
WIDE = "document.documentElement.scrollWidth <= innerWidth"
LOOKS = [("phone", "dark", False), ("desktop", "light", True)]


@pytest.fixture
def doubtful(server: str) -> list[Delivery]:
    """Four deliveries whose worker died between the clearance and the answer; the third has outlived itself."""
    people = [{"to": f"{name}@example.org"} for name in ("ada", "bob", "carol", "dan")]
    desk.posted(factories.agent("sales-bot"), *people)
    session = sessions.begin("worker-1")
    taken = ledger.claim(session, tier=1, limit=10)
    ledger.clear(session, [(one.id, one.attempt) for one in taken])
    sessions.end(session)
    ledger.rescue()
    found = list(Delivery.objects.filter(status="uncertain").order_by("pk"))
    Delivery.objects.filter(pk=found[2].pk).update(expires_at=datetime.now(UTC) - timedelta(hours=1))
    return found


@pytest.mark.parametrize(("size", "scheme", "javascript"), LOOKS)
def test_a_person_decides_what_is_sent_again(
    window: Windows, doubtful: list[Delivery], size: str, scheme: str, javascript: bool
) -> None:
    here = window(desk.root(), size, scheme, javascript)
    page = here.open("/admin/outbox/uncertain/", f"uncertain-{size}")
    assert page.evaluate(WIDE) if javascript else True
    for one in doubtful[:3]:
        page.locator(f"input[name=_selected_action][value='{one.pk}']").check()
    page.locator("select[name=action]").select_option("send_again")
    page.locator(".actions button").click()
    page.locator("h1:has-text('3 uncertain deliveries')").wait_for()
    page.get_by_text("1 of them are past their life").wait_for()
    page.locator("textarea[name=why]").fill("They called: nothing came.")
    page.locator("input[type=submit][value='Send again: 3']").click()
    page.get_by_text("2 queued again.").wait_for()
    assert Delivery.objects.filter(status="queued").count() == 2
    assert set(Event.objects.filter(kind="resent").values_list("actor", flat=True)) == {"root"}


@pytest.mark.parametrize(("size", "scheme", "javascript"), LOOKS)
def test_alarms_and_drills_are_seen_from_the_first_page(
    window: Windows, server: str, size: str, scheme: str, javascript: bool
) -> None:
    sessions.begin("worker-1")
    killswitch.trip("stream:agents-sales", who="rule:bounces", why="9 of 100 at gmail")
    alarms.judge()
    Alarm.objects.update(said="it answered 500", tries=3)
    measured = {"trip_seconds": 0.0123, "zero_seconds": 0.25, "heard_seconds": None}
    counts = {"messages": 900, "sent": 41, "kept": 859, "after": 0, "workers": 2, "epoch": 7}
    Drill.objects.create(who="grace", scope="stream:drill", **counts, **measured)
    here = window(desk.root(), size, scheme, javascript)
    page = here.open("/admin/", f"index-{size}")
    page.get_by_text("Open alarms: 1").click()
    page.get_by_text("9 of 100 at gmail").wait_for()
    here.open("/admin/outbox/alarm/", f"alarms-{size}")
    page.get_by_text("no: it answered 500").wait_for()
    page.locator("#result_list th a").click()
    page.get_by_text("runbook.md#trip").wait_for()
    here.open("/admin/outbox/drill/", f"drills-{size}")
    page.get_by_text("0.250 s").wait_for()
    page.get_by_text("never").first.wait_for()

"""Leaving by the link, and the list of those who left, in a real browser: one thumb, the dark, no JavaScript."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings

from outbox import unsubscribes
from outbox.models import Delivery
from outbox.unsubscribes import Leaving
from reputation import suppression
from reputation.models import Suppression
from reputation.vault import new_master_key
from tests import factories
from tests.pages.conftest import Window
from tests.pages.desk import posted, root

pytestmark = pytest.mark.usefixtures("live_db")
Windows = Callable[..., Window]
FITS = "[document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture(autouse=True)
def sealed() -> Iterator[None]:
    with override_settings(AO_MASTER_KEYS=[new_master_key()]):
        yield


def token() -> str:
    posted(factories.agent("ada"), {"to": "grace@example.org"})
    delivery = Delivery.objects.get()
    leaving = Leaving(delivery.id, delivery.lane.stream_id, suppression.person_mark("grace@example.org"))
    return unsubscribes.make_token(leaving, suppression.key())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("javascript", [True, False])
def test_one_press_of_the_button_unsubscribes(window: Windows, scheme: str, javascript: bool) -> None:
    here = window(root(), "phone", scheme, javascript=javascript)
    here.context.clear_cookies()  # whoever leaves has no login
    page = here.open(f"/u/{token()}", f"unsubscribe-phone-{scheme}")
    width, room = page.evaluate(FITS)
    assert width <= room
    assert not Suppression.objects.exists()
    button = page.get_by_role("button", name="Unsubscribe")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 44  # a thumb's width
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You are unsubscribed").wait_for()
    assert Suppression.objects.get().reason == "unsubscribed"
    assert here.context.cookies() == []


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
def test_the_list_fits_its_screen(window: Windows, size: str, scheme: Any) -> None:
    factories.stream()
    long = f"{'a' * 60}@{'b' * 60}.example"
    suppression.suppress(
        [
            suppression.complaint("ada@example.org", "arf"),
            suppression.hard_bounce(long, "dsn"),
            suppression.unsubscribed("grace@example.org", "agents-support", "link"),
        ]
    )
    suppression.lift(Suppression.objects.earliest("pk").pk, "person:dana", "asked by phone")
    here = window(root(), size, scheme)
    key = Suppression.objects.latest("pk").pk
    for name, path in (("list", ""), ("entry", f"{key}/change/"), ("add", "add/"), ("import", "import/"),
                       ("lift", f"{key}/lift/"), ("erase", f"{key}/erase/")):  # fmt: skip
        page = here.open(f"/admin/reputation/suppression/{path}", f"suppression-{name}-{size}-{scheme}")
        width, room = page.evaluate(FITS)
        assert width <= room, name
        for cell in page.query_selector_all("#changelist-form .results, .readonly"):
            assert cell.evaluate("e => e.scrollWidth <= e.clientWidth"), f"{name}: something is cut off"

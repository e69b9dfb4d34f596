"""The admin's lists and its pages for what is refused, by what axe-core knows to be in somebody's way."""

from collections.abc import Callable
from typing import Any

import pytest

from tests import factories
from tests.pages.desk import posted, root
from tests.pages.test_killswitch_pages import accessible, responder

Windows = Callable[..., Any]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_list_and_its_search_are_accessible(window: Windows, scheme: str) -> None:
    posted(factories.agent("ada"), {"to": ["grace@example.org"]})
    here = window(root(), "desktop", scheme)
    for path in ("/admin/outbox/message/", "/admin/outbox/message/?q=nothing", "/admin/outbox/alarm/"):
        page = here.open(path)
        accessible(here, path)
    page.goto(f"{here.base}/admin/outbox/message/?q=subject:+Hello&past=24h")
    page.wait_for_selector("text=1 result (show all)")


def test_pages_for_what_is_refused_are_accessible(window: Windows) -> None:
    here = window(responder("rita"), "phone", "dark")
    for path in ("/nowhere", "/admin/outbox/agent/add/"):
        here.open(path)
        here.complaints.clear()  # that it was 403 or 404 is what a browser's console complains about
        accessible(here, path)

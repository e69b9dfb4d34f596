"""The numbers of the rules in a browser: tried, read on a phone, and saved with a keyboard alone."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from reputation import simulating
from reputation.models import Numbers
from tests import factories
from tests.outbox.history import bounced_run
from tests.pages.desk import root


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_numbers_are_tried_and_saved(
    window: Callable[..., Any], size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LIVES", "SHORT_RUNS", "BAD_MIXES"):
        monkeypatch.setattr(simulating, name, 20)
    bounced_run(factories.agent(exempt=False), bad=8, good=52)
    seen = window(root(), size, "light", javascript=False)
    page = seen.open("/admin/reputation/numbers/add/", f"numbers-{size}")
    page.fill("#id_bounce_line", "0.01")
    page.get_by_role("button", name="Show what they would do").press("Enter")
    page.get_by_text("Nothing was saved").wait_for()
    if folder := os.environ.get("AO_PICTURES"):
        page.screenshot(path=f"{folder}/tried-{size}.png", full_page=True)
    assert "run:ada/r1" in page.content()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not Numbers.objects.exists()
    page.locator("input[name=_save]").press("Enter")
    page.wait_for_url("**/numbers/")
    assert Numbers.objects.get().bounce_line == 0.01

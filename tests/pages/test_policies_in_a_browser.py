"""A stream's policy in a browser: tried, read on a phone, and saved with a keyboard alone."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from outbox.models import Policy
from tests import factories
from tests.outbox.test_api import Caller
from tests.pages.desk import root

TEXT = (
    "we have looked at your question about the invoice of last month and will send you a corrected copy soon"
)


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_a_policy_is_tried_and_saved(window: Callable[..., Any], size: str) -> None:
    stream = factories.stream()
    ada = Caller(factories.key(factories.agent("ada", exempt=False)))
    for number in range(8):
        ada.post(to=f"p{number}@example.org", text=f"Hi P{number}, {TEXT}")
    seen = window(root(), size, "light", javascript=False)
    page = seen.open("/admin/outbox/policy/add/", f"policy-{size}")
    page.select_option("#id_stream", str(stream.pk))
    page.fill("#id_cluster_size", "3")
    page.get_by_role("button", name="Show what it would have done").press("Enter")
    page.get_by_text("Nothing was saved").wait_for()
    if folder := os.environ.get("AO_PICTURES"):
        page.screenshot(path=f"{folder}/policy-tried-{size}.png", full_page=True)
    row = page.get_by_role("row").filter(has_text="cluster_size")
    assert row.get_by_role("cell").all_inner_texts()[:2] == ["0", "5"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert Policy.objects.count() == 1  # the factory's
    page.locator("input[name=_save]").press("Enter")
    page.wait_for_url("**/policy/")
    assert Policy.objects.get(version=2).numbers["cluster_size"] == 3

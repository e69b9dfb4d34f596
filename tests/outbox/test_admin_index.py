"""The admin's first page: everything that somebody may see, once, under a heading."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from outbox import admin_index
from tests.pages.desk import person, root

pytestmark = pytest.mark.usefixtures("live_db")


def headings(client: Client, where: str = "/admin/") -> dict[str, list[Any]]:
    """The models under each heading."""
    apps = client.get(where).context_data["app_list"]  # type: ignore[attr-defined]
    return {app["name"]: [row["model"] for row in app["models"]] for app in apps}


def test_every_list_is_there_once_and_has_a_heading() -> None:
    shown = headings(root())
    assert list(shown) == [heading for heading in admin_index.HEADINGS if heading in shown], "name it there"
    found = [model for models in shown.values() for model in models]
    assert len(found) == len(set(found))
    assert set(found) == set(admin.site._registry)
    assert [model.__name__ for model in shown["Stops and alarms"]] == [
        "OpenStop",
        "SwitchEvent",
        "Alarm",
        "Drill",
    ]


def test_what_has_no_heading_stands_at_the_end_under_its_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        admin_index, "HEADINGS", {"Alarms": "outbox.alarm outbox.nosuch", "Empty": "outbox.nosuch"}
    )
    shown = headings(root())
    assert next(iter(shown)) == "Alarms"
    assert "Empty" not in shown
    found = [model for models in shown.values() for model in models]
    assert len(found) == len(set(found))
    assert set(found) == set(admin.site._registry)


def test_who_may_see_one_list_sees_its_heading_and_no_other() -> None:
    lou = person("lou", "outbox.view_alarm")
    assert [model.__name__ for model in headings(lou)["Stops and alarms"]] == ["Alarm"]
    page = lou.get("/admin/").content.decode()
    assert page.count("<caption>") == 1
    assert '<a href="/admin/outbox/alarm/" class="viewlink"' in page
    assert "permission" in person("nobody").get("/admin/").content.decode()


def test_an_apps_own_page_holds_the_app() -> None:
    shown = headings(root(), "/admin/outbox/")
    assert list(shown) == ["Outbox"]
    assert {model._meta.app_label for model in shown["Outbox"]} == {"outbox"}

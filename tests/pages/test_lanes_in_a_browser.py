"""Pages of what warms up, in a real browser: pictures that fit, buttons that copy, checks that can be followed."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from celery import current_app
from django.utils import timezone
from playwright.sync_api import expect

from reputation.models import (
    OrganisationalDomain,
    ProviderLimit,
    Ramp,
    RecordCheck,
    SendingDomain,
    Stream,
    TlsPolicy,
)
from reputation.vault import new_master_key
from tests import factories
from tests.pages import warmth
from tests.pages.desk import person, root
from tests.pages.test_admin_pages import CONTRAST

Windows = Callable[..., Any]

# The box of every text in a picture, in pixels of the screen.
TEXTS = """() => [...document.querySelectorAll('.ao-picture text')].map(e => {
  const box = e.getBoundingClientRect(), frame = e.ownerSVGElement.getBoundingClientRect();
  return {words: e.textContent, size: parseFloat(getComputedStyle(e).fontSize) * frame.width / 360,
          inside: box.left >= frame.left - 2 && box.right <= frame.right + 2};
})"""


WORDS = ".ao-chip, .ao-quiet, .ao-lead, .ao-legend li, .ao-note, .ao-steps li"
WHOLE = "e => e.scrollWidth <= e.clientWidth"


@pytest.fixture(autouse=True)
def nobody_works(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mock]:
    """The broker: takes what it is given, and nobody comes for it."""
    asked = Mock()
    monkeypatch.setattr(current_app, "send_task", asked)
    return asked


@pytest.fixture
def domain(server: str, settings: Any) -> SendingDomain:
    settings.AO_MASTER_KEYS = [new_master_key()]
    made = SendingDomain.objects.get(stream=factories.stream())
    warmth.records(made)
    warmth.warm(made)
    warmth.keys(made)
    warmth.organisation_volume(made.organisation.name)
    made.refresh_from_db()
    return made


@pytest.fixture
def pages(domain: SendingDomain) -> dict[str, str]:
    Stream.objects.create(name="unused")
    ProviderLimit.objects.get_or_create(family="gmail")
    at = timezone.now()
    TlsPolicy.objects.create(domain="a-long-name.example.org", mode="enforce", hosts=["*.mx.example.org"],
                             fetched_at=at, expires_at=at)  # fmt: skip
    organisation, base = OrganisationalDomain.objects.get(), "/admin/reputation"
    lists = "sendingdomain organisationaldomain ramp rampevent providerlimit tlspolicy stream route".split()
    return {
        "domain": f"{base}/sendingdomain/{domain.pk}/change/",
        "retire": f"{base}/sendingdomain/{domain.pk}/retire/",
        "enrol": f"{base}/sendingdomain/add/",
        "organisation": f"{base}/organisationaldomain/{organisation.pk}/change/",
        "declare": f"{base}/organisationaldomain/{organisation.pk}/declare/",
        "ramp": f"{base}/ramp/{Ramp.objects.filter(provider='gmail').first().pk}/change/",  # type: ignore[union-attr]
        "stream-page": f"{base}/stream/{domain.stream_id}/change/",
        "route-page": f"{base}/route/{domain.route_id}/change/",
        **{f"{name}s": f"{base}/{name}/" for name in lists},
    }


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_every_page_of_lanes_fits_its_screen_and_breaks_no_policy(
    window: Windows, pages: dict[str, str], size: str
) -> None:
    here = window(root(), size, "light")
    for name, path in pages.items():
        page = here.open(path)
        width, room = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= room, name
        if list_ := page.query_selector("#changelist-form .results"):
            assert list_.evaluate(WHOLE), f"{name}: a column is cut off"
        if volumes := page.query_selector(".ao-scroll:has(.ao-volumes)"):
            assert volumes.evaluate(WHOLE), f"{name}: a column is cut off"
        for scheme in here.schemes(f"{name}-{size}"):
            for element in page.query_selector_all(WORDS):
                assert element.evaluate(CONTRAST) >= 4.5, (name, scheme, element.inner_text())
        for text in page.evaluate(TEXTS):
            assert text["inside"], (name, text)
            assert text["size"] >= 9, (name, text)


def test_pictures_change_colour_with_the_scheme(window: Windows, pages: dict[str, str]) -> None:
    fills = set()
    for scheme in ("light", "dark"):
        page = window(root(scheme), "phone", scheme).open(pages["domain"])
        used = page.locator(".ao-picture .used").first
        fills.add(used.evaluate("e => getComputedStyle(e).fill"))
    assert len(fills) == 2
    assert "rgb(0, 0, 0)" not in fills


def test_what_is_drawn_can_be_read_as_a_table_and_by_its_name(window: Windows, pages: dict[str, str]) -> None:
    page = window(root(), "phone", "light").open(pages["domain"])
    expect(page.get_by_role("img", name="Days of the ramp agents.acme.test to gmail")).to_have_count(1)
    tile = page.locator("article.ao-tile", has_text="gmail").first
    tile.get_by_text("Days in figures").click()
    row = tile.get_by_role("row", name="today").or_(tile.locator("tr.today"))
    assert row.first.inner_text().split()[1:5] == ["10", "767", "306", "30"]


def test_a_value_is_copied_by_a_button_and_can_be_selected_without(
    window: Windows, domain: SendingDomain, pages: dict[str, str]
) -> None:
    here = window(root(), "desktop", "light")
    here.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = here.open(pages["domain"])
    row = domain.records.get(purpose="dkim-s2026a")
    page.click(f"[data-copy=record-{row.pk}]")
    assert page.evaluate("navigator.clipboard.readText()") == row.expected
    page.wait_for_selector(f"[data-copy=record-{row.pk}]:text-is('Copied')")
    plain = window(root("plain"), "phone", "dark", javascript=False).open(pages["domain"])
    assert not plain.locator(f"[data-copy=record-{row.pk}]").is_visible()
    assert plain.inner_text(f"#record-{row.pk}") == row.expected


def test_a_check_is_followed_to_its_end_without_losing_what_is_being_typed(
    window: Windows, domain: SendingDomain, pages: dict[str, str], nobody_works: Mock
) -> None:
    page = window(root(), "phone", "light").open(pages["domain"])
    page.click("text=Check now")
    page.wait_for_selector("text=A worker has been asked")
    assert nobody_works.called
    page.fill("[name=default_sender]", "half a se")
    SendingDomain.objects.update(checking_since=timezone.now())
    RecordCheck.objects.filter(position__lt=4).update(checked_at=timezone.now())
    page.wait_for_selector("text=4 of 11 done")
    RecordCheck.objects.update(verdict="right", checked_at=timezone.now())
    SendingDomain.objects.update(checking_since=None, checked_at=timezone.now())
    page.wait_for_selector("text=11 of 11 right")
    expect(page.locator("text=Check now")).to_have_count(1)
    assert page.input_value("[name=default_sender]") == "half a se"


def test_a_check_needs_no_javascript(window: Windows, domain: SendingDomain, pages: dict[str, str]) -> None:
    page = window(root(), "phone", "dark", javascript=False).open(pages["domain"])
    page.click("text=Check now")
    expect(page.locator("text=A worker has been asked")).to_have_count(1)
    RecordCheck.objects.update(verdict="right", checked_at=timezone.now())
    SendingDomain.objects.update(checked_at=timezone.now())
    page.wait_for_selector("text=11 of 11 right")  # the page asks again by itself


def test_a_domain_is_declared_enrolled_and_retired_without_javascript(
    window: Windows, pages: dict[str, str]
) -> None:
    here = window(root(), "phone", "light", javascript=False)
    page = here.open("/admin/reputation/organisationaldomain/add/")
    page.fill("[name=name]", "example.com")
    page.check("[value=agents]")
    page.fill("[name=again]", "example.com")
    page.click("input[type=submit][value=Declare]")
    page = here.open(pages["enrol"])
    page.select_option("[name=stream]", label="unused")
    page.fill("[name=name]", "agents.example.com")
    page.select_option("[name=route]", label="direct")
    page.fill("[name=default_sender]", "robot@agents.example.com")
    page.click("input[type=submit][value=Enrol]")
    assert page.locator("#ao-overview .ao-records > li").count() > 5
    page.click("text=Retire")
    page.fill("[name=again]", "agents.example.com")
    page.click("input[type=submit][value=Retire]")
    assert SendingDomain.objects.get(name="agents.example.com").state == "retired"


def test_who_may_only_look_gets_pages_that_fit_too(window: Windows, pages: dict[str, str]) -> None:
    views = [
        f"reputation.view_{name}" for name in ("sendingdomain", "organisationaldomain", "ramp", "rampevent")
    ]
    here = window(person("viewer", *views), "phone", "dark")
    for name in ("domain", "organisation", "ramp"):
        page = here.open(pages[name], f"{name}-viewer")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        assert (
            page.locator("#content button:not([data-copy]), #content-main input[type=submit]").count() == 0
        ), name

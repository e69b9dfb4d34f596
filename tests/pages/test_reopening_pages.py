"""A stop ends in a real browser: two people, a code of a phone, what waits is let go in steps or thrown away."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django_otp.oath import TOTP
from playwright.sync_api import expect

from outbox import ledger, recheck, second_factor, sessions
from outbox.ledger import Settlement
from outbox.models import Agent, Delivery, Phone
from reputation import killswitch
from reputation.models import OpenStop, Purge, Reopening
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.reopened import backlog
from tests.pages.test_killswitch_pages import PASSWORD, fits, opened, responder

Windows = Callable[..., Any]
SCOPE = "stream:agents-support"


@pytest.fixture
def ada(server: str, settings: Any) -> Agent:
    settings.AO_MASTER_KEYS = [new_master_key()]
    agent = factories.agent("ada")
    backlog(agent, gmail=30, yahoo=8)
    return agent


def shown_by(device: Phone) -> str:
    code = TOTP(device.bin_key, device.step, device.t0, device.digits)
    code.time = time.time()
    return f"{code.token():06}"


def ruled() -> int:
    return killswitch.trip(SCOPE, who="rule:complaints", why="12 complaints of 900").epoch


@pytest.mark.parametrize(("size", "javascript"), [("phone", True), ("phone", False), ("desktop", True)])
def test_one_proposes_another_confirms_with_a_code_and_it_opens_in_steps(
    window: Windows, ada: Agent, size: str, javascript: bool
) -> None:
    epoch = ruled()
    rita, omar = responder("rita"), responder("omar")
    second_factor.enrolment(User.objects.get(username="omar"))
    Phone.objects.update(confirmed=True)
    device = Phone.objects.get()
    page = window(rita, size, "light", javascript=javascript).open(f"/killswitch/{epoch}/")
    page.fill("#resume [name=why] >> nth=0", "the list was cleaned")
    page.fill("#resume [name=password] >> nth=0", PASSWORD)
    page.click("text=Propose to resume")
    page.wait_for_selector("text=Another person has to confirm it")
    here = window(omar, size, "dark", javascript=javascript)
    page = here.open(f"/killswitch/{epoch}/", f"reopen-confirm-{size}")
    expect(page.locator("#resume")).to_contain_text("the list was cleaned")
    fits(page, "confirm")
    page.fill("#resume [name=password] >> nth=0", PASSWORD)
    page.fill("#resume [name=code] >> nth=0", shown_by(device))
    page.click("text=Confirm and resume")
    page.wait_for_selector(f"h1:has-text('Resumed: {SCOPE}')")
    expect(page.locator("#panel-reopening")).to_contain_text("28 wait for those that go first")
    assert OpenStop.objects.count() == 0
    here.open(page.url.removeprefix(here.base), f"reopen-open-{size}")
    fits(page, "open")


def test_the_page_shows_how_far_it_is_until_it_is_open(window: Windows, ada: Agent, monkeypatch: Any) -> None:
    worker = sessions.begin("worker-2")
    [held] = ledger.claim(worker, tier=1, limit=1)
    epoch = killswitch.trip(SCOPE, who="omar", why="a loop").epoch
    here = window(responder("rita"), "phone", "light")
    page = here.open(f"/killswitch/{epoch}/")
    page.fill("#resume [name=why]", "mended")
    page.fill("#resume [name=password]", PASSWORD)
    page.click("#resume button")
    page.wait_for_selector("#panel-reopening progress")
    expect(page.locator("#panel-reopening")).to_contain_text("what was under way to come back")
    fits(page, "under way")
    here.open(f"/killswitch/{epoch}/", "reopen-under-way")
    page.evaluate("window.stayed = true")
    assert ledger.settle(worker, [Settlement(held.id, held.attempt, "queued", "stopped", wait=0.0)])
    recheck.tend(60)
    page.wait_for_selector("#panel-reopening:has-text('Open, in steps')")
    assert page.evaluate("window.stayed"), "without a reload"


@pytest.mark.parametrize("javascript", [True, False])
def test_what_waits_is_thrown_away_and_put_back(window: Windows, ada: Agent, javascript: bool) -> None:
    epoch = killswitch.trip(SCOPE, who="omar", why="a loop").epoch
    here = window(responder("rita"), "phone", "dark", javascript=javascript)
    page = here.open(f"/killswitch/{epoch}/")
    page.click("#purge summary")
    page.fill("#purge [name=why]", "nobody wants this")
    page.fill("#purge [name=password]", PASSWORD)
    fits(page, "purge")
    page.click("text=Throw it away")
    page.wait_for_selector("#purge:has-text('Can be undone until')")
    assert set(Delivery.objects.values_list("code", flat=True)) == {"set_aside"}
    here.open(f"/killswitch/{epoch}/", f"reopen-purged-{javascript}")
    with page.expect_download() as download:
        page.click("text=Who was affected")
    assert download.value.suggested_filename == f"purge-{Purge.objects.get().pk}.csv"
    page.click("#purge button:text-is('Undo')")
    page.wait_for_selector("#purge:has-text('Undone by rita')")
    assert set(Delivery.objects.values_list("status", flat=True)) == {"queued"}


def test_a_phone_is_enrolled_and_breaks_the_glass(window: Windows, ada: Agent) -> None:
    epoch = ruled()
    here = window(responder("rita"), "phone", "light")
    page = here.open(f"/killswitch/{epoch}/")
    page.click("summary:has-text('break the glass')")
    page.click("text=enrol a phone")
    page.fill("[name=password]", PASSWORD)
    page.click("button:has-text('Enrol a phone')")
    page.wait_for_selector("img.qr")
    assert page.evaluate("document.querySelector('img.qr').naturalWidth") > 100, "the picture is shown"
    fits(page, "enrol")
    device = Phone.objects.get()
    page.fill("#enrol [name=code]", shown_by(device))
    page.click("#enrol button")
    page.wait_for_selector("#codes")
    fits(page, "codes")
    Phone.objects.update(last_t=-1)
    here.open("/account/second-factor/", "reopen-account")
    page = here.open(f"/killswitch/{epoch}/")
    opened(page)
    fits(page, "glass")
    here.open(f"/killswitch/{epoch}/")
    opened(page)
    page.fill("details [name=why] >> nth=0", "payroll")
    page.fill("details [name=code] >> nth=0", shown_by(device))
    page.click("button:text-is('Break the glass')")
    page.wait_for_selector("#panel-reopening:has-text('it closes again')")
    assert Reopening.objects.get().glass
    here.open(page.url.removeprefix(here.base).partition("#")[0], "reopen-glass")
    fits(page, "broken")

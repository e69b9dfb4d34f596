"""The responder's page in a real browser: one hand on a phone, no JavaScript, no mouse, two people."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import expect

from outbox import ledger, sessions
from outbox.ledger import Settlement
from outbox.models import Agent, Drill, RefusedPosts
from outbox.people import make_groups
from reputation import killswitch, windows
from reputation.models import Judgement, Watch
from reputation.windows import Event, Stretch
from tests import factories
from tests.pages.desk import HOSTILE, posted
from tests.pages.test_admin_pages import CONTRAST, REPLY, TEXT

Windows = Callable[..., Any]

PASSWORD = "correct horse battery"
HTML = "<h1>Hello</h1><p>A <b>bold</b> offer</p><script>alert(1)</script><img src=x onerror=alert(2)>"
WORDS = "button, summary, pre, dt, dd, .quiet, .outcome, .chip, .figure, .error, .late, .live a"
SHOWN = "[...document.querySelectorAll(words)].filter(each => each.checkVisibility())"
FAINT = f"""words => {{ const contrast = {CONTRAST};
  return {SHOWN}.filter(each => contrast(each) < 4.5).map(each => each.innerText); }}"""
SMALL = f"""() => {{ const words = "button, summary";
  return {SHOWN}.filter(each => each.offsetHeight < 44).map(each => each.innerText); }}"""
# It must not fetch what styles import, nor ask frames that run no scripts.
AXE = {"resultTypes": ["violations"], "preload": False, "iframes": False}
OUTLINED = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"


def responder(name: str) -> Client:
    """Somebody who stops and resumes, logged in long ago."""
    make_groups()
    user = User.objects.create_user(name, f"{name}@acme.test", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="responders"))
    client = Client()
    client.force_login(user)
    return client


def went_out(most: int, status: str, code: str, **reply: Any) -> None:
    """What was due was cleared, dotted and answered."""
    session = sessions.begin("worker-1")
    claimed = ledger.claim(session, tier=1, limit=most)
    assert ledger.clear(session, [(one.id, one.attempt) for one in claimed])
    said = {"spoke": True, "phase": "replied", "host": "mx.gmail.test", **reply}
    assert ledger.settle(session, [Settlement(one.id, one.attempt, status, code, **said) for one in claimed])
    sessions.end(session)


@pytest.fixture
def ada(server: str) -> Agent:
    owner = User.objects.create_user("grace", email="grace@acme.test", first_name="Grace", last_name="Hopper")
    agent = factories.agent("ada", owner=owner)
    factories.key(agent, name="laptop")
    return agent


@pytest.fixture
def mail(ada: Agent) -> None:
    """Mail of two agents, answered well and badly, some of it still waiting."""
    posted(
        ada,
        *({"to": [f"n{n}@gmail.test"], "subject": "A final offer for you", "text": TEXT} for n in range(9)),
    )
    went_out(100, "delivered", "accepted_by_server", reply_code=250, reply="2.0.0 OK 1763805600 q-17")
    posted(ada, {"to": ["grace@outlook.test"], "subject": HOSTILE, "text": HOSTILE, "html": HTML})
    went_out(100, "bounced", "reputation_refused", reply_code=550, reply=f"{REPLY} {HOSTILE}")
    bob = factories.agent("bob-with-quite-a-long-name-for-a-phone")
    posted(bob, {"to": ["a@yahoo.test"], "agent": {"run_id": "nightly-2026-11-22"}}, {"to": ["b@yahoo.test"]})
    went_out(
        1,
        "deferred",
        "rate_limited",
        reply_code=421,
        reply="4.7.0 [TSS04] Deferred: user complaints",
    )
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    posted(
        factories.agent("robot", stream=receipts), {"to": ["grace@gmail.test"], "subject": "Your password"}
    )
    posted(ada, *({"to": [f"more{n}@gmail.test"]} for n in range(12)))


def remember(scope: str, signal: str, trials: int, bad: int, weak: bool = False) -> None:
    """What rules remember of a scope, as `judging` would have left it."""
    events = tuple(Event(place * trials // (bad + 1), f"d{place}.test") for place in range(1, bad + 1))
    kept = windows.Watch(
        scope, windows.Signal(signal), trials, (Stretch(("run:ada/nightly",), trials, events),)
    )
    at = datetime.now(UTC)
    Watch.objects.create(
        scope=scope, signal=signal, stream="agents-support", trials=trials, stretches=windows.stored(kept),
        weak_since=at if weak else None, touched_at=at,
    )  # fmt: skip


def judged(ada: Agent) -> int:
    """What rules have seen and said, and the stop that followed; a drill; posts that were refused. The stop's epoch."""
    remember("agent:ada", "bounces", 480, 31, weak=True)
    remember("stream:agents-support", "complaints", 1800, 2)
    remember("provider:gmail", "bounces", 60, 0)
    words = "31 of 480 is 6.46 %, at least 4.1 % with 99.99 % confidence; the line is 2 %."
    epoch = killswitch.trip("stream:agents-support", who="rule:bounces", why=words).epoch
    figures = {
        "test": "bounces",
        "window": 500,
        "lower": 0.0412345678,
        "running_sum": {"score": 9.1, "limit": 8.0},
    }
    at = datetime.now(UTC)
    Judgement.objects.create(
        scope="stream:agents-support",
        rule="bounces",
        strength="strong",
        at=at,
        why=words,
        arithmetic=figures,
        epoch=epoch,
    )
    Drill.objects.create(
        who="omar", scope="stream:canary", messages=500, sent=41, kept=459, after=0, trip_seconds=0.0023,
        zero_seconds=0.148, heard_seconds=0.31, workers=2, epoch=epoch,
    )  # fmt: skip
    minute = at.replace(second=0, microsecond=0)
    for ago in range(12):
        minutes = {"minute": minute - timedelta(minutes=ago), "agent_id": ada.pk}
        RefusedPosts.objects.create(code="stopped", posts=180 - 9 * ago, **minutes)
    return epoch


def accessible(here: Any, name: str) -> None:
    """Nothing that axe-core knows to be in somebody's way: names, labels, contrast, landmarks, order."""
    so_far = list(here.complaints)
    found = Axe().run(here.page, options=AXE).response["violations"]
    here.complaints[:] = so_far  # its own styles are against the policy, and none of ours
    told = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
    assert told == [], name


def opened(page: Any) -> None:
    """Every closed part of the page, opened."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")


def fits(page: Any, name: str) -> None:
    """At one instant each, since the page refreshes itself meanwhile."""
    width, room = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= room, name
    assert page.evaluate(FAINT, WORDS) == [], name
    assert page.evaluate(SMALL) == [], name


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_every_page_of_it_fits_its_screen_and_breaks_no_policy(
    window: Windows, mail: None, ada: Agent, size: str
) -> None:
    here = window(responder("rita"), size, "light", zone="Europe/Berlin")
    worker = sessions.begin("worker-2")
    ledger.clear(worker, [(one.id, one.attempt) for one in ledger.claim(worker, tier=1, limit=3)])
    by_rule = judged(ada)
    by_hand = killswitch.trip("agent:ada", who="rita", why="").epoch
    pages = {
        "kill": "/killswitch/",
        "kill-asked": "/killswitch/?kind=run&key=bob-with-quite-a-long-name-for-a-phone/nightly-2026-11-22",
        "kill-stop": f"/killswitch/{by_hand}/",
        "kill-rule": f"/killswitch/{by_rule}/",
        "kill-timeline": "/killswitch/timeline/?action=trip",
    }
    for name, path in pages.items():
        page = here.open(path)
        fits(page, name)
        opened(page)
        for scheme in here.schemes(f"{name}-{size}"):
            fits(page, f"{name}, opened, {scheme}")
            if size == "phone":
                accessible(here, name)


def test_a_stop_its_proof_and_the_resume(window: Windows, mail: None) -> None:
    here = window(responder("rita"), "phone", "dark")
    worker = sessions.begin("worker-2")
    page = here.open("/killswitch/")
    page.click("text=Stop all agents")
    page.wait_for_url(re.compile(r"/killswitch/\d+/$"))
    assert [stop.scope for stop in killswitch.open_stops()] == ["agents"]
    page.wait_for_selector("text=worker-2: not yet")
    page.evaluate("window.stayed = true")
    sessions.renew(worker, killswitch.open_stops()[0].epoch)
    page.wait_for_selector("text=worker-2: yes")  # without a reload
    assert page.evaluate("window.stayed")
    expect(page.locator(".holds b")).to_have_text(["0", "0"])
    page.fill("[name=text]", "the same offer to everybody")
    page.click("text=Fill in the reason")
    expect(page.locator("#line")).to_contain_text("by rita: the same offer to everybody.")
    page.fill("#resume [name=why]", "the agent is fixed")
    page.fill("#resume [name=password]", "wrong")
    page.click("#resume button")
    assert page.input_value("#resume [name=why]") == "the agent is fixed"
    page.fill("#resume [name=password]", PASSWORD)
    # the wrong answer was a 422, which a browser's console complains about
    here.complaints.clear()
    page.click("#resume button")
    page.wait_for_selector("h1:has-text('Resumed: agents')")
    assert killswitch.open_stops() == []


def test_a_stop_by_a_rule_ends_by_two_hands(window: Windows, mail: None) -> None:
    epoch = killswitch.trip("stream:agents-support", who="rule:complaints", why="12 of 900").epoch
    for name, button in (("rita", "Propose to resume"), ("omar", "Confirm and resume")):
        page = window(responder(name), "phone", "light").open(f"/killswitch/{epoch}/")
        page.fill("#resume [name=why]", f"{name} has looked")
        page.fill("#resume [name=password]", PASSWORD)
        page.click(f"text={button}")
        page.wait_for_load_state()
    expect(page.locator("h1")).to_have_text("Resumed: stream:agents-support")
    assert killswitch.open_stops() == []


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_all_of_it_works_without_javascript(window: Windows, mail: None, ada: Agent, size: str) -> None:
    here = window(responder("rita"), size, "light", javascript=False)
    page = here.open("/killswitch/")
    page.click("[aria-label='Stop agent ada']")
    expect(page.locator("h1")).to_have_text("Stopped: agent:ada")
    page.click("text=Revoke")
    expect(page.locator(".keys")).to_contain_text("revoked")
    page.fill("#resume [name=why]", "fixed")
    page.fill("#resume [name=password]", PASSWORD)
    page.click("#resume button")
    expect(page.locator("h1")).to_have_text("Resumed: agent:ada")
    here.open("/killswitch/")
    page.click("summary:has-text('Stop everything')")
    page.check("[name=sure]")
    page.click("button:text-is('Stop everything')")
    expect(page.locator("h1")).to_have_text("Stopped: all")
    assert [stop.scope for stop in killswitch.open_stops()] == ["all"]
    page.click("text=Timeline")
    page.fill("[name=q]", "ada")
    page.click("text=Find")
    expect(page.locator(".event")).to_have_count(2)


def test_a_stop_waits_for_workers_without_javascript_too(window: Windows, mail: None) -> None:
    here = window(responder("rita"), "phone", "light", javascript=False)
    worker = sessions.begin("worker-2")
    epoch = killswitch.trip("agents", who="rita", why="").epoch
    page = here.open(f"/killswitch/{epoch}/")
    assert "worker-2: not yet" in page.content()
    sessions.renew(worker, epoch)
    page.wait_for_selector("text=worker-2: yes")


def test_all_of_it_works_by_keyboard(window: Windows, mail: None) -> None:
    page = window(responder("rita"), "desktop", "light").open("/killswitch/")

    def walk_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({selector!r})"):
                assert page.evaluate(OUTLINED), f"{selector}: nobody sees where they are"
                return
        raise AssertionError(f"no way to {selector}")

    walk_to("button.wide")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Stopped: agents')")
    walk_to("#resume textarea")
    page.keyboard.type("fixed")
    walk_to("#resume [type=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Resumed: agents')")


def test_the_page_stays_live_and_nothing_moves_under_a_hand(window: Windows, mail: None, ada: Agent) -> None:
    page = window(responder("rita"), "phone", "light", zone="Asia/Kolkata").open("/killswitch/")
    page.click("#panel-senders summary >> nth=0")
    killswitch.trip("stream:receipts", who="omar", why="a loop")
    page.wait_for_selector("#panel-stops:has-text('stream:receipts')")
    page.wait_for_selector("#panel-out a.chip")
    expect(page.locator("#panel-senders details[open]")).to_have_count(1)
    assert re.search(r"UTC \((\d+ \w+ )?\d\d:\d\d:\d\d GMT\+5:30\)", page.inner_text("#panel-stops time"))


def test_a_page_that_is_not_live_any_more_says_so(window: Windows, mail: None) -> None:
    here = window(responder("rita"), "phone", "light")
    page = here.open("/killswitch/")
    page.wait_for_selector("[data-freshness]:has-text('Live')")
    page.route("**/killswitch/now/*", lambda route: route.abort())
    page.wait_for_selector("[data-freshness].stale:has-text('Not live')")
    here.complaints.clear()  # of the request that was cut
    page.unroute("**/killswitch/now/*")
    page.wait_for_selector("[data-freshness]:not(.stale)")
    here.complaints.clear()


def test_html_of_others_is_shown_and_does_nothing(window: Windows, mail: None) -> None:
    here = window(responder("rita"), "desktop", "light")
    page = here.open("/killswitch/")
    opened(page)
    page.click("text=Its HTML")
    frame = page.frame_locator("iframe")
    assert frame.locator("b").inner_text() == "bold"
    assert frame.locator("img").evaluate("e => e.naturalWidth") == 0
    accessible(here, "sample")
    refusals = r"sandboxed|Content Security Policy"
    assert [said for said in here.complaints if not re.search(refusals, said)] == []
    assert any("script" in said for said in here.complaints)
    here.complaints.clear()

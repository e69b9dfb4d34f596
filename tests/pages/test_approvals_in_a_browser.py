"""The reviewers' desk in a real browser: on a phone and on a desk, by keyboard, with and without JavaScript."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import expect

from outbox import deciding
from outbox.models import Agent, Approval
from outbox.people import make_groups
from tests import factories
from tests.outbox import asked as asked_for
from tests.outbox.reviewed import asked, held, name_of, said
from tests.pages.desk import posted
from tests.pages.test_killswitch_pages import OUTLINED, accessible, fits, opened

Windows = Callable[..., Any]

LETTER = "Hi {},\n\nI saw that {} is growing quickly. Have you a quarter of an hour on {} to talk?\n\nAda at Acme\n"
PEOPLE = [
    ("Grace", "Example Ltd", "Monday", "grace@example.org"),
    ("Bob", "Initech", "Tuesday", "bob@initech.test"),
    ("Ann", "Globex", "Monday", "ann.with.a.long.name@a-very-long-domain-name.globex.test"),
    ("Li", "Umbrella", "Friday", "li@umbrella.test"),
    ("Tom", "Hooli", "Monday", "tom@hooli.test"),
]
STRANGE = "Dear customer,\n\nyour account is locked. Sign in at http://acme-login.test/ within the hour.\n"
HTML = "<h1>Hello</h1><p>A <b>bold</b> offer</p><script>alert(1)</script><img src=x onerror=alert(2)>"


def reviewer(name: str, group: str = "reviewers") -> Client:
    """Somebody who decides."""
    make_groups()
    user = User.objects.create_user(name, f"{name}@acme.test", "correct horse battery", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def letters() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"to": [address], "subject": f"{name}, a question", "text": LETTER.format(name, firm, day)}
        for name, firm, day, address in PEOPLE
    ]
    found[0]["attachments"] = [
        {"filename": "offer.pdf", "content": "aGVsbG8=", "content_type": "application/pdf"}
    ]
    found[1]["html"] = HTML
    return [*found, {"to": ["eve@example.org"], "subject": "Your account", "text": STRANGE}]


@pytest.fixture
def ada(server: str) -> Agent:
    owner = User.objects.create_user("gina", email="gina@acme.test", first_name="Gina", last_name="Hopper")
    return factories.agent("ada", owner=owner)


@pytest.fixture
def requests(ada: Agent) -> list[Approval]:
    """A fresh one with an outlier, a stale one, and one that waits for a second person."""
    posted(ada, {"to": ["grace@example.org"], "subject": "Your first question", "text": "Hi"})
    bob = factories.agent("bob-with-quite-a-long-name-for-a-phone")
    stale = asked(bob, {"to": ["x@y.test"]}, run="a-run-with-a-name-2026-11-22", ago=timedelta(hours=5))
    fresh = asked(ada, *letters(), reasons=["first_contact", "cluster_size"], ago=timedelta(minutes=12))
    two = asked(ada, {"to": ["z@y.test"]}, run="r-2", ago=timedelta(minutes=3))
    proposed = said(two, "omar", "release", people=1, why="known customer")
    Approval.objects.filter(pk=two.pk).update(state="confirming", proposed=proposed)
    return [stale, fresh, two]


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_every_page_fits_its_screen_and_breaks_no_policy(
    window: Windows, requests: list[Approval], size: str
) -> None:
    here = window(reviewer("rita"), size, "light", zone="Europe/Berlin")
    stale, fresh, two = requests
    pages = {
        "approvals": "/approvals/",
        "approval": f"/approvals/{name_of(fresh)}/",
        "approval-two": f"/approvals/{name_of(two)}/",
        "approval-stale": f"/approvals/{name_of(stale)}/",
        "approvals-health": "/approvals/health/",
    }
    for name, path in pages.items():
        page = here.open(path)
        fits(page, name)
        opened(page)
        for scheme in here.schemes(f"{name}-{size}"):
            fits(page, f"{name}, opened, {scheme}")
            if size == "phone":
                accessible(here, name)


def test_names_of_reviewers_keep_their_line_on_a_phone(window: Windows, requests: list[Approval]) -> None:
    page = window(reviewer("rita"), "phone", "light").open("/approvals/health/", "reviewers-phone")
    names = page.locator("section[aria-labelledby=h-reviewers] tbody th")
    expect(names.first).to_contain_text("omar")
    for box in (each.bounding_box() for each in names.all()):
        assert box is not None
        assert (box["width"] >= 100, box["height"] < 60) == (True, True), box
    fits(page, "reviewers")


def test_the_outlier_is_on_top_and_what_varies_is_marked(window: Windows, requests: list[Approval]) -> None:
    page = window(reviewer("rita"), "desktop", "light").open(f"/approvals/{name_of(requests[1])}/")
    expect(page.locator(".template mark")).to_have_count(3)
    expect(page.locator(".template")).to_contain_text("is growing quickly")
    expect(page.locator(".sample summary").nth(0)).to_contain_text("bob@initech.test")  # whose HTML lies
    expect(page.locator(".sample").nth(0)).to_contain_text("Its HTML says something else than its text")
    expect(page.locator(".sample summary").nth(1)).to_contain_text("eve@example.org")
    expect(page.locator(".sample .letter mark").first).to_be_attached()
    expect(page.locator("text=Your first question")).to_have_count(1)  # earlier mail to grace
    expect(page.locator("text=offer.pdf").first).to_be_visible()


def test_keys_lead_and_do_not_decide(window: Windows, requests: list[Approval]) -> None:
    page = window(reviewer("rita"), "desktop", "light").open("/approvals/")
    first, second, _ = (f"/approvals/{name_of(one)}/" for one in requests)
    page.keyboard.press("j")
    expect(page.locator(f"a[href='{first}']")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(f"a[href='{second}']")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{second}")
    page.keyboard.press("w")
    expect(page.locator("button[value=waves]")).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("textarea[data-key=x]")).to_be_focused()
    page.keyboard.type("jkr: no")  # what is typed is text
    expect(page.locator("textarea[data-key=x]")).to_have_value("jkr: no")
    page.locator("textarea[data-key=x]").blur()
    page.keyboard.press("k")
    page.wait_for_url(f"**{first}")
    page.keyboard.press("u")
    page.wait_for_url("**/approvals/")
    assert Approval.objects.filter(version=1).count() == 3


def test_keys_can_be_turned_off(window: Windows, requests: list[Approval]) -> None:
    page = window(reviewer("rita"), "desktop", "light").open("/approvals/")
    page.click("summary:has-text('Keys')")
    page.click("text=Turn these keys off")
    page.reload()
    page.keyboard.press("j")
    expect(page.locator("[data-row] a:focus")).to_have_count(0)
    page.click("summary:has-text('Keys')")
    expect(page.locator("[data-keys]")).to_have_text("Turn these keys on")


def test_the_list_is_live_and_a_page_tells_what_joined(
    window: Windows, ada: Agent, requests: list[Approval]
) -> None:
    client = reviewer("rita")
    listed = window(client, "phone", "light").open("/approvals/")
    shown = window(client, "phone", "light").open(f"/approvals/{name_of(requests[1])}/")
    asked(ada, {"subject": "Just now"}, run="r-99")
    held(requests[1], posted(ada, {}))
    expect(listed.locator("text=ada: r-99")).to_be_visible()
    expect(shown.locator("#panel-state")).to_contain_text("1 message joined since this page was made")
    Approval.objects.filter(pk=requests[1].pk).update(version=2)
    expect(shown.locator("#panel-state")).to_contain_text("Something was decided since this page was made")


def test_html_of_others_is_shown_and_does_nothing(window: Windows, requests: list[Approval]) -> None:
    here = window(reviewer("rita"), "desktop", "light")
    page = here.open(f"/approvals/{name_of(requests[1])}/")
    opened(page)
    page.click("text=its HTML, shut in")
    frame = page.frame_locator("iframe")
    expect(frame.locator("b")).to_have_text("bold")
    assert frame.locator("img").evaluate("e => e.naturalWidth") == 0
    expect(page.locator(f"a[href='/approvals/{name_of(requests[1])}/']")).to_have_count(1)
    refusals = r"sandboxed|Content Security Policy"
    assert [said for said in here.complaints if not re.search(refusals, said)] == []
    here.complaints.clear()


def waiting_mail(live_db: Any, agent: Agent) -> str:
    """Real mail that waits: where its request is."""
    asked_for.held(live_db, agent, *asked_for.many(3, agent={"run_id": "r1", "purpose": "tell customers"}))
    return f"/approvals/{name_of(asked_for.request())}/"


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_all_of_it_works_without_javascript(window: Windows, live_db: Any, ada: Agent, size: str) -> None:
    path = waiting_mail(live_db, ada)
    here = window(reviewer("rita"), size, "light", javascript=False)
    page = here.open("/approvals/")
    page.click("summary:has-text('Find and filter')")
    page.fill("[name=q]", "customers")
    page.click("button:text-is('Find')")
    page.click("a:has-text('ada: r1')")
    expect(page.locator("h1")).to_have_text("ada: r1")
    page.click("summary:has-text('Only a part')")
    page.check("[name=messages] >> nth=0")
    page.click("button[value=part]")
    expect(page.locator("#panel-state .said")).to_contain_text("Released a part by rita")
    asked_for.carried()
    page.goto(here.base + path)
    expect(page.locator("#panel-state")).to_contain_text("2 people in 2 messages")
    page.click("summary:has-text('Refuse all of it')")
    page.fill("#decide textarea[required]", "a bought list")
    page.click("button[value=refuse]")
    expect(page.locator("#panel-state .said")).to_contain_text("a bought list")
    asked_for.carried()
    assert sorted(asked_for.statuses().values()) == ["queued", *["refused by_reviewer"] * 2]
    page.goto(here.base + path)
    expect(page.locator("#decide")).to_contain_text("There is nothing left to decide.")


def test_all_of_it_works_by_keyboard(window: Windows, live_db: Any, ada: Agent) -> None:
    path = waiting_mail(live_db, ada)
    page = window(reviewer("rita"), "desktop", "light").open(path)

    def walk_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({selector!r})"):
                assert page.evaluate(OUTLINED), f"{selector}: nobody sees where they are"
                return
        raise AssertionError(f"no way to {selector}")

    walk_to("#decide textarea")
    page.keyboard.type("known customers")
    walk_to("button[value=waves]")
    page.keyboard.press("Enter")
    expect(page.locator("#panel-state")).to_contain_text("Released in waves by rita")
    asked_for.carried()
    expect(page.locator("#panel-state")).to_contain_text("3 queued")  # without a reload
    assert asked_for.counts() == {"queued": 3}


def test_whoever_comes_too_late_sees_the_newer_state_and_their_own_words(
    window: Windows, live_db: Any, ada: Agent
) -> None:
    path = waiting_mail(live_db, ada)
    here = window(reviewer("rita"), "phone", "dark")
    page = here.open(path)
    shown = asked_for.shown()
    page.click("summary:has-text('Refuse all of it')")
    page.fill("#decide textarea[required]", "this looks bought")
    deciding.release_part(shown, asked_for.reviewer("omar"), [shown.upto])
    asked_for.carried()
    page.click("button[value=refuse]")
    expect(page.locator("[role=alert]")).to_contain_text("Look again")
    expect(page.locator("#panel-state")).to_contain_text("Released a part by omar")
    expect(page.locator("#decide textarea[required]")).to_have_value("this looks bought")
    here.complaints.clear()  # of the 409, which a browser's console complains about
    page.click("button[value=refuse]")
    expect(page.locator("#panel-state")).to_contain_text("Refused by rita")

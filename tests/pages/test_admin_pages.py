"""The admin in a real browser: on a phone and on a desk, light and dark, with and without JavaScript."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import expect

from outbox import ids, keys
from outbox.models import Agent, ApiKey
from reputation import keyring, killswitch
from reputation.models import ProviderSuffix, SendingDomain
from reputation.vault import new_master_key
from tests import factories
from tests.pages.desk import HOSTILE, answered, posted, root

Windows = Callable[..., Any]

TEXT = "Hi Grace,\n\nthank you for your question about invoices. Here is what we found.\n\nAda\n"
REPLY = "5.7.1 [192.0.2.7 12] Our system has detected that this message is likely unsolicited mail."

# What text stands on: the nearest background that is not transparent, and the WCAG contrast with it.
CONTRAST = """element => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let below = element;
  while (below.parentElement && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(below).backgroundColor))
    below = below.parentElement;
  const [a, b] = [light(getComputedStyle(element).color), light(getComputedStyle(below).backgroundColor)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


@pytest.fixture
def ada(server: str) -> Agent:
    return factories.agent("ada")


@pytest.fixture
def mail(ada: Agent) -> list[UUID]:
    """Mail of every kind, one of it hostile; the last is a message to many."""
    first = posted(ada, {"to": ["nobody@gmail.test"], "subject": HOSTILE, "text": HOSTILE, "html": HOSTILE})
    answered("bounced", "reputation_refused", reply_code=550, reply=f"{REPLY} {HOSTILE}")
    more = posted(
        ada,
        {"to": ["grace@example.org"], "cc": ["a.very.long.address.indeed@a-very-long-domain-name.example.org"],
         "subject": "Your question about invoices, and a few more words to make it long", "text": TEXT,
         "agent": {"run_id": "nightly-2026-11-22", "purpose": "answer ticket 4711", "on_behalf_of": "user:grace"}},
    )  # fmt: skip
    answered("delivered", "accepted_by_server", reply_code=250, reply="2.0.0 OK 1763805600 q-17")
    late = posted(ada, {"subject": "Once more", "text": TEXT})
    answered("deferred", "", reply_code=451, reply="4.7.1 Greylisted, come back in 5 minutes")
    return first + more + late + posted(ada, *({"subject": f"Follow-up {n}"} for n in range(4)))


@pytest.fixture
def pages(mail: list[UUID], ada: Agent, settings: Any) -> dict[str, str]:
    """The pages people use most, by name."""
    settings.AO_MASTER_KEYS = [new_master_key()]
    keyring.make(SendingDomain.objects.get(), "rsa-sha256")
    factories.key(ada, name="laptop")
    killswitch.trip("agent:ada", who="responder-1", why="Sends the same thing to everybody")
    ProviderSuffix.objects.get_or_create(suffix="google.com", defaults={"family": "google-workspace"})
    lists = "agent apikey message delivery attempt event run lane session answer".split()
    more = "stream sendingdomain route providersuffix knowndomain openstop switchevent".split()
    return {
        "home": "/admin/",
        **{name: f"/admin/outbox/{name}/" for name in lists},
        **{name: f"/admin/reputation/{name}/" for name in more},
        "story": f"/admin/outbox/message/{mail[1]}/change/",
        "hostile": f"/admin/outbox/message/{mail[0]}/change/",
        "delivery-story": f"/admin/outbox/delivery/{ids.delivery_id(mail[2], 1)}/change/",
        "agent-page": f"/admin/outbox/agent/{ada.pk}/change/",
        "issue": "/admin/outbox/apikey/add/",
        "domain-page": f"/admin/reputation/sendingdomain/{SendingDomain.objects.get().pk}/change/",
    }


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_every_page_fits_its_screen_and_breaks_no_policy(
    window: Windows, pages: dict[str, str], size: str
) -> None:
    here = window(root(), size, "light")
    for name, path in pages.items():
        page = here.open(path)
        width, room = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= room, name
        if list_ := page.query_selector("#changelist-form .results"):
            assert list_.evaluate("e => e.scrollWidth <= e.clientWidth"), f"{name}: a column is cut off"
        for scheme in here.schemes(f"{name}-{size}"):
            for element in page.query_selector_all(".ao-chip, .ao-quiet, .ao-facts dt, .ao-text, .ao-note"):
                assert element.evaluate(CONTRAST) >= 4.5, (name, scheme, element.inner_text())


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_searching_filtering_and_issuing_a_key_need_no_javascript(
    window: Windows, mail: list[UUID], ada: Agent, size: str
) -> None:
    here = window(root(), size, "light", javascript=False)
    page = here.open("/admin/outbox/message/")
    page.fill("#searchbar", "nobody@gmail.test")
    page.click("#changelist-search input[type=submit]")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    here.open("/admin/outbox/message/")
    page.click("#changelist-filter a:text-is('bounced')")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.click("#result_list th a")
    expect(page.locator("#content")).to_contain_text(REPLY)

    here.open(f"/admin/outbox/agent/{ada.pk}/change/")
    page.click("text=Issue a key")
    page.fill("[name=name]", "laptop")
    page.click("input[type=submit][value='Issue the key']")
    assert keys.authenticate(f"Bearer {page.inner_text('#shown-once')}").agent == "ada"
    page.click("text=I have stored it")
    row = page.locator(f"tr:has-text('{ApiKey.objects.get(name='laptop').prefix}')")
    row.wait_for()
    assert not re.search(r"ao_live_\w{8}_\w{40}", page.content())
    row.locator("text=revoke").click()
    page.click("input[type=submit][value=Revoke]")
    row.wait_for(state="attached")
    assert ApiKey.objects.get(name="laptop").revoked_at is not None


@pytest.mark.parametrize(("scheme", "ground"), [("light", "rgba(0, 0, 0, 0)"), ("dark", "rgb(18, 23, 27)")])
def test_the_documentation_of_the_api_follows_the_scheme(
    window: Windows, ada: Agent, scheme: str, ground: str
) -> None:
    page = window(root(), "phone", scheme).open("/v1/docs")
    page.wait_for_selector(".opblock")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == ground

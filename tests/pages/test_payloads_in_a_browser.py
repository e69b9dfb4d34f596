"""DOMPurify's public list of payloads in everything that an agent can write: nothing of it runs anywhere."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from outbox.models import Agent, Approval, Attachment, Message, Run
from tests import factories
from tests.outbox.reviewed import asked, name_of
from tests.pages import payloads
from tests.pages.desk import root
from tests.pages.test_killswitch_pages import opened

Windows = Callable[..., Any]

BATCH = 24  # as many as one page looks at
SCRIPTS = "document.querySelectorAll('main script, #content script').length"
RAN = f"() => [typeof window.xss, typeof window.alerted, {SCRIPTS}]"
# whatever a payload would call leaves its mark
MARKS = "window.alert = window.confirm = window.prompt = () => { window.alerted = true; };"


@pytest.fixture(scope="session")
def every_payload(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    found = payloads.fetched(tmp_path_factory.mktemp("payloads"))
    assert len(found) > 180
    return [one.replace("\x00", "") for one in found]


def written(key: UUID, payload: str) -> None:
    """The payload wherever words of an agent are kept, past the door, which would refuse some of them."""
    people = {"name": payload, "local": "grace", "domain": "example.org"}
    row = Message.objects.get(pk=key)
    row.subject = row.text = row.html = payload
    row.addressing |= {"from": people, "to": [people], "reply_to": [people]}
    row.context |= {"on_behalf_of": payload, "purpose": payload}
    row.decision |= {"verdict": "hold", "reasons": [{"code": "first_contact", "detail": payload}]}
    row.save(using="owner")
    Attachment.objects.using("owner").filter(message_id=key).update(filename=payload, content_type=payload)


def refused(request: Any) -> bool:
    return "csp" in (request.failure or "")


@pytest.fixture
def requests(server: str, every_payload: Sequence[str]) -> list[tuple[Approval, list[UUID]]]:
    """Requests that hold a message for each payload, with it in subject, names, bodies, file names and the run."""
    agent: Agent = factories.agent("ada")
    part = {"filename": "a.txt", "content": "aGVsbG8=", "content_type": "text/plain"}
    made = []
    for first in range(0, len(every_payload), BATCH):
        batch = every_payload[first : first + BATCH]
        request = asked(agent, *({"attachments": [part]} for _ in batch), run=f"r-{first}")
        keys = list(request.members.values_list("message_id", flat=True).order_by("message_id"))
        for key, payload in zip(keys, batch, strict=True):
            written(key, payload)
        words = {"purpose": batch[0][:500], "on_behalf_of": batch[1][:200], "name": batch[2][:128]}
        Run.objects.using("owner").filter(pk=request.run_id).update(**words)
        made.append((request, keys))
    connections.close_all()
    return made


def test_nothing_runs_on_the_desk(window: Windows, requests: list[tuple[Approval, list[UUID]]]) -> None:
    here = window(root(), "desktop", "light")
    here.context.add_init_script(MARKS)
    shown = 0
    for path in ["/approvals/", *(f"/approvals/{name_of(request)}/" for request, _ in requests)]:
        page = here.open(path)
        opened(page)
        shown += page.locator(".sample").count()
        assert page.evaluate(RAN) == ["undefined", "undefined", 0], path
    assert shown == sum(len(keys) for _, keys in requests)
    assert here.complaints == []


def test_nothing_runs_in_the_frame_that_shows_html(
    window: Windows, requests: list[tuple[Approval, list[UUID]]], tmp_path: Path
) -> None:
    """Each batch in one frame: what a payload may do beside others, it may do alone."""
    here = window(root(), "desktop", "light")
    here.context.add_init_script(MARKS)
    asked_for: list[str] = []
    # what the policy refuses is announced, too, and fails before it is asked for
    here.page.on("requestfinished", lambda request: asked_for.append(request.url))
    here.page.on("requestfailed", lambda request: refused(request) or asked_for.append(request.url))
    for request, keys in requests:
        whole = "\n".join(Message.objects.in_bulk(keys)[key].html or "" for key in keys)
        Message.objects.using("owner").filter(pk=keys[0]).update(html=whole)
        page = here.open(f"/approvals/{name_of(request)}/messages/{keys[0]}/")
        page.wait_for_load_state("networkidle")
        assert page.evaluate(RAN) == ["undefined", "undefined", 0]
        assert page.url.startswith(here.base)
    ours = re.compile(rf"{here.base}/(static/|approvals/apr_\w+/messages/[0-9a-f-]+/$)")
    # an address of JavaScript is no load; that nothing ran was looked at above
    assert [
        url for url in asked_for if not ours.match(url) and not url.startswith(("about:", "javascript:"))
    ] == []
    refusals = r"sandboxed|Content Security Policy|violates the following|may not be used as base|Not allowed to load"
    assert [said for said in here.complaints if not re.search(refusals, said)] == []
    here.complaints.clear()


def test_nothing_runs_in_the_admin(window: Windows, requests: list[tuple[Approval, list[UUID]]]) -> None:
    here = window(root(), "desktop", "light")
    here.context.add_init_script(MARKS)
    lists = [
        "/admin/outbox/message/",
        "/admin/outbox/message/?p=2",
        "/admin/outbox/run/",
        "/admin/outbox/delivery/",
    ]
    stories = [f"/admin/outbox/message/{key}/change/" for _, keys in requests for key in keys[::6]]
    for path in [*lists, *stories]:
        page = here.open(path)
        opened(page)
        assert page.evaluate(RAN)[:2] == ["undefined", "undefined"], path
    assert here.complaints == []

"""Policies in the admin: what they would have done, before they are saved; each save a version of its own."""

from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.db import Error, connection
from django.test import Client

from outbox import policy_numbers, rehearsing
from outbox.admin_policies import HELP
from outbox.models import Audit, Policy
from outbox.policy_numbers import DEFAULT, LENIENT
from reputation.models import Stream
from tests import factories
from tests.outbox.test_api import Caller

pytestmark = pytest.mark.usefixtures("live_db")
ADD = "/admin/outbox/policy/add/"
TEXT = (
    "we have looked at your question about the invoice of last month and will send you a corrected copy soon"
)


def filled(policy: policy_numbers.Policy = DEFAULT, **more: Any) -> dict[str, Any]:
    """The form as a browser sends it: a switch that is off is left out."""
    words = {
        name: " ".join(v) if isinstance(v, tuple) else v for name, v in policy_numbers.stored(policy).items()
    }
    return {name: value for name, value in (words | {"why": "because"} | more).items() if value is not False}


@pytest.fixture
def dora(live_db: Any) -> Client:
    user = User.objects.create_user("dora", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name="deliverability"))
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def stream(live_db: Any) -> Stream:
    return factories.stream(policy=None)


def test_a_policy_is_saved_as_a_version_with_its_author(dora: Client, stream: Stream) -> None:
    page = dora.get(ADD).content.decode()
    assert all(f'name="{name}"' in page for name in HELP)
    assert dora.post(ADD, filled(stream=stream.pk, new_agent=3)).status_code == 302
    row = Policy.objects.get()
    assert (row.version, row.who, row.why, row.numbers["new_agent"]) == (2, "dora", "because", 3)
    stream.refresh_from_db()
    assert stream.policy_version == 2
    path = f"/admin/outbox/policy/{row.pk}/change/"
    assert 'value="3"' in dora.get(path).content.decode()
    assert dora.post(path, filled(new_agent=4, first_contact=False)).status_code == 302
    newest = Policy.objects.latest("pk")
    assert (newest.version, newest.numbers["new_agent"], newest.numbers["first_contact"]) == (3, 4, False)
    row.refresh_from_db()
    assert (row.version, row.numbers["new_agent"]) == (2, 3)
    assert ("dora", "policy.made") in Audit.objects.values_list("who", "act")


def test_footers_are_blocks_of_text(dora: Client, stream: Stream) -> None:
    typed = "Acme Ltd,\r\n12 Harbour Road\r\n \r\n\r\nWe move what you make.\r\n"
    assert dora.post(ADD, filled(stream=stream.pk, footers=typed)).status_code == 302
    row = Policy.objects.get()
    assert row.numbers["footers"] == ["Acme Ltd,\n12 Harbour Road", "We move what you make."]
    page = dora.get(f"/admin/outbox/policy/{row.pk}/change/").content.decode()
    assert "12 Harbour Road\n\nWe move what you make.</textarea>" in page
    told = dora.post(ADD, filled(stream=stream.pk, footers="x" * 4_001)).content.decode()
    assert "at most 20 blocks of 4,000 characters" in told


def test_a_policy_begins_with_what_holds_for_its_stream(dora: Client) -> None:
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional", policy=None)
    page = dora.get(ADD).content.decode()
    assert f'href="?stream={receipts.pk}"' in page
    page = dora.get(f"{ADD}?stream={receipts.pk}").content.decode()
    [field] = [line for line in page.split("<") if 'name="first_contact"' in line]
    assert "checked" not in field
    assert dora.get(f"{ADD}?stream=x").status_code == 200


def test_of_two_who_edit_the_second_is_told(dora: Client, stream: Stream) -> None:
    dora.post(ADD, filled(stream=stream.pk))
    path = f"/admin/outbox/policy/{Policy.objects.get().pk}/change/"
    dora.post(path, filled(new_agent=4))
    answered = dora.post(path, filled(new_agent=5))
    assert "Version 3 was saved meanwhile" in answered.content.decode()
    assert Policy.objects.count() == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"new_agent": 101}, "less than or equal to 100"),
        ({"quiet_zone": "Nowhere/Town"}, "no time zone"),
        ({"repeats": "anything"}, "none of ours"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(
    dora: Client, stream: Stream, wrong: dict[str, Any], words: str
) -> None:
    page = dora.post(ADD, filled(stream=stream.pk, **wrong))
    assert words in page.content.decode()
    assert not Policy.objects.exists()


def test_what_the_last_day_would_have_met_is_shown_before_it_is_saved(dora: Client, stream: Stream) -> None:
    ada = Caller(factories.key(factories.agent("ada", exempt=False)))
    for number in range(4):
        ada.post(
            to=f"p{number}@example.org", text=f"Hi P{number}, {TEXT}", subject="<script>alert(1)</script>"
        )
    dora.post(ADD, filled(LENIENT, stream=stream.pk))
    path = f"/admin/outbox/policy/{Policy.objects.get().pk}/change/"
    page = dora.post(path, filled(LENIENT, cluster_size=2, _try="1")).content.decode()
    assert "Nothing was saved" in page
    assert "4 messages" in page
    assert "<script>alert(1)" not in page
    table = page[page.index('<table class="ao-figures">') :]
    assert '<th scope="row">released</th><td>4</td><td>2</td>' in table
    assert '<th scope="row">cluster_size</th><td>0</td><td>2</td>' in table
    assert Policy.objects.count() == 1


def test_who_may_only_look_saves_nothing(stream: Stream) -> None:
    user = User.objects.create_user("rita", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    browser = Client()
    browser.force_login(user)
    assert browser.post(ADD, filled(stream=stream.pk)).status_code == 403
    assert not Policy.objects.exists()


def test_a_version_is_never_changed(stream: Stream) -> None:
    row = Policy.objects.create(stream=stream, version=7, numbers={}, who="x")
    for statement in (
        "UPDATE outbox_policy SET who = 'y' WHERE id = %s",
        "DELETE FROM outbox_policy WHERE id = %s",
    ):
        with pytest.raises(Error) as refusal, connection.cursor() as cursor:
            cursor.execute(statement, [row.pk])
        assert isinstance(refusal.value.__cause__, psycopg.errors.RestrictViolation)


# -- history under another policy ----------------------------------------------------------------------------


def rehearsed(stream: Stream, edited: policy_numbers.Policy) -> dict[str, tuple[int, int]]:
    found = rehearsing.rehearse(stream.pk, stream.name, stream.kind, LENIENT, edited)
    return {met.code: (met.before, met.after) for met in found.met}


def test_a_day_is_judged_again_message_by_message(live_db: Any) -> None:
    stream = factories.stream()
    ada = Caller(factories.key(factories.agent("ada", exempt=False)))
    ada.post(text=f"Hi Grace, {TEXT}")
    ada.post(text=f"Hello Grace, {TEXT}")  # a copy
    ada.post(text="See you at the meeting on Tuesday, with the figures")  # to a known contact
    exempt = Caller(factories.key(factories.agent("load")))
    exempt.post(text="Hi {{name}}")
    assert rehearsed(stream, DEFAULT) == {
        "released": (3, 0),
        "first_contact": (0, 1),
        "new_agent": (0, 2),
        "refused: duplicate_content": (0, 1),
    }


def test_nothing_sent_is_nothing_met(live_db: Any) -> None:
    stream = factories.stream()
    assert rehearsed(stream, DEFAULT) == {}

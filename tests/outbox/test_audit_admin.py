"""The audit in the admin: words for columns, names for numbers, and only a change is told as one."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from outbox import audit
from outbox.people import make_groups
from tests import factories
from tests.outbox.killswitch.page import one_of

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def auditor(live_db: Any) -> Client:
    make_groups()
    return one_of("auditors", "otto")


def listed(client: Client, query: str = "") -> str:
    response = client.get(f"/admin/outbox/audit/{query}")
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize(
    ("act", "detail", "told"),
    [
        ("apikey.made", {"scopes": ["read", "send"]}, "scopes: read, send"),
        ("membership.given", {"membership": ["auditors", "reviewers"]}, "membership: auditors, reviewers"),
        (
            "agent.changed",
            {"owner_id": [None, 7], "enabled": [True, False]},
            "owner id: none → 7; enabled: yes → no",
        ),
        ("apikey.changed", {"scopes": [["read"], ["read", "send"]]}, "scopes: read → read, send"),
        (
            "admin.changed",
            {"said": '[{"changed": {"fields": ["Limit"]}}]', "row": "ada"},
            "said: Changed Limit.; row: ada",
        ),
        ("admin.added", {"said": '[{"added": {}}]', "row": "ada"}, "said: Added.; row: ada"),
        ("admin.changed", {"said": "Lifted: wrong list"}, "said: Lifted: wrong list"),
        (
            "policy.made",
            {"id": 1, "numbers": {"new_agent": 2}, "why": "calmer"},
            "why: calmer; id: 1; numbers: new agent: 2",
        ),
        ("switch.trip", {"epoch": 3, "why": ""}, "epoch: 3"),
    ],
)
def test_what_a_row_tells_is_told_in_words(
    auditor: Client, act: str, detail: dict[str, Any], told: str
) -> None:
    audit.write("rita", act, "thing:1", **detail)
    page = listed(auditor, "?q=thing")
    found = re.search(r'field-brief">(.*?)</td>', page)
    assert found
    assert {*html.unescape(found[1]).split("; ")} == {*told.split("; ")}
    assert told.startswith("why") == found[1].startswith("why")


def test_a_subject_told_by_number_is_named_too(auditor: Client) -> None:
    stream = factories.stream("sales", "sales.acme.test")
    audit.write("rita", "policy.made", f"policy:{stream.pk}")
    assert f"policy:{stream.pk} (sales)" in listed(auditor)
    audit.write("rita", "admin.added", f"policy:{stream.pk}", row="policy 4 of another stream")
    assert f"policy:{stream.pk} (sales)" not in listed(auditor, "?about=admin")


@pytest.mark.parametrize(
    ("about", "act"),
    [
        ("approval", "approval.refuse"),
        ("policy", "policy.made"),
        ("export", "export"),
        ("secondfactor", "second_factor.enrolled"),
    ],
)
def test_every_act_of_people_can_be_filtered(auditor: Client, about: str, act: str) -> None:
    audit.write("rita", act, "thing:1")
    assert f">{act}<" in listed(auditor, f"?about={about}")
    assert f">{act}<" not in listed(auditor, "?about=switch")

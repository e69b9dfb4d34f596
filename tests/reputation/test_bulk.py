"""Organisational domains: declared by a person who types them, summed up as mailbox providers do."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reputation import bulk, keyring
from reputation.models import Allowance, OrganisationalDomain, Ramp, RecordCheck, Route, SendingDomain
from tests import factories
from tests.pages import warmth
from tests.pages.desk import HOSTILE, person, root

BASE = "/admin/reputation/organisationaldomain"
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


@pytest.fixture
def acme(live_db: Any) -> OrganisationalDomain:
    factories.stream()
    return OrganisationalDomain.objects.get()


def sent(key: str, provider: str, *days: int, kind: str = "organisation", upto: datetime = NOON) -> None:
    """So many recipients on each of these days; the last is today."""
    ramp = Ramp.objects.create(kind=kind, key=key, provider=provider)
    for ago, used in enumerate(reversed(days)):
        day = upto.date() - timedelta(days=ago)
        begin = datetime.combine(day, time(0), UTC)
        end = begin + timedelta(days=1)
        Allowance.objects.create(ramp=ramp, day=day, opens_at=begin, closes_at=end, used=used, taken=used)


# -- volume --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "verdict"),
    [
        ((), "below"),
        ((1_000, 1_000), "below"),
        ((2_500, 1_500), "close"),  # 80 % of the line
        ((4_999, 4_999), "close"),  # some 24 hours may hold more than the line
        ((4_999, 1), "close"),
        ((4_999, 4_999, 0, 0, 0), "close"),  # and what may have been is for ever
        ((9_000, 10, 10, 10), "bulk"),  # long ago is for ever
        ((5_000, 0, 0), "bulk"),  # the line itself
        ((4_999, 0, 0), "below"),
    ],
)
def test_an_organisation_stands_below_or_above_the_line_by_its_worst_24_hours(
    acme: OrganisationalDomain, days: tuple[int, ...], verdict: str
) -> None:
    sent("acme.test", "gmail", *days)
    assert bulk.of_organisation(acme, NOON).verdict == verdict


def test_workspace_other_organisations_and_single_domains_do_not_count(acme: OrganisationalDomain) -> None:
    sent("acme.test", "google-workspace", 9_000)
    sent("other.test", "gmail", 9_000)
    sent("agents.acme.test", "gmail", 9_000, kind="domain")
    shown = bulk.of_organisation(acme, NOON)
    assert shown.verdict == "below"
    assert {volume.provider: volume.day for volume in shown.volumes} == {
        "gmail": 0,
        "google-workspace": 9_000,
    }


def test_24_hours_are_bounded_by_the_two_days_they_lie_in(acme: OrganisationalDomain) -> None:
    sent("acme.test", "gmail", 100, 70, 30)
    [volume] = bulk.of_organisation(acme, NOON).volumes
    assert (volume.day, volume.today, volume.yesterday) == (100, 30, 70)
    assert (volume.most, volume.most_on) == (100, date(2026, 11, 16))
    assert bulk.last_day([acme], NOON) == {"acme.test": 100}


# -- requirements --------------------------------------------------------------------------------------------


def verdicts() -> dict[str, str]:
    found = bulk.requirements(list(SendingDomain.objects.select_related("route", "stream")))
    return {one.name.split()[0]: one.verdict for one in found}


@pytest.mark.parametrize(
    ("purpose", "requirement"),
    [
        ("returns-spf", "SPF"),
        ("dkim-s2026a", "DKIM"),
        ("dmarc", "DMARC,"),
        ("ptr-1", "Address"),
        ("ehlo-1", "Address"),
    ],
)
@pytest.mark.parametrize("verdict", ["wrong", "missing", "unknown", "unchecked"])
def test_a_requirement_is_as_good_as_the_worst_record_that_shows_it(
    acme: OrganisationalDomain, purpose: str, requirement: str, verdict: str
) -> None:
    warmth.records(SendingDomain.objects.get())
    RecordCheck.objects.update(verdict="right")
    assert verdicts()[requirement] == "right"
    RecordCheck.objects.filter(purpose=purpose).update(verdict=verdict)
    assert verdicts()[requirement] == verdict


@pytest.mark.parametrize("purpose", ["dmarc-parent", "dmarc-reports", "dkim-revoked-s1", "spf", "mx", "soa"])
def test_other_records_do_not_stain_a_requirement(acme: OrganisationalDomain, purpose: str) -> None:
    domain = SendingDomain.objects.get()
    warmth.records(domain)
    RecordCheck.objects.update(verdict="right")
    before = verdicts()
    RecordCheck.objects.update_or_create(
        domain=domain,
        purpose=purpose,
        defaults={"verdict": "wrong", "position": 90, "name": "x", "type": "TXT"},
    )
    assert verdicts() == before


def test_one_domain_that_falls_short_is_named_and_one_that_is_retired_is_not(
    acme: OrganisationalDomain,
) -> None:
    good = SendingDomain.objects.get()
    factories.stream("agents-sales", "sales.acme.test")
    bad = SendingDomain.objects.get(name="sales.acme.test")
    for domain in (good, bad):
        warmth.records(domain)
    RecordCheck.objects.update(verdict="right")
    bad.records.filter(purpose="dmarc").update(verdict="missing")
    words = {one.name: one.words for one in bulk.of_organisation(acme, NOON).requirements}
    assert words["DMARC, at least p=none"] == "sales.acme.test: missing"
    SendingDomain.objects.filter(pk=bad.pk).update(state="retired")
    assert verdicts()["DMARC,"] == "right"


def test_a_route_without_tls_is_wrong(acme: OrganisationalDomain) -> None:
    assert verdicts()["TLS"] == "right"
    Route.objects.update(security="none")
    assert verdicts()["TLS"] == "wrong"


def test_what_is_not_built_is_never_said_to_be_right(acme: OrganisationalDomain) -> None:
    warmth.records(SendingDomain.objects.get())
    RecordCheck.objects.update(verdict="right")
    unbuilt = {name for name, verdict in verdicts().items() if verdict == bulk.UNBUILT}
    assert unbuilt == {"Spam"}


def test_nothing_checked_is_not_right(acme: OrganisationalDomain) -> None:
    assert {verdicts()[name] for name in ("SPF", "DKIM", "DMARC,", "Address", "From")} == {"unchecked"}


# -- declaring -----------------------------------------------------------------------------------------------


def declare(client: Any, path: str, **fields: str) -> str:
    form = {"name": "new.test", "use": "agents", "again": "new.test", **fields}
    page: str = client.post(f"{BASE}/{path}", form, follow=True).content.decode()
    return page


def test_a_declaration_leaves_who_and_when(live_db: Any) -> None:
    page = declare(root("ann"), "add/")
    row = OrganisationalDomain.objects.get()
    assert (row.name, row.use, row.declared_by) == ("new.test", "agents", "ann")
    assert row.declared_at is not None
    assert "Dedicated to agents" in page
    assert "by ann, " in page


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"again": "acme.test"}, "another name"),  # a slip of the hand
        ({"again": ""}, "This field is required"),
        ({"name": "a.new.test", "again": "a.new.test"}, "declare that"),  # below it
        ({"name": "co.uk", "again": "co.uk"}, "public suffix"),
        ({"use": "everything"}, "Select a valid choice"),
    ],
)
def test_a_declaration_that_must_not_be_is_refused(live_db: Any, fields: dict[str, str], says: str) -> None:
    assert says in declare(root(), "add/", **fields)
    assert not OrganisationalDomain.objects.exclude(use="undeclared").exists()


def test_what_agents_send_below_cannot_be_protected_meanwhile(acme: OrganisationalDomain) -> None:
    page = declare(root(), f"{acme.pk}/declare/", use="protected", again="acme.test")
    assert "retire and move their domains first" in page
    acme.refresh_from_db()
    assert acme.use == "agents"


def test_the_page_of_one_declares_that_one_only(acme: OrganisationalDomain) -> None:
    declare(root(), f"{acme.pk}/declare/", name="other.test", use="protected", again="other.test")
    assert not OrganisationalDomain.objects.filter(name="other.test").exists()


def test_the_use_is_declared_never_edited(acme: OrganisationalDomain) -> None:
    form = {"use": "protected", "name": "x.test", "declared_by": "eve", "preset": "careful", "target": "5000"}
    assert root().post(f"{BASE}/{acme.pk}/change/", form).status_code == 302
    acme.refresh_from_db()
    assert (acme.use, acme.name, acme.declared_by, acme.preset) == ("agents", "acme.test", "", "careful")


def test_who_may_only_look_declares_nothing(acme: OrganisationalDomain) -> None:
    viewer = person("viewer", "reputation.view_organisationaldomain")
    page = viewer.get(f"{BASE}/{acme.pk}/change/").content.decode()
    assert "/declare/" not in page
    for path in ("add/", f"{acme.pk}/declare/"):
        assert viewer.post(f"{BASE}/{path}", {"use": "protected", "again": "acme.test"}).status_code == 403
    assert root().post(f"{BASE}/{acme.pk}/delete/", {"post": "yes"}).status_code == 403


# -- pages ---------------------------------------------------------------------------------------------------


def test_the_page_shows_volume_line_and_requirements(acme: OrganisationalDomain) -> None:
    sent("acme.test", "gmail", 4_000, 5_300, upto=keyring.now())
    OrganisationalDomain.objects.update(declared_by=HOSTILE)
    warmth.records(SendingDomain.objects.get())
    page = root().get(f"{BASE}/{acme.pk}/change/").content.decode()
    for words in [
        "A bulk sender for ever: 5,300",
        "9,300",
        "One-click unsubscribe",
        "not built yet",
        "agents.acme.test",
    ]:
        assert words in page, words
    assert "<script>alert" not in page


def test_the_list_shows_each_ones_volume_in_as_many_statements_for_any_number(
    acme: OrganisationalDomain,
) -> None:
    client, costs = root(), []
    sent("acme.test", "gmail", 400, 234, upto=keyring.now())
    for number in range(2):
        for each in range(20):
            OrganisationalDomain.objects.create(name=f"o{number}-{each}.test")
        for _ in range(2):
            with CaptureQueriesContext(connection) as captured:
                page = client.get(f"{BASE}/").content.decode()
        costs.append(len(captured))
    assert costs[0] == costs[1]
    assert "634 of 5,000" in page

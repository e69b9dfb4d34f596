"""What a sending domain's list follows from, and how what no zone can say is judged."""

from typing import Any

import pytest
from django.utils import timezone

from reputation import publishing
from reputation.egress import Tried
from reputation.models import OrganisationalDomain, RecordCheck, Route, SendingDomain, SigningKey, Stream
from reputation.records import Verdict
from reputation.resolver import Exchanger, Exchangers, Problem
from tests.reputation.fakedns import FakeLookups, View

NAME = "agents.acme.test"


@pytest.fixture
def domain(live_db: Any, settings: Any) -> SendingDomain:
    settings.PUBLIC_URL = "https://outbox.acme.test"
    settings.AO_RETURNS_HOST = settings.AO_REPLIES_HOST = settings.AO_REPORTS_MAILBOX = ""
    settings.AO_SENDING_ADDRESSES = ["192.0.2.1"]
    settings.AO_EGRESS_DOMAIN = "gmail.test"
    return SendingDomain.objects.create(
        name=NAME,
        stream=Stream.objects.create(name="agents"),
        organisation=OrganisationalDomain.objects.create(name="acme.test", use="agents"),
        route=Route.objects.create(name="direct", ehlo="out.acme.test"),
        default_sender=f"robot@{NAME}",
    )


SAID = [
    # setting, value, fact, what it is
    (None, None, "returns_host", "outbox.acme.test"),
    ("PUBLIC_URL", "http://127.0.0.1:8000", "returns_host", "out.acme.test"),  # an address is no MX
    ("PUBLIC_URL", "http://localhost:8000", "returns_host", "out.acme.test"),
    ("AO_RETURNS_HOST", "in.acme.test", "returns_host", "in.acme.test"),
    (None, None, "replies_host", ""),
    ("AO_REPLIES_HOST", "mx.acme.test", "replies_host", "mx.acme.test"),
    (None, None, "rua", "postmaster@acme.test"),
    ("AO_REPORTS_MAILBOX", "dmarc@reports.test", "rua", "dmarc@reports.test"),
    (None, None, "unsubscribe_host", "outbox.acme.test"),
    ("PUBLIC_URL", "http://127.0.0.1:8000", "unsubscribe_addresses", ("127.0.0.1",)),
    ("PUBLIC_URL", "http://localhost:8000", "unsubscribe_addresses", ()),
]


@pytest.mark.parametrize(("setting", "value", "fact", "expected"), SAID)
def test_what_records_point_to_follows_from_the_settings(domain, settings, setting, value, fact, expected):
    if setting:
        setattr(settings, setting, value)
    assert getattr(publishing.facts(domain), fact) == expected


ROUTES = [
    # the route, the addresses it may send from, and the name a relay has for its own
    ({}, ("192.0.2.1",), ""),
    ({"source_address": "192.0.2.9"}, ("192.0.2.9",), ""),
    ({"means": "relay", "host": "smtp.relay.test", "spf_include": "spf.relay.test"}, (), "spf.relay.test"),
    ({"means": "relay", "host": "smtp.relay.test", "source_address": "192.0.2.9"}, (), ""),
]


@pytest.mark.parametrize(("changes", "addresses", "include"), ROUTES)
def test_who_may_send_follows_from_the_route(domain, changes, addresses, include):
    Route.objects.update(**changes)
    route = publishing.facts(SendingDomain.objects.get()).route
    assert (route.addresses, route.spf_include) == (addresses, include)


def test_a_key_is_asked_about_until_it_is_long_revoked(domain):
    now = timezone.now()
    for selector, state, revoked in (
        ("s1", "active", None),
        ("s2", "revoked", now - publishing.REVOKED_SHOWN / 2),
        ("s3", "revoked", now - publishing.REVOKED_SHOWN * 2),
    ):
        SigningKey.objects.create(
            domain=domain,
            selector=selector,
            algorithm="rsa-sha256",
            private_sealed=b"",
            public_record="v=DKIM1; k=rsa; p=AAAA",
            state=state,
            revoked_at=revoked,
        )
    assert [key.selector for key in publishing.facts(domain).keys] == ["s1", "s2"]


BEYOND = [
    # what is set, and what is tried beside the records
    ({}, {"egress", "certificate"}),
    ({"AO_EGRESS_DOMAIN": ""}, {"certificate"}),
    ({"PUBLIC_URL": "http://127.0.0.1:8000"}, {"egress"}),
    ({"PUBLIC_URL": "http://outbox.acme.test"}, {"egress"}),  # nobody is promised a certificate
]


@pytest.mark.parametrize(("said", "expected"), BEYOND)
def test_what_no_zone_can_say_is_listed_and_never_needed(domain, settings, said, expected):
    for name, value in said.items():
        setattr(settings, name, value)
    beyond = [each for each in publishing.listed(publishing.facts(domain)) if each.wanted is None]
    assert {each.purpose for each in beyond} == expected
    assert not any(each.needed for each in beyond)


def test_a_relay_speaks_for_itself_and_port_25_is_not_tried(domain):
    Route.objects.update(means="relay", host="smtp.relay.test")
    known = publishing.facts(SendingDomain.objects.get())
    assert "egress" not in {each.purpose for each in publishing.listed(known)}


class Mx(FakeLookups):
    """Knows the mail hosts of one domain, or why not."""

    def __init__(self, problem: Problem | None) -> None:
        super().__init__(View())
        self.problem = problem

    def exchangers(self, domain: str) -> Exchangers:
        hosts = () if self.problem else (Exchanger("mx.gmail.test", ("192.0.2.5",), 5),)
        return Exchangers(domain, hosts, self.problem, "mx.gmail.test", "the DNS is away")


PORTS = [
    (None, Tried(True, "220 mx"), Verdict.RIGHT, ""),
    (None, Tried(False, "timed out"), Verdict.WRONG, "cannot be reached"),
    (Problem.TEMPORARY, None, Verdict.UNKNOWN, "the DNS is away"),  # nothing follows from that
]


@pytest.mark.parametrize(("problem", "tried", "verdict", "said"), PORTS)
def test_whether_port_25_gets_out_is_found_by_trying(
    domain, settings, monkeypatch, problem, tried, verdict, said
):
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    asked = []
    monkeypatch.setattr(
        publishing.egress, "try_port", lambda addresses, port, source: asked.append(addresses) or tried
    )
    (finding,) = publishing.tried(publishing.facts(domain), domain, Mx(problem), timezone.now())
    assert (finding.purpose, finding.verdict) == ("egress", verdict)
    assert said in finding.words
    assert asked == ([["192.0.2.5"]] if tried else [])


@pytest.mark.parametrize(
    ("verdict", "age", "again"), [("right", 0.5, False), ("right", 1.5, True), ("wrong", 0.5, True)]
)
def test_strangers_mail_hosts_are_greeted_once_a_day_when_they_answered(
    domain, settings, monkeypatch, verdict, age, again
):
    settings.PUBLIC_URL, now = "http://127.0.0.1:8000", timezone.now()
    RecordCheck.objects.create(
        domain=domain,
        purpose="egress",
        position=1,
        verdict=verdict,
        checked_at=now - age * publishing.EGRESS_EVERY,
    )
    monkeypatch.setattr(publishing.egress, "try_port", lambda *_, **__: Tried(True, "220 mx"))
    assert bool(list(publishing.tried(publishing.facts(domain), domain, Mx(None), now))) is again


@pytest.mark.parametrize(
    ("tried", "verdict"),
    [(Tried(True, "valid until June"), Verdict.RIGHT), (Tried(False, "self-signed"), Verdict.WRONG)],
)
def test_the_unsubscribe_host_shows_a_certificate(domain, settings, monkeypatch, tried, verdict):
    settings.AO_EGRESS_DOMAIN = ""
    asked = []
    monkeypatch.setattr(publishing.egress, "try_certificate", lambda name: asked.append(name) or tried)
    (finding,) = publishing.tried(publishing.facts(domain), domain, Mx(None), timezone.now())
    assert (finding.verdict, finding.found, asked) == (verdict, tried.words, [f"u.{NAME}"])


def test_the_organisations_record_is_remembered_over_an_outage(domain):
    question, view = ("_dmarc.acme.test", "TXT"), View()

    def seen() -> str:
        publishing.look_at_parent(domain, FakeLookups(view))  # type: ignore[arg-type]
        return OrganisationalDomain.objects.get().dmarc

    assert seen() == ""
    view.zone[question] = ("v=spf1 -all", "v=DMARC1; p=reject")
    assert seen() == "v=DMARC1; p=reject"
    view.silent = {question}
    assert seen() == "v=DMARC1; p=reject"
    view.silent, view.zone[question] = set(), ("v=DMARC1; p=reject", "v=DMARC1; p=none")
    assert seen() == ""  # two are none

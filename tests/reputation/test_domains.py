"""A sending domain's life: who may have one, what makes it verified, and what it takes to degrade it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from reputation import domains, keyring
from reputation.domains import NotDeclared, NotEnrolled
from reputation.models import OrganisationalDomain, RecordCheck, Route, SendingDomain, SigningKey, Stream
from reputation.vault import new_master_key
from tests import factories
from tests.reputation.fakedns import FIRST, SECOND, Dns

NAME = "agents.acme.test"
SENDER = f"robot@{NAME}"


@pytest.fixture(autouse=True)
def installation(settings: Any) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]
    settings.AO_NAMESERVERS, settings.AO_SECOND_NAMESERVERS = FIRST, SECOND
    settings.AO_EGRESS_DOMAIN = ""


@pytest.fixture
def dns(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> Dns:
    dns = Dns()
    monkeypatch.setattr(domains, "Lookups", dns.lookups)
    return dns


def stream(kind: str = "agents") -> Stream:
    return Stream.objects.get_or_create(name=f"the-{kind}", defaults={"kind": kind})[0]


def route() -> Route:
    return Route.objects.get_or_create(
        name="direct", defaults={"ehlo": "out.acme.test", "source_address": "192.0.2.25"}
    )[0]


def enrol(name: str = NAME, kind: str = "agents", use: str = "agents") -> SendingDomain:
    OrganisationalDomain.objects.get_or_create(name="acme.test", defaults={"use": use})
    return domains.enrol(stream(kind), name, route(), f"robot@{name}", who="ann")


def verified(dns: Dns) -> SendingDomain:
    """A domain that has been verified, with everything published."""
    domain = enrol()
    dns.publish(domain)
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert checked.after == "verified", words(domain)
    domain.refresh_from_db()
    return domain


def words(domain: SendingDomain) -> list[tuple[str, str, str]]:
    return [(row.purpose, row.verdict, row.words) for row in domain.records.all() if row.verdict != "right"]


def state(domain: SendingDomain) -> str:
    return SendingDomain.objects.values_list("state", flat=True).get(pk=domain.pk)


# -- enrolment -----------------------------------------------------------------------------------------------


def test_a_domain_is_enrolled_with_its_keys_and_the_list_of_what_to_publish(live_db: Any) -> None:
    domain = enrol()
    assert (domain.state, domain.organisation.name) == ("enrolled", "acme.test")
    assert sorted(domain.keys.values_list("algorithm", "state")) == [
        ("ed25519-sha256", "created"),
        ("rsa-sha256", "created"),
    ]
    rows = list(domain.records.all())
    assert {row.verdict for row in rows} == {"unchecked"}
    listed = {(row.name, row.type) for row in rows}
    for key in domain.keys.all():
        assert (str(key), "TXT") in listed
    assert {(NAME, "MX"), (f"rp.{NAME}", "MX"), (f"rp.{NAME}", "TXT"), (f"_dmarc.{NAME}", "TXT")} <= listed


def test_what_to_publish_follows_the_keys_and_what_stayed_keeps_its_verdict(dns: Dns) -> None:
    domain = verified(dns)
    before = set(domain.records.values_list("purpose", "verdict"))
    key = keyring.make(domain, SigningKey.Algorithm.RSA)
    domains.to_publish(domain)
    new = set(domain.records.values_list("purpose", "verdict")) - before
    assert new == {(f"dkim-{key.selector}", "unchecked")}


def test_a_record_that_has_to_change_is_unchecked_again(dns: Dns) -> None:
    domain = verified(dns)
    row = domain.records.get(purpose="returns-mx")
    assert (row.verdict, row.checked_at is None) == ("right", False)
    Route.objects.update(ehlo="other.acme.test")
    domains.to_publish(SendingDomain.objects.get(pk=domain.pk))
    row.refresh_from_db()
    assert "other.acme.test" in row.expected
    assert (row.verdict, row.found, row.checked_at) == ("unchecked", "", None)


REFUSED = [
    # name, sender, field, words
    ("co.uk", "a@co.uk", "name", "public suffix"),
    ("test", "a@test", "name", "domain name"),
    ("a_b.acme.test", "a@a_b.acme.test", "name", "domain name"),
    ("bücher.acme.test", "a@bücher.acme.test", "name", "xn--"),
    ("192.0.2.1", "a@192.0.2.1", "name", "domain name"),
    (f"{'x' * 60}." * 4 + "acme.test", SENDER, "name", "domain name"),  # no room for a selector in front
    (NAME, "robot@acme.test", "default_sender", "Enter an address at"),
    (NAME, f"robot@x.{NAME}", "default_sender", "Enter an address at"),
    (NAME, "robot", "default_sender", "Enter an address at"),
]


@pytest.mark.parametrize(("name", "sender", "field", "said"), REFUSED)
def test_what_cannot_be_a_sending_domain_is_refused(live_db: Any, name, sender, field, said) -> None:
    with pytest.raises(NotEnrolled, match=said) as refused:
        domains.enrol(stream(), name, route(), sender, who="ann")
    assert refused.value.field == field
    assert not SendingDomain.objects.exists()


def test_case_and_the_last_dot_do_not_make_another_domain(live_db: Any) -> None:
    domain = enrol()
    assert domain.name == NAME
    with pytest.raises(NotEnrolled, match="enrolled already"):
        domains.enrol(stream("transactional"), f"{NAME.upper()}.", route(), SENDER, who="ann")


def test_a_stream_has_one_domain(live_db: Any) -> None:
    enrol()
    with pytest.raises(NotEnrolled, match="has a sending domain already") as refused:
        enrol("more.acme.test")
    assert refused.value.field == "stream"


def test_without_a_master_key_nothing_is_enrolled(live_db: Any, settings: Any) -> None:
    settings.AO_MASTER_KEYS = []
    with pytest.raises(ValueError, match="master key"):
        enrol()
    assert not SendingDomain.objects.exists()


# -- whose domain it is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "said"), [("undeclared", "Declare acme.test dedicated"), ("protected", "never send")]
)
@pytest.mark.parametrize("name", [NAME, "acme.test"])
def test_agents_get_no_domain_that_is_not_dedicated_to_them(live_db: Any, use, said, name) -> None:
    with pytest.raises(NotEnrolled, match=said):
        enrol(name, use=use)
    assert not SendingDomain.objects.exists()


@pytest.mark.parametrize("use", ["undeclared", "protected"])
def test_transactional_mail_needs_no_dedication(live_db: Any, use) -> None:
    assert enrol("mail.acme.test", kind="transactional", use=use).state == "enrolled"


@pytest.mark.parametrize("use", ["undeclared", "protected"])
def test_the_database_refuses_it_too_whoever_writes(live_db: Any, use) -> None:
    organisation = OrganisationalDomain.objects.create(name="acme.test", use=use)
    fields = {"organisation": organisation, "route": route(), "default_sender": SENDER}
    with pytest.raises(IntegrityError, match="not dedicated to agents"), transaction.atomic():
        SendingDomain.objects.create(name=NAME, stream=stream(), **fields)
    SendingDomain.objects.create(name=NAME, stream=stream("transactional"), **fields)
    with pytest.raises(IntegrityError, match="agents send from below it"), transaction.atomic():
        Stream.objects.update(kind="agents")
    dedicated = OrganisationalDomain.objects.create(name="other.test", use="agents")
    other = {"organisation": dedicated, "default_sender": "robot@a.other.test"}
    SendingDomain.objects.create(name="a.other.test", stream=stream(), **fields | other)
    with pytest.raises(IntegrityError, match="not dedicated to agents"), transaction.atomic():
        SendingDomain.objects.filter(name="a.other.test").update(organisation=organisation)
    with pytest.raises(IntegrityError, match="agents send from below it"), transaction.atomic():
        OrganisationalDomain.objects.filter(name="other.test").update(use=use)


INSERT = """
INSERT INTO reputation_sendingdomain (name, stream_id, organisation_id, route_id, default_sender, preset, own_steps,
    target, ed25519, require_tls, state, rotate_after_days)
SELECT 'agents.acme.test', s.id, o.id, r.id, 'a@agents.acme.test', 'careful', '{}', 1, false, false, 'enrolled', 0
FROM reputation_stream AS s, reputation_organisationaldomain AS o, reputation_route AS r
"""
TAKE_BACK = "UPDATE reputation_organisationaldomain SET use = 'protected'"
CHANGE_KIND = "UPDATE reputation_stream SET kind = 'agents'"
WAITS = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("agents", INSERT, TAKE_BACK),
        ("agents", TAKE_BACK, INSERT),
        ("transactional", INSERT, "two at once"),
    ],
)
def test_of_two_changes_at_once_the_second_sees_the_first(live_db: Any, kind, first, second) -> None:
    OrganisationalDomain.objects.create(name="acme.test", use="agents" if kind == "agents" else "protected")
    assert stream(kind).kind == kind
    assert route().pk
    later = CHANGE_KIND if second == "two at once" else second
    failed: list[BaseException] = []
    with psycopg.connect(live_db.app) as one, psycopg.connect(live_db.app) as other:

        def follow() -> None:
            try:
                other.execute(later)
                other.commit()
            except psycopg.errors.CheckViolation as error:
                failed.append(error)

        one.execute(first)
        thread = threading.Thread(target=follow)
        thread.start()
        with psycopg.connect(live_db.owner, autocommit=True) as watcher:
            while not watcher.execute(WAITS, [other.info.backend_pid]).fetchone()[0]:
                assert thread.is_alive(), "the second change did not wait for the first"
        one.commit()
        thread.join()
    assert len(failed) == 1


def test_a_protected_domain_becomes_the_agents_in_two_steps_only(live_db: Any) -> None:
    row = domains.declare("acme.test", "protected", who="ann")
    assert (row.use, row.declared_by, row.declared_at is None) == ("protected", "ann", False)
    with pytest.raises(NotDeclared, match="protected"):
        domains.declare("acme.test", "agents", who="bob")
    domains.declare("acme.test", "undeclared", who="ann")
    assert domains.declare("acme.test", "agents", who="bob").declared_by == "bob"


def test_a_dedication_is_not_taken_back_under_the_agents_feet(live_db: Any) -> None:
    enrol()
    for use in ("undeclared", "protected"):
        with pytest.raises(NotDeclared, match="Agents send from below"):
            domains.declare("acme.test", use, who="ann")
    assert OrganisationalDomain.objects.get().use == "agents"


def test_only_organisational_domains_are_declared(live_db: Any) -> None:
    with pytest.raises(NotEnrolled, match=r"below acme\.test"):
        domains.declare(NAME, "agents", who="ann")
    assert not OrganisationalDomain.objects.exists()


# -- verification --------------------------------------------------------------------------------------------


def test_a_domain_is_verified_when_all_it_needs_is_published_and_signs_from_then(dns: Dns) -> None:
    domain = enrol()
    dns.publish(domain)
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert (checked.before, checked.after, checked.open_points) == ("enrolled", "verified", ()), words(domain)
    domain.refresh_from_db()
    assert domain.verified_at == domain.checked_at is not None
    assert domain.checking_since is None
    assert domain.keys.get(algorithm="rsa-sha256").state == "active"
    assert all(row.checked_at for row in domain.records.all())


def test_a_domain_with_nothing_published_stays_enrolled_and_every_needed_record_is_missing(dns: Dns) -> None:
    domain = enrol()
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert (checked.before, checked.after) == ("enrolled", "enrolled")
    needed = domain.records.filter(needed=True)
    assert set(checked.open_points) == set(needed.values_list("purpose", flat=True))
    assert set(needed.values_list("verdict", flat=True)) == {"missing"}
    assert set(domain.keys.values_list("state", flat=True)) == {"created"}


def test_nothing_follows_from_a_dns_that_does_not_answer(dns: Dns) -> None:
    domain = enrol()
    dns.publish(domain)
    dns.first.silent = {(f"rp.{NAME}", "MX")}
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert (checked.after, checked.open_points) == ("enrolled", ("returns-mx",))


GONE = (f"rp.{NAME}", "MX")
CHANGED = (f"rp.{NAME}", "TXT")


def without(view: Any) -> None:
    view.zone.pop(GONE)


def changed(view: Any) -> None:
    view.zone[CHANGED] = ("v=spf1 -all",)


def twice(view: Any) -> None:
    view.zone[CHANGED] *= 2


@pytest.mark.parametrize("broken", [without, changed, twice])
def test_what_both_resolvers_miss_degrades_and_raises_the_alarm(dns: Dns, caplog: Any, broken) -> None:
    domain = verified(dns)
    broken(dns.first)
    broken(dns.second)
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert (checked.before, checked.after, len(checked.open_points)) == ("verified", "degraded", 1)
    domain.refresh_from_db()
    assert (domain.state, domain.degraded_at) == ("degraded", domain.checked_at)
    (alarm,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert NAME in alarm.getMessage()
    assert checked.open_points[0] in alarm.getMessage()


def test_a_degraded_domain_recovers_when_its_records_are_back(dns: Dns) -> None:
    domain = verified(dns)
    for view in (dns.first, dns.second):
        without(view)
    domains.verify(domain.pk)
    dns.publish(domain)
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert (checked.before, checked.after) == ("degraded", "verified"), words(domain)
    domain.refresh_from_db()
    assert domain.degraded_at is None


@pytest.mark.parametrize("broken", [without, changed, twice])
@pytest.mark.parametrize("answer", ["right", "silent"])
def test_what_one_resolver_alone_says_degrades_nothing(dns: Dns, broken, answer) -> None:
    domain = verified(dns)
    broken(dns.first)
    if answer == "silent":
        dns.second.silent = {GONE, CHANGED}
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert checked.after == state(domain) == "verified"
    (row,) = domain.records.filter(purpose=checked.open_points[0])
    assert row.verdict == "unknown"
    assert "another resolver" in row.words


def test_a_time_out_degrades_nothing_and_needs_no_confirmation(dns: Dns) -> None:
    domain = verified(dns)
    dns.first.silent = dns.second.silent = set(dns.first.zone)
    dns.second.asked.clear()
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert checked.after == state(domain) == "verified"
    assert checked.open_points
    assert dns.second.asked == []


def test_what_is_not_needed_degrades_nothing(dns: Dns) -> None:
    domain = verified(dns)
    optional = {(row.name, row.type) for row in domain.records.filter(needed=False)}
    needed = {(row.name, row.type) for row in domain.records.filter(needed=True)}
    assert optional - needed
    for view in (dns.first, dns.second):
        for question in optional - needed:
            view.zone.pop(question, None)
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert checked.after == "verified", words(domain)


def test_a_key_made_ahead_and_not_yet_published_degrades_nothing(dns: Dns) -> None:
    domain = verified(dns)
    keyring.make(domain, SigningKey.Algorithm.RSA)
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert checked.after == "verified", words(domain)


NEXT = [
    # state, verdicts, what it is then
    ("enrolled", ["right", "advice"], "verified"),
    ("enrolled", ["right", "missing"], "enrolled"),
    ("enrolled", ["unchecked"], "enrolled"),
    ("enrolled", [], "enrolled"),  # nothing is known is not the same as nothing is wrong
    ("degraded", ["right"], "verified"),
    ("degraded", ["right", "unknown"], "degraded"),
    ("degraded", ["wrong"], "degraded"),
    ("verified", ["right", "unknown"], "verified"),
    ("verified", ["right", "wrong"], "degraded"),
    ("verified", ["missing"], "degraded"),
    ("verified", [], "verified"),
]


@pytest.mark.parametrize(("before", "verdicts", "after"), NEXT)
def test_the_state_follows_the_needed_records(before, verdicts, after) -> None:
    assert domains.next_state(before, verdicts) == after


# -- one check at a time -------------------------------------------------------------------------------------


def test_while_one_check_runs_a_second_does_nothing_and_progress_can_be_seen(dns: Dns) -> None:
    domain = enrol()
    dns.publish(domain)
    seen: list[int] = []

    def look() -> None:
        assert domains.verify(domain.pk) is None
        since = SendingDomain.objects.get(pk=domain.pk).checking_since
        seen.append(domain.records.filter(checked_at__gte=since).count())

    dns.first.upon = look
    assert domains.verify(domain.pk) is not None
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] > 1


def test_a_check_that_died_is_given_up_after_ten_minutes(dns: Dns) -> None:
    domain = enrol()
    for minutes, expected in ((9, False), (11, True)):
        begun = timezone.now() - timedelta(minutes=minutes)
        SendingDomain.objects.update(checking_since=begun)
        assert (domains.verify(domain.pk) is not None) is expected


def during(dns: Dns, act: Callable[[], Any]) -> None:
    """Do something once, in the middle of the next check."""

    def once() -> None:
        dns.first.upon = lambda: None
        act()

    dns.first.upon = once


def test_a_check_that_was_overtaken_concludes_nothing(dns: Dns) -> None:
    domain = enrol()
    dns.publish(domain)
    later = timezone.now() + timedelta(minutes=11)
    during(dns, lambda: SendingDomain.objects.update(checking_since=later))
    checked = domains.verify(domain.pk)
    assert checked is not None
    assert checked.after == "enrolled"
    domain.refresh_from_db()
    assert (domain.state, domain.checking_since) == ("enrolled", later)


def test_a_domain_retired_during_its_check_stays_retired(dns: Dns) -> None:
    domain = enrol()
    dns.publish(domain)
    during(dns, lambda: domains.retire(domain.pk))
    domains.verify(domain.pk)
    assert state(domain) == "retired"
    assert domains.retire(domain.pk) is False
    with pytest.raises(SendingDomain.DoesNotExist):
        domains.verify(domain.pk)


def fail() -> None:
    raise OSError("no sockets left")


def test_a_check_that_fails_frees_the_domain_and_waits_its_turn(dns: Dns) -> None:
    domain = enrol()
    during(dns, fail)
    with pytest.raises(OSError, match="sockets"):
        domains.verify(domain.pk)
    domain.refresh_from_db()
    assert domain.checking_since is None
    assert domain.checked_at is not None


def test_one_domain_that_cannot_be_checked_does_not_stop_the_others(dns: Dns, caplog: Any) -> None:
    first, second = enrol(), enrol("mail.acme.test", kind="transactional")
    during(dns, fail)
    assert domains.verify_due() == 1
    assert RecordCheck.objects.exclude(checked_at=None).values("domain").distinct().count() == 1
    assert "could not be checked" in caplog.text
    assert {first.pk, second.pk} == set(
        SendingDomain.objects.exclude(checked_at=None).values_list("pk", flat=True)
    )


# -- whose turn it is ----------------------------------------------------------------------------------------

TURNS = [
    # state, enrolled days ago, checked minutes ago, a needed record in doubt, due
    ("enrolled", 0, None, False, True),
    ("enrolled", 0, 9, False, False),
    ("enrolled", 0, 11, False, True),
    ("enrolled", 4, 11, False, False),  # given up by its admin, it seems
    ("enrolled", 4, 66, False, True),
    ("verified", 9, 11, False, False),
    ("verified", 9, 54, False, False),
    ("verified", 9, 66, False, True),
    ("verified", 9, 4, True, False),
    ("verified", 9, 6, True, True),  # not confirmed, or not answered: it is asked again soon
    ("degraded", 9, 4, False, False),
    ("degraded", 9, 6, False, True),
    ("retired", 9, 600, False, False),
]


@pytest.mark.parametrize(("kind", "age", "checked", "doubt", "expected"), TURNS)
def test_a_domain_is_due_by_its_state(live_db: Any, kind, age, checked, doubt, expected) -> None:
    domain, now = enrol(), timezone.now()
    RecordCheck.objects.update(verdict="right")
    if doubt:
        RecordCheck.objects.filter(purpose="returns-mx").update(verdict="unknown")
    SendingDomain.objects.update(
        state=kind,
        created_at=now - timedelta(days=age),
        checked_at=None if checked is None else now - timedelta(minutes=checked),
    )
    assert (domains.due(now) == [domain.pk]) is expected


# -- keys ----------------------------------------------------------------------------------------------------


def test_the_round_over_the_keys_lists_what_it_made(dns: Dns) -> None:
    domain = verified(dns)
    assert domains.tend_keys() == 0
    old = timezone.now() - timedelta(days=200)
    domain.keys.filter(algorithm="rsa-sha256").update(activated_at=old)
    assert domains.tend_keys() == 1
    new = domain.keys.get(state="created")
    row = domain.records.get(purpose=f"dkim-{new.selector}")
    assert (row.verdict, row.needed) == ("unchecked", False)


# -- commands ------------------------------------------------------------------------------------------------

WORDS = ["enrol", NAME, "--stream", "the-agents", "--sender", SENDER]


def test_enrol_prints_what_to_publish_as_a_zone_file_has_it(dns: Dns, capsys: Any) -> None:
    call_command(*WORDS, "--ehlo", "out.acme.test", "--source", "192.0.2.25", "--dedicated", "--yes")
    domain = SendingDomain.objects.get()
    assert (domain.route.name, domain.stream.kind, domain.organisation.use) == ("direct", "agents", "agents")
    printed = [line.split("\t") for line in capsys.readouterr().out.splitlines() if not line.startswith(";")]
    told = {
        (name, kind): text for name, _ttl, _in, kind, text in filter(lambda line: len(line) == 5, printed)
    }
    for row in domain.records.exclude(expected="").exclude(type__in=["TCP", "TLS"]):
        assert told[f"{row.name}.", row.type] in row.expected
    rsa = told[f"{domain.keys.get(algorithm='rsa-sha256')}.", "TXT"]
    strings = rsa.removeprefix('"').removesuffix('"').split('" "')
    assert len(strings) == 2
    assert all(len(string) <= 255 for string in strings)
    assert "".join(strings) == domain.keys.get(algorithm="rsa-sha256").public_record


def test_enrol_declares_nothing_unless_the_name_is_typed(dns: Dns, monkeypatch: Any) -> None:
    route()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    with pytest.raises(CommandError, match="Nothing was declared"):
        call_command(*WORDS, "--dedicated")
    monkeypatch.setattr("builtins.input", lambda _: "acme.test")
    call_command(*WORDS, "--dedicated", "--who", "ann")
    assert OrganisationalDomain.objects.get().declared_by == "ann"


def test_enrol_says_what_is_in_the_way(dns: Dns) -> None:
    with pytest.raises(CommandError, match="no route direct"):
        call_command(*WORDS)
    route()
    with pytest.raises(CommandError, match=r"Declare acme\.test dedicated to agents first"):
        call_command(*WORDS)


def test_enrol_warns_where_the_two_rules_differ(dns: Dns, capsys: Any) -> None:
    route()
    dns.first.zone[f"_dmarc.{NAME}", "TXT"] = ("v=DMARC1; p=none; psd=n",)
    call_command(*WORDS, "--dedicated", "--yes")
    assert f"{NAME} by the tree walk" in capsys.readouterr().err


def test_verify_says_how_each_record_stands_and_fails_unless_all_is_right(dns: Dns, capsys: Any) -> None:
    domain = enrol()
    with pytest.raises(CommandError, match="Not as it must be"):
        call_command("verify", NAME)
    assert f"missing   rp.{NAME} MX" in capsys.readouterr().out
    dns.publish(domain)
    call_command("verify")
    said = capsys.readouterr().out
    assert f"{NAME}: verified (was enrolled)" in said
    assert f"right     rp.{NAME} MX" in said
    with pytest.raises(CommandError, match="no sending domain"):
        call_command("verify", "other.acme.test")


def test_whoever_ends_the_watch_is_told_what_is_not_right_yet(dns: Dns, monkeypatch: Any) -> None:
    enrol()
    monkeypatch.setattr(
        "reputation.management.commands.verify.time.sleep", Mock(side_effect=KeyboardInterrupt)
    )
    with pytest.raises(CommandError, match=f"Not as it must be: {NAME}"):
        call_command("verify", NAME, "--watch")


def test_verify_watches_until_all_is_right(dns: Dns, monkeypatch: Any) -> None:
    domain = enrol()
    monkeypatch.setattr("reputation.management.commands.verify.time.sleep", lambda _: dns.publish(domain))
    call_command("verify", NAME, "--watch")
    assert state(domain) == "verified"


@pytest.mark.parametrize(
    "sender", ["boss@mail.acme.test", "Boss <boss@acme.test>", "boss@agents.acme.test.evil.test"]
)
def test_no_default_sender_is_of_another_domain(live_db: Any, sender: str) -> None:
    factories.stream()
    with pytest.raises(IntegrityError):
        SendingDomain.objects.update(default_sender=sender)
    SendingDomain.objects.update(default_sender="Ada <ada@agents.acme.test>")


def test_agents_never_send_from_an_organisational_domain_itself(live_db: Any) -> None:
    factories.organisation("acme.test")
    with pytest.raises(NotEnrolled, match=r"take agents\.acme\.test"):
        domains.enrol(stream(), "acme.test", route(), "robot@acme.test", who="test")


def test_an_enrolment_that_is_refused_leaves_nothing(live_db: Any) -> None:
    route()
    with pytest.raises(CommandError):
        call_command(
            "enrol",
            "agents.acme.test",
            stream="agents-new",
            sender="robot@other.test",
            dedicated=True,
            yes=True,
        )
    assert not Stream.objects.exists()
    assert not OrganisationalDomain.objects.exists()

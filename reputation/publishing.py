"""What a sending domain has to publish, as rows, and what is found of it: the tables' side of ``records``.

Guarantees: the list follows from the domain, its keys, its route and the settings alone, and is the same for the page,
the command and the check; a row whose record changed is unchecked again. Beside the records it lists what no zone
can say: that port 25 gets out of here, and that the unsubscribe host shows a certificate. Judges nothing itself.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from reputation import alignment, egress, records, spf
from reputation.alignment import Mode
from reputation.lookups import Lookups
from reputation.models import RecordCheck, Route, SendingDomain, SigningKey
from reputation.records import Evidence, Facts, Finding, Found, Kind, Outcome, Verdict, Wanted

EGRESS: Final = "egress"
CERTIFICATE: Final = "certificate"
# A key revoked long ago is out of every cache: nobody asks any more whether its record is gone.
REVOKED_SHOWN: Final = timedelta(days=30)
EGRESS_EVERY: Final = timedelta(days=1)  # mail hosts of strangers are not greeted more often than that


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a domain's list: a record, or what no zone can say (then `wanted` is None)."""

    purpose: str
    name: str
    type: str
    text: str
    needed: bool
    wanted: Wanted | None = None


def facts(domain: SendingDomain) -> Facts:
    """All that decides which records the domain needs."""
    organisation = domain.organisation.name
    host, address = _public_host()
    return Facts(
        name=domain.name,
        organisation=organisation,
        keys=_keys(domain),
        route=_route(domain.route),
        returns_host=settings.AO_RETURNS_HOST or host or domain.route.ehlo,
        replies_host=settings.AO_REPLIES_HOST,
        # RFC 5321 §4.5.1: wherever mail is taken there is a postmaster
        rua=settings.AO_REPORTS_MAILBOX or f"postmaster@{organisation}",
        unsubscribe_host=host,
        unsubscribe_addresses=(address,) if address else (),
        parent_dmarc=domain.organisation.dmarc,
    )


def listed(known: Facts) -> tuple[Listed, ...]:
    """Everything a domain has to show, in the order it is best published."""
    found = (
        Listed(each.purpose, each.name, each.type, each.text, each.needed, each)
        for each in records.expected(known)
    )
    return (*found, *_beyond_the_zone(known))


def keep_list(domain: SendingDomain, wanted: Sequence[Listed]) -> list[RecordCheck]:
    """Make the rows say what is wanted now; what changed is unchecked again. Returns them in order."""
    with transaction.atomic():
        # of two at once the second sees the first's rows
        SendingDomain.objects.select_for_update().get(pk=domain.pk)
        rows = {row.purpose: row for row in domain.records.all()}
        domain.records.exclude(purpose__in=[each.purpose for each in wanted]).delete()
        for position, each in enumerate(wanted, 1):
            _keep_row(
                rows.get(each.purpose) or RecordCheck(domain=domain, purpose=each.purpose), position, each
            )
    return list(domain.records.all())


def zone_lines(each: Listed) -> Iterator[str]:
    """One row as zone files have it (RFC 1035 §5), with a remark on top; only that where there is nothing to copy."""
    if each.wanted is None:
        return
    yield f"; {each.wanted.why}" if each.text else f"; {each.name} {each.type}: {each.wanted.why}"
    for line in each.text.splitlines():
        yield f"{each.name}.\t{each.wanted.ttl}\tIN\t{each.type}\t{line}"


def data(wanted: Iterable[Listed]) -> Iterator[tuple[str, str, str]]:
    """Name, type and value of every record that can be copied, values as a resolver shows them."""
    for each in wanted:
        if each.wanted is not None and each.text:
            yield from ((each.name, each.type, value) for value in each.wanted.values)


def look_at_parent(domain: SendingDomain, lookups: Lookups) -> None:
    """Remember the organisation's DMARC record: the domain's own must not be weaker. No answer changes nothing."""
    organisation = domain.organisation
    found = lookups.ask(f"_dmarc.{organisation.name}", "TXT")
    shown = [value for value in found.values if alignment.parse_dmarc(value)]
    seen = shown[0] if len(shown) == 1 else ""  # RFC 9989 §4.10: several records at one name are none
    if found.outcome is not Outcome.FAILED and seen != organisation.dmarc:
        organisation.dmarc = seen
        organisation.save(update_fields=["dmarc"])


def findings(known: Facts, wanted: Sequence[Wanted], lookups: Lookups) -> Iterator[Finding]:
    """Look all of these up at once and judge each as its answer comes."""
    asked: dict[tuple[str, str], list[Wanted]] = {}
    for each in wanted:
        asked.setdefault((each.name, each.look_up), []).append(each)
    for question, found in lookups.arriving(asked):
        for each in asked[question]:
            yield _judged(known, each, found, lookups)


def tried(known: Facts, domain: SendingDomain, lookups: Lookups, now: datetime) -> Iterator[Finding]:
    """What no zone can say, tried from this machine."""
    for each in _beyond_the_zone(known):
        if each.purpose == CERTIFICATE:
            yield _certificate(each.name)
        elif not domain.records.filter(purpose=EGRESS, verdict="right", checked_at__gt=now - EGRESS_EVERY):
            yield _egress(each.name, domain.route.source_address, lookups)


def _keep_row(row: RecordCheck, position: int, each: Listed) -> None:
    said, place = (each.name, each.type, each.text), (position, each.needed)
    changed = (row.name, row.type, row.expected) != said
    if not changed and (row.position, row.needed) == place:
        return
    if changed:
        row.name, row.type, row.expected = said
        row.found, row.words, row.verdict, row.checked_at = "", "", RecordCheck.Verdict.UNCHECKED, None
    row.position, row.needed = place
    row.save()


def _judged(known: Facts, wanted: Wanted, found: Found, lookups: Lookups) -> Finding:
    if wanted.kind is Kind.SOA:
        found = _start_of_authority(wanted.name, known.organisation, found, lookups)
    return records.compare(wanted, found, _evidence(known, wanted, found, lookups))


def _start_of_authority(name: str, organisation: str, found: Found, lookups: Lookups) -> Found:
    """The first SOA from the name upwards; a subdomain need not be a zone of its own."""
    while found.outcome is Outcome.ABSENT and name != organisation and "." in name:
        name = name.partition(".")[2]
        found = lookups.ask(name, "SOA")
    return found


def _evidence(known: Facts, wanted: Wanted, found: Found, lookups: Lookups) -> Evidence:
    if wanted.kind in {Kind.SPF, Kind.RETURNS_SPF} and found.outcome is Outcome.ANSWERED:
        sender, helo = f"postmaster@{wanted.name}", known.route.ehlo or known.name
        checked = {
            address: spf.check_host(address, wanted.name, sender, helo, lookups.values)
            for address in known.route.addresses
        }
        return Evidence(spf=spf.examine(wanted.name, lookups.values), checked=checked)
    if wanted.kind is Kind.DMARC:
        author = alignment.organisation(known.name, lookups.values)
        returns = alignment.organisation(f"rp.{known.name}", lookups.values)
        both = alignment.aligned(author, returns, Mode.RELAXED)
        return Evidence(from_and_returns=both, organisation=author)
    return Evidence()


def _egress(name: str, source: str | None, lookups: Lookups) -> Finding:
    hosts = lookups.exchangers(name)
    if hosts.problem is not None:
        return Finding(EGRESS, Verdict.UNKNOWN, f"Nothing could be tried: {hosts.why}.", "")
    addresses = [address for each in hosts.hosts for address in each.addresses]
    reached = egress.try_port(addresses, settings.AO_SMTP_PORT, source=source)
    if reached.done:
        return Finding(EGRESS, Verdict.RIGHT, "", reached.words)
    words = (
        f"Port {settings.AO_SMTP_PORT} of the mail hosts of {name} cannot be reached from where this check ran. Ask "
        "your provider to open it, or use a relay. If workers run elsewhere, check there."
    )
    return Finding(EGRESS, Verdict.WRONG, words, reached.words)


def _certificate(name: str) -> Finding:
    shown = egress.try_certificate(name)
    if shown.done:
        return Finding(CERTIFICATE, Verdict.RIGHT, "", shown.words)
    words = f"https://{name}/ shows no certificate that is valid for it, so one-click unsubscribes fail."
    return Finding(CERTIFICATE, Verdict.WRONG, words, shown.words)


def _beyond_the_zone(known: Facts) -> list[Listed]:
    """What is tried and not looked up. Not needed: it tells of the machine that checks, not of those that send."""
    beyond = []
    if known.unsubscribe_host and settings.PUBLIC_URL.startswith("https://"):
        text = "a certificate that is valid for this name"
        beyond.append(Listed(CERTIFICATE, f"u.{known.name}", "TLS", text, needed=False))
    if settings.AO_EGRESS_DOMAIN and known.route.means is records.Means.DIRECT:
        text = f"port {settings.AO_SMTP_PORT} of its mail hosts can be reached from here"
        beyond.append(Listed(EGRESS, settings.AO_EGRESS_DOMAIN, "TCP", text, needed=False))
    return beyond


def _keys(domain: SendingDomain) -> tuple[records.Key, ...]:
    past = Q(state=SigningKey.State.REVOKED, revoked_at__lt=timezone.now() - REVOKED_SHOWN)
    shown = domain.keys.exclude(past).defer("private_sealed").order_by("pk")
    return tuple(
        records.Key(key.selector, key.algorithm, key.public_record, records.KeyState(key.state))
        for key in shown
    )


def _route(route: Route) -> records.Route:
    means = records.Means(route.means)
    addresses = [route.source_address] if route.source_address else settings.AO_SENDING_ADDRESSES
    if means is records.Means.RELAY:
        return records.Route(means, spf_include=route.spf_include)
    return records.Route(means, route.ehlo, tuple(addresses))


def _public_host() -> tuple[str, str]:
    """The host of PUBLIC_URL, as a name or else as an address: the other is empty."""
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    try:
        return "", str(ipaddress.ip_address(host))
    except ValueError:
        return (host, "") if "." in host else ("", "")

"""What the DNS must say for a sending domain, and what is wrong with what it says.

`expected` lists one record per purpose, ready to publish, in the order that breaks least; `compare` judges one of
them against what was found, in words a deliverability admin can act on. Asks nothing and refuses nothing: look-ups,
and whatever else was found out (`Evidence`), are passed in.
"""

import hashlib
import ipaddress
from collections.abc import Iterator
from typing import Final

from reputation import alignment
from reputation.findings import compare
from reputation.record_values import (
    Evidence,
    Facts,
    Finding,
    Found,
    Key,
    KeyState,
    Kind,
    Means,
    Outcome,
    Route,
    Verdict,
    Wanted,
)

__all__ = [
    "Evidence",
    "Facts",
    "Finding",
    "Found",
    "Key",
    "KeyState",
    "Kind",
    "Means",
    "Outcome",
    "Route",
    "Verdict",
    "Wanted",
    "compare",
    "expected",
]

SELECTOR_TTL: Final = 300  # seconds: a key that has leaked must be gone from caches within minutes
ORDINARY_TTL: Final = 3600
STRING: Final = 255  # octets of one string of a TXT record (RFC 1035 §3.3)
PREFERENCE: Final = 10
PURPOSE: Final = 40  # characters of a slug
RSA: Final = "rsa-sha256"


def expected(facts: Facts) -> tuple[Wanted, ...]:
    """Every record of a domain, in the order they are best published: first what the others stand on."""
    makers = (_zone, _sources, _returns, _keys, _dmarc, _replies, _unsubscribe, _reports, _parent)
    return tuple(wanted for maker in makers for wanted in maker(facts))


def _zone(facts: Facts) -> Iterator[Wanted]:
    yield _wanted(
        Kind.SOA,
        facts.name,
        "SOA",
        (),
        "A zone answers for the domain; Yahoo refuses mail from domains without one.",
    )


def _sources(facts: Facts) -> Iterator[Wanted]:
    """The name said in EHLO leads to the address, and back (RFC 1912 §2.1; Gmail, Yahoo and Microsoft insist)."""
    route = facts.route
    if route.means is not Means.DIRECT or not route.ehlo:
        return
    for which, address in enumerate(map(ipaddress.ip_address, route.addresses), 1):
        kind = "A" if address.version == 4 else "AAAA"
        why = f"The name we say in EHLO leads to {address}, from which we send."
        yield _wanted(Kind.EHLO, route.ehlo, kind, (str(address),), why, which=str(which))
        why = f"{address} leads back to the name we say in EHLO; whoever gave you the address publishes this."
        name = address.reverse_pointer
        yield _wanted(Kind.PTR, name, "PTR", (f"{route.ehlo}.",), why, which=str(which))


def _returns(facts: Facts) -> Iterator[Wanted]:
    name = f"rp.{facts.name}"
    if facts.returns_host:
        why = "Bounces come back here; without it we never hear of them."
        yield _wanted(Kind.RETURNS_MX, name, "MX", (_mx(facts.returns_host),), why)
    why = "Receivers check the return-path by it: the addresses that may send."
    yield _spf(Kind.RETURNS_SPF, name, facts.route, why, needed=True)


def _spf(kind: Kind, name: str, route: Route, why: str, *, needed: bool) -> Wanted:
    """Of a relay that publishes nothing we can only say that there must be a record."""
    terms = [f"ip{ipaddress.ip_address(each).version}:{each}" for each in route.addresses]
    if not terms and route.means is Means.DIRECT and route.ehlo:
        terms = [f"a:{route.ehlo}"]
    if route.spf_include:
        terms.append(f"include:{route.spf_include}")
    if not terms:
        why = f"{why} Ask the relay what to publish for it."
        return _wanted(kind, name, "TXT", (), why, needed=False)
    return _wanted(kind, name, "TXT", (f"v=spf1 {' '.join(terms)} -all",), why, needed=needed)


def _keys(facts: Facts) -> Iterator[Wanted]:
    signs = any(key.algorithm == RSA and key.state is KeyState.ACTIVE for key in facts.keys)
    for key in facts.keys:
        name = f"{key.selector}._domainkey.{facts.name}"
        if key.state is KeyState.REVOKED:
            yield _revoked(key, name)
            continue
        needed = key.algorithm == RSA and _counts(key.state, signs)
        why = f"Receivers verify signatures of selector {key.selector} by it ({key.algorithm}, {key.state})."
        values = (key.public_record,)
        yield _wanted(
            Kind.DKIM, name, "TXT", values, why, which=key.selector, needed=needed, ttl=SELECTOR_TTL
        )


def _counts(state: KeyState, signs: bool) -> bool:
    """Mail goes out under the active RSA key; before there is one, under one that is still to be seen in the DNS."""
    return state is KeyState.ACTIVE if signs else state in {KeyState.CREATED, KeyState.PUBLISHED}


def _revoked(key: Key, name: str) -> Wanted:
    algorithm = "ed25519" if key.algorithm.startswith("ed25519") else "rsa"
    why = (
        "This key was revoked: take its record out of the DNS, or empty it, so that nobody can sign with it."
    )
    values = (f"v=DKIM1; k={algorithm}; p=",)
    return _wanted(
        Kind.DKIM_REVOKED,
        name,
        "TXT",
        values,
        why,
        which=key.selector,
        needed=False,
        ttl=SELECTOR_TTL,
    )


def _dmarc(facts: Facts) -> Iterator[Wanted]:
    """No weaker than what the parent says of its subdomains; strict for DKIM, where d= is the From domain itself."""
    parent = alignment.parse_dmarc(facts.parent_dmarc)
    policy = parent.subdomains if parent else "none"
    tags = ["v=DMARC1", f"p={policy}", "adkim=s", *_rua(facts.rua)]
    why = "Large providers demand it of who sends much, and it brings their reports."
    yield _wanted(Kind.DMARC, f"_dmarc.{facts.name}", "TXT", ("; ".join(tags),), why)
    host = facts.rua.rpartition("@")[2]
    if host and alignment.by_list(host) != facts.organisation:
        name = f"{facts.name}._report._dmarc.{host}"  # RFC 7489 §7.1
        why = f"{host} agrees to take the reports; without it, nobody sends them there."
        yield _wanted(Kind.DMARC_REPORTS, name, "TXT", ("v=DMARC1;",), why, needed=False)


def _replies(facts: Facts) -> Iterator[Wanted]:
    why = "People's replies go there; a From domain that takes no mail is refused by some."
    values = (_mx(facts.replies_host),) if facts.replies_host else ()
    yield _wanted(Kind.MX, facts.name, "MX", values, why)
    why = "Some receivers look at the From domain as well as at the return-path."
    yield _spf(Kind.SPF, facts.name, facts.route, why, needed=False)


def _unsubscribe(facts: Facts) -> Iterator[Wanted]:
    name, why = f"u.{facts.name}", "One-click unsubscribes go there."
    host = facts.unsubscribe_host
    if host and host != name:
        yield _wanted(Kind.UNSUBSCRIBE, name, "CNAME", (f"{host}.",), why, needed=False)
    elif host or facts.unsubscribe_addresses:
        addresses = tuple(map(ipaddress.ip_address, facts.unsubscribe_addresses))
        version = addresses[0].version if addresses else 4
        values = tuple(str(each) for each in addresses if each.version == version)
        rdtype = "A" if version == 4 else "AAAA"
        yield _wanted(Kind.UNSUBSCRIBE, name, rdtype, values, why, needed=False)


def _reports(facts: Facts) -> Iterator[Wanted]:
    rua = facts.tls_rua or facts.rua
    if rua:
        why = "Senders report here when they could not reach the domain over TLS (RFC 8460)."
        values = (f"v=TLSRPTv1; rua=mailto:{rua}",)
        yield _wanted(Kind.TLSRPT, f"_smtp._tls.{facts.name}", "TXT", values, why, needed=False)
    if facts.mta_sts_id:
        name = f"_mta-sts.rp.{facts.name}"
        why = f"Bounces come over TLS or not at all; the policy is served at mta-sts.rp.{facts.name} (RFC 8461)."
        values = (f"v=STSv1; id={facts.mta_sts_id}",)
        yield _wanted(Kind.MTA_STS, name, "TXT", values, why, needed=False)


def _parent(facts: Facts) -> Iterator[Wanted]:
    """Strict alignment breaks whoever relies on relaxed, so it is offered only where reports show that nobody does."""
    if not facts.strict_is_safe or facts.name == facts.organisation:
        return
    parent = alignment.parse_dmarc(facts.parent_dmarc)
    tags = dict(parent.tags) if parent else {"p": "none"}
    tags |= {"psd": "n", "adkim": "s", "aspf": "s"}
    if not parent:
        tags |= {"rua": f"mailto:{facts.rua}"} if facts.rua else {}
    value = "; ".join(["v=DMARC1", *(f"{name}={value}" for name, value in tags.items())])
    why = (
        "With psd=n all receivers agree where the organisation begins; with adkim=s and aspf=s no subdomain, "
        "this one included, can speak for it."
    )
    yield _wanted(Kind.DMARC_PARENT, f"_dmarc.{facts.organisation}", "TXT", (value,), why, needed=False)


def _wanted(
    kind: Kind,
    name: str,
    rdtype: str,
    values: tuple[str, ...],
    why: str,
    *,
    which: str = "",
    needed: bool = True,
    ttl: int = ORDINARY_TTL,
) -> Wanted:
    text = "\n".join(zone_text(rdtype, value) for value in values)
    return Wanted(_purpose(kind, which), kind, name, rdtype, values, text, needed, ttl, why)


def zone_text(rdtype: str, value: str) -> str:
    """A value as zone files have it: a TXT in strings of at most 255 octets (RFC 1035 §5.1)."""
    if rdtype != "TXT":
        return value
    octets = value.encode()
    strings = [octets[at : at + STRING] for at in range(0, len(octets), STRING)] or [b""]
    return " ".join(f'"{_escaped(string)}"' for string in strings)


def _escaped(string: bytes) -> str:
    plain = string.decode("latin-1").replace("\\", "\\\\").replace('"', '\\"')
    return "".join(one if " " <= one <= "~" else f"\\{ord(one):03d}" for one in plain)


def _purpose(kind: Kind, which: str) -> str:
    """A slug: dots become underscores, and what is too long ends in a digest of itself."""
    slug = f"{kind}-{which.replace('.', '_')}" if which else str(kind)
    if len(slug) <= PURPOSE:
        return slug
    digest = hashlib.blake2s(which.encode(), digest_size=4).hexdigest()
    return f"{slug[: PURPOSE - len(digest) - 1]}-{digest}"


def _mx(host: str) -> str:
    return f"{PREFERENCE} {host}."


def _rua(mailbox: str) -> tuple[str, ...]:
    return (f"rua=mailto:{mailbox}",) if mailbox else ()

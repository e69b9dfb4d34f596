"""What a receiver concludes about a message: DKIM by dkimpy, SPF by RFC 7208, DMARC by authheaders.

Other people's code judges here wherever there is some, and asks the DNS that the test hands in. DMARC is
judged by the signatures alone: a pass that stands on SPF is lost with the first forwarder.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default

import authheaders
import dkim
from authres import DKIMAuthenticationResult

from reputation.alignment import Mode, aligned, organisation
from reputation.asking import Absent, Lookup
from reputation.spf import check_host
from simulator.oracle import Entry


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM-Signature and whether it holds."""

    domain: str
    selector: str
    valid: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """`dmarc` is authheaders' word; `path` says whether SPF passes and is aligned, by either way of walking."""

    author: str
    signatures: tuple[Signature, ...]
    dmarc: str
    spf: str
    path: bool


def judge(content: bytes, entry: Entry, lookup: Lookup) -> Verdict:
    """The verdict on these bytes as they came over this conversation."""
    author = message_from_bytes(content, policy=default)["From"].addresses[0].domain
    signatures = tuple(_signatures(content, lookup))
    path_domain = entry.mail_from.rpartition("@")[2]
    address = entry.peer.rpartition(":")[0]
    spf = check_host(address, path_domain, entry.mail_from, entry.helo, lookup).result
    both = aligned(organisation(author, lookup), organisation(path_domain, lookup), Mode.RELAXED)
    return Verdict(
        author=author,
        signatures=signatures,
        dmarc=_dmarc(content, signatures, lookup),
        spf=str(spf),
        path=spf == "pass" and both.by_list and bool(both.by_walk),
    )


def _signatures(content: bytes, lookup: Lookup) -> Iterator[Signature]:
    count = sum(name.lower() == b"dkim-signature" for name, _ in dkim.rfc822_parse(content)[0])
    for place in range(count):
        reader = dkim.DKIM(content)
        try:
            valid = reader.verify(place, dnsfunc=lambda name, **_: _txt(name.decode(), lookup).encode())
        except dkim.DKIMException:
            valid = False
        fields = reader.signature_fields
        yield Signature(fields[b"d"].decode(), fields[b"s"].decode(), valid)


def _dmarc(content: bytes, signatures: tuple[Signature, ...], lookup: Lookup) -> str:
    """The best of what each signature is worth; a message may carry others' (RFC 9989 §4.4.1)."""
    words = [
        authheaders.check_dmarc(
            content,
            dkim_result=DKIMAuthenticationResult(
                result="pass" if each.valid else "fail", header_d=each.domain, header_s=each.selector
            ),
            dnsfunc=lambda name: _txt(name, lookup) or None,
        ).result
        for each in signatures
    ]
    return "pass" if "pass" in words else next(iter(words), "none")


def _txt(name: str, lookup: Lookup) -> str:
    """The one TXT value of a name, or nothing."""
    try:
        values = lookup(name.rstrip("."), "TXT")
    except Absent:
        return ""
    return values[0] if len(values) == 1 else ""

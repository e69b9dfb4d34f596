"""The values of ``records``: what decides which records a sending domain needs, one wanted, one found, one verdict.

Plain values and nothing else. Names are A-labels in lower case without a last dot, unless they stand inside a record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reputation.alignment import Aligned, Organisation
from reputation.spf import SpfReport, SpfResult


class Kind(StrEnum):
    """What a record is for. A purpose is a kind, and for kinds that occur more than once also which."""

    SPF = "spf"  # of the From domain
    MX = "mx"  # of the From domain: where people's replies go
    RETURNS_SPF = "returns-spf"  # of rp.<domain>, the MAIL FROM domain
    RETURNS_MX = "returns-mx"
    DKIM = "dkim"  # one per key: dkim-<selector>
    DKIM_REVOKED = "dkim-revoked"  # one per key passed in as revoked: dkim-revoked-<selector>
    DMARC = "dmarc"
    DMARC_PARENT = "dmarc-parent"  # advice about the organisational domain's record
    DMARC_REPORTS = "dmarc-reports"  # the permission of another organisation to send reports to it
    SOA = "soa"
    EHLO = "ehlo"  # one per source address: ehlo-1, ehlo-2 ...
    PTR = "ptr"  # one per source address: ptr-1, ptr-2 ...
    UNSUBSCRIBE = "unsubscribe"
    TLSRPT = "tlsrpt"
    MTA_STS = "mta-sts"


class KeyState(StrEnum):
    """As in the table of signing keys."""

    CREATED = "created"
    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRING = "retiring"
    REVOKED = "revoked"


class Means(StrEnum):
    """As in the table of routes."""

    DIRECT = "direct"
    RELAY = "relay"


class Outcome(StrEnum):
    """How a look-up ended."""

    ANSWERED = "answered"
    ABSENT = "absent"  # no such name, or no such record at it
    FAILED = "failed"  # nobody answered, or the zone is broken


class Verdict(StrEnum):
    """What is to be thought of one record."""

    RIGHT = "right"
    ADVICE = "advice"  # works, could be better
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # nobody answered


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key: `algorithm` is `rsa-sha256` or `ed25519-sha256`, `public_record` the TXT value to publish."""

    selector: str
    algorithm: str
    public_record: str
    state: KeyState


@dataclass(frozen=True, slots=True)
class Route:
    """How the domain's mail leaves.

    `addresses` (IPv4 or IPv6 text) are those mail comes from and SPF must authorise; of a relay as far as known.
    `spf_include` is the relay's own SPF name (`spf.relay.example`), empty when it has none. EHLO and PTR are asked
    for on a direct route only: a relay says its own name.
    """

    means: Means
    ehlo: str = ""
    addresses: tuple[str, ...] = ()
    spf_include: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides which records a sending domain needs. Names are A-labels in lower case without a last dot.

    An empty string means there is none, and the record that needs it is not asked for, except `replies_host`:
    without one the From domain still needs an MX, of the admin's choice.
    """

    name: str
    organisation: str  # organisational domain
    keys: tuple[Key, ...]
    route: Route
    returns_host: str  # the host that takes bounces: MX of rp.<name>
    replies_host: str = ""  # the host that takes people's replies: MX of <name>
    rua: str = ""  # mailbox for DMARC aggregate reports, without mailto:
    unsubscribe_host: str = ""  # what u.<name> is an alias of; or else:
    unsubscribe_addresses: tuple[str, ...] = ()  # addresses u.<name> has itself
    tls_rua: str = ""  # mailbox for TLS reports; empty: `rua`
    mta_sts_id: str = ""  # `id=` of the policy offered for rp.<name>; empty: not offered
    parent_dmarc: str = ""  # the organisational domain's DMARC record as found, "" if none
    strict_is_safe: bool = False  # reports show that nobody of the organisation relies on relaxed alignment


@dataclass(frozen=True, slots=True)
class Wanted:
    """One record to publish.

    `purpose` is a slug of at most 40 characters, unique for a domain and stable as long as what it is for. `values`
    are the values as a resolver shows them (TXT strings joined, names with their last dot), `text` the same as the
    data of a zone file, long TXT split into strings of at most 255 octets (several records: several lines).
    Empty `text`: nothing can be copied (SOA, or advice), `why` says what is meant.
    """

    purpose: str
    kind: Kind
    name: str
    type: str  # A, AAAA, CNAME, MX, PTR, SOA, TXT; what to look up, except CNAME, see `look_up`
    values: tuple[str, ...]
    text: str
    needed: bool  # the domain does not send without it
    ttl: int  # seconds, advice
    why: str  # what it is for, one sentence

    @property
    def look_up(self) -> str:
        """The record type to ask for: of an alias its addresses, which is what counts."""
        return "A" if self.type == "CNAME" else self.type


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up brought, CNAMEs followed: values as `Wanted.values`, `ttl` in seconds if known.

    For SOA ask for the name and then for its parents up to the organisational domain, and pass the first answer.
    """

    values: tuple[str, ...]
    outcome: Outcome
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What else was found out about one record; leave out what does not apply or was not asked.

    For the two SPF kinds: `spf` is `spf.examine(name)`, `checked` what `spf.check_host(address, name, ...)` said of
    each of the route's addresses. For DMARC: `from_and_returns` is whether <name> and rp.<name> are aligned
    (relaxed), `organisation` the two organisational domains of <name>.
    """

    spf: SpfReport | None = None
    checked: Mapping[str, SpfResult] = field(default_factory=dict)
    from_and_returns: Aligned | None = None
    organisation: Organisation | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one record: `words` say what is wrong and what to do, empty when it is right; `found` is
    what was seen, one value a line.
    """

    purpose: str
    verdict: Verdict
    words: str
    found: str

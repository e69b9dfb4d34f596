"""The hosts of the small internet: who runs them, what they offer, what is wrong with them.

One table of mailbox providers whose MX names end like the real ones (plus `.test`), and one of domains with a
single fault each. A recipient is not known before RCPT, so whatever goes wrong earlier (banner, EHLO,
STARTTLS, MAIL) is chosen by domain, and every such host has an address of its own. Pure: nothing here opens a
socket.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Final
from zlib import crc32


class Family(StrEnum):
    """Mailbox provider families, told apart by MX suffix."""

    GMAIL = "gmail"
    GOOGLE_WORKSPACE = "google-workspace"
    MICROSOFT_CONSUMER = "microsoft-consumer"
    MICROSOFT_365 = "microsoft-365"
    YAHOO = "yahoo"
    ICLOUD = "icloud"
    PROOFPOINT = "proofpoint"
    MIMECAST = "mimecast"
    OTHER = "other"


class Offer(StrEnum):
    """EHLO keywords a host can offer."""

    PIPELINING = "PIPELINING"
    EIGHT_BIT = "8BITMIME"
    SIZE = "SIZE"
    UTF8 = "SMTPUTF8"
    STARTTLS = "STARTTLS"
    DSN = "DSN"
    ENHANCED = "ENHANCEDSTATUSCODES"


EVERYTHING: Final = frozenset(Offer)
MAX_SIZE: Final = 52_428_800


class Proof(StrEnum):
    """The certificate a host shows."""

    OF_ITSELF = "of itself"  # signed by nobody else, as most are
    OF_ITS_NAME = "of its name"  # issued by the authority of the small internet
    OF_ANOTHER_NAME = "of another name"  # issued by it, too


GREETING: Final = b""
"""The verb that stands for the banner in `Host.fault`."""


@dataclass(frozen=True, slots=True)
class Host:
    """One SMTP server. `fault`: a verb, and the behaviour (written like a local part) that answers it.

    `quota` closes the connection after so many messages (0: never); `eager` gives 354 even without a
    recipient; `window` is SO_RCVBUF of the listening socket, so that a stalled body shows at once; `relay`
    wants TLS, a login, and then takes everything.
    """

    name: str
    address: str
    family: Family = Family.OTHER
    offers: frozenset[Offer] = EVERYTHING
    size: int = MAX_SIZE
    fault: tuple[bytes, str] | None = None
    quota: int = 0
    window: int = 0
    eager: bool = False
    relay: bool = False
    proof: Proof = Proof.OF_ITSELF


PROVIDERS: Final[dict[str, tuple[Family, tuple[tuple[int, str], ...]]]] = {
    "gmail.test": (
        Family.GMAIL,
        ((5, "gmail-smtp-in.l.google.com.test"), (10, "alt1.gmail-smtp-in.l.google.com.test")),
    ),
    "workspace.test": (
        Family.GOOGLE_WORKSPACE,
        ((1, "aspmx.l.google.com.test"), (5, "alt1.aspmx.l.google.com.test")),
    ),
    "outlook.test": (
        Family.MICROSOFT_CONSUMER,
        ((5, "outlook-com.olc.protection.outlook.com.test"),),
    ),
    "m365.test": (Family.MICROSOFT_365, ((0, "m365-test.mail.protection.outlook.com.test"),)),
    "yahoo.test": (
        Family.YAHOO,
        (
            (1, "mta5.am0.yahoodns.net.test"),
            (1, "mta6.am0.yahoodns.net.test"),
            (1, "mta7.am0.yahoodns.net.test"),
        ),
    ),
    "icloud.test": (Family.ICLOUD, ((10, "mx01.mail.icloud.com.test"), (10, "mx02.mail.icloud.com.test"))),
    "proofpoint.test": (Family.PROOFPOINT, ((10, "mxa-00000001.gslb.pphosted.com.test"),)),
    "mimecast.test": (Family.MIMECAST, ((10, "us-smtp-inbound-1.mimecast.com.test"),)),
    "corp.test": (Family.OTHER, ((10, "mx1.corp.test"), (20, "mx2.corp.test"))),
    "other.test": (Family.OTHER, ((10, "mx.other.test"),)),
}

FAULTS: Final[dict[str, tuple[bytes, str]]] = {
    "banner554": (GREETING, "code554"),
    "banner421": (GREETING, "code421"),
    "bannernone": (GREETING, "silent"),
    "bannerdrop": (GREETING, "drop"),
    "bannerreset": (GREETING, "reset"),
    "bannergarbage": (GREETING, "garbage"),
    "bannerendless": (GREETING, "endless"),
    "bannerlong": (GREETING, "longline"),
    "bannerdrip": (GREETING, "tarpit"),
    "ehlo421": (b"EHLO", "code421"),
    "ehlo502": (b"EHLO", "code502"),
    "ehlo550": (b"EHLO", "code550"),
    "ehlodrop": (b"EHLO", "drop"),
    "ehloendless": (b"EHLO", "endless"),
    "tls454": (b"STARTTLS", "code454"),
    "badtls": (b"STARTTLS", "badtls"),
    "injecttls": (b"STARTTLS", "injecttls"),
    "tlsdrop": (b"STARTTLS", "drop"),
    "mail421": (b"MAIL", "code421"),
    "mail451": (b"MAIL", "code451"),
    "mail550": (b"MAIL", "code550"),
    "maildrop": (b"MAIL", "drop"),
    "rcptdrop": (b"RCPT", "drop"),
    "data451": (b"DATA", "code451"),
    "data554": (b"DATA", "code554"),
    "rset421": (b"RSET", "code421"),
    "rsetdrop": (b"RSET", "drop"),
    "quitdrop": (b"QUIT", "drop"),
}
"""Domain (without `.test`) -> the verb that goes wrong there, and how."""

VARIANTS: Final[dict[str, Host]] = {
    "notls": Host("", "", offers=EVERYTHING - {Offer.STARTTLS}),
    "nopipe": Host("", "", offers=EVERYTHING - {Offer.PIPELINING}),
    "noutf8": Host("", "", offers=EVERYTHING - {Offer.UTF8, Offer.EIGHT_BIT}),
    "nosize": Host("", "", offers=EVERYTHING - {Offer.SIZE}),
    "nodsn": Host("", "", offers=EVERYTHING - {Offer.DSN}),
    "bare": Host("", "", offers=frozenset()),
    "smallsize": Host("", "", size=10_000),
    "quota": Host("", "", quota=3),
    "eager": Host("", "", eager=True),
    "stall": Host("", "", window=2_304),
    "slowread": Host("", "", window=2_304),
    "sts": Host("", "", proof=Proof.OF_ITS_NAME),
    "sts-testing": Host("", ""),
    "sts-badcert": Host("", "", proof=Proof.OF_ANOTHER_NAME),
    "sts-selfsigned": Host("", ""),
    "sts-nomatch": Host("", "", proof=Proof.OF_ITS_NAME),
    "sts-notls": Host("", "", offers=EVERYTHING - {Offer.STARTTLS}),
    "sts-nopolicy": Host("", ""),
}
"""Domain (without `.test`) -> a host that works, but offers less (`stall` and `slowread` less window), or proves more.

What the domains that begin with `sts` ask of senders is in `policies`.
"""

NAMELESS: Final = "127.0.0.1"
REFUSING: Final = "127.0.0.8"
"""An address nobody listens on: connections are refused."""
BLACKHOLE: Final = "127.0.0.9"
"""An address whose backlog is kept full: connections time out."""
CROWD: Final = 8
"""How many addresses share the domains that are not in any table."""
_FIRST: Final = 10


def crowd_address(domain: str) -> str:
    """The address of a domain that is not in any table; the same for ever, spread over `CROWD`."""
    return f"127.0.1.{crc32(domain.encode()) % CROWD + 1}"


def _provider_hosts() -> list[Host]:
    return [Host(mx, "", family) for family, exchangers in PROVIDERS.values() for _, mx in exchangers]


def _faulty_hosts() -> list[Host]:
    return [Host(f"mx.{name}.test", "", fault=fault) for name, fault in FAULTS.items()]


def _all_hosts() -> tuple[Host, ...]:
    variants = [replace(host, name=f"mx.{name}.test") for name, host in VARIANTS.items()]
    named = [*_provider_hosts(), *_faulty_hosts(), *variants]
    placed = [replace(host, address=f"127.0.0.{_FIRST + n}") for n, host in enumerate(named)]
    crowd = [Host(f"mx{n}.crowd.test", f"127.0.1.{n}") for n in range(1, CROWD + 1)]
    return (Host("mx.crowd.test", NAMELESS), *placed, *crowd)


HOSTS: Final = _all_hosts()
BY_NAME: Final = {host.name: host for host in HOSTS}
BY_ADDRESS: Final = {host.address: host for host in HOSTS}
RELAY: Final = Host("relay.test", NAMELESS, relay=True, proof=Proof.OF_ITS_NAME)


@cache
def ehlo(host: Host, *, secured: bool) -> bytes:
    """The whole reply to EHLO (RFC 5321 §4.1.1.1); AUTH is offered by the relay and under TLS only."""
    keywords = [offer.value for offer in Offer if offer in host.offers]
    keywords = [f"SIZE {host.size}" if word == Offer.SIZE else word for word in keywords]
    if secured:
        keywords = [word for word in keywords if word != Offer.STARTTLS]
    if host.relay and secured:
        keywords.append("AUTH LOGIN PLAIN")
    lines = [f"{host.name} at your service", *keywords]
    return "".join(
        f"250{' ' if n == len(lines) else '-'}{line}\r\n" for n, line in enumerate(lines, 1)
    ).encode()


def family_of(domain: str) -> Family:
    """The family that runs a recipient domain."""
    known = PROVIDERS.get(domain)
    return known[0] if known else Family.OTHER

"""The cast of isolation: four lanes with nothing in common, and posts that would like to leave by another one's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from hypothesis import strategies as st

from outbox.delivery import Route, Security
from reputation import signing
from reputation.models import Route as RouteRow
from reputation.models import SendingDomain, SigningKey, Stream
from reputation.vault import vault
from tests import factories


@dataclass(frozen=True, slots=True)
class Lane:
    """A stream with all that is its own; a lane with a relay logs in there and has no source address."""

    stream: str
    domain: str
    agents: tuple[str, ...]
    selectors: tuple[str, ...]
    kind: str = "agents"
    source: str = ""
    relay: str = ""

    @property
    def ehlo(self) -> str:
        return f"out.{self.stream}.example"

    @property
    def route(self) -> Route:
        """What its mail has to leave by."""
        if not self.relay:
            port, authority = settings.AO_SMTP_PORT, settings.AO_CA_FILE
            return Route("direct", self.ehlo, port=port, ca_file=authority, source_address=self.source)
        login = {"username": self.stream, "password": f"{self.stream} password"}
        return Route("relay", self.ehlo, self.relay, 587, Security.STARTTLS, **login)

    @property
    def marks(self) -> set[str]:
        """Words that stand for this lane and for no other."""
        return {self.stream, self.domain, f"rp.{self.domain}", self.ehlo, *self.agents, *self.selectors}


LANES = (
    Lane("agents-sales", "sales.acme.test", ("ada", "bob"), ("rsa-sales", "ed-sales"), source="192.0.2.1"),
    # below the domain of another lane
    Lane("agents-eu", "eu.sales.acme.test", ("carol",), ("rsa-eu",), source="192.0.2.2"),
    Lane("agents-post", "post.xn--mnchen-3ya.test", ("dan",), ("rsa-post",), relay="relay.test"),
    Lane("receipts", "mail.acme.test", ("robot",), ("rsa-mail",), kind="transactional", source="192.0.2.4"),
)
BY_AGENT = {agent: lane for lane in LANES for agent in lane.agents}
DOMAINS = [lane.domain for lane in LANES]


@dataclass(frozen=True, slots=True)
class Post:
    """A body to post, by which agent, and the From domain it asks for as its author meant it ("" for none)."""

    agent: str
    body: Mapping[str, Any]
    key: str | None
    meant: str
    plain: bool


# -- what is asked for ---------------------------------------------------------------------------------------

NEAR = [
    *DOMAINS,
    *(f"rp.{name}" for name in DOMAINS),
    *(f"x.{name}" for name in DOMAINS),
    *(f"x{name}" for name in DOMAINS),
    *(f"{name}.evil.test" for name in DOMAINS),
    *(name.partition(".")[2] for name in DOMAINS),
    "post.münchen.test",
    "post.munchen.test",
    "sаles.acme.test",  # a Cyrillic letter
    "sales.acme。test",  # an ideographic full stop, which is a dot to IDNA
    "ｓales.acme.test",  # a full-width letter, which is an s to IDNA
    "sales.acme.test.",
    "sales\u200b.acme.test",
    "sales.acme.te\u00adst",
    "[192.0.2.1]",
    "gmail.test",
]
NASTY = [
    "Ada <boss@mail.acme.test>",
    "boss@mail.acme.test,",
    'x" <boss@mail.acme.test>, "y',
    "=?utf-8?q?boss=40mail=2Eacme=2Etest?=",
    "x\r\nFrom: boss@mail.acme.test",
    "x\nSender: boss@mail.acme.test",
    "\u202etset.emca.liam@ssob",
    "DKIM-Signature: v=1; d=mail.acme.test; s=rsa-mail",
]
FINE = [
    "Ada",
    "boss at mail.acme.test",
    "Grüße, Łukasz 🎉",
    "d=mail.acme.test; s=rsa-mail",
    "mail.acme.test " * 12,
]
WORDS = st.sampled_from(FINE * 8 + NASTY) | st.text(st.characters(exclude_categories=["C", "Z"]), max_size=40)
LOCALS = st.sampled_from(["ada", "Ada.B+tag", "robot", "b+aaaa", "a%mail.acme.test", "ünï", '"a b"'])
FORMS = ["{at}", "{name} <{at}>", '"{name}" <{at}>', '"boss@mail.acme.test" <{at}>']
ODD_FORMS = [
    "{at} ({name})",
    "{name}@mail.acme.test <{at}>",
    "<{at}>",
    "{at}, boss@mail.acme.test",
    "boss@mail.acme.test <{at}>",
    "<@mail.acme.test:{at}>",
    " {at}\n",
]
NAMES = ["X-Ticket", "X-From", "X-Sender", "References", "In-Reply-To"]
ODD_NAMES = ["From", "Sender", "DKIM-Signature", "Return-Path", "X-AO-Ref", "Feedback-ID", "Resent-From"]


def cased(draw: st.DrawFn, text: str) -> str:
    """The text as somebody might type it."""
    return draw(st.sampled_from([text, text, text.upper(), text.title(), text.swapcase()]))


@st.composite
def addresses(draw: st.DrawFn, domains: Sequence[str]) -> str:
    """A mailbox as it may be written, well or badly."""
    at = f"{draw(LOCALS)}@{cased(draw, draw(st.sampled_from(domains)))}"
    return draw(st.sampled_from(FORMS * 4 + ODD_FORMS)).format(at=at, name=draw(WORDS))


@st.composite
def senders(draw: st.DrawFn, own: str) -> tuple[str | None, str, bool]:
    """A From, the domain that is meant by it, and whether it is one that has to be taken."""
    how = draw(st.sampled_from(["none", "own", "near", "near"]))
    if how == "none":
        return None, "", True
    if how == "near":
        domain = draw(st.sampled_from(NEAR))
        return draw(addresses([domain])), domain, False
    name = draw(st.sampled_from(["Ada", "Ada at mail.acme.test", "Grüße"]))
    return draw(st.sampled_from(FORMS)).format(at=f"ada@{cased(draw, own)}", name=name), own, True


RECIPIENTS = st.sampled_from(
    ["grace@gmail.test", "Heidi <heidi@outlook.test>", "ivan@corp.test", "ada@mail.acme.test"]
)
PEOPLE = st.lists(RECIPIENTS, min_size=1, max_size=3)
IDS = st.sampled_from([f"<a@{name}>" for name in DOMAINS])
HEADERS = st.dictionaries(st.sampled_from(NAMES), IDS, max_size=2) | st.dictionaries(
    st.sampled_from([*NAMES, *ODD_NAMES]), IDS | WORDS, max_size=2
)
RUNS = st.sampled_from(["r-1", "r-2", "agents-sales", "carol:r-1"])
CONTEXTS = st.fixed_dictionaries({"run_id": RUNS}, optional={"on_behalf_of": WORDS, "purpose": WORDS})
FILE = {"filename": "mail.acme.test", "content": "RnJvbTogYUBiDQo=", "content_type": "text/plain"}
BODIES = st.fixed_dictionaries(
    {"to": PEOPLE, "subject": WORDS, "text": st.just("From: boss@mail.acme.test\n\nHi") | WORDS},
    optional={
        "cc": PEOPLE,
        "bcc": PEOPLE,
        "reply_to": addresses(DOMAINS) | RECIPIENTS,
        "headers": HEADERS,
        "html": st.just("<p>Hi</p>"),
        "attachments": st.just([FILE]),
        "agent": CONTEXTS,
        "priority": st.sampled_from(["high", "low"]),
    },
)
KEYS = st.sampled_from([None] * 6 + ["k-1", "k-2"])


@st.composite
def posts(draw: st.DrawFn) -> Post:
    """Any agent's post, of any content, with any From."""
    agent = draw(st.sampled_from(sorted(BY_AGENT)))
    sender, meant, plain = draw(senders(BY_AGENT[agent].domain))
    body = draw(BODIES) | ({"from": sender} if sender is not None else {})
    return Post(agent, body, draw(KEYS), meant, plain)


# -- as rows -------------------------------------------------------------------------------------------------


def enrol(lane: Lane) -> dict[str, str]:
    """Rows of one lane; the DNS records of its keys."""
    way = lane.route
    route = RouteRow.objects.create(
        name=lane.stream,
        means=way.kind,
        preset="none",
        ehlo=way.ehlo,
        host=way.host,
        port=way.port,
        security=str(way.security),
        username=way.username,
        password_sealed=vault().seal(way.password.encode()) if way.password else b"",
        source_address=way.source_address or None,
    )
    domain = SendingDomain.objects.create(
        name=lane.domain,
        stream=Stream.objects.create(name=lane.stream, kind=lane.kind),
        organisation=factories.organisation(".".join(lane.domain.split(".")[-2:])),
        route=route,
        default_sender=f"{lane.agents[0]}@{lane.domain}",
        ed25519=len(lane.selectors) > 1,
        state="verified",
        preset="none",
    )
    return dict(_key(domain, *each) for each in zip(signing.Algorithm, lane.selectors, strict=False))


def _key(domain: SendingDomain, algorithm: signing.Algorithm, selector: str) -> tuple[str, str]:
    pair = signing.generate(algorithm)
    SigningKey.objects.create(
        domain=domain,
        selector=selector,
        algorithm=algorithm.value,
        private_sealed=vault().seal(pair.private_pem),
        public_record=pair.public_record,
        state="active",
    )
    return f"{selector}._domainkey.{domain.name}", pair.public_record

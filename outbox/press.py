"""Accepted content in, signed bytes out: compose and sign, for many deliveries at once.

``gather`` reads what is needed (a handful of statements for a whole claim); ``envelope`` is pure work and runs
beside the event loop. A message composed for one of its recipients is kept for the others of the same claim, unless
each has a footer: whoever may unsubscribe reads a link of their own (composing costs a fraction of the signature).
Keys are the ones active now; what lies below our signatures is the same at every attempt.
"""

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Literal, cast
from uuid import UUID

from django.conf import settings

from outbox import esp_marks, ledger, unsubscribes, verp
from outbox.addresses import Mailbox
from outbox.binding import Bond
from outbox.compose import Attachment, Composed, Content, check, compose, for_delivery
from outbox.delivery import Envelope, Places, Route, Security
from outbox.footers import Footer
from outbox.ledger import Claimed
from reputation import signing, sql, suppression
from reputation.models import Kind
from reputation.providerlimits import connections
from reputation.signing import Algorithm, BadKey, Signer
from reputation.standing import Standing, standings
from reputation.vault import BadMasterKey, Unsealable, vault

logger = logging.getLogger(__name__)

# Reports about a message come in for a while after it ended.
TESTIMONY: Final = timedelta(days=30)
# Octets of content above which a claimed delivery does not hold it while it waits for its turn.
HEAVY: Final = 256 * 1024
ANY_SIZE: Final = 2**31 - 1


class Unwanted(Exception):
    """Its recipient may not be mailed any more; says why, in the lifecycle's word."""


class Late(Exception):
    """Its life was over when it was claimed: nobody had swept it away while no worker was there."""


class NotReady(Exception):
    """The lane cannot send now: its domain is disabled or has no key. Never unsigned."""


@dataclass(slots=True)
class Sheet:
    """One message, composed once for all its recipients in a claim that have the same footer: none, or their own."""

    content: Content
    bond: Bond | None = None  # what a person saw of it, where it was held
    _footer: Footer | None = None
    _composed: Composed | None = None
    _body_hash: bytes = b""

    def composed(self, footer: Footer | None) -> tuple[Composed, bytes]:
        """The rendered message and the hash of its body; compared with the content before it is used."""
        if self._composed is None or footer != self._footer:
            composed = compose(self.content, footer)
            check(composed, self.content)
            self._body_hash = signing.body_hash(composed.body)
            self._footer, self._composed = footer, composed
        return self._composed, self._body_hash


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed delivery with what its attempt needs; a missing ``sheet`` is too heavy to hold while it waits."""

    claimed: Claimed
    session: int
    sheet: Sheet | None
    standing: Standing | None
    route: Route | None
    signers: Sequence[Signer] = field(repr=False, default=())
    places: Places | None = None
    unwanted: str = ""  # why its recipient may not be mailed since it was accepted

    @property
    def selectors(self) -> str:
        """The selectors it is signed with, for the record of the attempt."""
        return " ".join(signer.selector for signer in self.signers)


def gather(session: int, claimed: Sequence[Claimed]) -> list[Job]:
    """Everything these deliveries need, read set by set; heavy content is left for ``load``."""
    if not claimed:
        return []
    sheets = _sheets({one.message_id for one in claimed}, HEAVY, bound=not all(one.exempt for one in claimed))
    found = standings(sorted({one.domain_id for one in claimed}))
    signers = {domain: _signers_of(place) for domain, place in found.items() if place.open}
    routes = {domain: route for domain, place in found.items() if (route := _usable_route(place))}
    limits = connections()
    unwanted = _unwanted(claimed, found)
    return [
        Job(
            one,
            session,
            sheets.get(one.message_id),
            found.get(one.domain_id),
            routes.get(one.domain_id),
            signers.get(one.domain_id, ()),
            Places(*limits[one.provider]) if one.provider in limits else None,
            unwanted.get(one.id, ""),
        )
        for one in claimed
    ]


def _unwanted(claimed: Sequence[Claimed], places: Mapping[int, Standing]) -> dict[UUID, str]:
    """Whose recipient bounced, complained or left since it was accepted, with the reason."""
    letters = {
        one.id: (place.stream, place.stream_kind, one.recipient)
        for one in claimed
        if (place := places.get(one.domain_id))
    }
    found = suppression.look_up_all(letters.values())
    return {key: found[letter] for key, letter in letters.items() if letter in found}


def load(job: Job) -> Job:
    """The job with its heavy content."""
    return replace(job, sheet=_sheets({job.claimed.message_id}, ANY_SIZE)[job.claimed.message_id])


def pressed(job: Job) -> Envelope | Exception:
    """The signed message of this job, or why it cannot be had: nobody else's trouble."""
    try:
        return envelope(job)
    except Exception as error:
        return error


def envelope(job: Job) -> Envelope:
    """The signed message to one recipient.

    Raises:
        Late: it has expired.
        Unwanted: the recipient left, complained or is gone since the message was accepted.
        Changed, Outdated: a person approved something else, or under another policy.
        NotReady: there is no usable key, or the domain is disabled.
        ComposeMismatch, BadText, Unsignable: the content cannot be put on the wire as it was accepted.
    """
    if job.claimed.expires_at <= job.claimed.now:
        raise Late
    if job.unwanted:
        raise Unwanted(job.unwanted)
    if job.sheet is None or job.standing is None or job.route is None or not job.signers:
        raise NotReady(f"the lane of {job.claimed.id} cannot sign")
    claimed, standing = job.claimed, job.standing
    if job.sheet.bond:
        job.sheet.bond.check(job.sheet.content, claimed.recipient)
    token = verp.make_token(claimed.id, (claimed.expires_at + TESTIMONY).date(), _verp_key())
    way_out = _way_out(claimed, standing)
    composed, body_hash = job.sheet.composed(way_out.footer if way_out else None)
    extra = (*(way_out.headers if way_out else ()), *esp_marks.mark(standing.service, token))
    own = for_delivery(composed, token, _feedback_id(claimed.agent, standing), extra)
    stamp = int(claimed.now.timestamp())
    signatures = signing.sign(own.headers, own.body, job.signers, stamp, bh=body_hash)
    return Envelope(
        mail_from=verp.return_path(token, standing.domain),
        rcpt_to=claimed.recipient,
        content=signatures + own.to_bytes(),
        needs_smtputf8=own.needs_smtputf8 or not claimed.recipient.isascii(),
        domain=claimed.recipient.rpartition("@")[2],
        envid=token,
        urgent=claimed.tier == 0,
        places=job.places,
    )


@dataclass(frozen=True, slots=True)
class WayOut:
    """How the recipient of one delivery leaves its stream: below the text, and in two fields for their program."""

    footer: Footer
    headers: tuple[tuple[str, str], ...]


def _way_out(claimed: Claimed, standing: Standing) -> WayOut | None:
    """None on a stream that a person has marked transactional; the same for every attempt."""
    if standing.stream_kind == Kind.TRANSACTIONAL:
        return None
    mark = suppression.person_mark(claimed.recipient)
    leaving = unsubscribes.Leaving(claimed.id, standing.stream_id, mark)
    token = unsubscribes.make_token(leaving, suppression.key())
    base = settings.AO_UNSUBSCRIBE_URL.replace("{domain}", standing.domain)
    footer = Footer(unsubscribes.link(token, base), standing.postal_address)
    return WayOut(footer, unsubscribes.headers(token, base, standing.domain))


def contents(message_ids: Iterable[UUID]) -> dict[UUID, Content]:
    """The accepted content of these messages, as a worker would compose it."""
    return {key: sheet.content for key, sheet in _sheets(set(message_ids), ANY_SIZE, bound=False).items()}


def _sheets(message_ids: Set[UUID], largest: int, *, bound: bool = True) -> dict[UUID, Sheet]:
    found = ledger.contents(message_ids, largest, bound=bound)
    parts = ledger.attachments([key for key, row in found.items() if row.attachment_count])
    return {key: Sheet(_content(row, parts.get(key, ())), _bond(row)) for key, row in found.items()}


def _bond(row: Any) -> Bond | None:
    if row.digest is None:
        return None
    return Bond(
        bytes(row.digest), tuple(row.recipients), row.judged_under, row.approved_under, row.policy_version
    )


def _feedback_id(agent: str, standing: Standing) -> str:
    """Four fields, none of them about the recipient; the last is one constant sender (Google's Feedback-ID)."""
    return f"none:{agent}:{standing.stream}:agentoutbox"


def _content(row: Any, parts: Sequence[Any]) -> Content:
    people = sql.loads(row.addressing)
    return Content(
        message_id=row.header_id,
        date=row.created_at,
        sender=_mailbox(people["from"]),
        to=tuple(map(_mailbox, people["to"])),
        cc=tuple(map(_mailbox, people["cc"])),
        reply_to=tuple(map(_mailbox, people["reply_to"])),
        subject=row.subject,
        text=row.text,
        html=row.html,
        headers=tuple((name, value) for name, value in sql.loads(row.headers)),
        attachments=tuple(
            Attachment(part.filename, part.content_type, bytes(part.content), part.content_id)
            for part in parts
        ),
    )


def _mailbox(written: Mapping[str, str]) -> Mailbox:
    return Mailbox(written["name"], written["local"], written["domain"])


def _signers_of(place: Standing) -> tuple[Signer, ...]:
    """All of a domain's signers or none: a key that cannot be opened stops its own domain, and no other."""
    try:
        return tuple(
            _signer(place.domain, selector, algorithm, sealed) for algorithm, selector, sealed in place.keys
        )
    except (BadMasterKey, Unsealable, BadKey) as error:
        logger.error(
            "%s sends nothing: a signing key cannot be used (%s)", place.domain, type(error).__name__
        )
        return ()


@functools.lru_cache(maxsize=1024)
def _signer(domain: str, selector: str, algorithm: str, sealed: bytes) -> Signer:
    return signing.load(domain, selector, Algorithm(algorithm), vault().unseal(sealed))


def _usable_route(standing: Standing) -> Route | None:
    try:
        return _route(standing)
    except (BadMasterKey, Unsealable) as error:
        logger.error("%s sends nothing: its relay's password cannot be used (%s)", standing.domain, error)
        return None


@functools.lru_cache(maxsize=1024)
def _route(standing: Standing) -> Route:
    relay = standing.means == "relay"
    return Route(
        kind=cast(Literal["direct", "relay"], standing.means),
        ehlo=standing.ehlo,
        host=standing.host if relay else "",
        port=standing.port if relay else settings.AO_SMTP_PORT,
        security=Security(standing.security),
        username=standing.username,
        password=vault().unseal(standing.password_sealed).decode() if standing.password_sealed else "",
        source_address=standing.source_address,
        ca_file=standing.ca_file if relay else settings.AO_CA_FILE,
        require_tls=standing.require_tls,
    )


@functools.cache
def _verp_key() -> bytes:
    return str(settings.AO_VERP_KEYS[0]).encode()

"""What a worker hears: replies tell of more than their own delivery, and what they prove is judged at once.

Every reply passes here after it is settled: the provider of a domain is learned, a lost mailbox is left alone, our
speed is shaped, accusations are judged; and now and then one of our own signatures is looked at. Guarantees: nothing of
it delays or fails a delivery; what cannot be written now is said again by the next reply, or judged by the next round.
Refuses to believe relays, which speak for themselves, and lets agents for trying shape and close nothing.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

from django.conf import settings
from django.db import Error
from django.utils import timezone

from outbox.delivery import Envelope
from outbox.grouping import Grouped
from outbox.heeding import Lost, accused, heard, listed, lost
from outbox.outcomes import Reply
from outbox.press import Job
from reputation import families, incidents, judging, shaping, suppression, valves, witnesses
from reputation.blocklists import Suspicion
from reputation.listings import Listings
from reputation.resolver import Asks
from reputation.rules import Verdict
from reputation.selfsigned import SelfChecks
from reputation.shaping import Accusation, Strike
from reputation.signing import Signer

logger = logging.getLogger(__name__)
T = TypeVar("T")

REMEMBERED_DOMAINS: Final = 100_000
AHEAD: Final = timedelta(
    hours=1
)  # a signature from the future holds nowhere: the clock's fault, not the key's


class Worker(Protocol):
    """What hearing needs of its worker: work begun beside the conversations, and a thread that asks the database."""

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it run; the worker waits for it when it ends."""

    async def in_claimer(self, call: Callable[..., T], *words: object) -> T:
        """The result of a call made in the thread that has a database connection."""


class Hearing:
    """One worker's ear; used on its event loop only."""

    def __init__(self, worker: Worker, first: Asks, second: Asks) -> None:
        self._worker = worker
        self._listings = Listings(first)
        self._own = SelfChecks(first, second)
        self._shape = Grouped("shape", _shape)
        self._judge = Grouped("judge", _judge)
        self._unsettled: Mapping[shaping.Place, int] = {}
        self._confused: frozenset[str] = frozenset()
        self._learned: set[str] = set()

    async def refresh(self) -> None:
        """Tend the valves, and look again which providers are confused.

        Raises:
            django.db.Error: it hears as before.
        """
        self._unsettled = await self._worker.in_claimer(_tended_valves)
        self._confused = await self._worker.in_claimer(incidents.going_on)

    def doubts(self, provider: str) -> bool:
        """Whether the word of this provider about unknown users is not to be believed now."""
        return provider in self._confused

    def met(self, job: Job, reply: Reply) -> None:
        """What a recipient's own server said tells of more than this delivery."""
        if job.route is None or job.standing is None or job.route.kind != "direct":
            return
        self._meet(job, reply.host)
        if (how := lost(reply)) and not (how is Lost.GONE and self.doubts(job.claimed.provider)):
            self._worker.begin(self._worker.in_claimer(_leave_alone, job.claimed.recipient, how))
        if job.claimed.exempt:
            return  # what an agent for trying and loading provokes must not slow the lane it tries
        domain, source = job.standing.domain, job.standing.source_address
        if said := accused(domain, source, job.claimed.recipient, reply):
            self._worker.begin(self.conclude(said))
        for suspicion in listed(domain, source, settings.AO_SENDING_ADDRESSES, reply):
            self._worker.begin(self._look_up(suspicion))
        for word in heard(domain, source, job.claimed.provider, reply, self._unsettled):
            self._worker.begin(self._heed(word))

    def sample(self, job: Job, envelope: Envelope) -> None:
        """Before it goes: whether its signatures hold for others is checked beside it, now and then."""
        if job.claimed.exempt or job.claimed.now > timezone.now() + AHEAD:
            return
        for signer in self._own.due(job.signers, len(envelope.content)):
            self._worker.begin(self._check(envelope.content, signer))

    async def conclude(self, said: Accusation | Verdict | None = None) -> None:
        """Judge at once what may close a scope; if that fails, the next round does."""
        try:
            await self._judge(said)
        except Exception as error:  # a bug in the rules must not end the rounds, nor the mail
            logger.warning("not judged yet: %s", error, exc_info=not isinstance(error, Error))

    async def _look_up(self, suspicion: Suspicion) -> None:
        """Ask the list itself what a receiver says of it."""
        try:
            verdict = await self._listings.confirmed(suspicion)
        except ValueError as error:  # an address of the settings that is none
            logger.warning("%s cannot be looked up: %s", suspicion.subject, error)
        else:
            if verdict is not None:
                await self.conclude(verdict)

    async def _check(self, raw: bytes, signer: Signer) -> None:
        """One of our own signatures against the key in the DNS."""
        try:
            verdict = await self._own.failed(raw, signer)
        except Exception:  # a record that breaks the verifier proves nothing
            logger.exception("the signature of %s by %s was not checked", signer.domain, signer.selector)
        else:
            if verdict is not None:
                await self.conclude(verdict)

    def _meet(self, job: Job, host: str) -> None:
        """Learn the provider of a domain from the first MX host that answered for it."""
        domain = job.claimed.recipient.rpartition("@")[2]
        if host and job.claimed.provider == "other" and domain not in self._learned:
            if len(self._learned) > REMEMBERED_DOMAINS:
                self._learned.clear()
            self._learned.add(domain)
            self._worker.begin(self._worker.in_claimer(_learn, domain, host))

    async def _heed(self, word: Strike | int) -> None:
        """Let a reply shape our speed; if that fails, the next reply will say it again."""
        try:
            await self._shape(word)
        except Error as error:
            logger.warning("a reply did not shape our speed: %s", error)


def _learn(domain: str, host: str) -> None:
    try:
        families.learn(domain, host)
    except Error as error:
        logger.warning("the provider of %s was not learned: %s", domain, error)


def _leave_alone(recipient: str, how: Lost) -> None:
    """Mail a lost mailbox no more; if that fails, its server will say it again."""
    try:
        if how is Lost.GONE:
            suppression.suppress([suppression.hard_bounce(recipient, "reply")])
        else:
            suppression.mailbox_full(recipient, "reply")
    except Error as error:
        logger.warning("a lost mailbox was not suppressed: %s", error)


def _shape(words: Sequence[Strike | int]) -> list[None]:
    valves.apply(word for word in words if isinstance(word, Strike))
    valves.note_success({word for word in words if isinstance(word, int)})
    return [None for _ in words]


def _tended_valves() -> Mapping[shaping.Place, int]:
    valves.tend()
    return valves.unsettled()


def _judge(asked: Sequence[Accusation | Verdict | None]) -> list[None]:
    for said in {said for said in asked if isinstance(said, Accusation)}:
        witnesses.hear(said)
    for verdict in (said for said in asked if isinstance(said, Verdict)):
        witnesses.prove(verdict)
    judging.judge()
    return [None for _ in asked]

"""The pipeline of one attempt: gate, compose, sign, transmit, clear, dot, interpret, settle.

The order is the guarantee. Everything but the dot is transmitted first; then the worker asks to be cleared,
and only a clearance that is seconds old lets the dot out. What the server said becomes an outcome by pure
rules, and the outcome is settled under the attempt's number. Nothing here waits for a slow server on anybody
else's behalf.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from outbox.binding import Changed, Outdated
from outbox.crashpoints import reached
from outbox.delivery import Envelope, Reply, Route, Transport, clock
from outbox.heeding import OF_RATE
from outbox.ledger import Settlement
from outbox.lifecycle import Status, suppressed_code
from outbox.outcomes import BULK, TRANSACTIONAL, Fault, Phase, interpret, next_attempt
from outbox.press import Job, Late, NotReady, Unwanted

logger = logging.getLogger(__name__)

# From before the clearance was asked for to the dot: a process that was frozen in between hangs up.
CLEARANCE_SECONDS: Final = 3.0

# Seconds until a delivery that was given back is due again, by the reason.
BACK_AFTER: Final = {
    Fault.SITE_BUSY: 5.0,  # others' turn; that site is slow or full
    Fault.NOT_CLEARED: 1.0,  # its lane is stopped or its session was lost
    Fault.STALE_CLEARANCE: 0.0,
}
MOST_BUSY: Final = 60.0
BACK_AFTER_ROW_STOP: Final = 60.0  # a stop that only some recipients of the lane are in
BACK_AFTER_NOT_READY: Final = 60.0


# What a confused provider says for good is tried again later.
UNKNOWN, UNCLEAR = "recipient_unknown", "recipient_unclear"

# What an outcome tells of a sending domain's health; all others say nothing of it.
EVIDENCE: Final = {
    (Status.DELIVERED, "accepted_by_server"): "accepted",
    (Status.RELAYED, "accepted_by_relay"): "accepted",
    **{(Status.BOUNCED, f"recipient_{why}"): "bounced" for why in ("unknown", "inactive", "moved")},
    **{(Status.BOUNCED, f"{why}_refused"): "refused" for why in ("reputation", "authentication")},
    (Status.BOUNCED, "content_refused_by_server"): "refused",
    **{(Status.DEFERRED, code): "slowed" for code in OF_RATE},
}


def _nobody(_provider: str) -> bool:
    return False


class Grounds(Protocol):
    """What the gate looks at: the session we hold and the scopes known to be stopped."""

    session: int | None
    stops: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything an attempt needs from its worker."""

    transport: Transport
    grounds: Grounds
    clear: Callable[[Job], Awaitable[bool]]
    settle: Callable[[Settlement, int], Awaitable[None]]
    met: Callable[[Job, Reply], None]  # told who said what about whose mail
    doubts: Callable[[str], bool] = _nobody  # whether this provider's word about unknown users is doubtful

    async def dispatch(self, job: Job, pressed: Envelope | Exception) -> None:
        """One attempt with its composed and signed message, whatever happens to it."""
        if not isinstance(pressed, Envelope):
            await self.settle(_unpressed(job, pressed), job.session)
            return
        started = clock()
        reply = await self._converse(job, pressed, job.route)
        await self.settle(self._judged(job, reply, clock() - started), job.session)
        reached("settled")
        self.met(job, reply)

    async def _converse(self, job: Job, envelope: Envelope, route: Route | None) -> Reply:
        cleared = False

        async def clear() -> float | None:
            nonlocal cleared
            asked = clock()
            cleared = await self.clear(job)
            return asked + CLEARANCE_SECONDS if cleared else None

        alive = clock() + (job.claimed.expires_at - job.claimed.now).total_seconds()

        def gate() -> bool:
            return self._may_begin(job) and clock() < alive

        assert route is not None
        try:
            return await self.transport.deliver(envelope, route, clear, gate)
        except (
            asyncio.CancelledError
        ):  # the worker ends; the edge's word is that no byte of the dot was written
            return Reply(Phase.CONNECT, None, "the worker ended", fault=Fault.STALE_CLEARANCE)
        except Exception:  # an edge that breaks its word must neither lose the delivery nor send it twice
            logger.exception("the edge failed on delivery %s", job.claimed.id)
            phase, fault = (Phase.DOT, Fault.CLOSED) if cleared else (Phase.CONNECT, Fault.NOT_CLEARED)
            return Reply(phase, None, "our own fault; see the log", fault=fault, dot_written=cleared)

    def _may_begin(self, job: Job) -> bool:
        return self.grounds.session == job.session and self._is_open(job)

    def _is_open(self, job: Job) -> bool:
        return self.grounds.stops.isdisjoint((*job.claimed.scopes, _row_scope(job)))

    def _judged(self, job: Job, reply: Reply, seconds: float) -> Settlement:
        """The reply as an outcome, and when to come back if it is to be tried again."""
        claimed = job.claimed
        outcome = interpret(reply, relay=job.route is not None and job.route.kind == "relay")
        status, code, wait = outcome.status, outcome.code, None
        evidence = EVIDENCE.get((status, code), "")
        if code == UNKNOWN and self.doubts(claimed.provider):
            status, code, evidence = Status.DEFERRED, UNCLEAR, ""
        if status is Status.DEFERRED:
            status, code, wait = self._deferred(job, code)
        elif status is Status.QUEUED:
            code, wait = "" if self._is_open(job) else "stopped", self._pause(job, reply)
        return Settlement(
            id=claimed.id,
            attempt=claimed.attempt,
            status=str(status),
            code=code,
            wait=wait,
            spoke=status is not Status.QUEUED or bool(reply.host),
            seconds=round(seconds, 3),
            phase=reply.phase,
            host=reply.host,
            address=reply.address,
            tls=reply.tls,
            reply_code=reply.code,
            reply=reply.text,
            fault=reply.fault or "",
            selectors=job.selectors,
            evidence=evidence,
        )

    def _deferred(self, job: Job, code: str) -> tuple[Status, str, float | None]:
        claimed = job.claimed
        schedule = (TRANSACTIONAL if claimed.tier == 0 else BULK).for_code(code)
        jitter = random.random()  # noqa: S311 (spreads retries, guards nothing)
        due = next_attempt(schedule, claimed.tries + 1, claimed.now, claimed.expires_at, jitter)
        if due is None:
            spent = claimed.tries + 1 >= schedule.most
            return Status.EXPIRED, "retries_exhausted" if spent else "expires_at_passed", None
        return Status.DEFERRED, code, (due - claimed.now).total_seconds()

    def _pause(self, job: Job, reply: Reply) -> float:
        if _row_scope(job) in self.grounds.stops:
            return BACK_AFTER_ROW_STOP
        if (
            reply.fault is Fault.SITE_BUSY
        ):  # longer each time, or a slow site's backlog would only come and go
            return min(BACK_AFTER[Fault.SITE_BUSY] * job.claimed.attempt, MOST_BUSY) * random.uniform(1, 2)  # noqa: S311
        return BACK_AFTER.get(reply.fault or Fault.NOT_CLEARED, 1.0) * random.uniform(1, 2)  # noqa: S311


def _unpressed(job: Job, error: Exception) -> Settlement:
    """What is too late has expired; who may not be mailed any more is not; a lane that cannot sign waits; content that
    is not what was approved, or cannot be put on the wire as it was accepted, waits for a person.
    """
    claimed, why = job.claimed, f"{type(error).__name__}: {error}"
    if isinstance(error, Late):
        return Settlement(claimed.id, claimed.attempt, "expired", "expires_at_passed")
    if isinstance(error, Unwanted):
        return Settlement(claimed.id, claimed.attempt, "suppressed", suppressed_code(str(error)))
    if isinstance(error, NotReady):
        return Settlement(claimed.id, claimed.attempt, "queued", "", BACK_AFTER_NOT_READY, fault=why)
    if isinstance(error, Changed | Outdated):
        logger.error("delivery %s is held again: %s", claimed.id, why)
        code = "content_changed" if isinstance(error, Changed) else "policy"
        return Settlement(claimed.id, claimed.attempt, "held", code, fault=why)
    logger.error("delivery %s cannot be composed: %s", claimed.id, why)
    return Settlement(claimed.id, claimed.attempt, "held", "poison", spoke=True, phase="compose", fault=why)


def _row_scope(job: Job) -> str:
    return f"recipient_domain:{job.claimed.recipient.rpartition('@')[2]}"

"""A rehearsed stop: a canary stream is loaded, tripped while its dots flow, and measured until the last of them.

It does with real workers, a real trip and real conversations what a responder would do, and puts everything back: what
was kept is cancelled before the stream is resumed. Refuses a stream that anybody but the canary uses, one that is
stopped already, and to begin without a worker. The recipients are the caller's: people must not be among them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString, TypeVar

from django.conf import settings

from outbox import alarm, intake, ledger, lineage, payloads, proof
from outbox.keys import Caller
from outbox.models import Agent, Drill, Run
from reputation import killswitch, sql
from reputation.killswitch import Switched
from reputation.models import Kind, Stream

T = TypeVar("T")

CANARY: Final = "canary"
MARK: Final = "drill:"  # so begins who tripped it; alarms know it by that
BATCH: Final = 500
FLOWING: Final = 10  # deliveries that have ended before it is stopped, or a tenth of few
FLOW_SECONDS: Final = 60.0
ZERO_SECONDS: Final = 90.0  # longer than a server is waited for in health
HEARD_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.01

NOW: Final[LiteralString] = "SELECT ao_now() AS now, clock_timestamp() AS at"

MINE: Final[LiteralString] = """
SELECT count(*) FILTER (WHERE d.status = 'sending') AS leased,
       count(*) FILTER (WHERE d.status IN ('held', 'queued', 'deferred')) AS waiting,
       count(*) FILTER (WHERE d.status NOT IN ('held', 'queued', 'deferred', 'sending')) AS ended
FROM outbox_lane AS l JOIN outbox_delivery AS d ON d.lane_id = l.id
WHERE l.run_id = %(run)s AND d.id >= ao_uuid_floor(%(began)s)
"""

HEARD: Final[LiteralString] = """
SELECT count(*) AS workers, count(*) FILTER (WHERE epoch_seen < %(epoch)s) AS behind,
       extract(epoch FROM clock_timestamp() - %(at)s)::float8 AS seconds
FROM outbox_session WHERE ended_at IS NULL AND lease_until > clock_timestamp()
"""

# From the commit of the trip until the last of those that were cleared was answered and settled.
SENT: Final[LiteralString] = """
SELECT count(*) FILTER (WHERE a.cleared_at <= %(at)s) AS sent,
       greatest(extract(epoch FROM max(a.ended_at) - %(at)s), 0)::float8 AS zero
FROM outbox_attempt AS a JOIN outbox_delivery AS d ON d.id = a.delivery_id JOIN outbox_lane AS l ON l.id = d.lane_id
WHERE a.id >= ao_uuid_floor(%(began)s) AND l.run_id = %(run)s AND a.cleared_at IS NOT NULL
"""


class NotRehearsed(Exception):
    """The drill could not be made, or measured nothing; the message says why. Everything was put back."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was accepted for a drill: the canary's run, and the database's time before it."""

    run: Run
    began: datetime
    messages: int

    @property
    def key(self) -> dict[str, object]:
        """What its statements look for."""
        return {"run": self.run.pk, "began": self.began}


@dataclass(frozen=True, slots=True)
class Heard:
    """How many workers there were, and seconds from the commit until all had acknowledged; None if not all did."""

    workers: int
    seconds: float | None


def rehearse(stream_name: str, to: Sequence[str], messages: int, who: str) -> Drill:
    """Load the stream with so many messages to these addresses, stop it, measure, and put everything back.

    Raises:
        NotRehearsed: see there.
        django.db.Error: the database could not be asked, or the stop not be made.
    """
    scope = killswitch.scope_of("stream", stream_name)
    canary = _canary(stream_name)
    _check(scope)
    with _loaded(canary, to, messages) as load:
        _until(FLOW_SECONDS, "dots flow", lambda: _flows(load))
        with _stopped(scope, who) as (stop, took):
            heard = _at_rest(load, stop)
            after = proof.clearances(scope, stop.at)
            sent = sql.one(SENT, load.key | {"at": stop.at})
            kept = lineage.cancel(lineage.tree(canary.pk, load.run.name), f"{MARK} {who}")
    if not kept:
        raise NotRehearsed("All were sent before the stop: it stopped nothing. Load more --messages.")
    return Drill.objects.create(
        who=who,
        scope=scope,
        messages=messages,
        sent=sent.sent,
        kept=kept,
        after=max(after.after, after.dots_after),
        trip_seconds=took,
        zero_seconds=sent.zero or 0.0,
        heard_seconds=heard.seconds,
        workers=heard.workers,
        epoch=stop.epoch,
    )


def _canary(stream_name: str) -> Agent:
    """The only agent of the stream, made if it has none. It is exempt: held mail would rehearse nothing."""
    stream = Stream.objects.filter(name=stream_name).first()
    if stream is None:
        raise NotRehearsed(
            f"There is no stream {stream_name}. Make one for drills, with a sending domain of its own."
        )
    others = Agent.objects.filter(stream=stream).exclude(name=_name(stream)).values_list("name", flat=True)
    if stream.kind == Kind.TRANSACTIONAL or others:
        users = ", ".join(others) or "transactional mail"
        raise NotRehearsed(f"{stream_name} is no canary: a drill would stop {users}.")
    return Agent.objects.get_or_create(name=_name(stream), defaults={"stream": stream, "exempt": True})[0]


def _name(stream: Stream) -> str:
    return CANARY if stream.name == "drill" else f"{CANARY}-{stream.name}"[:63]


def _check(scope: str) -> None:
    if not any(worker.alive for worker in proof.workers()):
        raise NotRehearsed("No worker is running: there is nothing to stop.")
    stops = [stop.scope for stop in killswitch.open_stops() if stop.scope in (scope, *killswitch.WIDE)]
    if stops:
        raise NotRehearsed(f"{stops[0]} is stopped already: that is no drill.")


@contextmanager
def _loaded(canary: Agent, to: Sequence[str], messages: int) -> Iterator[Load]:
    """Accept the messages; whatever of them is left at the end is cancelled."""
    now = sql.one(NOW)
    name = f"drill-{now.at:%Y%m%d-%H%M%S}"
    try:
        for first in range(0, messages, BATCH):
            _post(
                canary, name, [to[n % len(to)] for n in range(first, min(first + BATCH, messages))], now.now
            )
        alarm.ring()
        yield Load(Run.objects.get(agent=canary, name=name), now.at, messages)
    finally:
        lineage.cancel(lineage.tree(canary.pk, name), f"{MARK} put back")


def _post(canary: Agent, run: str, to: Sequence[str], now: datetime) -> None:
    text = "This is a drill: a canary's message, sent to be stopped.\n"
    drafts = [
        {
            "to": address,
            "subject": f"Drill {run}",
            "text": text,
            "agent": {"run_id": run, "purpose": "a drill"},
        }
        for address in to
    ]
    parsed = [payloads.parse_draft(draft, now=now, idempotency_key=None) for draft in drafts]
    for answer in intake.accept(parsed, _caller(canary), request_id="", base_url=settings.PUBLIC_URL):
        if answer.status != 202:
            raise NotRehearsed(f"The canary's mail is not accepted: {answer.body.decode()}")


def _caller(canary: Agent) -> Caller:
    return Caller(
        key_id=0,
        kind="agent",
        scopes=frozenset({"send"}),
        agent_id=canary.pk,
        agent=canary.name,
        stream_id=canary.stream_id,
        stream=canary.stream.name,
        enabled=True,
        exempt=True,
        requests_per_minute=canary.requests_per_minute,
        recipients_per_message=canary.recipients_per_message,
    )


@contextmanager
def _stopped(scope: str, who: str) -> Iterator[tuple[Switched, float]]:
    """Trip, and how long that took; resumed at the end, whatever happens meanwhile."""
    ordered = time.monotonic()
    stop = killswitch.trip(scope, who=f"{MARK} {who}", why="a drill")
    took = time.monotonic() - ordered
    try:
        yield stop, took
    finally:
        killswitch.resume(scope, who=f"{MARK} {who}", why="the drill is over", epoch=stop.epoch)
        ledger.unpark(scope)


def _flows(load: Load) -> bool:
    row = sql.one(MINE, load.key)
    return bool(row.ended >= min(FLOWING, -(-load.messages // 10)))


def _at_rest(load: Load, stop: Switched) -> Heard:
    """Wait until no connection has any of it and everybody has heard, or will not."""
    heard: float | None = None
    while True:
        row = sql.one(HEARD, {"epoch": stop.epoch, "at": stop.at})
        if heard is None and not row.behind:
            heard = row.seconds
        if not sql.one(MINE, load.key).leased and (heard is not None or row.seconds > HEARD_SECONDS):
            return Heard(row.workers, heard)
        if row.seconds > ZERO_SECONDS:
            raise NotRehearsed(f"A conversation has not ended {ZERO_SECONDS:g} s after the stop.")
        time.sleep(LOOK_SECONDS)


def _until(seconds: float, what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotRehearsed(f"Waited {seconds:g} s for {what}, in vain.")
        time.sleep(LOOK_SECONDS)

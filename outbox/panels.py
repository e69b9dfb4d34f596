"""The panels of the responder's page: each is read by itself, within a moment, or says that it is not known now.

Guarantees: nothing here raises. A count that fails, waits for a lock or takes longer than ``PATIENCE`` costs its own
panel and no other, and never a button: the page has sent those before the first panel is read.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString, TypeVar

from django.db import transaction
from django.http import HttpRequest
from django.template.loader import render_to_string

from outbox import outgoing, scopes, senders
from outbox.models import Drill
from outbox.outgoing import Effect, Flow, Share
from reputation import evidence, killswitch, reopening, sql, switchlog
from reputation.killswitch import Stop
from reputation.models import Stream

logger = logging.getLogger(__name__)

T = TypeVar("T")
Context = Mapping[str, Any]

PATIENCE: Final[LiteralString] = "SET LOCAL statement_timeout = '700ms'"
SCOPES: Final = 8  # rows of one kind; the others can be named in the form
RECENT: Final = 5
FOLDER: Final = "outbox/killswitch"
GAUGE: Final = 40  # how high the busiest moment is drawn


@dataclass(frozen=True, slots=True)
class Aim:
    """A scope that can be stopped: its dots of the window, what a stop would catch, and its stop if there is one."""

    scope: str
    dots: int
    effect: Effect | None
    stop: Stop | None

    @property
    def kind(self) -> str:
        return self.scope.partition(":")[0]

    @property
    def name(self) -> str:
        return self.scope.partition(":")[2] or self.scope

    @property
    def catches(self) -> str:
        """The predicted effect in words, or what a stop that stands keeps back."""
        return _words(self.effect, "Keeps back" if self.stop else "Would keep back")


@dataclass(slots=True)
class Seen:
    """What panels of one answer share, read once by the first that wants it."""

    aimed: str = ""
    _flow: list[Flow] = field(default_factory=list)

    def flow(self) -> Flow:
        """The dots of the last minutes."""
        if not self._flow:
            self._flow.append(outgoing.flow())
        return self._flow[0]


def glance(read: Callable[[], T], what: str = "a panel") -> T | None:
    """What ``read`` answers within ``PATIENCE`` for each statement, or None."""
    try:
        with transaction.atomic():
            sql.count(PATIENCE)
            return read()
    except Exception as error:  # whatever is wrong with a count, the page stays
        logger.warning("%s could not be read: %s", what, error)
        return None


def panels(request: HttpRequest, aimed: str = "") -> Iterator[str]:
    """Every panel as HTML, one after the other; ``aimed`` is a scope that somebody asked about."""
    seen = Seen(aimed)
    for name, read in PANELS.items():
        yield panel(request, name, lambda read=read: read(seen))  # type: ignore[misc]


def panel(request: HttpRequest, name: str, read: Callable[[], Context]) -> str:
    """One panel as HTML."""
    context = glance(read, name)
    known = {"known": context is not None, **(context or {})}
    try:
        return render_to_string(f"{FOLDER}/_{name}.html", known, request)
    except Exception as error:  # a row nobody has thought of
        logger.warning("%s could not be shown: %s", name, error)
        return render_to_string(f"{FOLDER}/_{name}.html", {"known": False}, request)


def _stops(_seen: Seen) -> Context:
    return {"stops": killswitch.open_stops(), "half_open": reopening.half_open()}


def _out(seen: Seen) -> Context:
    flow = seen.flow()
    streams = _with_quiet(flow.streams)
    groups = {"Streams": streams, "Agents": flow.agents[:SCOPES], "Providers": flow.providers[:SCOPES]}
    asked, nosuch = _asked_for(seen.aimed)
    if asked:
        groups = {"Asked for": asked, **groups}
    shares = [share for group in groups.values() for share in group]
    effects = glance(lambda: outgoing.effects([share.scope for share in shares]), "effects") or {}
    stops = {stop.scope: stop for stop in killswitch.open_stops()}
    return {
        "flow": flow,
        "nosuch": nosuch,
        "bars": bars(flow.buckets),
        "groups": {
            title: [
                Aim(share.scope, share.dots, effects.get(share.scope), stops.get(share.scope))
                for share in group
            ]
            for title, group in groups.items()
            if group
        },
        "more": max(len(flow.agents) - SCOPES, 0),
    }


def _asked_for(aimed: str) -> tuple[tuple[Share, ...], str]:
    """What somebody asked about, or why there is no such thing: then nothing of it can be stopped."""
    try:
        return ((Share(scopes.offered(aimed), 0),), "") if aimed else ((), "")
    except (killswitch.UnknownScope, scopes.NoSuchScope) as error:
        return (), str(error)


def _senders(seen: Seen) -> Context:
    closed = {stop.scope: stop for stop in killswitch.open_stops()}
    found = senders.senders(seen.flow())
    return {
        "senders": [
            (
                sender,
                closed.get(f"agent:{sender.agent.name}"),
                [(run, closed.get(run.scope)) for run in sender.runs],
            )
            for sender in found
        ]
    }


def _evidence(seen: Seen) -> Context:
    """What rules remember of the scopes above, and what they said last."""
    flow = seen.flow()
    busy = [
        share.scope
        for group in (_with_quiet(flow.streams), flow.agents, flow.providers)
        for share in group[:SCOPES]
    ]
    found = evidence.against_limits([*busy, *filter(None, [seen.aimed])])
    return {"evidence": found, "judgements": evidence.latest()}


def _waiting(_seen: Seen) -> Context:
    return {"oldest": outgoing.oldest_transactional()}


def _replies(_seen: Seen) -> Context:
    return {"replies": outgoing.replies()}


def _drilled(_seen: Seen) -> Context:
    return {"drill": Drill.objects.order_by("-pk").first()}


def _happened(_seen: Seen) -> Context:
    return {"events": switchlog.timeline(switchlog.Wanted())[:RECENT]}


PANELS: Final[Mapping[str, Callable[[Seen], Context]]] = {
    "stops": _stops,
    "waiting": _waiting,
    "out": _out,
    "senders": _senders,
    "replies": _replies,
    "evidence": _evidence,
    "happened": _happened,
    "drilled": _drilled,
}


def _with_quiet(busy: tuple[Share, ...]) -> tuple[Share, ...]:
    """The streams by name, those that are silent now too: a stop may be wanted before the first dot."""
    dots = {share.scope: share.dots for share in busy}
    names = Stream.objects.order_by("name").values_list("name", flat=True)[: 3 * SCOPES]
    return tuple(Share(scope, dots.get(scope, 0)) for scope in (f"stream:{name}" for name in names))


def bars(counts: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Counts as bars, four wide each: x, y, height and the count; none where there is nothing."""
    most = max(*counts, 1)
    heights = [-(-GAUGE * count // most) for count in counts]
    return [
        (4 * at, GAUGE - high, high, count)
        for at, (high, count) in enumerate(zip(heights, counts, strict=True))
        if count
    ]


def _words(effect: Effect | None, begins: str) -> str:
    if effect is None:
        return "Its effect is not known now."
    kept = {"queued": effect.queued, "held": effect.held, "leased": effect.leased}
    counts = [f"{_count(number, cut=effect.cut)} {name}" for name, number in kept.items() if number]
    told = f"{begins} {', '.join(counts)}." if counts else _nothing(effect)
    return f"{told} {effect.cleared:,} cleared can still go." if effect.cleared else told


def _nothing(effect: Effect) -> str:
    return "Nothing was found waiting in it." if effect.cut else "Nothing waits in it now."


def _count(number: int, *, cut: bool) -> str:
    if number > outgoing.COUNTED:
        return f"more than {outgoing.COUNTED:,}"
    return f"at least {number:,}" if cut else f"{number:,}"

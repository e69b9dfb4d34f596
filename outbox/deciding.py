"""A person's word about a request: release, in waves, a part, refuse; and the second person's.

Guarantees: every decision is one guarded statement on the request's row (from which state, at which version, under
which policy), with the decision and its audit in the same transaction: of several at once one wins, and the others are
told. It covers what the reviewer's page showed and nothing that joined since. Deliveries follow in pages
(``releasing``).

Refuses: whoever may not decide; an agent's owner, where the stream does not say otherwise; the same person twice; a
refusal without a reason; a page made before the request, or its policy, changed; a release of what is stopped; a part
that is not there any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction

from outbox import approval_statements, audit, ids
from outbox.models import Decision
from reputation import sql

RIGHT: Final = "outbox.decide_approval"
FIRST_WAVE: Final = 20  # messages
MOST: Final = 10_000  # people are counted no further, unless the line is higher
LOOKED_AT: Final = 200  # messages of a request whose scopes are looked at for stops
WHY: Final = 2_000  # characters that are kept of a reason

KIND: Final = Decision.Kind
RELEASES: Final = frozenset({KIND.RELEASE, KIND.WAVES, KIND.PART, KIND.CONFIRM})


class NotYours(Exception):
    """This person may not decide this; says why, in words for a page."""


class Overtaken(Exception):
    """The request, its policy or its state is not what was shown; says what to do, in words for a page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a reviewer's page shows of a request: to be sent back with the decision, as ``str(shown)``."""

    approval: UUID
    version: int
    policy_version: int
    upto: UUID | None  # the last message; None: there is nothing to decide
    seen: str
    at: datetime

    def __str__(self) -> str:
        upto = str(self.upto) if self.upto else ""
        given = [str(self.approval), self.version, self.policy_version, upto, self.seen, self.at.isoformat()]
        return signing.dumps(given, salt=RIGHT)

    @classmethod
    def parsed(cls, text: str) -> "Shown":
        """What ``str`` gave; raises ValueError if it is none, or was changed."""
        try:
            approval, version, policy, upto, seen, at = signing.loads(text, salt=RIGHT)
        except signing.BadSignature as error:
            raise ValueError("Open the request again: what was sent is not what its page had.") from error
        return cls(
            UUID(approval), version, policy, UUID(upto) if upto else None, seen, datetime.fromisoformat(at)
        )


@dataclass(frozen=True, slots=True)
class Stopped:
    """What keeps a request's mail where it is, whoever releases it."""

    scopes: Sequence[str]
    off: bool  # its agent is switched off
    whole: bool  # nothing of it could go

    def __bool__(self) -> bool:
        return bool(self.scopes) or self.off


@dataclass(frozen=True, slots=True)
class _Order:
    """What a decision does to the request's row. ``carries``: "this" decision, the "proposed" one, or "" none."""

    origins: tuple[str, ...]
    state: str
    carries: str = ""
    busy: bool = False


_AT_ONCE: Final = _Order(("open", "watching"), "open", "this")
_PROPOSED: Final = _Order(("open", "watching"), "confirming")
_REFUSED: Final = _Order(("open", "confirming", "watching"), "open", "this", busy=True)
_PART_REFUSED: Final = _Order(("open", "watching"), "open", "this")
_CONFIRMED: Final = _Order(("confirming",), "open", "proposed")
_WITHDRAWN: Final = _Order(("confirming",), "open")
_STOPPED: Final = _Order(("open", "watching"), "open", busy=True)


def show(approval: UUID) -> Shown | None:
    """What a page made now shows of a request; None if there is none. To be read before what is shown of it."""
    row = sql.one(approval_statements.SHOW, [approval])
    return row and Shown(approval, row.version, row.policy_version, row.upto, row.seen, row.at)


def stopped(approval: UUID) -> Stopped:
    """Which stops cover what waits of a request; of a flood, what waits first."""
    row = sql.one(approval_statements.STOPPED, {"approval": approval, "most": LOOKED_AT})
    return Stopped(row.scopes or (), bool(row.off), bool(row.whole or row.off))


def release(shown: Shown, by: User, why: str = "") -> Decision:
    """Let everything go that was shown; above the stream's line it waits for a second person."""
    return _release(shown, by, why, KIND.RELEASE)


def release_in_waves(shown: Shown, by: User, why: str = "") -> Decision:
    """Let twenty messages go, then two hundred, then the rest, each if what became of those before was fine."""
    return _release(shown, by, why, KIND.WAVES, most=FIRST_WAVE)


def release_part(shown: Shown, by: User, messages: Sequence[UUID], why: str = "") -> Decision:
    """Let these messages go; the others wait on."""
    if not messages:
        raise ValueError("Choose what to release.")
    return _release(shown, by, why, KIND.PART, messages=list(messages))


def release_first(shown: Shown, by: User, most: int, why: str = "") -> Decision:
    """Let so many messages go, those that wait longest; the others wait on."""
    if most < 1:
        raise ValueError("Say how many messages to release.")
    return _release(shown, by, why, KIND.PART, most=most)


def refuse(shown: Shown, by: User, why: str, messages: Sequence[UUID] | None = None) -> Decision:
    """Say no to everything that was shown, or to these messages; the agent reads why.

    Also while it is being released: what has not gone yet does not.
    """
    if messages is not None and not messages:
        raise ValueError("Choose what to refuse.")
    part = list(messages) if messages is not None else None
    order = _REFUSED if part is None else _PART_REFUSED
    return _decide(shown, by, _said(why), KIND.REFUSE, order, messages=part)


def confirm(shown: Shown, by: User, why: str = "") -> Decision:
    """A second person's yes to what waits for it."""
    return _decide(shown, by, why, KIND.CONFIRM, _CONFIRMED)


def withdraw(shown: Shown, by: User, why: str = "") -> Decision:
    """Take back what waits for a second person; the request is open again."""
    return _decide(shown, by, why, KIND.WITHDRAW, _WITHDRAWN)


def stop_waves(shown: Shown, by: User, why: str) -> Decision:
    """No further wave goes, nor what is left of this one; what is still held waits for another decision."""
    return _decide(shown, by, _said(why), KIND.STOP, _STOPPED)


def _said(why: str) -> str:
    if not why.strip():
        raise ValueError("Say why.")
    return why


def _release(shown: Shown, by: User, why: str, kind: str, **plan: Any) -> Decision:
    """Parts do not go round the line: what one person let go before counts to it."""
    line = _asked(shown).second_person_above
    part = plan.get("messages")
    # of waves the first alone is no measure: the others go by themselves
    first = plan.get("most") if kind == KIND.PART else None
    given = {
        "approval": shown.approval,
        "upto": shown.upto,
        "seen": shown.seen,
        "messages": part,
        "first": first,
    }
    found = sql.one(approval_statements.PEOPLE, given | {"most": max(MOST, line + 1)})
    order = _PROPOSED if found.people + found.before > line else _AT_ONCE
    return _decide(shown, by, why, kind, order, people=found.people, **plan)


def _not_stopped(shown: Shown) -> None:
    """Nothing would move, and the yes would be forgotten: whoever reopens it looks again."""
    found = stopped(shown.approval)
    if found.whole and found.off:
        raise Overtaken("Its agent is switched off, so nothing of it can go. Decide when it is on again.")
    if found.whole and found.scopes:
        raise Overtaken(
            f"{', '.join(found.scopes)}: stopped, so nothing of it can go. Decide when that is open again."
        )


def _all_there(shown: Shown, part: Sequence[UUID] | None) -> None:
    if not part:
        return
    chosen = set(part)
    given = {"approval": shown.approval, "upto": shown.upto, "seen": shown.seen, "messages": list(chosen)}
    if sql.one(approval_statements.CHOSEN, given).n < len(chosen):
        raise Overtaken("Some of what was chosen does not wait here any more. Look again, then choose.")


def _decide(shown: Shown, by: User, why: str, kind: str, order: _Order, **more: Any) -> Decision:
    _check(shown, by, kind)
    if kind in RELEASES:
        _not_stopped(shown)
    _all_there(shown, more.get("messages"))
    given = {
        "approval": shown.approval,
        "version": shown.version,
        "policy_version": shown.policy_version,
        "upto": shown.upto,
        "seen": shown.seen,
        "shown_at": shown.at,
        "kind": kind,
        "who": by.get_username()[:200],
        "why": why.strip()[:WHY],
        "messages": None,
        "most": None,
        "people": 0,
        "origins": list(order.origins),
        "state": order.state,
        "carries": order.carries,
        "busy": order.busy,
    }
    with transaction.atomic():
        row = sql.one(approval_statements.DECIDE, given | more)
        if row is None:
            raise Overtaken(
                "It is not as it was shown: others were quicker, or its policy changed. Look again."
            )
        made = Decision.objects.get(pk=row.id)
        name = f"approval:{ids.printed('apr', shown.approval)}"
        told = {"why": made.why, "version": made.version, "people": made.people, "decision": made.pk}
        audit.write(made.who, f"approval.{kind}", name, **told)
    return made


def _check(shown: Shown, by: User, kind: str) -> None:
    """Who may decide this. Keys are nobody's: there is no way from one to here."""
    if not by.is_active or not by.has_perm(RIGHT):
        raise NotYours("You may not decide about requests.")
    if shown.upto is None:
        raise Overtaken("Nothing of it waits any more.")
    asked = _asked(shown)
    if kind in RELEASES and asked.owner_id == by.pk and not asked.owner_may_approve:
        raise NotYours("You own the agent that asks: somebody else has to release it.")
    if kind == KIND.CONFIRM and asked.proposed_by == by.get_username():
        raise NotYours("You have said yes already: somebody else has to confirm it.")


def _asked(shown: Shown) -> sql.Row:
    row = sql.one(approval_statements.ASKED, [shown.approval])
    if row is None:
        raise Overtaken("There is no such request any more.")
    return row

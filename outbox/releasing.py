"""Decisions are carried out: what was approved is queued, what was refused ends, page by page, whoever dies.

A page is one short transaction that ends with how far it came; another process goes on from there. Facts are judged
again: who left is not mailed, what is stopped stays held. Waves wait until something became of the one before, and stop
by themselves. What nobody decided in time lapses; what has nothing left that waits is ended.

Guarantees: nothing is queued that the decision did not cover; a newer decision about the rest stops an older one
between two pages; deadlines never release.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from outbox import alarm, approval_statements, approvals, audit, contacts, ids, ledger
from outbox.budgets import Spent
from outbox.lifecycle import suppressed_code
from outbox.models import Decision
from reputation import sql, suppression

IN_REQUEST: Final = 1.5
IN_TICK: Final = 0.5
PAGE: Final = 500  # messages
TAKING: Final = timedelta(hours=12)  # what is held later joins another request, and has as long to be read

KIND: Final = Decision.Kind
VERDICTS: Final = {KIND.REFUSE: "refuse", KIND.LAPSE: "lapse"}  # of all others: release
WAVES: Final = frozenset({KIND.WAVES, KIND.WAVE})
NEXT_WAVE: Final = {20: 200, 200: None}  # messages; None: the rest
WINDOW: Final = timedelta(minutes=15)
ENOUGH: Final = 0.5  # of a wave's people: something became of them
BOUNCES, BOUNCED_SHARE = 2, 0.05  # so many, and more than this share: somebody's list is bad

RULE: Final = "rule:waves"


@dataclass(frozen=True, slots=True)
class _Page:
    """What one page did: messages that went or ended, and those that had to stay."""

    moved: int
    stayed: int


def advance(approval: UUID, seconds: float = IN_REQUEST) -> bool:
    """Go on with what was decided about a request; whether it is done."""
    until = time.monotonic() + seconds
    while row := sql.one(approval_statements.CARRYING_ONE, [approval]):
        if not _go_on(row) or time.monotonic() >= until:
            break
    return sql.one(approval_statements.CARRYING_ONE, [approval]) is None


def tend(seconds: float = IN_TICK) -> None:
    """Go on with every decision a little, let the next waves go, lapse and end what has come to that."""
    _ask()
    for wave in sql.rows(approval_statements.WATCHED):
        _look_at(wave)
    sql.count(approval_statements.TAKE_NO_MORE, [TAKING])
    _lapse()
    for row in sql.rows(approval_statements.CARRYING_ALL):
        advance(row.id, seconds)
    _end()


def forget() -> int:
    """Drop what belonged to requests that ended long ago; how many messages. A page at a time."""
    return sql.exhaust(approval_statements.FORGET)


def _ask() -> None:
    try:
        approvals.ask()
    except Spent:  # another asked at once; what is left is asked next time
        return


# -- one page ------------------------------------------------------------------------------------------------


def _go_on(row: Any) -> bool:
    """One page of a decision; False if somebody else is at it."""
    if row.kind not in VERDICTS and row.policy_version != row.current:
        return _carried(row, row.carried, f"its policy is version {row.current} now: look at it again")
    found = _covered(row)
    if not found:
        return _carried(row, row.carried)
    reasons = _reasons(row, found)
    with transaction.atomic():
        given = {"approval": row.id, "decision": row.decision_id, "last": row.carried}
        if not sql.rows(approval_statements.HOLD, given):
            return False
        page = _conclude(row, reasons)
        said = (
            "some of it stayed: its scope was stopped, or its agent switched off. Release it again once that is open"
            if page.stayed
            else ""
        )
        sql.count(approval_statements.CAME, {"approval": row.id, "last": found[-1], "said": said or row.said})
    alarm.ring()
    return True


def _covered(row: Any) -> Sequence[UUID]:
    """The next messages of it; of a wave not more than are left of it."""
    limit = PAGE
    if row.most is not None:
        limit = min(PAGE, row.most - sql.one(approval_statements.WENT, [row.decision_id]).n)
    given = {
        "approval": row.id,
        "last": row.carried,
        "all": row.kind == KIND.LAPSE,
        "upto": row.upto,
        "seen": row.seen or None,
        "messages": row.messages,
        "limit": max(limit, 0),
    }
    return [one.message_id for one in sql.rows(approval_statements.PAGE, given)]


def _reasons(row: Any, found: Sequence[UUID]) -> dict[UUID, str]:
    """What still waits of these messages, with why its recipient may not be mailed any more, or nothing."""
    waiting = {one.id: one.recipient for one in sql.rows(approval_statements.WAITING, [list(found)])}
    if row.kind in VERDICTS:
        return dict.fromkeys(waiting, "")
    gone = suppression.look_up(set(waiting.values()), row.stream, row.stream_kind)
    return {
        key: suppressed_code(gone[address]) if address in gone else "" for key, address in waiting.items()
    }


def _conclude(row: Any, reasons: dict[UUID, str]) -> _Page:
    moved = ledger.conclude(reasons, VERDICTS.get(row.kind, "release"), row.who, row.why) if reasons else []
    went = {one.message_id for one in moved}
    given = {"approval": row.id, "decision": row.decision_id, "messages": list(went)}
    if went:
        sql.count(approval_statements.MARK, given)
    contacts.keep(contacts.marks({one.recipient for one in moved if one.status == "queued"}))
    return _Page(len(went), len({ids.message_of(key) for key in reasons} - went))


def _carried(row: Any, last: UUID | None, said: str = "") -> bool:
    """Nothing is left of it, or it may not go on; a wave is watched from now on."""
    watched = row.kind in WAVES and row.most is not None
    went = watched and sql.one(approval_statements.WENT, [row.decision_id]).n > 0
    given = {
        "approval": row.id,
        "decision": row.decision_id,
        "last": last,
        "said": said,
        "watch": went and not said,
        "window": WINDOW,
    }
    return bool(sql.count(approval_statements.CARRIED, given))


# -- waves ---------------------------------------------------------------------------------------------------


def _look_at(wave: Any) -> None:
    """Stop it, let the next wave go, or wait."""
    seen = sql.one(approval_statements.OUTCOMES, [wave.wave_id])
    trouble = bad(seen)
    if not trouble and not (wave.over and seen.ended >= ENOUGH * seen.people):
        return
    kind = KIND.STOP if trouble else KIND.WAVE
    given = {
        "approval": wave.id,
        "version": wave.version,
        "kind": kind,
        "who": RULE,
        "why": trouble,
        "most": None if trouble else NEXT_WAVE.get(wave.most),
        "plan": wave.plan_id,
    }
    with transaction.atomic():
        if sql.count(approval_statements.GO_ON, given):
            audit.write(RULE, f"approval.{kind}", f"approval:{ids.printed('apr', wave.id)}", why=trouble)


def bad(seen: Any) -> str:
    """Why no further wave may go, in words; nothing if it may. ``seen``: numbers of people, and a stopped scope."""
    if seen.stopped:
        return f"{seen.stopped} is stopped"
    if seen.refused:
        return f"{seen.refused} of {seen.people} were refused for reputation, authentication or content"
    if seen.complained:
        return f"{seen.complained} of {seen.people} complained"
    if seen.bounced >= BOUNCES and seen.bounced > BOUNCED_SHARE * seen.people:
        return f"{seen.bounced} of {seen.people} addresses bounced"
    return ""


# -- the end -------------------------------------------------------------------------------------------------


def _lapse() -> None:
    with transaction.atomic():
        due = [row.id for row in sql.rows(approval_statements.DUE)]
        if due:
            sql.count(approval_statements.LAPSE, [due])
        for key in due:
            audit.write("rule:deadline", "approval.lapse", f"approval:{ids.printed('apr', key)}")


def _end() -> None:
    """What has nothing left that waits. Looked at again under the lock: a message may have joined meanwhile."""
    empty = _empty(None)
    if not empty:
        return
    with transaction.atomic():
        locked = [row.id for row in sql.rows(approval_statements.LOCK, [list(empty)])]
        sql.count(approval_statements.END, [list(_empty(locked))])


def _empty(among: Collection[UUID] | None) -> set[UUID]:
    given = {"among": list(among) if among is not None else None}
    return {row.id for row in sql.rows(approval_statements.EMPTY, given)}

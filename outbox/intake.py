"""The only way a message comes to exist: one transaction from draft to answer.

For one draft or a thousand: idempotency, facts, verdict, runs and lanes, then messages, deliveries and events in
one statement, and with them the remembered answers, what was compared, who was asked and who is known now. After that
commit the message is ours whatever crashes; before it nothing is. If the database cannot answer, nothing is accepted.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import Error, transaction

from outbox import alarm, answers, approvals, cases, contacts, facts, ids, ledger, runs
from outbox.answers import Answer
from outbox.approvals import Request, Requests
from outbox.budgets import Spent
from outbox.cases import Call, Case
from outbox.duplicates import Overtaken
from outbox.entries import Entry, expiry
from outbox.facts import KnownRun
from outbox.keys import Caller
from outbox.limits import Budget, shown
from outbox.payloads import Draft, accepted_body
from outbox.problems import Problem, Refused, Retry, body_of, instant, refused
from reputation import killswitch

logger = logging.getLogger(__name__)

TRIES: Final = 8
LOOP: Final = "rule:loop"


@dataclass(slots=True)
class _Batch:
    """What one call writes, gathered draft by draft."""

    caller: Caller
    request_id: str
    base_url: str
    call: Call
    requests: Requests
    messages: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[tuple[UUID, int, str, str, str | None, bytes]] = field(default_factory=list)
    remembered: list[answers.Remembered] = field(default_factory=list)
    met: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Given:
    """One answer for each draft, in order; and what is left to the agent behind them, and to the run of them all."""

    answers: list[Answer]
    budgets: tuple[Budget, ...]


def accept(
    drafts: Sequence[Draft | Problem], caller: Caller, *, request_id: str, base_url: str
) -> list[Answer]:
    """Judge drafts in order and accept those that pass; one answer each, in order.

    Raises:
        django.db.Error: the database could not decide; nothing was accepted.
    """
    return given(drafts, caller, request_id=request_id, base_url=base_url).answers


def given(drafts: Sequence[Draft | Problem], caller: Caller, *, request_id: str, base_url: str) -> Given:
    """As ``accept``, and what is left of the agent's budgets."""
    for _ in range(TRIES):
        with contextlib.suppress(Spent, Overtaken):  # somebody was quicker: what there is now is judged again
            return _accepted_all(drafts, caller, request_id, base_url)
    raise refused("undecidable", "Too many ask for the same at once.")


def _accepted_all(drafts: Sequence[Draft | Problem], caller: Caller, request_id: str, base_url: str) -> Given:
    wanted = [draft for draft in drafts if isinstance(draft, Draft)]
    with _together(wanted, caller):
        prior = answers.prior(wanted, caller.agent_id)
        call = cases.read(wanted, caller)
        cases.wait_for_turn(call, wanted)
        batch = _Batch(caller, request_id, base_url, call, approvals.read(caller, call.place))
        answered = [_answer(batch, draft, prior) for draft in drafts]
        _write(batch)
    _stop_loops(call.loops)
    return Given(answered, call.budgets.of(cases.in_one_run(call, wanted)))


def _together(drafts: Sequence[Draft], caller: Caller) -> AbstractContextManager[None]:
    """A transaction where acceptance is more than the one statement of ``ledger.enter``, which is one by itself."""
    more = not caller.exempt or any(draft.idempotency_key or draft.attachments for draft in drafts)
    return transaction.atomic() if more else nullcontext()


def _stop_loops(loops: Mapping[str, str]) -> None:
    """A trip is a transaction of its own, so it follows; if it cannot be had, the loop's next message asks again."""
    for scope, why in loops.items():
        try:
            killswitch.trip(scope, who=LOOP, why=why)
        except Error:
            logger.exception("%s writes in a loop and could not be stopped", scope)


def _answer(batch: _Batch, draft: Draft | Problem, prior: answers.Prior) -> Answer:
    """The answer to one draft: an earlier one again, a refusal, or its acceptance."""
    if isinstance(draft, Problem):
        return _refusal(batch, draft)
    try:
        if earlier := prior.answer_to(draft):
            return earlier
        answer = _judged(batch, draft)
    except Refused as error:
        return _refusal(batch, error.problem)
    if draft.idempotency_key and answer.lasting:
        batch.remembered.append(prior.remember(draft, answer))
    return answer


def _judged(batch: _Batch, draft: Draft) -> Answer:
    case = cases.judged(batch.call, draft)
    if case.verdict.refusal:
        return _refusal(batch, case.verdict.refusal)
    return _enter(batch, case)


def _refusal(batch: _Batch, problem: Problem) -> Answer:
    body = orjson.dumps(body_of(problem, batch.request_id, batch.base_url))
    return Answer(problem.status, body, lasting=problem.retry is Retry.NEVER)


def _enter(batch: _Batch, case: Case) -> Answer:
    """Gather the rows of one draft that passed, and what its sender is told."""
    call, draft = batch.call, case.left
    run = _run_with_lanes(batch, draft)
    key = ids.new_id(int(call.place.now.timestamp() * 1000))
    taken = cases.take(call, case, key)
    entry = Entry(
        key=key,
        draft=draft,
        caller=batch.caller,
        place=call.place,
        run=run,
        verdict=case.verdict,
        providers=call.providers,
        forecasts=cases.forecasts(call, case),
        refused=case.refused,
        approval=_asked(batch, case, key, run, taken.cluster),
        charged=taken.charged,
    )
    if not case.verdict.holds:
        batch.met.update(mailbox.addr for mailbox in draft.recipients)
    batch.messages.append(entry.message())
    batch.deliveries += entry.deliveries()
    batch.attachments += entry.attachments()
    told = entry.accepted(shown(call.budgets.of(case.load)))
    return Answer(202, orjson.dumps(accepted_body(told)), message_id=key, lasting=True)


def _asked(
    batch: _Batch, case: Case, key: UUID, run: KnownRun, cluster: int | None
) -> Mapping[str, Any] | None:
    """The request to people that a held draft joins, as its sender is told."""
    if not case.verdict.holds:
        return None
    codes = [hold.code for hold in case.verdict.holds]
    ends = expiry(case.left, batch.call.place)
    request = batch.requests.join(key, case.left, run, cluster, codes, ends)
    return _shown(request) if request else None


def _shown(request: Request) -> dict[str, Any]:
    waits = {"p50": request.p50, "p90": request.p90}
    return {
        "id": ids.printed("apr", request.id),
        "expires_at": instant(request.expires_at),
        "projected_wait_seconds": {
            name: None if wait is None else round(wait) for name, wait in waits.items()
        },
    }


def _run_with_lanes(batch: _Batch, draft: Draft) -> KnownRun:
    call, caller = batch.call, batch.caller
    name = runs.name_of(draft, call.place)
    if name not in call.known:
        if not runs.open_run(draft, name, caller, call.known):
            raise Spent  # it may have another parent than this draft was judged under
        cases.opened(call, draft, facts.read(caller.agent_id, caller.stream_id, [name]).known[name])
    needed = {call.providers[mailbox.domain] for mailbox in draft.recipients}
    if not needed <= set(call.known[name].lanes):
        call.known[name] = runs.open_lanes(call.known[name], needed, caller, call.place)
    return call.known[name]


def _write(batch: _Batch) -> None:
    call = batch.call
    if batch.messages:
        ledger.enter(batch.messages, batch.deliveries, actor=f"agent:{batch.caller.agent}")
        ledger.enter_attachments(batch.attachments)
        alarm.ring_on_commit()
    batch.requests.keep()
    call.likenesses.keep()
    contacts.keep(contacts.marks(batch.met & call.picture.strangers))
    answers.keep(batch.remembered, batch.caller.agent_id)
    call.budgets.spend()

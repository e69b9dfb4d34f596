"""The only way a message comes to exist: one transaction from draft to answer.

For one draft or a thousand: idempotency, facts, verdict, runs and lanes, then messages, deliveries and events in
one statement, and the remembered answers with them. After that commit the message is ours whatever crashes; before
it nothing is. If the database cannot answer, nothing is accepted.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction

from outbox import alarm, answers, budgets, facts, ids, ledger, runs
from outbox.addresses import Mailbox, parse_mailbox
from outbox.answers import Answer
from outbox.budgets import Purchase, Spent
from outbox.facts import KnownRun, Picture, Place
from outbox.keys import Caller
from outbox.lifecycle import Status
from outbox.limits import Budget, Load, shown
from outbox.payloads import Accepted, AcceptedDelivery, Draft, Estimate, accepted_body
from outbox.policies import Facts, Verdict, judge
from outbox.problems import Problem, Refused, Retry, body_of, refused
from outbox.queueing import Queue
from reputation.families import families
from reputation.outlook import Outlook, outlooks
from reputation.ramps import spread

TRIES: Final = 8
LIFE: Final = timedelta(days=5)
TRANSACTIONAL_LIFE: Final = timedelta(hours=1)


@dataclass(slots=True)
class _Batch:
    """What one call writes, gathered draft by draft."""

    caller: Caller
    request_id: str
    base_url: str
    place: Place
    known: dict[str, KnownRun]
    suppressed: frozenset[str]
    providers: Mapping[str, str]
    queue: Queue
    budgets: Purchase
    messages: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[tuple[UUID, int, str, str, str | None, bytes]] = field(default_factory=list)
    remembered: list[answers.Remembered] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Given:
    """One answer for each draft, in order; and what is left to the agent behind them, whatever its runs."""

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
        with contextlib.suppress(Spent):  # somebody was quicker: what there is now is judged again
            return _accepted_all(drafts, caller, request_id, base_url)
    raise refused("undecidable", "Too many ask for the same budget at once.")


def _accepted_all(drafts: Sequence[Draft | Problem], caller: Caller, request_id: str, base_url: str) -> Given:
    wanted = [draft for draft in drafts if isinstance(draft, Draft)]
    with _together(wanted, caller):
        prior = answers.prior(wanted, caller.agent_id)
        batch = _gather(wanted, caller, request_id, base_url)
        answered = [_answer(batch, draft, prior) for draft in drafts]
        _write(batch)
    return Given(answered, batch.budgets.of())


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen to a draft if it were posted now; ``forecasts`` by recipient, None beyond three years."""

    draft: Draft | None
    verdict: Verdict
    policy_version: int
    expires_at: datetime | None = None
    forecasts: Mapping[str, datetime | None] = field(default_factory=dict)
    refused: tuple[Mapping[str, str], ...] = ()
    budgets: tuple[Budget, ...] = ()


def preview(drafts: Sequence[Draft | Problem], caller: Caller) -> list[Preview]:
    """What the rules would say of these drafts now, in order and each behind those before it; writes nothing."""
    batch = _gather([draft for draft in drafts if isinstance(draft, Draft)], caller, "", "")
    return [_preview(batch, draft) for draft in drafts]


def preview_plan(plan: Estimate, caller: Caller) -> tuple[Preview, dict[str, tuple[int, Outlook]]]:
    """What the rules would say of so many recipients, spread over mailbox providers as lists are; writes nothing.

    With how many would go to each provider, and its outlook; of a stream without a ramp there is none.
    """
    picture = facts.read(caller.agent_id, caller.stream_id, _run_names([plan.draft]))
    place, parts = picture.place, {}
    if place.warming and place.domain_id is not None:
        counts = spread(plan.recipients)
        parts = {name: (counts[name], look) for name, look in outlooks(place.domain_id, counts).items()}
    ends = [look.at(count) for count, look in parts.values()]
    end = max((each for each in ends if each), default=place.now) if all(ends) else None
    budgets_ = _budgets([plan.draft], caller, picture)
    nobody = _Batch(caller, "", "", place, picture.known, frozenset(), {}, Queue({}, {}, {}), budgets_)
    bounds = budgets_.of(replace(_load(nobody, plan.draft), recipients=plan.recipients))
    told = replace(
        _facts(nobody, plan.draft),
        forecast_at=end,
        recipients=plan.recipients,
        recipients_per_message=None,
        budgets=bounds,
    )
    found = judge(plan.draft, told)
    preview = Preview(None, found, place.policy_version, told.expires_at, {"": end}, (), told.budgets)
    return preview, parts


def _preview(batch: _Batch, draft: Draft | Problem) -> Preview:
    place = batch.place
    if isinstance(draft, Problem):
        return Preview(None, Verdict(refusal=draft), place.policy_version)
    misplaced = runs.check_parent(draft, batch.known)
    verdict = Verdict(refusal=misplaced) if misplaced else judge(draft, _facts(batch, draft))
    left = draft.without(batch.suppressed)
    forecasts = {} if verdict.refusal else batch.queue.join(left, place)
    by_recipient = {mailbox.addr: forecasts.get(mailbox.domain) for mailbox in left.recipients}
    if not verdict.refusal:
        batch.budgets.draw(_load(batch, draft))
    return Preview(
        draft,
        verdict,
        place.policy_version,
        _expiry(draft, place),
        by_recipient,
        _refused(batch, draft),
        _bounds(batch, draft),
    )


def _together(drafts: Sequence[Draft], caller: Caller) -> AbstractContextManager[None]:
    """A transaction where acceptance is more than the one statement of ``ledger.enter``, which is one by itself."""
    more = not caller.exempt or any(draft.idempotency_key or draft.attachments for draft in drafts)
    return transaction.atomic() if more else nullcontext()


def _gather(drafts: Sequence[Draft], caller: Caller, request_id: str, base_url: str) -> _Batch:
    addresses = {mailbox.addr for draft in drafts for mailbox in (*draft.to, *draft.cc, *draft.bcc)}
    picture = facts.read(caller.agent_id, caller.stream_id, _run_names(drafts), addresses)
    left = [draft.without(picture.suppressed) for draft in drafts]
    providers = families({mailbox.domain for draft in left for mailbox in draft.recipients})
    queue = _queue(left, picture.place, providers)
    place, known, suppressed = picture.place, picture.known, picture.suppressed
    budgets_ = _budgets(left, caller, picture)
    return _Batch(caller, request_id, base_url, place, known, suppressed, providers, queue, budgets_)


def _budgets(drafts: Sequence[Draft], caller: Caller, picture: Picture) -> Purchase:
    """What bounds these drafts; nothing bounds an agent for trying and loading."""
    if caller.exempt:
        return Purchase()
    return budgets.read(caller.agent_id, (_load_of(draft, picture.place, picture.known) for draft in drafts))


def _bounds(batch: _Batch, draft: Draft) -> tuple[Budget, ...]:
    """The budgets that a draft would draw on, as they stand."""
    return batch.budgets.of(_load(batch, draft))


def _load(batch: _Batch, draft: Draft) -> Load:
    return _load_of(draft.without(batch.suppressed), batch.place, batch.known)


def _load_of(draft: Draft, place: Place, known: Mapping[str, KnownRun]) -> Load:
    """What a draft to those who may be mailed asks of the budgets."""
    lineage = runs.lineage_of(draft, place, known)
    return Load(
        lineage,
        draft.run_id is not None and len(lineage) == 1 and draft.run_id not in known,
        draft.on_behalf_of,
        len(draft.recipients),
        frozenset(mailbox.domain for mailbox in draft.recipients),
        sum(len(part.content) for part in draft.attachments),
    )


def _queue(drafts: Sequence[Draft], place: Place, providers: Mapping[str, str]) -> Queue:
    """Where these drafts' recipients would wait."""
    recipients = [mailbox.domain for draft in drafts for mailbox in draft.recipients]
    if not place.warming or place.domain_id is None:
        return Queue(providers, {}, {})
    return Queue(
        providers,
        outlooks(place.domain_id, providers.values()),
        Counter(providers[domain] for domain in recipients),
    )


def _run_names(drafts: Iterable[Draft]) -> set[str]:
    names = (name for draft in drafts for name in (draft.run_id, draft.parent_run_id))
    return {name for name in names if name}


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
    misplaced = runs.check_parent(draft, batch.known)
    if misplaced:
        return _refusal(batch, misplaced)
    verdict = judge(draft, _facts(batch, draft))
    if verdict.refusal:
        return _refusal(batch, verdict.refusal)
    accepted = _enter(batch, draft.without(batch.suppressed), verdict, _refused(batch, draft))
    return Answer(202, orjson.dumps(accepted_body(accepted)), message_id=accepted.id, lasting=True)


def _refusal(batch: _Batch, problem: Problem) -> Answer:
    body = orjson.dumps(body_of(problem, batch.request_id, batch.base_url))
    return Answer(problem.status, body, lasting=problem.retry is Retry.NEVER)


def _refused(batch: _Batch, draft: Draft) -> tuple[Mapping[str, str], ...]:
    """Who gets no delivery of it, each once: no reason, no date."""
    unwanted = (each.addr for each in (*draft.to, *draft.cc, *draft.bcc) if each.addr in batch.suppressed)
    return tuple({"to": addr, "code": "recipient_suppressed"} for addr in dict.fromkeys(unwanted))


def _facts(batch: _Batch, draft: Draft) -> Facts:
    caller, place, known = batch.caller, batch.place, batch.known
    lineage = runs.lineage_of(draft, place, known)
    left = draft.without(batch.suppressed)
    mine = {*runs.base_scopes(caller, place), *runs.run_scopes(caller, lineage)}
    return Facts(
        now=place.now,
        stream=caller.stream,
        stream_kind=place.stream_kind,
        policy_version=place.policy_version,
        domain=place.domain,
        signed=place.signed,
        stopped_scope=next((scope for scope in place.stops if scope in mine), None),
        weak_scope=_weak_scope(batch, left, mine),
        run_cancelled=any(known[name].cancelled for name in lineage[-2:] if name in known),
        expires_at=_expiry(draft, place),
        forecast_at=batch.queue.last(left, place),
        recipients=len(left.recipients),
        recipients_per_message=None if caller.exempt else caller.recipients_per_message,
        budgets=_bounds(batch, draft),
        degraded=place.degraded,
        exempt=caller.exempt,
        suppressed=batch.suppressed,
        test_names=settings.AO_ALLOW_TEST_NAMES,
    )


def _weak_scope(batch: _Batch, draft: Draft, mine: set[str]) -> str | None:
    """The first scope of a draft whose evidence is weak; towards whom it goes matters too."""
    if not batch.place.weak:
        return None
    providers = {batch.providers.get(mailbox.domain, "") for mailbox in draft.recipients}
    towards = {f"domain_provider:{batch.place.domain}/{provider}" for provider in providers}
    return next((scope for scope in batch.place.weak if scope in mine | towards), None)


def _enter(
    batch: _Batch, draft: Draft, verdict: Verdict, unwanted: tuple[Mapping[str, str], ...]
) -> Accepted:
    """Gather the rows of one accepted draft, and what its sender is told."""
    load = _load(batch, draft)
    run = _run_with_lanes(batch, draft)
    charged = batch.budgets.draw(load)
    key = ids.new_id(int(batch.place.now.timestamp() * 1000))
    status = Status.HELD if verdict.holds else Status.QUEUED
    code = verdict.holds[0].code if verdict.holds else ""
    budget = shown(batch.budgets.of(load))
    accepted = replace(
        _accepted(batch, draft, verdict, key, run, status, code), refused=unwanted, budget=budget
    )
    batch.messages.append(_message_row(batch, draft, accepted, run) | {"charged": charged})
    batch.deliveries += _delivery_rows(batch, draft, accepted, run, code)
    batch.attachments += [
        (key, ordinal, part.filename, part.content_type, part.content_id, part.content)
        for ordinal, part in enumerate(draft.attachments)
    ]
    return accepted


def _run_with_lanes(batch: _Batch, draft: Draft) -> KnownRun:
    name = runs.name_of(draft, batch.place)
    if name not in batch.known:
        if not runs.open_run(draft, name, batch.caller, batch.known):
            raise Spent  # it may have another parent than this draft was judged under
        batch.known |= facts.read(batch.caller.agent_id, batch.caller.stream_id, [name]).known
    needed = {batch.providers[mailbox.domain] for mailbox in draft.recipients}
    if not needed <= set(batch.known[name].lanes):
        batch.known[name] = runs.open_lanes(batch.known[name], needed, batch.caller, batch.place)
    return batch.known[name]


def _accepted(
    batch: _Batch, draft: Draft, verdict: Verdict, key: UUID, run: KnownRun, status: Status, code: str
) -> Accepted:
    place = batch.place
    forecasts = batch.queue.join(draft, place) if not verdict.holds else {}
    return Accepted(
        id=key,
        status=str(status),
        created_at=place.now,
        header_id=f"<{ids.printed('msg', key)[4:]}@{place.domain}>",
        stream=batch.caller.stream,
        run_id=run.name,
        verdict=verdict.word,
        reasons=tuple({"code": hold.code, "detail": hold.detail} for hold in verdict.holds),
        policy_version=place.policy_version,
        deliveries=tuple(
            AcceptedDelivery(
                id=ids.delivery_id(key, ordinal),
                to=mailbox.addr,
                status=str(status),
                reason=code or None,
                forecast_at=forecasts.get(mailbox.domain),
            )
            for ordinal, mailbox in enumerate(draft.recipients, 1)
        ),
        refused=(),
        budget={},
        scheduled_at=draft.scheduled_at,
        expires_at=_expiry(draft, place),
    )


def _expiry(draft: Draft, place: Place) -> datetime:
    life = TRANSACTIONAL_LIFE if place.stream_kind == "transactional" else LIFE
    return draft.expires_at or (draft.scheduled_at or place.now) + life


def _message_row(batch: _Batch, draft: Draft, accepted: Accepted, run: KnownRun) -> dict[str, Any]:
    sender = draft.sender or _default_sender(batch.place.default_sender or "")
    return {
        "id": accepted.id,
        "agent_id": batch.caller.agent_id,
        "stream_id": batch.caller.stream_id,
        "domain_id": batch.place.domain_id,
        "run_id": run.id,
        "created_at": accepted.created_at,
        "scheduled_at": draft.scheduled_at,
        "expires_at": accepted.expires_at,
        "header_id": accepted.header_id,
        "sender": sender.addr,
        "addressing": {
            "from": _written(sender),
            **{
                name: [_written(each) for each in getattr(draft, name)]
                for name in ("to", "cc", "bcc", "reply_to")
            },
        },
        "addresses": [delivery.to for delivery in accepted.deliveries],
        "subject": draft.subject,
        "text": draft.text,
        "html": draft.html,
        "headers": draft.headers,
        "tags": draft.tags,
        "context": {"on_behalf_of": draft.on_behalf_of, "purpose": draft.purpose},
        "decision": {
            "verdict": accepted.verdict,
            "reasons": accepted.reasons,
            "policy_version": accepted.policy_version,
        },
        "refused": accepted.refused,
        "attachment_count": len(draft.attachments),
        "size": _size(draft),
    }


def _delivery_rows(
    batch: _Batch, draft: Draft, accepted: Accepted, run: KnownRun, code: str
) -> Iterator[dict[str, Any]]:
    due: datetime = draft.scheduled_at or accepted.created_at
    for delivery in accepted.deliveries:
        yield {
            "id": delivery.id,
            "message_id": accepted.id,
            "lane_id": run.lanes[batch.providers[delivery.to.rpartition("@")[2]]],
            "recipient": delivery.to,
            "priority": draft.priority,
            "next_attempt_at": due,
            "expires_at": accepted.expires_at,
            "status": delivery.status,
            "code": code,
        }


def _write(batch: _Batch) -> None:
    if batch.messages:
        ledger.enter(batch.messages, batch.deliveries, actor=f"agent:{batch.caller.agent}")
        ledger.enter_attachments(batch.attachments)
        alarm.ring_on_commit()
    answers.keep(batch.remembered, batch.caller.agent_id)
    batch.budgets.spend()


@functools.lru_cache(maxsize=1000)
def _default_sender(text: str) -> Mailbox:
    return parse_mailbox(text)


def _size(draft: Draft) -> int:
    """Octets of what has to be held in memory to send it, about."""
    bodies = len(draft.text) + len(draft.html or "")
    return bodies + sum(len(part.content) for part in draft.attachments)


def _written(mailbox: Mailbox) -> dict[str, str]:
    return {"name": mailbox.name, "local": mailbox.local, "domain": mailbox.domain}

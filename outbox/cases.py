"""Drafts of one call before the rules: what was read for all of them, and what those before one change for it.

One reading serves a call, for one draft or a thousand; each draft that is accepted is counted before the next is
judged, so that a batch meets the same rules as its messages one by one. Writes nothing: ``intake`` does, ``preflight``
does not. An agent that rules do not hold is asked nothing more about than where its mail leaves from.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from outbox import approvals, budgets, duplicates, facts, policies, runs
from outbox.budgets import Charge, Purchase
from outbox.duplicates import Likenesses
from outbox.entries import expiry
from outbox.facts import KnownRun, Picture, Place
from outbox.keys import Caller
from outbox.limits import Budget, Load
from outbox.payloads import Draft
from outbox.policies import Facts, Verdict
from outbox.queueing import Queue
from reputation.families import families
from reputation.killswitch import scope_of
from reputation.outlook import outlooks


@dataclass(slots=True)
class Call:
    """What one call read, and what its drafts so far have added.

    ``loops``: runs that must be stopped once this is committed, by scope, and why.
    """

    caller: Caller
    picture: Picture
    place: Place
    known: dict[str, KnownRun]
    providers: Mapping[str, str]
    queue: Queue
    budgets: Purchase
    likenesses: Likenesses
    projected_wait: float | None
    recent: Counter[str]  # recipients lately, by the root of their tree of runs
    accepted: int = 0
    loops: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One draft, judged: to whom it would go, and who of its recipients gets nothing (to, code)."""

    facts: Facts
    verdict: Verdict
    left: Draft
    load: Load
    refused: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """A draft that passed: the cluster of content that it joined, and what goes back with each of its recipients."""

    cluster: int | None
    charged: list[Charge] | None


def read(drafts: Sequence[Draft], caller: Caller) -> Call:
    """All that the rules will want to know of these drafts."""
    addresses = {mailbox.addr for draft in drafts for mailbox in (*draft.to, *draft.cc, *draft.bcc)}
    names = run_names(drafts)
    picture = facts.read(caller.agent_id, caller.stream_id, names, addresses, judged=not caller.exempt)
    left = [draft.without(picture.suppressed) for draft in drafts]
    providers = families({mailbox.domain for draft in left for mailbox in draft.recipients})
    queue = _queue(left, picture.place, providers)
    return call_of(drafts, caller, picture, providers, queue)


def call_of(
    drafts: Sequence[Draft], caller: Caller, picture: Picture, providers: Mapping[str, str], queue: Queue
) -> Call:
    """The call whose place was read already."""
    place, known, recent = picture.place, picture.known, Counter(picture.history.recent)
    if caller.exempt:
        return Call(caller, picture, place, known, providers, queue, Purchase(), Likenesses(), None, recent)
    left = (draft.without(picture.suppressed) for draft in drafts)
    purchase = budgets.read(caller.agent_id, (_load_of(draft, place, known) for draft in left))
    wait = approvals.projected_wait(caller.stream_id).p50
    likenesses = _likenesses(drafts, caller, picture)
    return Call(caller, picture, place, known, providers, queue, purchase, likenesses, wait, recent)


def wait_for_turn(call: Call, drafts: Iterable[Draft]) -> None:
    """Count trees of runs anew that may still write to somebody unheld, behind whoever is at it. In a transaction.

    Posts at the same time would not see each other, and any number of them pass the bound. Once a tree is above it
    nobody waits any more, so that a flood that is held is not slowed down.
    """
    policy = call.picture.policy
    if call.caller.exempt or not policy.run_recipients:
        return
    roots = {_root(call, draft) for draft in drafts}
    near = [root for root in roots if call.recent[root] <= policy.run_recipients]
    if near:
        for root, recipients in facts.recent_in_turn(call.caller.agent_id, near, policy).items():
            call.recent[root] = recipients


def judged(call: Call, draft: Draft) -> Case:
    """What the rules say of one draft, behind those that were taken before it."""
    misplaced = runs.check_parent(draft, call.known)
    told, left, again = _told(call, draft)
    verdict = Verdict(refusal=misplaced) if misplaced else policies.judge(draft, told)
    if again and (verdict.refusal is None or verdict.refusal.code == "duplicate_content"):
        everybody = {each.addr for each in (*draft.to, *draft.cc, *draft.bcc)}
        call.likenesses.turn_away(draft.without(everybody - again))
        if why := policies.loop(told):
            _stop(call, draft, why)
    return Case(told, verdict, left, load(call, left), _refused(draft, left, call.picture.suppressed, again))


def take(call: Call, case: Case, key: UUID) -> Taken:
    """Count a draft that passed, for those behind it."""
    charged = call.budgets.draw(case.load)
    call.recent[_root(call, case.left)] += len(case.left.recipients)
    call.accepted += 1
    return Taken(call.likenesses.add(case.left, key), charged)


def forecasts(call: Call, case: Case) -> dict[str, datetime | None]:
    """When each recipient's domain would be through. What is held joins no queue: if released now."""
    look = call.queue.ends if case.verdict.holds else call.queue.join
    return look(case.left, call.place)


def opened(call: Call, draft: Draft, run: KnownRun) -> None:
    """A draft that passed is the first of its run: those behind it find it there."""
    call.known[run.name] = run
    call.budgets.open(run.name, runs.principal_of(draft))


def facts_of(call: Call, draft: Draft) -> Facts:
    """What the rules may know of one draft."""
    return _told(call, draft)[0]


def bounds(call: Call, draft: Draft) -> tuple[Budget, ...]:
    """The budgets that a draft would draw on, as they stand."""
    return call.budgets.of(load(call, draft))


def load(call: Call, draft: Draft) -> Load:
    """What a draft to those who may be mailed asks of the budgets, before its run is opened."""
    return _load_of(draft, call.place, call.known)


def in_one_run(call: Call, drafts: Iterable[Draft]) -> Load:
    """The run that all drafts belong to, as what asks for nothing; without it, if they belong to several."""
    lineages = {load(call, draft).lineage for draft in drafts} if not call.caller.exempt else set()
    return Load(lineages.pop()) if len(lineages) == 1 else Load()


def run_names(drafts: Iterable[Draft]) -> set[str]:
    """The runs that drafts name."""
    names = (name for draft in drafts for name in (draft.run_id, draft.parent_run_id))
    return {name for name in names if name}


def _likenesses(drafts: Sequence[Draft], caller: Caller, picture: Picture) -> Likenesses:
    """What is like these drafts, where the stream compares at all."""
    policy = picture.policy
    if not (policy.duplicate_hours or policy.cluster_size):
        return Likenesses()
    left = [draft.without(picture.suppressed) for draft in drafts]
    window = timedelta(hours=policy.duplicate_hours) or duplicates.WINDOW
    return duplicates.read(left, caller, window, policy.footers)


def _told(call: Call, draft: Draft) -> tuple[Facts, Draft, frozenset[str]]:
    """The facts; who is left of the recipients; and who is not, for having had the same."""
    picture = call.picture
    left = draft.without(picture.suppressed)
    told = _facts(call, draft, left)
    again = policies.duplicates(left, told)
    return (
        (told, left, again)
        if not again
        else (_narrowed(call, told, left.without(again)), left.without(again), again)
    )


def _narrowed(call: Call, told: Facts, left: Draft) -> Facts:
    return replace(
        told,
        recipients=len(left.recipients),
        budgets=bounds(call, left),
        forecast_at=call.queue.last(left, call.place),
        weak_scope=_weak_scope(call, left),
    )


def _facts(call: Call, draft: Draft, left: Draft) -> Facts:
    caller, place, known, picture = call.caller, call.place, call.known, call.picture
    lineage = runs.lineage_of(draft, place, known)
    mine = _scopes(call, lineage)
    return Facts(
        now=place.now,
        stream=caller.stream,
        stream_kind=place.stream_kind,
        policy_version=place.policy_version,
        domain=place.domain,
        signed=place.signed,
        stopped_scope=next((scope for scope in place.stops if scope in mine), None),
        weak_scope=_weak_scope(call, left),
        run_cancelled=any(known[name].cancelled for name in lineage[-2:] if name in known),
        expires_at=expiry(draft, place),
        forecast_at=call.queue.last(left, place),
        recipients=len(left.recipients),
        recipients_per_message=None if caller.exempt else caller.recipients_per_message,
        budgets=bounds(call, left),
        degraded=place.degraded,
        exempt=caller.exempt,
        suppressed=picture.suppressed,
        test_names=settings.AO_ALLOW_TEST_NAMES,
        policy=picture.policy,
        likeness=call.likenesses.of(left),
        first_contacts=picture.strangers,
        run_recent=call.recent[lineage[0]],
        accepted_before=picture.history.accepted_before + call.accepted,
        own_domains=picture.history.own_domains,
        projected_wait=call.projected_wait,
    )


def _load_of(draft: Draft, place: Place, known: Mapping[str, KnownRun]) -> Load:
    lineage = runs.lineage_of(draft, place, known)
    return Load(
        lineage,
        draft.run_id is not None and len(lineage) == 1 and draft.run_id not in known,
        draft.on_behalf_of,
        len(draft.recipients),
        frozenset(mailbox.domain for mailbox in draft.recipients),
        sum(len(part.content) for part in draft.attachments),
    )


def _root(call: Call, draft: Draft) -> str:
    return runs.lineage_of(draft, call.place, call.known)[0]


def _scopes(call: Call, lineage: Sequence[str]) -> set[str]:
    return {*runs.base_scopes(call.caller, call.place), *runs.run_scopes(call.caller, lineage)}


def _weak_scope(call: Call, left: Draft) -> str | None:
    """The first scope of a draft whose evidence is weak; towards whom it goes matters too."""
    if not call.place.weak:
        return None
    mine = _scopes(call, runs.lineage_of(left, call.place, call.known))
    providers = {call.providers.get(mailbox.domain, "") for mailbox in left.recipients}
    towards = {f"domain_provider:{call.place.domain}/{provider}" for provider in providers}
    return next((scope for scope in call.place.weak if scope in mine | towards), None)


def _stop(call: Call, draft: Draft, why: str) -> None:
    """The rest of the call meets the stop that is to come."""
    scope = scope_of("run", f"{call.caller.agent}/{runs.name_of(draft, call.place)}")
    call.loops.setdefault(scope, why)
    call.place = replace(call.place, stops=[*call.place.stops, scope])


def _refused(
    draft: Draft, left: Draft, suppressed: Collection[str], again: Collection[str]
) -> tuple[Mapping[str, str], ...]:
    """The addresses that get no delivery of it, each once: no reason, no date. One person's others are among them."""
    everybody = dict.fromkeys(each.addr for each in (*draft.to, *draft.cc, *draft.bcc))
    mailed = {mailbox.addr for mailbox in left.recipients}
    codes = {**dict.fromkeys(again, "duplicate_content"), **dict.fromkeys(suppressed, "recipient_suppressed")}
    return tuple(
        {"to": addr, "code": codes.get(addr, "duplicate_recipient")}
        for addr in everybody
        if addr not in mailed
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

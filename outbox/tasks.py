"""Celery's shell: each task is a hint to look, takes nothing or an id, and calls one function."""

from celery import shared_task

from outbox import (
    answers,
    audit,
    budgets,
    duplicates,
    house,
    knocks,
    ledger,
    purging,
    quarantine,
    recheck,
    relayed,
    releasing,
    summons,
    webhooks,
    worker,
)
from reputation import domains, judging, valves


@shared_task(name="outbox.dispatch")  # type: ignore[untyped-decorator]
def dispatch() -> None:
    """Look for due deliveries."""
    worker.dispatcher().poke()


@shared_task(name="outbox.rescue")  # type: ignore[untyped-decorator]
def rescue() -> None:
    """Take back what dead workers held."""
    ledger.rescue()


@shared_task(name="outbox.expire")  # type: ignore[untyped-decorator]
def expire() -> None:
    """End what waited past its life or was reported early, and send again what a stream wants sent again."""
    ledger.expire()
    ledger.catch_up()
    ledger.resend_uncertain()


@shared_task(name="outbox.reopen")  # type: ignore[untyped-decorator]
def reopen() -> None:
    """Go on with reopenings and purges; close what nobody confirmed."""
    recheck.tend()
    purging.tend()


@shared_task(name="outbox.decide")  # type: ignore[untyped-decorator]
def decide() -> None:
    """Carry out what people decided about held mail; lapse what nobody did."""
    releasing.tend()


@shared_task(name="outbox.judge")  # type: ignore[untyped-decorator]
def judge() -> None:
    """Judge what nobody has judged yet, close what is proven, let go what waited for better evidence."""
    judging.judge()
    ledger.release_rechecked()


@shared_task(name="outbox.rouse")  # type: ignore[untyped-decorator]
def rouse() -> None:
    """Wake lanes that were overlooked."""
    ledger.rouse()


@shared_task(name="outbox.keep_house")  # type: ignore[untyped-decorator]
def keep_house() -> None:
    """Make the partitions of the months to come, forget old answers, prints and what was quarantined."""
    kept = (answers, budgets, duplicates, quarantine, relayed, knocks, webhooks, judging, releasing)
    house.do_each(house.make_partitions, house.forget_sessions, *(room.forget for room in kept))


@shared_task(name="outbox.verify_domain")  # type: ignore[untyped-decorator]
def verify_domain(domain_id: int) -> None:
    """Look up what a sending domain has to publish: a person asked."""
    domains.verify(domain_id)


@shared_task(name="outbox.verify_due")  # type: ignore[untyped-decorator]
def verify_due() -> None:
    """Look up what sending domains have to publish, those that are due; let go what waited for it."""
    domains.verify_due()
    ledger.release_rechecked()


@shared_task(name="outbox.tend_keys")  # type: ignore[untyped-decorator]
def tend_keys() -> None:
    """Rotate signing keys that are due, as far as the DNS shows the new ones."""
    domains.tend_keys()


@shared_task(name="outbox.tally")  # type: ignore[untyped-decorator]
def tally() -> None:
    """Count what waits behind ramps, for forecasts; open and half-open valves whose time has come."""
    ledger.tally_waiting()
    valves.tend()


@shared_task(name="outbox.look_at_audit")  # type: ignore[untyped-decorator]
def look_at_audit() -> None:
    """Verify a step of the audit's chain."""
    audit.look()


@shared_task(name="outbox.summon")  # type: ignore[untyped-decorator]
def summon() -> None:
    """Write to reviewers when requests wait that they were not told of."""
    summons.summon()

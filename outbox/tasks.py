"""Celery's shell: each task is a hint to look, takes nothing and calls one function."""

from celery import shared_task

from outbox import answers, house, ledger, worker


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
    """End what waited past its life, and send again what a stream wants sent again."""
    ledger.expire()
    ledger.resend_uncertain()


@shared_task(name="outbox.rouse")  # type: ignore[untyped-decorator]
def rouse() -> None:
    """Wake lanes that were overlooked."""
    ledger.rouse()


@shared_task(name="outbox.keep_house")  # type: ignore[untyped-decorator]
def keep_house() -> None:
    """Forget old answers, make the partitions of the months to come."""
    answers.forget()
    house.forget_sessions()
    house.make_partitions()

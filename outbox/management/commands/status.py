"""``manage.py status``: what is stopped, who has acknowledged it, what waits."""

from typing import Any

from django.core.management.base import BaseCommand

from outbox import proof
from reputation import reopening


class Command(BaseCommand):
    help = "What is stopped, who has acknowledged it, and what waits."
    requires_system_checks = ()  # with settings under which nothing else starts, too

    def handle(self, *args: Any, **options: Any) -> None:
        self._stops(proof.stops())
        for glass in reopening.half_open():
            self.stdout.write(
                f"HALF OPEN {glass.scope}: {glass.who} broke the glass; it closes again at "
                f"{glass.closes_at:%Y-%m-%d %H:%M:%S %Z} unless another person confirms it on its page."
            )
        self._workers(proof.workers())
        for row in proof.backlog():
            due = f"   the first is due {row.oldest:%Y-%m-%d %H:%M:%S %Z}" if row.oldest else ""
            self.stdout.write(f"{row.status:<10} {row.deliveries:>9}{due}")

    def _stops(self, stops: list[proof.StopProof]) -> None:
        if not stops:
            self.stdout.write("Nothing is stopped.")
        for one in stops:
            stop = one.stop
            self.stdout.write(
                f"STOPPED {stop.scope} since {stop.tripped_at:%Y-%m-%d %H:%M:%S.%f %Z} (epoch {stop.epoch}) "
                f"by {stop.who}: {stop.why or 'no reason given yet'}"
            )
            self.stdout.write(
                f"  cleared before it and still open then: {one.cleared_before}; cleared after it: {one.cleared_after} "
                "(must be 0)"
            )

    def _workers(self, workers: list[proof.Worker]) -> None:
        if not workers:
            self.stdout.write("No worker is running.")
        for worker in workers:
            state = "alive" if worker.alive else "lease lapsed"
            self.stdout.write(f"worker {worker.name:<30} {state:<13} acknowledged epoch {worker.epoch_seen}")

"""``manage.py verify [DOMAIN] [--watch]``: look up what sending domains have to publish, and say what is wrong."""

import textwrap
import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from reputation import domains
from reputation.models import RecordCheck, SendingDomain

WATCH_SECONDS: Final = 15.0
WIDTH: Final = 110
GOOD: Final = ("right", "advice")


class Command(BaseCommand):
    help = "Check the records of one sending domain, or of all; fails unless all that is needed is right."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "domain", nargs="?", help="one sending domain; without it all that are not retired"
        )
        parser.add_argument("--watch", action="store_true", help="again until all that is needed is right")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = self._wanted(options["domain"])
        while unready := [domain for domain in wanted if not self._verify(domain)]:
            if not (options["watch"] and _rested()):
                raise CommandError(f"Not as it must be: {', '.join(domain.name for domain in unready)}.")
            wanted = unready

    def _wanted(self, name: str | None) -> list[SendingDomain]:
        living = SendingDomain.objects.exclude(state=SendingDomain.State.RETIRED).order_by("name")
        found = list(living.filter(name=name.lower()) if name else living)
        if not found:
            raise CommandError(f"There is no sending domain {name or 'yet'}.")
        return found

    def _verify(self, domain: SendingDomain) -> bool:
        """Check it and print its table; whether all that is needed is right."""
        checked = domains.verify(domain.pk)
        if checked is None:
            self.stdout.write(f"{domain}: a check is under way; this is what it has found so far.")
        else:
            was = f" (was {checked.before})" if checked.before != checked.after else ""
            self.stdout.write(f"{domain}: {checked.after}{was}")
        for row in domain.records.all():
            self._row(row)
        return checked is not None and not checked.open_points

    def _row(self, row: RecordCheck) -> None:
        optional = "" if row.needed else "  (not needed)"
        self.stdout.write(f"  {row.verdict:<10}{row.name} {row.type}{optional}")
        for line in textwrap.wrap(row.words, WIDTH):
            self.stdout.write(f"            {line}")


def _rested() -> bool:
    """Wait for the next look; False if somebody pressed Ctrl-C."""
    try:
        time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return False
    return True

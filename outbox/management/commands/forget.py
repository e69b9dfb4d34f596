"""``manage.py forget --months N``: drop mail that is over and older than that, as the owner. docs/retention.md."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from outbox import retention
from reputation import sql


class Command(BaseCommand):
    help = "Forget mail that is over, by whole months. What is open keeps its month and all later ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--months", type=int, required=True, help="how many whole months are kept")

    def handle(self, *args: Any, **options: Any) -> None:
        if sql.OWNER not in settings.DATABASES:
            raise CommandError("Set DATABASE_OWNER_URL to the role that owns the tables.")
        try:
            for month in retention.forget(options["months"]):
                if month.open:
                    raise CommandError(
                        f"{month.begins:%Y-%m} stays, and all after it: {month.open:,} of its deliveries or of earlier "
                        "ones are open. Uncertain ones wait for a person, in the admin."
                    )
                self.stdout.write(f"Forgot {month.begins:%Y-%m}: {month.rows:,} rows beside its partitions.")
        except ValueError as error:
            raise CommandError(f"--months: {error}.") from None
        except Error as error:
            raise CommandError(f"Not now, try again: {error}") from None

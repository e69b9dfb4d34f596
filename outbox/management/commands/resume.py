"""``manage.py resume KIND [KEY] --why ...``: open a stopped scope again."""

from argparse import ArgumentParser
from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from outbox import alarm, ledger, scopes
from reputation import killswitch


class Command(BaseCommand):
    help = "Open a stopped scope again. Say why it is safe."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind")
        parser.add_argument("key", nargs="?", default="")
        parser.add_argument("--why", required=True, help="why it is safe to send again")
        parser.add_argument("--who", default=f"{getuser()} (command line)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            scope = self._scope(options["kind"], options["key"])
            done = killswitch.resume(scope, who=options["who"], why=options["why"])
        except (killswitch.UnknownScope, killswitch.NotTripped, ValueError) as error:
            raise CommandError(str(error)) from None
        lanes = ledger.unpark(scope)
        alarm.ring()
        self.stdout.write(f"Resumed {done.scope} at {done.at:%Y-%m-%d %H:%M:%S.%f %Z}, epoch {done.epoch}.")
        self.stdout.write(
            f"{lanes} waiting lanes may send again; deliveries that were set aside follow within two minutes."
        )

    def _scope(self, kind: str, key: str) -> str:
        """The stop that is meant: a run may be named without its agent."""
        try:
            return scopes.named(kind, key)
        except scopes.NoSuchScope:
            return killswitch.scope_of(kind, key)

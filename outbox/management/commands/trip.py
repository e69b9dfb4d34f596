"""``manage.py trip KIND [KEY]``: close a scope now."""

from argparse import ArgumentParser
from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from outbox import proof, scopes
from reputation import killswitch


class Command(BaseCommand):
    help = "Close a scope: once this returns, no message in it can be sent any more."
    requires_system_checks = ()  # with settings under which nothing else starts, too

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", help="all, agents, stream, agent, run, domain, provider, ...")
        parser.add_argument("key", nargs="?", default="", help="which one; not for all and agents")
        parser.add_argument("--why", default="", help="the reason, for those who come after")
        parser.add_argument("--who", default=f"{getuser()} (command line)")
        parser.add_argument("--anyway", action="store_true", help="even if nothing has that name yet")

    def handle(self, *args: Any, **options: Any) -> None:
        scope = self._scope(**options)
        before = {stop.scope: stop for stop in killswitch.open_stops()}.get(scope)
        done = killswitch.trip(scope, who=options["who"], why=options["why"])
        if before:
            self.stdout.write(f"{scope} was stopped already, since {before.tripped_at:%Y-%m-%d %H:%M:%S %Z}.")
        else:
            self.stdout.write(f"Stopped {scope} at {done.at:%Y-%m-%d %H:%M:%S.%f %Z}, epoch {done.epoch}.")
        self.stdout.write(f"It covers {proof.waiting(scope)} deliveries that wait now.")
        self.stdout.write("`manage.py status` shows what was cleared before it and who has acknowledged.")

    def _scope(self, *, kind: str, key: str, anyway: bool, **_: Any) -> str:
        try:
            return killswitch.scope_of(kind, key) if anyway else scopes.named(kind, key)
        except killswitch.UnknownScope as error:
            raise CommandError(str(error)) from None
        except scopes.NoSuchScope as error:
            raise CommandError(f"{error} Nothing was stopped; --anyway stops the name as it is.") from None

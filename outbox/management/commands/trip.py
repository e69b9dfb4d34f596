"""``manage.py trip KIND [KEY]``: close a scope now."""

from argparse import ArgumentParser
from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reputation import killswitch


class Command(BaseCommand):
    help = "Close a scope: once this returns, no message in it can be sent any more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", help="all, agents, stream, agent, run, domain, provider, ...")
        parser.add_argument("key", nargs="?", default="", help="which one; not for all and agents")
        parser.add_argument("--why", default="", help="the reason; it can be filled in later")
        parser.add_argument("--who", default=f"{getuser()} (command line)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            scope = killswitch.scope_of(options["kind"], options["key"])
        except killswitch.UnknownScope as error:
            raise CommandError(str(error)) from None
        done = killswitch.trip(scope, who=options["who"], why=options["why"])
        self.stdout.write(f"Stopped {done.scope} at {done.at:%Y-%m-%d %H:%M:%S.%f %Z}, epoch {done.epoch}.")
        self.stdout.write("`manage.py status` shows what was cleared before it and who has acknowledged.")

"""``manage.py resume KIND [KEY] --why ...``: open a stopped scope again, in steps."""

import time
from argparse import ArgumentParser
from getpass import getuser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from outbox import recheck, scopes
from reputation import killswitch, reopening
from reputation.models import OpenStop, Reopening

LOOK_SECONDS: Final = 1.0


class Command(BaseCommand):
    help = (
        "Open a stopped scope again. Say why it is safe. What waits is looked at again first; a tenth goes at once, the"
        " rest when that has been watched. Nobody is asked for a password here: whoever may run this may open anything,"
        " and --second is their word for it that another person agrees, kept with the resume."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind")
        parser.add_argument("key", nargs="?", default="")
        parser.add_argument("--why", required=True, help="why it is safe to send again")
        parser.add_argument("--who", default=f"{getuser()} (command line)")
        parser.add_argument("--second", default="", help="who agrees: owed where a rule made the stop")
        parser.add_argument("--whole", action="store_true", help="a false alarm: not in steps, ramps stay")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            row = self._begun(self._scope(options["kind"], options["key"]), **options)
        except (killswitch.UnknownScope, killswitch.NotTripped, ValueError) as error:
            raise CommandError(str(error)) from None
        while row.state == Reopening.State.CHECKING:
            row = recheck.advance(row.pk, LOOK_SECONDS)
            if row.state == Reopening.State.CHECKING:
                self.stdout.write(
                    f"Looked at {row.looked} of {'?' if row.of is None else row.of} that wait ..."
                )
                time.sleep(LOOK_SECONDS)
        if row.state != Reopening.State.OPEN or row.opened_at is None:
            raise CommandError(f"{row.scope} was stopped again, or opened by other hands, before it opened.")
        self.stdout.write(
            f"Resumed {row.scope} at {row.opened_at:%Y-%m-%d %H:%M:%S.%f %Z}, epoch {row.resumed_epoch}."
        )
        fates = "".join(f", {number} {fate}" for fate, number in row.fates.items())
        self.stdout.write(
            f"Looked at {row.looked} that waited{fates}; what had come back within two minutes goes too."
        )

    def _begun(self, scope: str, *, who: str, second: str, why: str, whole: bool, **_: Any) -> Reopening:
        stop = OpenStop.objects.filter(scope=scope).first()
        if stop is None:
            raise killswitch.NotTripped(f"{scope} is not stopped.")
        if reopening.needs_two(stop) and (not second.strip() or second.strip() == who):
            raise CommandError(f"A rule has stopped {scope}: name who else agrees with --second.")
        return reopening.outright(stop, who=f"{who} and {second}" if second else who, why=why, whole=whole)

    def _scope(self, kind: str, key: str) -> str:
        """The stop that is meant: a run may be named without its agent."""
        try:
            return scopes.named(kind, key)
        except scopes.NoSuchScope:
            return killswitch.scope_of(kind, key)

"""``manage.py drill``: rehearse a stop on a canary stream, and measure how long until its last dot."""

from argparse import ArgumentParser
from getpass import getuser
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from outbox import drill
from outbox.models import Drill

SIMULATED: Final = [
    f"ok.canary@{domain}" for domain in ("gmail.test", "outlook.test", "yahoo.test", "corp.test")
]
FEW, MANY = 100, 1000


class Command(BaseCommand):
    help = (
        "Stop a canary stream under load and measure it. Needs running workers. Exits 1 if the stop leaked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stream", default="drill", help="a stream that nobody but the canary uses")
        parser.add_argument(
            "--to", action="append", metavar="ADDRESS", help="a mailbox of yours that takes the canary's mail"
        )
        parser.add_argument("--messages", type=int, help=f"{FEW}; to the simulator {MANY}")
        parser.add_argument("--who", default=f"{getuser()} (command line)")

    def handle(self, *args: Any, **options: Any) -> None:
        to, messages = options["to"], options["messages"]
        if not to and not settings.AO_ALLOW_TEST_NAMES:
            raise CommandError("Name a mailbox of yours that takes the canary's mail: --to ADDRESS.")
        if messages is not None and messages < 1:
            raise CommandError("--messages wants at least 1.")
        try:
            done = drill.rehearse(
                options["stream"], to or SIMULATED, messages or (FEW if to else MANY), options["who"]
            )
        except drill.NotRehearsed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(_told(done))
        if done.after or done.heard_seconds is None:
            raise CommandError(
                "THE STOP LEAKED: see docs/runbook.md." if done.after else "Not all workers heard it."
            )


def _told(done: Drill) -> str:
    heard = "not all of them" if done.heard_seconds is None else f"the last after {_ms(done.heard_seconds)}"
    return (
        f"{done.scope} was stopped under load: {done.messages} messages were accepted for it.\n"
        f"The trip took {_ms(done.trip_seconds)} from the order to its commit (epoch {done.epoch}).\n"
        f"{done.sent} had been cleared before it; the last of them was answered {_ms(done.zero_seconds)} after it.\n"
        f"Cleared after it: {done.after} (must be 0). Kept back and cancelled: {done.kept}.\n"
        f"Workers that acknowledged it, of {done.workers}: {heard}.\n"
        f"{done.scope} is open again."
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"

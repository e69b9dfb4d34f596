"""``manage.py after_restore``: for a database that was just restored from a backup, before any worker starts.

What the backup calls open may have gone out since: all of it becomes uncertain, and nothing is sent before a person has
looked. Safe to repeat. docs/restore.md says what was lost with the database.
"""

import time
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from getpass import getuser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from outbox import audit, doubt, proof, sessions
from reputation import killswitch
from reputation.viewing import stamp

# From the moment that people note to the one that a backup is of.
SLACK: Final = timedelta(minutes=1)
LOOK_SECONDS: Final = 0.2
NEXT: Final = """Everything is stopped, and nothing that was open will be sent by itself. Next:
1. Take over what people and receivers did since the backup: unsubscribes, complaints, revoked keys (docs/restore.md).
2. Start the workers and the web process. New posts of agents are refused while `all` is stopped.
3. Decide on what is uncertain, in the admin under "Uncertain deliveries": send again, or count it.
4. Resume `all` when 1 is done. Nothing uncertain goes out by that."""


def instant(text: str) -> datetime:
    """An RFC 3339 instant, with its offset."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        raise ArgumentTypeError(f"an instant such as 2026-11-23T04:00:00Z is wanted, not {text!r}") from None
    if at.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} has no offset: add Z, or +01:00")
    return at


class Command(BaseCommand):
    help = "Make a restored database safe: stop everything, and doubt whatever the backup calls open."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--backup-taken", type=instant, required=True, metavar="RFC3339")
        parser.add_argument("--why", required=True, help="why it was restored, for those who come after")
        parser.add_argument("--who", default=f"{getuser()} (command line)")

    def handle(self, *args: Any, **options: Any) -> None:
        taken, who, why = options["backup_taken"], options["who"], options["why"].strip()
        if not why:
            raise CommandError("Say why it was restored.")
        _check(taken)
        told = f"restored from the backup of {stamp(taken)}: {why}"
        stop = killswitch.trip("all", who=who, why=told)
        self.stdout.write(f"Stopped all at {stamp(stop.at)}, epoch {stop.epoch}.")
        ended = doubt.end_sessions()
        moved = 0
        while page := doubt.restored(who, told):
            moved += page
            self.stdout.write(f"{moved:,} deliveries are uncertain now ...")
        audit.write(who, "restored", "database", backup_taken=taken.isoformat(), why=why, deliveries=moved)
        self.stdout.write(f"{moved:,} deliveries were open and are uncertain now; sessions ended: {ended}.")
        self.stdout.write(NEXT)


def _check(taken: datetime) -> None:
    """Refuse a database that lives: this is for one that nobody has used since it was restored."""
    if taken > datetime.now(UTC):
        raise CommandError("The backup was taken in the future?")
    newest = doubt.newest()
    if newest is not None and newest > taken + SLACK:
        raise CommandError(
            f"This database holds mail of {stamp(newest)}, after {stamp(taken)}: it is not what that backup was "
            "restored to, or has been in use since. Nothing was changed."
        )
    if alive := _living():
        raise CommandError(
            f"A worker is alive here: {', '.join(alive)}. End it, wait until its lease is over, and say this again. "
            "Nothing was changed."
        )


def _living() -> list[str]:
    """Who holds a lease here. One that came with the backup runs out, which is waited for: nobody renews it."""
    deadline = time.monotonic() + sessions.LEASE_SECONDS
    first = {worker.id: worker.lease_until for worker in proof.workers()}
    while alive := [worker for worker in proof.workers() if worker.alive]:
        renewed = any(worker.lease_until != first.get(worker.id) for worker in alive)
        if renewed or time.monotonic() > deadline:
            return [worker.name for worker in alive]
        time.sleep(LOOK_SECONDS)
    return []

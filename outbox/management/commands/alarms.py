"""``manage.py alarms``: what is open, and whether anybody watches; ``--test`` tells the pager something harmless."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from outbox import alarms, pager
from outbox.models import Alarm, Vigil
from reputation.viewing import stamp

TEST = "This is a test of the pager: nothing is wrong."
STALE_SECONDS = 60


class Command(BaseCommand):
    help = "Show open alarms and who watches; with --test, try the pager and the heartbeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--test", action="store_true", help="tell the pager and the heartbeat, now")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["test"]:
            self._test()
            return
        seen = alarms.watch()
        for alarm in seen.alarms:
            self.stdout.write(f"{alarm.kind} {alarm.key} since {stamp(alarm.raised_at)}, {_told(alarm)}")
            self.stdout.write(f"  {alarm.words}\n  {alarms.runbook(alarm.kind)}")
        if not seen.alarms:
            self.stdout.write("No alarm is open.")
        self.stdout.write(_watched(seen.vigil))

    def _test(self) -> None:
        if not alarms.has_pager():
            raise CommandError("There is no pager: set AO_PAGER_URL or AO_PAGER_COMMAND.")
        now = timezone.now()
        try:
            alarms.page(alarms.payload(f"test_{now:%Y%m%d%H%M%S}", "test", "", TEST, now, now))
            if settings.AO_HEARTBEAT_URL:
                pager.call(settings.AO_HEARTBEAT_URL)
        except pager.NotTold as error:
            raise CommandError(f"It was not taken: {error}") from None
        self.stdout.write(
            "The pager took it." + (" So did the heartbeat." if settings.AO_HEARTBEAT_URL else "")
        )


def _told(alarm: Alarm) -> str:
    if alarm.told_at:
        return f"told {stamp(alarm.told_at)}"
    return (
        f"NOT TOLD: {alarm.said or 'not yet'}" if alarms.has_pager() else "told to nobody: there is no pager"
    )


def _watched(vigil: Vigil | None) -> str:
    if vigil is None:
        return "NOBODY HAS EVER WATCHED: start a worker or beat."
    words = f"Last judged {stamp(vigil.judged_at)} by {vigil.who}"
    if (timezone.now() - vigil.judged_at).total_seconds() > STALE_SECONDS:
        return f"NOBODY WATCHES. {words}."
    return f"{words}; could not be judged: {vigil.failed}." if vigil.failed else f"{words}."

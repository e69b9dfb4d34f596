"""``manage.py returns``: the listener for what comes in, on SMTP or LMTP. Ends on SIGTERM."""

import asyncio
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from outbox.checks import refuse_to_start
from outbox.listener import serve


def place(text: str) -> tuple[str, int]:
    """A ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ArgumentTypeError(f"HOST:PORT is wanted, not {text!r}")
    return host.strip("[]"), int(port)


class Command(BaseCommand):
    help = "Listen for bounces, complaints and what people write to postmaster."
    requires_system_checks = ()  # its own: the framework's load every page

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--listen", type=place, action="append", metavar="HOST:PORT", help="instead of AO_RETURNS"
        )
        parser.add_argument("--lmtp", action="store_true", help="speak LMTP, to an MTA of ours")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_to_start()
        places = options["listen"] or settings.AO_RETURNS
        try:
            asyncio.run(serve(places, self._say, lmtp=options["lmtp"]))
        except OSError as error:
            raise CommandError(f"Cannot listen: {error}") from None

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

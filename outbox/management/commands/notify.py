"""``manage.py notify``: the sender of webhooks. Ends on SIGTERM."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand

from outbox.checks import refuse_to_start
from outbox.notifier import serve


class Command(BaseCommand):
    help = "Tell endpoints of events, by Standard Webhooks."
    requires_system_checks = ()  # its own: the framework's load every page

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_to_start()
        asyncio.run(serve(self._say))

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

"""``manage.py mcp``: an agent's tools on standard input and output, for programs that start servers themselves."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from outbox import keys
from outbox.checks import refuse_to_start
from outbox.problems import Refused


class Command(BaseCommand):
    help = "Speak the Model Context Protocol on standard input and output, as the agent whose key is in AO_API_KEY."
    requires_system_checks = ()  # its own: the framework's load every page

    def handle(self, *args: Any, **options: Any) -> None:
        from outbox import mcp

        refuse_to_start()
        authorization = f"Bearer {os.environ.get('AO_API_KEY', '')}"
        try:
            keys.authenticate(authorization)
        except Refused as error:
            raise CommandError(f"{error.problem.detail} Set AO_API_KEY to an agent's key.") from None
        mcp.serve(authorization)

"""``manage.py audit``: what people and rules did, and whether the chain of it is whole (exit code 1 if not)."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import is_naive, make_aware

from outbox import audit
from outbox.models import Audit
from reputation.viewing import stamp, visible

SHOWN: Final = 50
BROKEN: Final = 1


class Command(BaseCommand):
    help = (
        "List what people and rules did, newest first; or verify that nothing of it was changed or removed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--verify", action="store_true", help="follow the chain from its first row to its last"
        )
        parser.add_argument(
            "--link", type=_link, help="with --verify: a link it printed once, which must still hold"
        )
        parser.add_argument(
            "--since", type=_instant, help="only from this instant on (ISO 8601; UTC unless it says)"
        )
        parser.add_argument("--who", help="only what they did")
        parser.add_argument("--subject", help="only what was done to it, as in agent:ada or user:rita")
        parser.add_argument("--limit", type=int, default=SHOWN, help="rows shown at most (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verify"]:
            self._verify(options["link"])
        else:
            self._list(options)

    def _verify(self, link: audit.Link | None) -> None:
        found = audit.verify()
        broken = found.broken or (audit.holds(link) if link else None)
        if broken:
            raise CommandError(f"BROKEN at row {broken.place}: {broken.words}.", returncode=BROKEN)
        self.stdout.write(f"The chain is whole: {found.rows} rows. Its last link is {found.upto}")
        self.stdout.write(
            "Keep that elsewhere: --verify --link proves later that nothing before it was written anew."
        )

    def _list(self, options: dict[str, Any]) -> None:
        wanted = {"at__gte": options["since"], "who": options["who"], "subject": options["subject"]}
        found = Audit.objects.filter(**{name: value for name, value in wanted.items() if value})
        for row in found.order_by("-pk")[: options["limit"]]:
            detail = " ".join(f"{name}={value}" for name, value in row.detail.items())
            self.stdout.write(visible(f"{stamp(row.at)}  {row.who}  {row.act}  {row.subject}  {detail}"))


def _link(text: str) -> audit.Link:
    return audit.link(text)


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return make_aware(at) if is_naive(at) else at

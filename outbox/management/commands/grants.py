"""``manage.py grants``: give the application's role and the groups of people their rights, after every migrate."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from outbox.people import make_groups
from reputation import sql


class Command(BaseCommand):
    help = "Give the application's database role and the groups their rights. Run it after `migrate --database owner`."

    def handle(self, *args: Any, **options: Any) -> None:
        if sql.OWNER not in settings.DATABASES:
            raise CommandError("Set DATABASE_OWNER_URL to the role that owns the tables.")
        application = settings.DATABASES["default"]["USER"]
        sql.one("SELECT ao_grant(%s)", [application], using=sql.OWNER)
        make_groups()
        self.stdout.write(f"{application} may run the application.")

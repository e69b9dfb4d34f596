"""``manage.py grants``: give the application's role its rights, after every migrate. Runs as the owner."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from reputation import sql


class Command(BaseCommand):
    help = "Give the application's database role its rights. Run it after `migrate --database owner`."

    def handle(self, *args: Any, **options: Any) -> None:
        if "owner" not in settings.DATABASES:
            raise CommandError("Set DATABASE_OWNER_URL to the role that owns the tables.")
        application = settings.DATABASES["default"]["USER"]
        sql.one("SELECT ao_grant(%s)", [application], using="owner")
        self.stdout.write(f"{application} may run the application.")

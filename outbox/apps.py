"""Django's registration of the app, and of the admin that it gives its own first page."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class OutboxConfig(AppConfig):
    name = "outbox"
    default = True
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from outbox import checks  # noqa: F401


class Admin(admin.SimpleAdminConfig):
    """Its pages are found by ``config.urls``: what serves none does not load them."""

    default_site = "outbox.admin_index.Site"

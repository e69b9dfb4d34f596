"""The admin's first page: its lists under headings, in the order in which people look for them.

Guarantees: what somebody may see is there once, under its heading; what has none stands at the end, under its app.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.text import slugify

# heading -> the models under it, by app and name
HEADINGS: Final[Mapping[str, str]] = {
    "Waiting for a person": "outbox.approval outbox.held outbox.uncertain outbox.quarantine",
    "Stops and alarms": "reputation.openstop reputation.switchevent outbox.alarm outbox.drill",
    "Agents and runs": "outbox.agent outbox.apikey outbox.organisation outbox.run outbox.policy outbox.contact",
    "Messages": "outbox.message outbox.delivery outbox.attempt outbox.event outbox.answer outbox.cluster",
    "What comes back": "outbox.signal reputation.suppression outbox.returncount",
    "Rules and evidence": "reputation.numbers reputation.judgement reputation.watch reputation.witness "
    "reputation.incident",
    "Streams and domains": "reputation.stream reputation.sendingdomain reputation.organisationaldomain",
    "Ramps and lanes": "reputation.ramp reputation.rampevent outbox.lane outbox.session",
    "Providers and routes": "reputation.route reputation.providerlimit reputation.providersuffix "
    "reputation.knowndomain reputation.tlspolicy",
    "Webhooks": "outbox.endpoint outbox.notice",
    "People": "outbox.audit outbox.decision auth.user auth.group otp_totp.totpdevice otp_static.staticdevice",
}

App = dict[str, Any]


class Site(AdminSite):
    """Django's, with headings of ours on its first page."""

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """By heading; of one app as Django has it."""
        apps: list[Any] = super().get_app_list(request, app_label)
        return apps if app_label else list(_under_headings(apps))


def _under_headings(apps: list[App]) -> Iterator[App]:
    rows = {row["model"]._meta.label_lower: row for app in apps for row in app["models"]}
    for heading, names in HEADINGS.items():
        found = [rows.pop(name) for name in names.split() if name in rows]
        if found:
            yield {"name": heading, "app_label": slugify(heading), "app_url": "", "models": found}
    for app in apps:
        if rest := [row for row in app["models"] if row["model"]._meta.label_lower in rows]:
            yield {**app, "models": rest}

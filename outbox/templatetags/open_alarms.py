"""Alarms that are not over, for the page people begin on: one line, or none."""

from typing import Any, Final

from django import template

from outbox.models import Alarm
from reputation.viewing import stamp

register = template.Library()

SHOWN: Final = 10


@register.inclusion_tag("admin/alarms.html", takes_context=True)
def open_alarms(context: dict[str, Any]) -> dict[str, Any]:
    """What is open, oldest first; one statement. Only for who may see alarms."""
    if not context["request"].user.has_perm("outbox.view_alarm"):
        return {}
    found = list(
        Alarm.objects.filter(ended_at=None).order_by("pk").values_list("kind", "raised_at")[: SHOWN + 1]
    )
    kinds = dict.fromkeys(kind.replace("_", " ") for kind, _ in found[:SHOWN])
    return {
        "kinds": ", ".join(kinds),
        "number": f"more than {SHOWN}" if len(found) > SHOWN else len(found),
        "since": stamp(found[0][1]) if found else "",
    }

"""What is stopped now, for the pages on which people must not miss it."""

from typing import Any, Final

from django import template

from reputation import killswitch
from reputation.viewing import stamp, visible

register = template.Library()

SHOWN: Final = 10


@register.inclusion_tag("admin/stops.html", takes_context=True)
def open_stops(context: dict[str, Any]) -> dict[str, Any]:
    """A banner with every open stop, oldest first, or nothing; one statement. Only for who may see stops."""
    may = context["request"].user.has_perm("reputation.view_openstop")
    stops = killswitch.open_stops() if may else []
    told = [
        {
            "scope": visible(stop.scope),
            "since": stamp(stop.tripped_at),
            "who": visible(stop.who),
            "why": visible(stop.why),
            "words": visible(stop.scope.replace(":", " ", 1)),
        }
        for stop in stops[:SHOWN]
    ]
    return {"stops": told, "more": max(len(stops) - SHOWN, 0)}

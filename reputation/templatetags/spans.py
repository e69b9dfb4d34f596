"""Lengths of time and shares in templates, in words that fit their size."""

from typing import Final

from django import template

register = template.Library()

UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


@register.filter
def span(seconds: float | None) -> str:
    """``45 s``, ``7 min``, ``3 h 20 min``, ``2 d 4 h``; nothing known is ``-``."""
    if seconds is None:
        return "-"
    left = max(round(seconds), 0)
    for place, (size, unit) in enumerate(UNITS):
        if left >= size:
            rest = (left % size) // UNITS[place + 1][0] if place + 1 < len(UNITS) else 0
            return f"{left // size} {unit}" + (f" {rest} {UNITS[place + 1][1]}" if rest else "")
    return f"{left} s"


@register.filter
def percent(share: float | None) -> str:
    """``98 %``; nothing known is ``-``."""
    return "-" if share is None else f"{100 * share:.0f} %"

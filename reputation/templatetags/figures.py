"""Numbers in templates, as they stand in sentences."""

from django import template

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """``12,345``."""
    return f"{number:,}"

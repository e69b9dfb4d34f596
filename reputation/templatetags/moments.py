"""Instants and other people's words in templates, as every page shows them."""

from django import template

from reputation import viewing

register = template.Library()
register.filter("timed", viewing.timed)
register.filter("visible", viewing.visible)

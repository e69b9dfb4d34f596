"""URLs of the outbox."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

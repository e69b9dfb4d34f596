"""The yardstick of accepting: bare django-ninja views that insert one row, or many, and do nothing else.

Same server, same database, same middleware-free Django one would begin with. `application` is the WSGI entry.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest
from django.urls import path

if not settings.configured:
    from config.settings import DATABASES

    settings.configure(
        DATABASES={"default": DATABASES["default"]},
        ROOT_URLCONF=__name__,
        SECRET_KEY=os.environ["SECRET_KEY"],
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=[],
        USE_TZ=True,
        DATA_UPLOAD_MAX_MEMORY_SIZE=36 * 1024 * 1024,
    )
    django.setup()

from django.db import models
from ninja import NinjaAPI, Schema


class Row(models.Model):
    """One accepted mail, as somebody in a hurry would store it."""

    recipient = models.TextField()
    subject = models.TextField()
    body = models.TextField()

    class Meta:
        app_label = "bench"
        db_table = "bench_row"
        managed = False


class Mail(Schema):
    """What is posted: the fields of the product's own post that matter here."""

    to: list[str]
    subject: str
    text: str
    agent: dict[str, Any]


api = NinjaAPI()


@api.post("/messages")
def one(request: HttpRequest, mail: Mail) -> dict[str, int]:
    """One row, one commit."""
    del request
    row = Row.objects.create(recipient=mail.to[0], subject=mail.subject, body=mail.text)
    return {"id": row.pk}


@api.post("/messages/batch")
def many(request: HttpRequest, mails: list[Mail]) -> dict[str, int]:
    """Many rows, one commit."""
    del request
    rows = [Row(recipient=mail.to[0], subject=mail.subject, body=mail.text) for mail in mails]
    return {"n": len(Row.objects.bulk_create(rows))}


urlpatterns = [path("v1/", api.urls)]
application = get_wsgi_application()

"""Runs inside django-post_office's own environment: queue N messages, send them, print the seconds that took.

`python post_office_run.py N PROCESSES THREADS`, with BENCH_DATABASE_URL and BENCH_SMTP_PORT.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

# not the folder of this file, in which modules are named like the packages they measure
sys.path[0] = str(Path(__file__).resolve().parents[2])


def configure(threads: int) -> None:
    """Django with nothing but post_office."""
    import django
    from django.conf import settings

    parts = urlsplit(os.environ["BENCH_DATABASE_URL"])
    query = parse_qs(parts.query)
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.lstrip("/"),
                "USER": parts.username,
                "PASSWORD": unquote(parts.password or ""),
                "HOST": query["host"][0],
                "PORT": query["port"][0],
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=int(os.environ["BENCH_SMTP_PORT"]),
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        USE_TZ=True,
        POST_OFFICE={
            "BATCH_SIZE": 100_000,
            "THREADS_PER_PROCESS": threads,
            "LOG_LEVEL": 0,
            "SENDING_ORDER": ["id"],
        },
    )
    django.setup()
    logging.disable(logging.CRITICAL)


def main(n: int, processes: int, threads: int) -> None:
    """Queue, send, tell."""
    configure(threads)
    from django.core.management import call_command
    from post_office import mail
    from post_office.models import Email

    from bench.backlog import recipient_of, text_of
    from bench.installation import SENDER

    call_command("migrate", verbosity=0, interactive=False)
    Email.objects.all().delete()
    drafts = [
        {
            "sender": SENDER,
            "recipients": [recipient_of(i)],
            "subject": f"Your night shift, {i}",
            "message": text_of(i),
        }
        for i in range(n)
    ]
    mail.send_many(drafts)
    began = time.monotonic()
    mail.send_queued(processes=processes)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))

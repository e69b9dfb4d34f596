"""WSGI entry point. It knows the Celery app, so that accepting a message can kick a worker."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django = get_wsgi_application()

from config import celery  # noqa: E402, F401  needs the settings
from config.proxies import behind_proxies  # noqa: E402  needs the settings
from outbox.checks import refuse_to_start  # noqa: E402  needs the settings

refuse_to_start(pages=True)
application = behind_proxies(django)

# What is loaded by now stays: a full collection that looks at all of it would hold up every request for 0.1 s.
gc.collect()
gc.freeze()

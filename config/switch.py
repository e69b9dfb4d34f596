"""WSGI entry point of the kill switch's own process: the page and the stop, whatever the web process is busy with.

Guarantees: its database connections are opened at the start, before anybody else has used them all up, and kept: tried
every second, replaced when lost. It starts also while the database cannot be reached, and with settings under
which nothing else would start: a stop must be possible then too.
"""

import logging
import os
import threading
import time
from typing import Final

from django.core.wsgi import get_wsgi_application
from django.db import connection, connections
from django.template.loader import get_template
from django.urls import get_resolver

os.environ["AO_SWITCH"] = "1"  # before the settings are read
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django = get_wsgi_application()

from config import celery  # noqa: E402, F401  needs the settings; a resume kicks a worker
from config.proxies import behind_proxies  # noqa: E402  needs the settings

application = behind_proxies(django)

logger = logging.getLogger(__name__)

TRIED_SECONDS: Final = 1.0  # whoever meets a lost one before that waits a second and gets a new one


def keep_connections() -> None:
    """Open the connections, then try them for ever, so that a lost one is replaced before somebody needs it."""
    pool = connections["default"].pool  # type: ignore[attr-defined]
    pool.open()
    while True:
        try:
            pool.check()
        except Exception as error:  # whatever it is, the next round may find it gone
            logger.warning("the reserved connections could not be tried: %s", error)
        time.sleep(TRIED_SECONDS)


def warm_up() -> None:
    """Read what the first request would have to: addresses, templates, a session's connection."""
    get_resolver().url_patterns  # noqa: B018
    for name in ("page", "stop", "timeline"):
        get_template(f"outbox/killswitch/{name}.html")
    try:
        connection.ensure_connection()
        connection.close()
    except Exception as error:  # it will be tried again
        logger.warning("the database cannot be reached yet: %s", error)


threading.Thread(target=keep_connections, name="reserved connections", daemon=True).start()
warm_up()

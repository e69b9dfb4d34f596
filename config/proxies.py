"""Who asks, when proxies stand before a process: their word about address and scheme, and nobody else's.

Log-ins are counted and audited by address. Without `AO_PROXIES` everybody behind a proxy has the proxy's, and whoever
guesses passwords locks out whose name they guess.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from granian.utils.proxies import wrap_wsgi_with_proxy_headers

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def behind_proxies(application: Application) -> Application:
    """The application as those see it who come through `AO_PROXIES`, the last address that none of these has."""
    if not settings.AO_PROXIES:
        return application
    wrapped: Application = wrap_wsgi_with_proxy_headers(application, settings.AO_PROXIES)
    return wrapped

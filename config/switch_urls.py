"""URLs of the kill switch's own process: the switch, log-in and log-out, ``/livez``.

Every other address of the installation has its name here too, so that pages can link to it, and leads to the main
process. Refuses to do anything else: nothing is posted or read here that is not the switch's.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.csrf import csrf_exempt

from config.urls import urlpatterns as everything

OWN: Final = ("killswitch/", "livez", "admin/login/", "admin/logout/", "admin/jsi18n/")


def page(_request: HttpRequest) -> HttpResponse:
    """What this process is for."""
    return HttpResponseRedirect(reverse("killswitch"))


@csrf_exempt
def elsewhere(request: HttpRequest, **_: Any) -> HttpResponse:
    """An address of the main process."""
    if request.method not in {"GET", "HEAD"}:
        words = f"Only the kill switch is here; everything else is at {settings.PUBLIC_URL}.\n"
        return HttpResponseNotFound(words, content_type="text/plain")
    return HttpResponseRedirect(settings.PUBLIC_URL + request.get_full_path())


def _own(patterns: Sequence[Any], above: str = "") -> Iterator[URLPattern | URLResolver]:
    """The same addresses by the same names; what is not the switch's leads elsewhere."""
    for each in patterns:
        route = above + str(each.pattern).lstrip("^")
        if isinstance(each, URLResolver):
            below = list(_own(each.url_patterns, route))
            yield URLResolver(each.pattern, below, each.default_kwargs, each.app_name, each.namespace)
        elif route.startswith(OWN):
            yield each
        else:
            yield URLPattern(each.pattern, elsewhere, each.default_args, each.name)


urlpatterns = [path("", page), *_own(everything)]

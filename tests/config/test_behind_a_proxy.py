"""A proxy that speaks TLS passes plain HTTP on: people can still log in and stop, and nobody borrows an address."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from django.test import override_settings

from config import settings as ours
from config.proxies import behind_proxies

PROXY, ASKER, CLAIMED = "10.0.0.7", "203.0.113.9", "198.51.100.1"
FORWARDED = {"HTTP_X_FORWARDED_FOR": f"{CLAIMED}, {ASKER}", "HTTP_X_FORWARDED_PROTO": "https"}


def seen(asker: str, *proxies: str) -> tuple[str, str]:
    """What an application learns of a request from that address: who asks, and by which scheme."""
    environ: dict[str, Any] = {"REMOTE_ADDR": asker, "wsgi.url_scheme": "http", **FORWARDED}
    with override_settings(AO_PROXIES=list(proxies)):
        behind_proxies(lambda *_: [])(environ, lambda *_: None)
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


def test_a_proxy_of_ours_says_who_asks_and_the_asker_does_not() -> None:
    assert seen(PROXY, "10.0.0.0/24") == (ASKER, "https"), "not the first address: whoever asks wrote that"


@pytest.mark.parametrize(("asker", "proxies"), [(ASKER, ["10.0.0.0/24"]), (PROXY, [])])
def test_what_others_claim_counts_for_nothing(asker: str, proxies: list[str]) -> None:
    assert seen(asker, *proxies) == (asker, "http")


@pytest.mark.parametrize("word", ["*", "proxy.internal", "10.0.0.7/24"])
def test_proxies_are_addresses_or_networks(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("AO_PROXIES", word)
    with pytest.raises(ImproperlyConfigured, match="AO_PROXIES wants addresses or networks"):
        ours.networks("AO_PROXIES")


@pytest.mark.parametrize(
    ("origin", "believed"),
    [(ours.origin(ours.PUBLIC_URL), True), ("https://elsewhere.example", False)],
)
def test_a_form_of_the_public_address_is_taken_though_the_request_came_in_plain(
    origin: str, believed: bool
) -> None:
    request = HttpRequest()
    request.method, request.META = "POST", {"HTTP_HOST": "inside.test", "HTTP_ORIGIN": origin}
    with override_settings(ALLOWED_HOSTS=["inside.test"]):
        assert CsrfViewMiddleware(lambda _: None)._origin_verified(request) is believed


def test_the_public_address_has_a_scheme_and_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "outbox.example.com")
    with pytest.raises(ImproperlyConfigured, match="PUBLIC_URL wants http"):
        ours.web_address("PUBLIC_URL", "http://localhost:8000")
    assert ours.origin("https://outbox.example.com/below") == "https://outbox.example.com"

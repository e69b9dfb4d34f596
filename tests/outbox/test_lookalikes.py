"""Names that pose as others, and names that only seem to."""

import pytest

from outbox.lookalikes import resembles

OWN = frozenset({"acme.example", "agents.acme.test"})


@pytest.mark.parametrize(
    ("host", "posed"),
    [
        ("paypa1.com", "paypal.com"),
        ("rnicrosoft.com", "microsoft.com"),
        ("micros0ft.com", "microsoft.com"),
        ("www.arnazon.com", "amazon.com"),
        ("xn--80ak6aa92e.com", "apple.com"),  # the attack of 2017: all of it Cyrillic
        ("acrne.test", "acme"),
        ("xn--acm-dma.test", "acme"),  # with an accent
        ("acme.org", "acme"),  # our name under another suffix
        ("acme-billing.com", "acme"),
        ("login.acme.example.evil.test", "acme"),
        ("paypal.com.evil.example", "paypal.com"),
        ("paypal-secure.com", "paypal.com"),
        ("googel.com", "google.com"),
        ("gmial.com", "gmail.com"),
        ("hotmai.com", "hotmail.com"),
    ],
)
def test_a_name_that_poses_as_another(host: str, posed: str) -> None:
    words = resembles(host, OWN)
    assert words is not None
    assert posed in words
    assert host in words
    assert resembles(host, OWN, frozenset({host, host.removeprefix("www.")})) is None


def test_a_label_of_two_alphabets_is_one_whatever_it_says() -> None:
    assert resembles("xn--pypal-4ve.com", OWN) == "xn--pypal-4ve.com mixes alphabets"  # a Cyrillic a


@pytest.mark.parametrize(
    "host",
    [
        *("acme.example", "mail.acme.example", "agents.acme.test", "rp.agents.acme.test"),
        *("gmail.com", "ymail.com", "mail.com", "email.com", "gmx.de", "yahoo.co.uk", "me.com"),
        *("example.org", "example.com", "pineapple.com", "apple-orchards.com", "chased.com", "google.de"),
        *("xn--bcher-kva.de", "xn--e1afmkfd.xn--p1ai", "a.b", "localhost", "x"),
    ],
)
def test_a_name_of_its_own(host: str) -> None:
    assert resembles(host, OWN) is None

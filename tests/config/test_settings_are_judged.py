"""A bad value stops the start with a sentence that names its variable, and shows no password."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import settings

READ: dict[str, Callable[[str], Any]] = {
    "AO_MAX_CONVERSATIONS": lambda name: settings.number(name, 400, least=1),
    "AO_PAGER_COMMAND": settings.command,
    "CACHE_URL": lambda name: settings.service(name, ["redis", "rediss", "unix"], ""),
    "CELERY_BROKER_URL": lambda name: settings.service(name, settings.BROKERS, "pgmq://"),
    "LOG_LEVEL": lambda name: settings.one_of(name, ["INFO", "WARNING"], "INFO"),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AO_MAX_CONVERSATIONS", "0"),
        ("AO_MAX_CONVERSATIONS", "many"),
        ("AO_PAGER_COMMAND", "page 'the team"),
        ("CACHE_URL", "http://:sesame@cache"),
        ("CELERY_BROKER_URL", "rabbit:sesame@broker"),
        ("LOG_LEVEL", "chatty"),
    ],
)
def test_a_bad_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} wants ") as refused:
        READ[name](name)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("AO_MAX_CONVERSATIONS", "1", 1),
        ("AO_PAGER_COMMAND", "page 'the team'", ["page", "the team"]),
        ("CACHE_URL", "", ""),
        ("CELERY_BROKER_URL", "amqp://one;amqp://two", "amqp://one;amqp://two"),
        ("LOG_LEVEL", "warning", "WARNING"),
    ],
)
def test_a_good_one_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: object) -> None:
    monkeypatch.setenv(name, value)
    assert READ[name](name) == read

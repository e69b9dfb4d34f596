"""System checks: what must not start. Celery's workers and the web process run them before they serve."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from reputation import sql
from reputation.vault import BadMasterKey, Vault

MIN_KEY: int = 16
HTTPS: int = 443

# Until the audit came, the first migrations were still rewritten: what they had made by then goes no further.
BEFORE_THE_AUDIT: Final[LiteralString] = """
SELECT to_regclass('outbox_lane') IS NOT NULL AND to_regclass('outbox_audit') IS NULL AS so
"""


@checks.register()
def deployment(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ARG001 Django passes it by name
    """Settings that together would send what nobody meant to send, or could not send at all."""
    if settings.AO_CHECKING:  # linters and type checkers load the settings without a deployment
        return []
    return [*_names(), *_secrets()]


@checks.register(checks.Tags.database)
def tables(
    app_configs: Any = None,  # noqa: ARG001 Django passes it by name
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[checks.CheckMessage]:
    """What `migrate` must not touch: asked of the database that it is about to migrate."""
    return [
        checks.Error(
            "The tables of this database were made before the audit was: they cannot be migrated.",
            hint="Keep it with the version that made it until its mail is sent, and begin with an empty one.",
            id="outbox.E007",
        )
        for alias in databases or []
        if sql.one(BEFORE_THE_AUDIT, using=alias).so
    ]


def refuse_to_start(*, pages: bool = False) -> None:
    """Run our own checks, or with ``pages`` all there are: the framework's load every page.

    Raises:
        ImproperlyConfigured: one of them is an error.
    """
    found = checks.run_checks() if pages else deployment()
    serious = [message for message in found if message.is_serious()]
    if serious:
        raise ImproperlyConfigured("\n".join(str(message) for message in serious))


def _names() -> Iterator[checks.CheckMessage]:
    simulated = settings.AO_ALLOW_LOOPBACK and _only_loopback()
    if settings.AO_ALLOW_TEST_NAMES and not simulated:
        yield checks.Error(
            "AO_ALLOW_TEST_NAMES is set, and mail would be delivered to hosts that are not loopback.",
            hint="Unset it in production; with the simulator set AO_ALLOW_LOOPBACK and loopback AO_NAMESERVERS.",
            id="outbox.E001",
        )
    if settings.DEBUG and not simulated:
        yield checks.Error(
            "DEBUG is set, and mail would be delivered to real hosts.",
            hint="Unset DEBUG, or deliver to the simulator.",
            id="outbox.E002",
        )

    if (settings.AO_STS_PORT != HTTPS or settings.AO_CA_FILE) and not simulated:
        yield checks.Error(
            "AO_STS_PORT or AO_CA_FILE is set: real domains' TLS policies and certificates would not be found valid.",
            hint="Unset both in production; they are for the simulator.",
            id="outbox.E005",
        )


def _secrets() -> Iterator[checks.CheckMessage]:
    try:
        Vault(settings.AO_MASTER_KEYS)
    except BadMasterKey as error:
        yield checks.Error(
            f"AO_MASTER_KEYS: {error}. Signing keys could not be unsealed, so nothing could be sent.",
            hint="Set it to what `reputation.vault.new_master_key()` returns, kept outside the database.",
            id="outbox.E003",
        )
    if not settings.AO_VERP_KEYS or any(len(key) < MIN_KEY for key in settings.AO_VERP_KEYS):
        yield checks.Error(
            f"AO_VERP_KEYS needs keys of {MIN_KEY} characters or more: they sign the return-paths.",
            hint="Set it to random text, the newest key first.",
            id="outbox.E004",
        )
    if len(settings.AO_SUPPRESSION_KEY) < MIN_KEY:
        yield checks.Error(
            f"AO_SUPPRESSION_KEY needs {MIN_KEY} characters or more: without it nobody could unsubscribe.",
            hint="Set it to random text, once: it cannot be changed, since links in mail that was sent depend on it.",
            id="outbox.E006",
        )


def _only_loopback() -> bool:
    servers = settings.AO_NAMESERVERS
    return bool(servers) and all(ipaddress.ip_address(host).is_loopback for host, _ in servers)

"""What must not start."""

from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import override_settings

from config.embedded import Urls
from config.settings import flag
from outbox.checks import deployment, refuse_to_start, tables
from reputation.vault import new_master_key

SOUND: dict[str, Any] = {
    "AO_CHECKING": False,
    "DEBUG": False,
    "AO_MASTER_KEYS": [new_master_key()],
    "AO_VERP_KEYS": ["0123456789abcdef"],
    "AO_SUPPRESSION_KEY": "0123456789abcdef",
    "AO_ALLOW_TEST_NAMES": False,
    "AO_ALLOW_LOOPBACK": False,
    "AO_NAMESERVERS": [],
    "AO_STS_PORT": 443,
    "AO_CA_FILE": "",
}
SIMULATED = {"AO_ALLOW_LOOPBACK": True, "AO_NAMESERVERS": [("127.0.0.1", 5353)]}


def found(**changed: Any) -> list[str | None]:
    with override_settings(**(SOUND | changed)):
        return [message.id for message in deployment(None)]


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({}, []),
        ({"AO_ALLOW_TEST_NAMES": True}, ["outbox.E001"]),  # made-up names and the real world
        ({"AO_ALLOW_TEST_NAMES": True, "AO_ALLOW_LOOPBACK": True}, ["outbox.E001"]),  # the system's resolver
        ({"AO_ALLOW_TEST_NAMES": True, **SIMULATED, "AO_NAMESERVERS": [("192.0.2.53", 53)]}, ["outbox.E001"]),
        ({"AO_ALLOW_TEST_NAMES": True, **SIMULATED}, []),
        ({"DEBUG": True}, ["outbox.E002"]),
        ({"DEBUG": True, **SIMULATED}, []),
        ({"AO_MASTER_KEYS": []}, ["outbox.E003"]),
        ({"AO_MASTER_KEYS": [new_master_key(), "no key"]}, ["outbox.E003"]),
        ({"AO_STS_PORT": 8443}, ["outbox.E005"]),  # no real policy would be found
        ({"AO_CA_FILE": "ca.pem"}, ["outbox.E005"]),
        ({"AO_STS_PORT": 8443, "AO_ALLOW_LOOPBACK": True}, ["outbox.E005"]),  # the system's resolver
        ({"AO_STS_PORT": 8443, "AO_CA_FILE": "ca.pem", **SIMULATED}, []),
        ({"AO_VERP_KEYS": []}, ["outbox.E004"]),
        ({"AO_VERP_KEYS": ["short"]}, ["outbox.E004"]),
        ({"AO_SUPPRESSION_KEY": ""}, ["outbox.E006"]),
    ],
)
def test_settings_that_must_not_meet(changed: dict[str, Any], ids: list[str]) -> None:
    assert found(**changed) == ids


def test_tables_of_before_the_audit_are_not_touched(live_db: Urls) -> None:
    assert tables(databases=["owner"]) == []
    with psycopg.connect(live_db.superuser, autocommit=True) as superuser:
        superuser.execute("ALTER TABLE outbox_audit RENAME TO outbox_audit_hidden")
        try:
            with pytest.raises(CommandError, match=r"outbox\.E007"):
                call_command("migrate", database="owner", skip_checks=False, verbosity=0)
        finally:
            superuser.execute("ALTER TABLE outbox_audit_hidden RENAME TO outbox_audit")
    assert tables() == [], "of no database, none is asked"


def test_checking_that_is_said_to_be_off_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AO_CHECKING", "0")
    assert found(DEBUG=True, AO_CHECKING=flag("AO_CHECKING")) == ["outbox.E002"]


def test_an_error_stops_the_start_and_says_what_to_do() -> None:
    with (
        override_settings(**(SOUND | {"DEBUG": True})),
        pytest.raises(ImproperlyConfigured, match="Unset DEBUG"),
    ):
        refuse_to_start()

"""A database is brought to the state of this version, and a demo put into it; twice is as good as once."""

import json
import stat
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from config.embedded import Urls
from outbox import keys
from outbox.models import Agent, ApiKey
from reputation import signing
from reputation.models import RecordCheck, SigningKey
from reputation.vault import new_master_key, vault
from simulator import Config, running

# What people and scripts find in var/demo.json is a promise.
PROMISED = {
    "api_url", "api_key", "strict_api_key", "other_api_key", "returns_key", "sender", "admin_url", "admin_user",
    "admin_password", "auditor", "reviewer", "responders", "database_url", "oracle_log", "smtp_returns",
    "killswitch_url",
}  # fmt: skip


@pytest.fixture
def var(live_db: Urls, settings: Settings, tmp_path: Path) -> Path:
    settings.BASE_DIR = tmp_path
    settings.AO_ALLOW_TEST_NAMES = True
    settings.AO_MASTER_KEYS = [new_master_key()]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path / "var"


def demo(var: Path) -> dict[str, Any]:
    call_command("demo")
    return json.loads((var / "demo.json").read_text())


def test_the_demo_says_what_was_promised_and_to_its_owner_only(var: Path) -> None:
    said = demo(var)
    assert set(said) == PROMISED
    assert [set(person) for person in (said["reviewer"], said["auditor"], *said["responders"])] == [
        {"user", "password"}
    ] * 4
    for name in ("demo.json", "zone.json"):
        assert stat.S_IMODE((var / name).stat().st_mode) == 0o600


def test_the_demo_may_be_made_again_and_changes_nothing(var: Path) -> None:
    assert demo(var) == demo(var)
    assert ApiKey.objects.count() == 4


def test_a_revoked_key_is_replaced_and_the_others_stay(var: Path) -> None:
    before = demo(var)
    key = keys.read(before["api_key"])
    assert key is not None
    ApiKey.objects.filter(prefix=key.prefix).update(revoked_at="2026-01-01T00:00:00Z")
    after = demo(var)
    assert after["api_key"] != before["api_key"]
    assert after["strict_api_key"] == before["strict_api_key"]


def test_the_keys_are_of_three_agents_and_one_of_none(var: Path) -> None:
    said = demo(var)
    callers = [
        keys.authenticate(f"Bearer {said[name]}") for name in sorted(PROMISED) if name.endswith("_key")
    ]
    assert {caller.agent for caller in callers} == {"demo", "demo-strict", "demo-other", ""}


def test_only_the_agent_for_loading_has_no_limits(var: Path) -> None:
    demo(var)
    free = Agent.objects.get(name="demo")
    assert (free.recipients_per_hour, free.recipients_per_day, free.exempt) == (1_000_000, 1_000_000, True)
    for name in ("demo-strict", "demo-other"):
        agent = Agent.objects.get(name=name)
        assert (agent.recipients_per_hour, agent.recipients_per_day, agent.exempt) == (20, 100, False)


def test_the_zone_publishes_the_public_half_of_what_the_vault_keeps(var: Path) -> None:
    demo(var)
    zone = json.loads((var / "zone.json").read_text())
    rows = SigningKey.objects.select_related("domain")
    assert rows.count() == 6
    for row in rows:
        private = vault().unseal(bytes(row.private_sealed))
        signer = signing.load(row.domain.name, row.selector, signing.Algorithm(row.algorithm), private)
        assert zone[f"{row.selector}._domainkey.{row.domain.name}"] == [["TXT", signer.public_record]]


def test_what_the_zone_publishes_is_all_that_the_demos_domains_need(
    var: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(var)
    with running(Config(log=var / "oracle.jsonl", zone_file=var / "zone.json")) as internet:
        settings.AO_NAMESERVERS = settings.AO_SECOND_NAMESERVERS = [("127.0.0.1", internet.dns_port)]
        settings.AO_SMTP_PORT = internet.smtp_port
        call_command("verify")
    said = capsys.readouterr().out
    assert "agents.acme.test: verified\n" in said
    assert "mail.acme.test: verified\n" in said
    assert set(RecordCheck.objects.values_list("verdict", flat=True)) == {"right"}, said


def test_the_people_log_in_with_their_passwords(var: Path, client: Any) -> None:
    said = demo(var)
    logins = [said["reviewer"], said["auditor"], *said["responders"]]
    logins.append({"user": said["admin_user"], "password": said["admin_password"]})
    for login in logins:
        assert client.login(username=login["user"], password=login["password"]), login["user"]


def test_where_mail_could_reach_the_world_there_is_no_demo(var: Path, settings: Settings) -> None:
    settings.AO_ALLOW_TEST_NAMES = False
    with pytest.raises(CommandError, match="simulated internet"):
        call_command("demo")


def test_prepare_gives_the_application_a_broker_in_which_it_can_make_queues(
    live_db: Urls, settings: Settings
) -> None:
    settings.CELERY_BROKER_URL = "pgmq://localhost"
    call_command("prepare", verbosity=0)
    call_command("prepare", verbosity=0)
    with psycopg.connect(live_db.app) as application:
        application.execute("SELECT pgmq.create('tried')")
        application.execute("SELECT pgmq.send('tried', '{}')")
        assert application.execute("SELECT count(*) FROM pgmq.read('tried', 1, 10)").fetchone() == (1,)
        application.execute("SELECT pgmq.drop_queue('tried')")


def test_prepare_leaves_an_up_to_date_database_alone(live_db: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("prepare", verbosity=0)
    monkeypatch.setattr(
        "outbox.management.commands.prepare.call_command", lambda *_, **__: pytest.fail("migrated")
    )
    call_command("prepare", verbosity=0)


def test_prepare_gives_rights_also_where_one_before_was_stopped_before_it_did(live_db: Urls) -> None:
    with psycopg.connect(live_db.owner, autocommit=True) as owner:
        owner.execute("REVOKE ALL ON outbox_agent FROM outbox_app")
    call_command("prepare", verbosity=0)
    assert Agent.objects.count() == 0

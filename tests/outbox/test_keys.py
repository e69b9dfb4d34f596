"""API keys: shaped so that they are found, compared and never shown; stored so that they cannot be read."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from outbox import keys
from outbox.models import ApiKey
from outbox.problems import Refused
from reputation import sql
from tests import factories


def test_a_new_key_is_read_back_and_matches_its_own_hash_only() -> None:
    key, other = keys.new(), keys.new()
    assert keys.read(key.text) == key
    assert key.matches(key.hash)
    assert not key.matches(other.hash)


def test_the_hash_is_sha256_of_the_secret() -> None:
    assert keys.Key("abcdefgh", "secret").hash == hashlib.sha256(b"secret").digest()


def test_the_representation_hides_the_secret() -> None:
    key = keys.new()
    assert key.secret not in repr(key)
    assert key.prefix in repr(key)


TEXT = "ao_live_abcdefgh_" + "a" * 40  # without its checksum


@pytest.mark.parametrize(
    "text",
    [
        "",  # nothing
        "ao_live_abcdefgh",  # no secret
        TEXT,  # no checksum
        TEXT + "a" * 7,  # a wrong checksum
        TEXT.replace("live", "test") + keys._checksum(TEXT),  # not one of ours
        TEXT + keys._checksum(TEXT) + "a",  # too long
        TEXT + keys._checksum(TEXT) + "\n",  # a line break behind it
        " " + TEXT + keys._checksum(TEXT),  # a space before it
        (TEXT + keys._checksum(TEXT)).upper(),
    ],
)
def test_what_is_not_shaped_like_a_key_is_none(text: str) -> None:
    assert keys.read(text) is None


def test_one_letter_mistyped_anywhere_in_a_key_is_noticed_by_its_checksum() -> None:
    text = keys.new().text
    for place in range(len("ao_live_"), len(text)):
        other = "a" if text[place] != "a" else "b"
        assert keys.read(text[:place] + other + text[place + 1 :]) is None


def test_only_a_hash_of_an_issued_key_is_stored(live_db: Any) -> None:
    row, text = keys.issue(factories.agent(), "agent", ["send"], name="laptop")
    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text FROM outbox_apikey AS k")
        stored = cursor.fetchone()[0]
    secret = text.rpartition("_")[2]
    assert secret not in stored
    assert secret.encode().hex() not in stored
    assert (row.name, row.scopes) == ("laptop", ["send"])


def test_a_caller_is_what_its_key_and_agent_say(live_db: Any) -> None:
    agent = factories.agent(requests_per_minute=7, exempt=False)
    caller = keys.authenticate(f"Bearer {factories.key(agent, 'send', 'read')}")
    assert (caller.kind, caller.scopes, caller.exempt) == ("agent", frozenset({"send", "read"}), False)
    assert (caller.agent_id, caller.agent) == (agent.pk, "ada")
    assert (caller.stream_id, caller.stream) == (agent.stream_id, "agents-support")
    assert caller.requests_per_minute == 7


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])  # RFC 9110 §11.1: case-insensitive
def test_the_scheme_may_be_written_in_any_case(live_db: Any, scheme: str) -> None:
    assert keys.authenticate(scheme + factories.key(factories.agent())).agent == "ada"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Basic eDp5", f"Bearer {keys.new().text}"],
    ids=["none", "empty", "no key", "another scheme", "nobody's key"],
)
def test_who_has_no_key_of_ours_is_unauthenticated(live_db: Any, header: str | None) -> None:
    assert _refusal(header) == "unauthenticated"


def test_a_known_prefix_with_another_secret_is_unauthenticated(live_db: Any) -> None:
    known, other = keys.read(factories.key(factories.agent())), keys.new()
    assert known is not None
    body = f"ao_live_{known.prefix}_{other.secret[:40]}"
    assert keys.read(body + keys._checksum(body))  # well formed: it is the hash that says no
    assert _refusal(f"Bearer {body}{keys._checksum(body)}") == "unauthenticated"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"revoked_at": datetime.now(UTC)}, "unauthenticated"),
        ({"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, "key_expired"),
        ({"expires_at": datetime.now(UTC) + timedelta(days=1)}, None),
        # revoked for good is told to nobody, even if it has expired too
        ({"revoked_at": datetime.now(UTC), "expires_at": datetime.now(UTC)}, "unauthenticated"),
    ],
)
def test_a_key_ends_when_its_row_says(live_db: Any, change: dict[str, datetime], code: str | None) -> None:
    header = f"Bearer {factories.key(factories.agent())}"
    ApiKey.objects.update(**change)
    assert _refusal(header) == code


def test_keys_of_a_disabled_agent_are_refused(live_db: Any) -> None:
    assert _refusal(f"Bearer {factories.key(factories.agent(enabled=False))}") == "agent_disabled"


def test_use_is_noted_once_a_minute(live_db: Any) -> None:
    header = f"Bearer {factories.key(factories.agent())}"
    keys.authenticate(header)
    first = ApiKey.objects.get().last_used_at
    keys.authenticate(header)
    assert first is not None
    assert ApiKey.objects.get().last_used_at == first
    long_ago = first - timedelta(minutes=2)
    ApiKey.objects.update(last_used_at=long_ago)
    keys.authenticate(header)
    assert ApiKey.objects.get().last_used_at > long_ago  # type: ignore[operator]


def test_a_use_that_cannot_be_noted_fails_nothing(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    header = f"Bearer {factories.key(factories.agent())}"
    monkeypatch.setattr(keys, "NOTE_USE", "UPDATE no_such_table SET id = %s")
    assert keys.authenticate(header).agent == "ada"
    assert sql.one("SELECT 1 AS yes") is not None


@pytest.mark.parametrize(
    ("of_agent", "kind", "scopes"),
    [(False, "agent", ["send"]), (True, "returns", []), (True, "operator", []), (True, "agent", ["approve"])],
)
def test_a_key_that_makes_no_sense_is_not_issued(
    live_db: Any, of_agent: bool, kind: str, scopes: list[str]
) -> None:
    with pytest.raises(ValueError, match="no such key"):
        keys.issue(factories.agent() if of_agent else None, kind, scopes)


def _refusal(header: str | None) -> str | None:
    try:
        keys.authenticate(header)
    except Refused as error:
        return error.problem.code
    return None
